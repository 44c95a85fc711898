//! What a caster is told, and what it wants done.

use std::sync::Arc;

use mesh_core::Fault;
use mesh_shape::Overlay;

use crate::members::Members;
use crate::wire::{Answer, Leg, Outcome, Part, Settlement, Unreached};

/// What happened.
#[derive(Clone, Debug)]
pub enum Event<N, R> {
    /// A leg that this caster sent ([`Sender::Caster`](crate::Sender::Caster)) was answered, by this node: of a leg
    /// only the one that it was sent to is believed.
    Answered(N, Answer<R>),
    /// A leg that this caster sent could not be delivered, and came back.
    LegFailed {
        /// The number of the cast.
        number: u64,
        /// The number of the leg.
        leg: u64,
        /// Why.
        why: Unreached,
    },
    /// The session with a node was lost, or the node is known to be gone. Of every node of the mesh that
    /// its supervision knows to have ended the caster must be told so, or it waits for it.
    Lost {
        /// The node.
        node: N,
        /// Whether it is gone.
        why: Unreached,
    },
    /// There is a newer table of the members of the mesh. Another node at a position has had nothing of what
    /// was cast, and the one before it will say nothing more.
    Members(Arc<Members<N>>),
    /// Ranks have failed, as supervision says: what they have been asked will not be answered (R1). It is the outcome that
    /// they have in all casts that are on their way and in which they have none yet. It is not kept for later casts, and
    /// holds back none: whether they take what they were sent their relay says.
    Failed(Overlay<Fault>),
    /// Some time has passed, as for a relay.
    Tick,
    /// The caller of a call does not wait any longer.
    Withdrawn(u64),
}

/// One thing that is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<N, P, R> {
    /// Send a leg.
    Forward {
        /// To whom.
        to: N,
        /// The leg.
        leg: Leg<P>,
    },
    /// Send word of what is settled, to no answer.
    PassOn {
        /// To whom.
        to: N,
        /// The word.
        settlement: Settlement,
    },
    /// Tell the program what came of a cast at some ranks. Each rank has one outcome for each cast; a failed
    /// one is the undeliverable leg that returns, naming its rank (R3).
    Resolved {
        /// The number of the cast.
        number: u64,
        /// By rank of the mesh as it was created.
        outcomes: Overlay<Outcome<R>>,
    },
    /// Tell the program what some ranks replied, merged, to a [`Kind::Reduce`](crate::Kind). No rank is in two parts,
    /// and one that is in a part has no other outcome, unless supervision said first that it has failed.
    Merged {
        /// The number of the cast.
        number: u64,
        /// What they replied.
        part: Part<R>,
    },
    /// Every rank of a cast has an outcome, and nothing is kept of it.
    Finished {
        /// The number of the cast.
        number: u64,
    },
    /// There is room again, after [`Caster::cast`](crate::Caster::cast) had refused.
    Room,
}

/// The number of a cast, and what is to be done for it, in order.
pub type Sent<N, P, R> = (u64, Vec<Effect<N, P, R>>);
