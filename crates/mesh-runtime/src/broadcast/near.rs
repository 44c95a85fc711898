//! `Near`: actors of other processes in the same program, given messages as they are and past everything that a
//! session needs.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Weak};

use mesh_core::{ActorId, Lasting, Message, PeerId, PortId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::actor::{Actor, Handler};
use crate::endpoint::Endpoint;
use crate::handlers::cast_back;
use crate::inbound::proc_of;
use crate::letter::{Back, Cast, Letter};
use crate::mailbox::Refused;
use crate::proc::Proc;
use crate::reply::ReplyTo;
use crate::sender::Sender;
use crate::shared::Shared;

/// An actor of another process that lives in this program: there is an open session with its process, and nothing in
/// between that messages would have to be encoded for.
///
/// What is given to it is in order with what goes by the session, and can be given as long as that is open. It keeps
/// nothing alive.
#[derive(Clone)]
pub struct Near {
    peer: PeerId,
    actor: Weak<dyn Endpoint>,
    session: Lasting,
}

/// Whether an actor can be sent something from a process.
#[derive(Debug)]
pub enum WayTo {
    /// Not before a session with its process is opened, or it is here and cannot be found.
    Missing,
    /// Yes.
    Open,
    /// Yes, and it is in this program.
    Near(Near),
}

/// How actors of one type are given messages of type `M` where they are [near](Near).
pub struct Post<M: Message> {
    call: PutLetter<M>,
    cast: PutCast<M>,
    is_taken: fn(&Proc) -> bool,
    back: fn(ActorId) -> Back<M>,
}

/// Puts a letter into a mailbox; it comes back if that cannot be done now.
type PutLetter<M> = fn(&dyn Endpoint, Letter<M>) -> Result<(), Letter<M>>;

/// The same for what was cast by no actor.
type PutCast<M> = fn(&dyn Endpoint, Cast<M>) -> Result<(), M>;

impl Proc {
    /// The way to an actor, as [`has_way_to`](Self::has_way_to) says.
    #[must_use]
    pub fn way_to(&self, actor: ActorId) -> WayTo {
        let way = (actor.peer(), actor.plane().lane());
        match self.remote().routes.for_answers(way) {
            Some(session) if session.far_end().is_some() => {
                self.near(actor).map_or(WayTo::Open, WayTo::Near)
            }
            None if !self.has_way_to(actor) => WayTo::Missing,
            Some(_) | None => WayTo::Open,
        }
    }

    fn near(&self, to: ActorId) -> Option<Near> {
        let peer = to.peer();
        let stretch = self.remote().routes.lasting((peer, to.plane().lane()))?;
        let end = stretch.session().far_end()?;
        let there = proc_of(end.into).filter(|there| there.peer() == peer)?;
        let actor = Arc::downgrade(&there.find(to)?);
        Some(Near { peer, actor, session: end.session.lasting() })
    }
}

impl Near {
    /// Whether the session with its process is open. If it is not, or the actor has ended, messages are to be sent in
    /// the ordinary way, where that shows.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// In which life of which process it lives.
    #[must_use]
    pub const fn peer(&self) -> PeerId {
        self.peer
    }

    /// One that nothing can be given to, by this session.
    #[cfg(test)]
    pub(crate) fn of_nobody<A: Actor>(peer: PeerId, session: &mesh_core::SessionEnd) -> Self {
        let nobody = Weak::<Shared<A>>::new();
        Self { peer, actor: nobody, session: session.lasting() }
    }

    /// The actor, if something may be given to it now.
    fn actor(&self) -> Option<Arc<dyn Endpoint>> {
        self.is_open().then(|| self.actor.upgrade()).flatten()
    }
}

impl<M> Post<M>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Serialize + DeserializeOwned,
{
    /// For actors of type `A`.
    #[must_use]
    pub fn to<A: Handler<M>>() -> Self {
        let back = |from| cast_back(Some(from));
        Self { call: call::<M, A>, cast: cast::<M, A>, is_taken: is_taken::<M, A>, back }
    }

    /// Whether such actors take such messages by address, as they do in this process.
    #[must_use]
    pub fn is_taken(&self, proc: &Proc) -> bool {
        (self.is_taken)(proc)
    }

    /// Calls an actor. If the message cannot be given to it now, for whatever reason, it comes back with where the
    /// answer goes, which then depends on the session no more.
    ///
    /// # Errors
    ///
    /// The message is to be sent in the ordinary way.
    pub fn call(
        &self,
        to: &Near,
        message: M,
        reply: ReplyTo<M::Reply>,
    ) -> Result<(), (M, ReplyTo<M::Reply>)> {
        let letter = Letter { message, back: Back::Caller(reply) };
        let given = match to.actor() {
            Some(actor) => (self.call)(&*actor, letter),
            None => Err(letter),
        };
        given.map_err(|Letter { message, back }| match back {
            Back::Caller(reply) => {
                reply.goes_by_session();
                (message, reply)
            }
            _ => unreachable!("what comes back is what was given"),
        })
    }

    /// Casts to an actor. If the message cannot be given to it now, for whatever reason, it comes back.
    ///
    /// # Errors
    ///
    /// The message is to be sent in the ordinary way.
    pub fn cast(&self, from: &impl Sender, to: &Near, message: M) -> Result<(), M> {
        let Some(actor) = to.actor() else { return Err(message) };
        let origin = from.origin();
        match origin.actor() {
            None => (self.cast)(&*actor, Cast { message, from: None }),
            Some(from) => {
                // It may come back from there.
                origin.proc.remote().learn_name::<M>();
                let letter = Letter { message, back: (self.back)(from) };
                (self.call)(&*actor, letter).map_err(|letter| letter.message)
            }
        }
    }
}

/// Puts a letter into the mailbox of an actor, if it is of type `A`, and nobody waits before it.
fn call<M: Message, A: Handler<M>>(to: &dyn Endpoint, letter: Letter<M>) -> Result<(), Letter<M>> {
    let Some(actor) = open::<A>(to) else { return Err(letter) };
    actor.mailbox.try_push(letter).map_err(|refused| {
        let (Refused::Full(letter) | Refused::Closed(letter)) = refused;
        letter
    })
}

/// The same for what was cast by no actor.
fn cast<M: Message, A: Handler<M>>(to: &dyn Endpoint, cast: Cast<M>) -> Result<(), M> {
    let Some(actor) = open::<A>(to) else { return Err(cast.message) };
    actor.mailbox.try_push(cast).map_err(|refused| {
        let (Refused::Full(cast) | Refused::Closed(cast)) = refused;
        cast.message
    })
}

fn open<A: Actor>(to: &dyn Endpoint) -> Option<&Shared<A>> {
    let any: &dyn Any = to;
    any.downcast_ref::<Shared<A>>().filter(|actor| !actor.mailbox.is_held_up())
}

/// Which messages a type of actor takes is the same in every process.
fn is_taken<M: Message, A: Handler<M>>(proc: &Proc) -> bool {
    proc.kind::<A>().handlers().has(PortId::of::<M>())
}

// By hand, because deriving would ask the same of `M`.
impl<M: Message> Clone for Post<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Message> Copy for Post<M> {}

impl<M: Message> fmt::Debug for Post<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("name", &M::NAME).finish_non_exhaustive()
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, session, .. } = self;
        f.debug_struct("Near").field("peer", peer).field("session", session).finish_non_exhaustive()
    }
}
