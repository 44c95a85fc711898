//! What goes from process to process: one message, with where it goes and what it is.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::address::{ActorId, PortId, ProcId};
use crate::cause::Cause;
use crate::ids::Incarnation;
use crate::pieces::Pieces;

/// One life of a process: what a peer is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId {
    /// The process.
    pub proc: ProcId,
    /// Which life of it.
    pub life: Incarnation,
}

impl ActorId {
    /// The life of the process that the actor lives in.
    #[must_use]
    pub const fn peer(&self) -> PeerId {
        PeerId { proc: self.proc, life: self.life }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.proc, self.life)
    }
}

/// A call that waits for its answer: a number that the caller's process gives and uses once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(u64);

impl CallId {
    /// The call with this number.
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

/// One message on its way between processes.
#[derive(Debug)]
pub struct Envelope {
    /// What it is, and where it goes.
    pub head: Head,
    /// The message. Empty where there is none.
    pub body: Body,
}

/// What an envelope is, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    /// A message for a port.
    Cast {
        /// Whose port it is.
        to: ActorId,
        /// Which port.
        port: PortId,
        /// Who sent it, if an actor did: there it goes back to if it cannot be delivered (R3).
        from: Option<ActorId>,
    },
    /// A message for a port that is to be answered.
    Call {
        /// Whose port it is.
        to: ActorId,
        /// Which port.
        port: PortId,
        /// Who waits for the answer.
        from: PeerId,
        /// What the answer is to name.
        call: CallId,
    },
    /// The answer to a call; the reply is the body.
    Answer {
        /// Who waits for it.
        to: PeerId,
        /// To which call.
        call: CallId,
    },
    /// There will be no answer to a call.
    Fault {
        /// Who waits for it.
        to: PeerId,
        /// To which call.
        call: CallId,
        /// Why.
        fault: Fault,
    },
    /// Nobody waits for the answer to a call any more: if it is not being handled yet, it need not be.
    Withdrawn {
        /// Who was called.
        to: ActorId,
        /// Who called.
        from: PeerId,
        /// Which call.
        call: CallId,
    },
    /// A cast that could not be delivered comes back, with its body (R3).
    Returned {
        /// Who sent it.
        to: ActorId,
        /// Whom it was for.
        of: ActorId,
        /// For which port of it.
        port: PortId,
        /// Why it was not delivered.
        why: WhyUndelivered,
    },
}

impl Head {
    /// Which life of which process it goes to.
    #[must_use]
    pub const fn peer(&self) -> PeerId {
        match self {
            Self::Cast { to, .. }
            | Self::Call { to, .. }
            | Self::Withdrawn { to, .. }
            | Self::Returned { to, .. } => to.peer(),
            Self::Answer { to, .. } | Self::Fault { to, .. } => *to,
        }
    }

    /// Whether it answers for something that the receiver has sent, or takes back a call. Of these there
    /// are no more than of what was sent, so they never wait for room.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        match self {
            Self::Answer { .. }
            | Self::Fault { .. }
            | Self::Returned { .. }
            | Self::Withdrawn { .. } => true,
            Self::Cast { .. } | Self::Call { .. } => false,
        }
    }
}

/// Why a call is not answered, as the side that was called knows it.
///
/// # Examples
///
/// ```
/// use mesh_core::{End, Fault};
///
/// let fault = Fault::NotTaken(End::Killed);
/// assert_eq!(fault.to_string(), "the actor has been killed and has not taken the message");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// The actor ended, so, before it took the message: nothing was done.
    #[error("the actor has {0} and has not taken the message")]
    NotTaken(End),
    /// The actor failed while it handled the message.
    #[error("the actor failed while it handled the message: {0}")]
    Failed(Arc<Cause>),
    /// The address to answer to was dropped. If the actor has ended since, so.
    #[error("the actor has let go of the call and has not answered it")]
    Unanswered(Option<End>),
    /// The message could not be delivered: nothing was done.
    #[error("the message was not delivered: {0}")]
    Undelivered(WhyUndelivered),
}

