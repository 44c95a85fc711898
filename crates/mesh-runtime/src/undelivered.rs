//! Messages that come back (R3).

use std::any::Any;
use std::fmt;

use mesh_core::ActorId;

/// A message that was accepted and could not be delivered. It comes back to its sender.
pub struct Undelivered {
    /// Whom it was for.
    pub to: ActorId,
    /// Who sent it, if an actor did.
    pub from: Option<ActorId>,
    /// [`NAME`](mesh_core::Message::NAME) of the message.
    pub name: &'static str,
    /// Why it could not be delivered.
    pub why: WhyUndelivered,
    message: Box<dyn Any + Send>,
}

/// Why a message could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum WhyUndelivered {
    /// The actor ended before it handled the message.
    #[error("the actor ended before it handled it")]
    Ended,
    /// There is no such actor, or no longer.
    #[error("there is no such actor here, or no longer")]
    NoActor,
    /// The actor is there, and takes no messages of that kind by address.
    #[error("the actor takes no such message by address: name it in its handlers")]
    NoPort,
    /// It is for another process, to which there is no way from here.
    #[error("there is no way to its process from here")]
    NoRoute,
}

impl WhyUndelivered {
    /// The value of the `reason` label of metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::NoActor => "no_actor",
            Self::NoPort => "no_port",
            Self::NoRoute => "no_route",
        }
    }
}

impl Undelivered {
    pub(crate) fn new(
        (from, to): (Option<ActorId>, ActorId),
        name: &'static str,
        why: WhyUndelivered,
        message: Box<dyn Any + Send>,
    ) -> Self {
        Self { to, from, name, why, message }
    }

    /// The message, if it is of type `M`.
    ///
    /// # Errors
    ///
    /// All of it comes back if it is not.
    pub fn into_message<M: 'static>(self) -> Result<M, Self> {
        let Self { to, from, name, why, message } = self;
        match message.downcast() {
            Ok(message) => Ok(*message),
            Err(message) => Err(Self { to, from, name, why, message }),
        }
    }
}

impl fmt::Debug for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undelivered")
            .field("to", &self.to)
            .field("from", &self.from)
            .field("name", &self.name)
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for actor {} was not delivered: {}", self.name, self.to, self.why)
    }
}
