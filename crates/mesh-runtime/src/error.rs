//! Why a message was not taken, and why a call has no answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Cause, End, Fault, WhyUndelivered};

/// A message that an actor does not take, since it has ended or is about to. It comes back, and
/// nothing has changed.
#[derive(Clone, PartialEq, Eq)]
pub struct CastError<M> {
    /// The name of the actor.
    pub actor: String,
    /// The message.
    pub message: M,
}

/// A message that an actor does not take now. It comes back, and nothing has changed.
#[derive(Clone, PartialEq, Eq)]
pub enum TryCastError<M> {
    /// Its mailbox is full, or what was sent to its process before is to arrive first.
    Full {
        /// The name of the actor.
        actor: String,
        /// The message.
        message: M,
    },
    /// It has ended, or is about to.
    Closed {
        /// The name of the actor.
        actor: String,
        /// The message.
        message: M,
    },
}

// By hand, because deriving would ask for messages that can be shown.
impl<M> Error for CastError<M> {}
impl<M> Error for TryCastError<M> {}

impl<M> fmt::Display for CastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "actor {} takes no message any more", self.actor)
    }
}

impl<M> fmt::Display for TryCastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { actor, .. } => {
                write!(f, "the mailbox of actor {actor} is full: try again, or cast and wait")
            }
            Self::Closed { actor, .. } => write!(f, "actor {actor} takes no message any more"),
        }
    }
}

impl<M> fmt::Debug for CastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CastError").field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for TryCastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, actor) = match self {
            Self::Full { actor, .. } => ("Full", actor),
            Self::Closed { actor, .. } => ("Closed", actor),
        };
        f.debug_struct(name).field("actor", actor).finish_non_exhaustive()
    }
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The deadline has passed. The message may have been handled, or may still be.
    #[error("actor {actor} has not answered within {within:?}")]
    Deadline {
        /// The name of the actor.
        actor: String,
        /// How long it was given.
        within: Duration,
    },
    /// The actor had ended before it took the message. Nothing was done.
    #[error("actor {actor} has {end} and has not taken the message")]
    NotTaken {
        /// The name of the actor.
        actor: String,
        /// How it has ended.
        end: End,
    },
    /// The actor failed while it handled the message. Some of it may have been done.
    #[error("actor {actor} failed while it handled the message: {cause}")]
    Failed {
        /// The name of the actor.
        actor: String,
        /// Why.
        cause: Arc<Cause>,
    },
    /// The actor was killed while it handled the message. Some of it may have been done.
    #[error("actor {actor} was killed while it handled the message")]
    Killed {
        /// The name of the actor.
        actor: String,
    },
    /// Whoever was to answer has let go of the address to answer to.
    #[error("actor {actor} has let go of the call and has not answered it")]
    Unanswered {
        /// The name of the actor.
        actor: String,
    },
    /// The process of the actor is gone, or cannot be reached any more. The message may have been handled
    /// before that.
    #[error(
        "the process of actor {actor} is gone or cannot be reached: the message may have been handled"
    )]
    PeerLost {
        /// The address of the actor.
        actor: String,
    },
    /// The message could not be delivered. Nothing was done.
    #[error("the message for actor {actor} was not delivered: {why}")]
    Undelivered {
        /// Whom it was for.
        actor: String,
        /// Why.
        why: WhyUndelivered,
    },
}

impl CallError {
    /// What the side that was called says, as the caller is told it.
    pub(crate) fn new(actor: String, fault: Fault) -> Self {
        match fault {
            Fault::NotTaken(end) => Self::NotTaken { actor, end },
            Fault::Failed(cause) => Self::Failed { actor, cause },
            Fault::Unanswered(Some(End::Killed | End::Lost)) => Self::Killed { actor },
            Fault::Unanswered(_) => Self::Unanswered { actor },
            Fault::Undelivered(WhyUndelivered::PeerLost) => Self::PeerLost { actor },
            Fault::Undelivered(why) => Self::Undelivered { actor, why },
        }
    }
}