/// How an actor has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// As asked, or with its parent.
    Stopped,
    /// As asked, without waiting for anything.
    Killed,
    /// It failed.
    Failed(Arc<Cause>),
    /// Its task was dropped by somebody else, as when a runtime is shut down.
    Lost,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Killed => f.write_str("been killed"),
            Self::Failed(cause) => write!(f, "failed ({cause})"),
            Self::Lost => f.write_str("been dropped with its runtime"),
        }
    }
}

/// Why a message could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum WhyUndelivered {
    /// The actor ended before it handled the message.
    #[error("the actor ended before it handled it")]
    Ended,
    /// There is no such actor, or no longer.
    #[error("there is no such actor here, or no longer")]
    NoActor,
    /// The actor is there, and takes no messages of that kind by address.
    #[error(
        "the actor takes no such message by address: name it in its `Actor::handlers`, as in `handlers.takes::<…>()`"
    )]
    NoPort,
    /// It is for another process, to which there is no way from here.
    #[error("there is no way to its process from here")]
    NoRoute,
    /// Its bytes are not those of a message of its port: the two programs differ.
    #[error("its bytes are no message of that port: are both programs of one version?")]
    Malformed,
    /// It is larger than a message to another process may be, on the way that it goes.
    #[error(
        "it has {bytes} bytes, and a message that goes so to another process may have {max}: send less at once"
    )]
    TooLarge {
        /// How large it is; `u32::MAX` if it is larger than that.
        bytes: u32,
        /// What is allowed; `u32::MAX` if that is more.
        max: u32,
    },
    /// Its process is gone, or cannot be reached any more: it may have been handled, or may still be. If it is not, and its
    /// process is met again, it comes back once more, with what has become of it there.
    #[error(
        "its process is gone or cannot be reached any more; it may have been handled, or may still be"
    )]
    PeerLost,
}

impl WhyUndelivered {
    /// The [labels](Self::label) of all of them, in the order of the variants.
    pub const LABELS: [&str; 7] =
        ["ended", "no_actor", "no_port", "no_route", "malformed", "too_large", "peer_lost"];

    /// It has so many bytes, and so many are allowed.
    #[must_use]
    pub fn too_large(bytes: usize, max: usize) -> Self {
        let number = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Self::TooLarge { bytes: number(bytes), max: number(max) }
    }

    /// The value of the `reason` label of metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::NoActor => "no_actor",
            Self::NoPort => "no_port",
            Self::NoRoute => "no_route",
            Self::Malformed => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::PeerLost => "peer_lost",
        }
    }
}

/// A message that crosses processes: encoded once, or not at all where both live in one.
pub enum Body {
    /// Its bytes, shared: a copy for a thousand receivers costs a thousand pointers.
    Bytes(Bytes),
    /// The value itself, not encoded yet.
    Value(Box<dyn Payload>),
}

/// A value that can be encoded, or be taken as it is by somebody in the same process.
pub trait Payload: Send {
    /// Adds its bytes to `pieces`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the type's `Serialize` fails; then some may have been added.
    fn encode_into(&self, pieces: &mut Pieces) -> Result<(), EncodeError>;

    /// Its bytes.
    ///
    /// # Errors
    ///
    /// As [`encode_into`](Self::encode_into).
    fn encode(&self) -> Result<Bytes, EncodeError> {
        let mut pieces = Pieces::default();
        self.encode_into(&mut pieces)?;
        Ok(pieces.take())
    }

    /// The value itself.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// A value that cannot be encoded: its type's `Serialize` fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} cannot be encoded: {why}")]
pub struct EncodeError {
    /// [`NAME`](crate::Message::NAME) of the message.
    pub name: &'static str,
    /// What its `Serialize` said.
    pub why: String,
}

impl Body {
    /// No message.
    pub const EMPTY: Self = Self::Bytes(Bytes::new());

    /// Its bytes. A value is encoded now, once: asking again costs nothing.
    ///
    /// # Errors
    ///
    /// As [`Payload::encode`]. The body is as it was.
    pub fn bytes(&mut self) -> Result<Bytes, EncodeError> {
        let bytes = match self {
            Self::Bytes(bytes) => return Ok(bytes.clone()),
            Self::Value(value) => value.encode()?,
        };
        *self = Self::Bytes(bytes.clone());
        Ok(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} B)", bytes.len()),
            Self::Value(_) => f.write_str("Value"),
        }
    }
}
