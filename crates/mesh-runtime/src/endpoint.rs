//! What can be found by an address, whatever its type.

use std::any::Any;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{ActorId, Body, CallId, Credit, MeshId, PeerId, PortId, Sheaf, WhyUndelivered};

use crate::actor::Stop;
use crate::letter::AnyLetter;
use crate::proc::Proc;
use crate::undelivered::Undelivered;

/// An actor, or a queue that somebody reads.
pub(crate) trait Endpoint: Any + Send + Sync {
    /// Its number in its process.
    fn index(&self) -> NonZeroU64;

    /// Its name.
    fn name(&self) -> &str;

    /// How long it may take to stop before it is killed.
    fn grace(&self) -> Duration;

    /// Makes a letter of a message that came from another process. The body comes back if it is none
    /// that the port takes.
    fn open(
        &self,
        port: PortId,
        body: Body,
        from: Away<'_>,
    ) -> Result<Box<dyn AnyLetter>, (WhyUndelivered, Body)>;

    /// Takes a letter whose message is of the type that `port` stands for.
    fn deliver(&self, port: PortId, letter: Box<dyn AnyLetter>, room: Room)
    -> Result<(), Rejected>;

    /// Takes the first of these casts, as many as there is room for now, for less than if each were opened and
    /// delivered by itself; none, if it knows no such way. What it does not take may be no cast that its port takes.
    fn take_casts(&self, _casts: &mut Vec<Arrived>) {}

    /// The same for casts by one actor, or by none, to one port: these are their bodies.
    fn take_alike(&self, _port: PortId, _from: Option<ActorId>, _bodies: &mut Sheaf) {}

    /// Takes as many of these letters as there is room for now, in order, each as if it were delivered by itself.
    /// Those that will not be taken are put into `refused`.
    fn deliver_all(&self, letters: &mut VecDeque<Waiting>, refused: &mut Vec<NeverTaken>) {
        while let Some(Waiting { port, letter, credit }) = letters.pop_front() {
            match self.deliver(port, letter, Room::Free) {
                Ok(()) => (),
                Err(Rejected::Full(letter)) => {
                    return letters.push_front(Waiting { port, letter, credit });
                }
                Err(Rejected::Never(why, letter)) => refused.push((why, letter)),
            }
        }
    }

    /// From now on letters of other processes wait before it for room, or none do any more: nothing may be put past
    /// those. For whoever does not ask them.
    fn hold_up(&self, _is_held_up: bool) {}

    /// Waits for its turn until there is room for one letter. That room is kept for whoever has waited, who
    /// must then deliver with [`Room::Kept`] at once. `false` if there will never be room.
    fn room(self: Arc<Self>) -> Pin<Box<dyn Future<Output = bool> + Send>>;

    /// A message that it has sent comes back.
    fn returned(&self, undelivered: Undelivered);

    /// Asks it to end.
    fn stop(&self, how: Stop);
}

/// A letter from another process that waits, and the room that its sender was given for it.
pub(crate) struct Waiting {
    pub(crate) port: PortId,
    pub(crate) letter: Box<dyn AnyLetter>,
    pub(crate) credit: Credit,
}

/// A cast of another process as it has come, and the room that its sender was given for it.
pub(crate) struct Arrived {
    pub(crate) port: PortId,
    /// The actor that has sent it, if it was one.
    pub(crate) from: Option<ActorId>,
    pub(crate) bytes: Bytes,
    pub(crate) credit: Credit,
}

/// A letter that will not be taken, and why.
pub(crate) type NeverTaken = (WhyUndelivered, Box<dyn AnyLetter>);

/// Who in another process has sent a message.
#[derive(Clone, Copy)]
pub(crate) enum Away<'a> {
    /// It was cast, by this actor if it was one.
    Cast(Option<ActorId>),
    /// The same, to a mesh, and others say so who have passed it on.
    PassedOn(Option<ActorId>, MeshId),
    /// The process itself says it, and nobody misses it.
    Word,
    /// It was called.
    Call { proc: &'a Proc, from: PeerId, call: CallId },
}

/// Whether there is room for a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// That is to be seen.
    Free,
    /// It has been waited for, and is kept.
    Kept,
}

/// A letter that was not taken. It comes back.
pub(crate) enum Rejected {
    /// There is no room now.
    Full(Box<dyn AnyLetter>),
    /// It will not be taken.
    Never(WhyUndelivered, Box<dyn AnyLetter>),
}
