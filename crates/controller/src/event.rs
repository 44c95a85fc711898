//! The inputs and outputs of the machine. Both are exhaustive on purpose: a new variant must break
//! every shell. Both can be written down: a recorded list of `(time, event)` replays a run.

use std::sync::Arc;

use mesh_core::{
    Answer, Failures, Interest, MeshEvent, MeshRequest, Refusal, Reply, Request, SubscriberId,
};
use mesh_shape::Region;
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de> + PartialEq"))]
pub enum Event<R> {
    /// The shell is ready to perform effects: start every rank. Again: no change.
    Opened,
    /// The same, for a mesh that another controller has started (K3): nothing is started, every agent
    /// is asked what lives, and nobody is judged for one lease. Again: no change.
    ///
    /// The other controller must be dead, or cut off from all agents for as long as the timeout: an
    /// agent that has not heard of this one would still be kept alive by it while it is given up here.
    Adopted,
    /// An agent said something.
    Answered(Answer<R>),
    /// Somebody wants to be told what happens. The same id again: no change (N5).
    Subscribed(Subscription),
    /// A subscriber has gone or wants no more. An unknown one: no change.
    Unsubscribed(SubscriberId),
    /// A subscriber's queue had overflowed and has room again: it needs a snapshot (N7).
    Lagged(SubscriberId),
    /// Somebody asks something, and is answered once: now, or when it has come true (L7, L8).
    Asked {
        /// To be named in the answer. A number that still waits for an answer is not taken again.
        ask: AskId,
        /// What is asked.
        request: MeshRequest,
    },
    /// Who asked has gone and wants no answer. An unknown one: no change.
    Withdrawn(AskId),
    /// The owner has gone: what is left of the mesh ends by what it is held by (C2), and whoever steps this ends as well.
    /// Everybody who has subscribed is told, and nothing happens any more; only who has lagged is to be told after it.
    Abandoned,
    /// Time has passed: the deadline that [`next_deadline`](crate::Controller::next_deadline) named
    /// may have come. Earlier: no change.
    Tick,
}

/// Something to be done by the shell, in the order given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Effect {
    /// Give an agent an order or a question. It is not awaited.
    Ask(Request),
    /// Tell one subscriber.
    Tell {
        /// Whom.
        to: SubscriberId,
        /// What.
        event: MeshEvent,
    },
    /// A subscription that was not taken.
    Refuse {
        /// Whose.
        to: SubscriberId,
        /// Why.
        why: Refusal,
    },
    /// Tell the owner of every failure found in this step, together (H6, N1).
    TellOwner(Failures),
    /// Answer a question that was asked with this id.
    Answer {
        /// Which question.
        ask: AskId,
        /// The answer.
        reply: Reply,
    },
    /// Every rank has ended and none will be restarted: supervision is over (L6). Questions are still
    /// answered. Also: another controller has taken over, and supervises the mesh from now on.
    Finish,
}

/// Who wants to be told, and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The subscriber, by the number its shell gave it.
    pub id: SubscriberId,
    /// Which changes it wants.
    pub interest: Interest,
    /// The part of the mesh it wants to hear of, whose ranks it is told in (H5, N6); all if `None`.
    /// A view of the same base as the mesh's own region.
    pub region: Option<Arc<Region>>,
    /// Whether it was subscribed before, and may have missed something: then its snapshot is that of one that has lagged
    /// (N7).
    #[serde(default)]
    pub again: bool,
}

/// A question, by the number that its shell gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AskId(u64);

impl AskId {
    /// The question with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The bare number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}
