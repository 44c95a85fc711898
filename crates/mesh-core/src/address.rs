//! Where a message is sent: processes, actors in them, and their typed ports.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::Incarnation;
use crate::message::Message;
use crate::transport::Lane;

/// The identity of a process that takes part. Compared for equality only; one that is started again in
/// its place keeps it, with the next [`Incarnation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcId(Uuid);

impl ProcId {
    /// An id from 128 random bits, drawn by the caller so that a simulation can choose them.
    #[must_use]
    pub const fn from_random(bits: u128) -> Self {
        Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
    }

    /// The bare bits.
    pub(crate) const fn bits(self) -> u128 {
        self.0.as_u128()
    }
}

impl fmt::Display for ProcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One actor of one life of one process. Never used again, also not after the actor has ended.
///
/// # Examples
///
/// ```
/// use mesh_core::{ActorId, Incarnation, ProcId};
///
/// let actor = ActorId { proc: ProcId::from_random(7), life: Incarnation::FIRST, index: 3 };
/// assert_eq!(actor.to_string(), "00000000-0000-4000-8000-000000000007/0/3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActorId {
    /// The process.
    pub proc: ProcId,
    /// Which life of the process.
    pub life: Incarnation,
    /// Which actor of it: a greater number than those of all that were spawned before. The lowest bit says on
    /// which [`Plane`] it lives.
    pub index: u64,
}

/// Which thread of its process an actor lives on, and so by which lane its messages travel.
///
/// Every process that takes part has a control thread beside the runtime of its user: what supervises lives
/// there, so that a user's handler that blocks keeps nobody from being supervised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plane {
    /// The user's runtime.
    User,
    /// The control thread.
    Control,
}

impl Plane {
    /// The lane that messages for actors there travel by.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::User => Lane::Data,
            Self::Control => Lane::Control,
        }
    }

    /// The index of the actor with this number there.
    #[must_use]
    pub const fn index(self, number: u64) -> u64 {
        number << 1 | matches!(self, Self::Control) as u64
    }
}

impl ActorId {
    /// Where it lives.
    #[must_use]
    pub const fn plane(&self) -> Plane {
        if self.index & 1 == 1 { Plane::Control } else { Plane::User }
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.proc, self.life, self.index)
    }
}

/// The kind of message that a port takes: a hash of [`Message::NAME`], known when compiled.
///
/// Two names with the same hash are refused where they are registered.
///
/// # Source
///
/// FNV-1a with 64 bits, of Fowler, Noll and Vo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PortId(u64);

impl PortId {
    /// The port for messages of type `M`.
    #[must_use]
    pub const fn of<M: Message>() -> Self {
        Self::named(M::NAME)
    }

    /// The port for messages of this name.
    #[must_use]
    pub const fn named(name: &str) -> Self {
        let bytes = name.as_bytes();
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut index = 0;
        while index < bytes.len() {
            hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
            index += 1;
        }
        Self(hash)
    }

    /// The bare number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The address of a port that takes messages of type `M`: of an actor that handles them, or of a queue
/// that somebody reads.
///
/// A plain value: it is copied, compared and ordered by what it names, travels in messages, and keeps
/// nothing alive. Sending through it takes a context that knows the way.
///
/// # Examples
///
/// ```
/// use mesh_core::{ActorId, Incarnation, Message, PortRef, ProcId};
///
/// struct Count;
///
/// impl Message for Count {
///     const NAME: &'static str = "words.Count";
///     type Reply = usize;
/// }
///
/// let actor = ActorId { proc: ProcId::from_random(7), life: Incarnation::FIRST, index: 3 };
/// assert_eq!(PortRef::<Count>::of(actor), PortRef::of(actor));
/// ```
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct PortRef<M> {
    actor: ActorId,
    port: PortId,
    #[serde(skip)]
    takes: PhantomData<fn(M)>,
}

impl<M: Message> PortRef<M> {
    /// The port of `actor` for messages of type `M`. Whether it has one shows when something is sent.
    #[must_use]
    pub const fn of(actor: ActorId) -> Self {
        Self { actor, port: PortId::of::<M>(), takes: PhantomData }
    }
}

impl<M> PortRef<M> {
    /// Whose port it is.
    #[must_use]
    pub const fn actor(&self) -> ActorId {
        self.actor
    }

    /// Which port of the actor. What came over a wire may name another than that of `M`.
    #[must_use]
    pub const fn port(&self) -> PortId {
        self.port
    }

    const fn key(&self) -> (ActorId, PortId) {
        (self.actor, self.port)
    }
}

// By hand, because deriving would ask the same of `M`.
impl<M> Clone for PortRef<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for PortRef<M> {}

impl<M> PartialEq for PortRef<M> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<M> Eq for PortRef<M> {}

impl<M> PartialOrd for PortRef<M> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> Ord for PortRef<M> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<M> Hash for PortRef<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl<M> fmt::Debug for PortRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PortRef({}#{})", self.actor, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ping;

    impl Message for Ping {
        const NAME: &'static str = "test.Ping";
        type Reply = ();
    }

    /// The published test vectors of FNV-1a.
    #[test]
    fn a_port_is_the_hash_of_its_name() {
        assert_eq!(PortId::named("").number(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(PortId::named("a").number(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(PortId::named("foobar").number(), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_port_is_known_when_compiled() {
        const PING: PortId = PortId::of::<Ping>();
        assert_eq!(PING, PortId::named("test.Ping"));
    }

    #[test]
    fn ports_are_equal_by_what_they_name() {
        let actor =
            |index| ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index };
        assert_eq!(PortRef::<Ping>::of(actor(1)), PortRef::of(actor(1)));
        assert_ne!(PortRef::<Ping>::of(actor(1)), PortRef::of(actor(2)));
    }
}
