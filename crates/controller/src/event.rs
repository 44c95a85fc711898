//! The inputs and outputs of the machine. Both are exhaustive on purpose: a new variant must break
//! every shell.

use std::time::Duration;

use mesh_core::{Answer, Failures, Interest, MeshEvent, MeshState, Request, SubscriberId};
use mesh_shape::Region;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<R> {
    /// The shell is ready to perform effects: start every rank. Again: no change.
    Opened,
    /// An agent said something.
    Answered(Answer<R>),
    /// Somebody wants to be told what happens. The same id again: no change (N5).
    Subscribed(Subscription),
    /// A subscriber has gone or wants no more. An unknown one: no change.
    Unsubscribed(SubscriberId),
    /// A subscriber's queue had overflowed and has room again: it needs a snapshot (N7).
    Lagged(SubscriberId),
    /// Somebody wants the mesh stopped, and to be answered when it is (C1).
    StopAsked {
        /// To be named in the answer.
        ask: AskId,
        /// How long the ranks may take to end by themselves before they are killed.
        grace: Duration,
    },
    /// Somebody wants to know the state of every rank (L7).
    StateAsked {
        /// To be named in the answer.
        ask: AskId,
    },
    /// Time has passed: the deadline that [`next_deadline`](crate::Controller::next_deadline) named
    /// may have come. Earlier: no change.
    Tick,
}

/// Something to be done by the shell, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Tell the owner of every failure found in this step, together (H6, N1).
    TellOwner(Failures),
    /// Answer a question that was asked with this id.
    Answer {
        /// Which question.
        ask: AskId,
        /// The answer.
        state: MeshState,
    },
    /// Every rank has ended and none will be restarted: supervision is over (L6). Questions are still
    /// answered.
    Finish,
}

/// Who wants to be told, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The subscriber, by the number its shell gave it.
    pub id: SubscriberId,
    /// Which changes it wants.
    pub interest: Interest,
    /// The part of the mesh it wants to hear of, whose ranks it is told in (H5, N6); all if `None`.
    pub region: Option<Region>,
}

/// A question, by the number that its shell gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(u64);

impl AskId {
    /// The question with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}
