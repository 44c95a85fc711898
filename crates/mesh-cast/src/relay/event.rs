//! What a relay is told, and what it wants done.

use std::sync::Arc;

use mesh_shape::{Overlay, RankSet};

use crate::plan::Plan;
use crate::wire::{
    Answer, CastId, Failure, Kind, Leg, LegId, Outcome, ReducerId, Settlement, Unreached,
};

/// What happened.
#[derive(Clone, Debug)]
pub enum Event<N, P, R> {
    /// A leg has arrived, with the plan of its region by a table that is not older than it says.
    Incoming {
        /// Who sent it, and waits for the answer.
        from: N,
        /// The leg.
        leg: Leg<P>,
        /// The tree over its region.
        plan: Arc<Plan<N>>,
    },
    /// A child has answered a leg that this relay sent ([`Sender::Relay`](crate::Sender::Relay)).
    Answered(N, Answer<R>),
    /// A leg that this relay sent could not be delivered, and came back.
    LegFailed {
        /// Which cast.
        cast: CastId,
        /// The number of the leg.
        leg: u64,
        /// Why.
        why: Unreached,
    },
    /// The session with a node was lost: of what is on its way nobody knows. Or the node is known to be
    /// gone.
    Lost {
        /// The node.
        node: N,
        /// Whether it is gone.
        why: Unreached,
    },
    /// Ranks of this node took what was delivered, replied, or failed. That it has arrived need not be said.
    Said {
        /// Which cast.
        cast: CastId,
        /// What each of them said.
        outcomes: Overlay<Outcome<R>>,
    },
    /// What the replies of an [`Effect::Merge`] were merged into, or why they could not be.
    Merged {
        /// Which cast.
        cast: CastId,
        /// As in the effect.
        to: N,
        /// As in the effect.
        leg: LegId,
        /// What they were merged into.
        merged: Result<R, Failure>,
    },
    /// Word of what a caster is done with has arrived, with the plan of the whole mesh.
    Settled {
        /// The word.
        settlement: Settlement,
        /// The tree over the mesh.
        plan: Arc<Plan<N>>,
    },
    /// A long while has passed, always the same: streams of which nothing was heard for two of them are forgotten.
    /// Until then they must not be, because a leg that comes late would be taken for a new one.
    Aged,
    /// It is time to tell parents what is known so far.
    Flush,
    /// Some time has passed, always the same, while a leg was open: who has said nothing for three of them is slow,
    /// and who is below it is reached without it.
    Tick,
}

/// One thing that is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<N, P, R> {
    /// Hand the message to ranks of this node, each in order; one that takes nothing must not hold up another. Say
    /// with [`Event::Said`] when they have taken it.
    Deliver {
        /// Which cast.
        cast: CastId,
        /// What is wanted of them.
        kind: Kind,
        /// The ranks, in the mesh as it was created.
        ranks: RankSet,
        /// The message.
        payload: P,
    },
    /// Send a leg to a child.
    Forward {
        /// The child.
        to: N,
        /// The leg.
        leg: Leg<P>,
    },
    /// Merge replies, and say with [`Event::Merged`] what they became.
    Merge {
        /// Which cast.
        cast: CastId,
        /// Who waits for that.
        to: N,
        /// By which leg.
        leg: LegId,
        /// How.
        reducer: ReducerId,
        /// The replies, some of them merged before: more than one.
        values: Vec<R>,
    },
    /// Answer a parent. If that cannot be delivered, nothing need be done: the parent will be told that
    /// this node is lost.
    Answer {
        /// The parent.
        to: N,
        /// The answer.
        answer: Answer<R>,
    },
    /// Pass a word on, to no answer.
    PassOn {
        /// The child.
        to: N,
        /// The word.
        settlement: Settlement,
    },
}
