//! Messages that come back (R3).

use std::any::Any;
use std::fmt;

use bytes::Bytes;
use mesh_core::{ActorId, Body, Plane, WhyUndelivered};
use serde::de::DeserializeOwned;

use crate::codec::{self, DecodeError};
use crate::panics::discard;

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
    message: Content,
}

/// The message, as far as it had come.
enum Content {
    Value(Value),
    /// It has been to another process.
    Bytes(Bytes),
}

/// A message of a type that is not known here; whoever drops it unread is not to blame for what that does.
struct Value(Option<Box<dyn Any + Send>>);

impl Value {
    /// The message, if it is of type `M`.
    fn take<M: 'static>(mut self) -> Result<M, Self> {
        match self.0.take().map(<Box<dyn Any + Send>>::downcast) {
            Some(Ok(message)) => Ok(*message),
            Some(Err(value)) => Err(Self(Some(value))),
            None => Err(self),
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        discard(self.0.take());
    }
}

impl Undelivered {
    pub(crate) fn new(
        (from, to): (Option<ActorId>, ActorId),
        name: &'static str,
        why: WhyUndelivered,
        message: Body,
    ) -> Self {
        let message = match message {
            Body::Bytes(bytes) => Content::Bytes(bytes),
            Body::Value(value) => Content::Value(Value(Some(value.into_any()))),
        };
        Self { to, from, name, why, message }
    }

    /// One that was never to leave its process, and perhaps cannot.
    pub(crate) fn here(
        (from, to): (Option<ActorId>, ActorId),
        name: &'static str,
        why: WhyUndelivered,
        message: impl Any + Send,
    ) -> Self {
        Self { to, from, name, why, message: Content::Value(Value(Some(Box::new(message)))) }
    }

    /// The message, if it is of type `M` and has not left this process.
    ///
    /// # Errors
    ///
    /// All of it comes back otherwise; see [`decode`](Self::decode).
    pub fn into_message<M: 'static>(self) -> Result<M, Box<Self>> {
        let Self { to, from, name, why, message } = self;
        let message = match message {
            Content::Value(value) => match value.take() {
                Ok(message) => return Ok(message),
                Err(value) => Content::Value(value),
            },
            bytes @ Content::Bytes(_) => bytes,
        };
        Err(Box::new(Self { to, from, name, why, message }))
    }

    /// The message, if it is of type `M`, also if it has been to another process.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if it is of another type.
    pub fn decode<M: DeserializeOwned + 'static>(self) -> Result<M, DecodeError> {
        match self.message {
            Content::Bytes(bytes) => codec::decode_shared(&bytes),
            Content::Value(value) => value.take().or(Err(DecodeError::OtherType)),
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

/// Logs what could not be delivered (R3). On the control plane subscribers come and go, and whoever sends
/// deals with what comes back (N7): a mesh that ends well warns nobody.
pub(crate) fn log_undelivered(to: ActorId, undelivered: &dyn fmt::Display) {
    match to.plane() {
        Plane::User => tracing::warn!(%undelivered, "undelivered"),
        Plane::Control => tracing::debug!(%undelivered, "undelivered"),
    }
}
