//! One message on its way, with who sent it and where its answer goes.

use std::any::Any;
use std::num::NonZeroU64;

use mesh_core::Message;

use crate::actor::{Actor, End, Handler};
use crate::fault::Fault;
use crate::panics::caught_async;
use crate::proc::Proc;
use crate::reply::ReplyTo;
use crate::task::{Life, Turn, TurnSlot};
use crate::undelivered::{Undelivered, WhyUndelivered};

/// A message, its sender if that is an actor of this process, and whom to answer if it is a call.
pub(crate) struct Letter<M: Message> {
    pub(crate) message: M,
    pub(crate) from: Option<NonZeroU64>,
    pub(crate) reply: Option<ReplyTo<M::Reply>>,
}

/// A letter for an actor of type `A`: its type is not known to the mailbox.
pub(crate) trait Parcel<A: Actor>: Send {
    /// Begins to handle it. Gives `life` back if there is nothing to do, since whoever called has gone.
    fn begin(self: Box<Self>, life: Box<Life<A>>, turn: &mut TurnSlot<A>) -> Option<Box<Life<A>>>;

    /// The actor `to` leaves without having handled it.
    fn give_back(self: Box<Self>, to: NonZeroU64, end: &End, proc: &Proc);

    /// The letter, of whatever type.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

impl<M: Message, A: Handler<M>> Parcel<A> for Letter<M> {
    fn begin(self: Box<Self>, life: Box<Life<A>>, turn: &mut TurnSlot<A>) -> Option<Box<Life<A>>> {
        let Self { message, reply, .. } = *self;
        if reply.as_ref().is_some_and(ReplyTo::is_abandoned) {
            return Some(life);
        }
        turn.set(async move {
            let mut life = life;
            let Life { actor, cx } = &mut *life;
            let outcome = match reply {
                None => caught_async(actor.handle(message, cx)).await.map(drop),
                Some(reply) => caught_async(actor.handle_call(message, reply, cx)).await,
            };
            Turn { outcome, life: Some(life) }
        });
        None
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn give_back(self: Box<Self>, to: NonZeroU64, end: &End, proc: &Proc) {
        let Self { message, from, reply } = *self;
        match reply {
            Some(reply) => reply.refuse(Fault::NotTaken(end.clone())),
            None => {
                let way = (from.map(|from| proc.actor_id(from)), proc.actor_id(to));
                let message: Box<dyn Any + Send> = Box::new(message);
                proc.give_back(Undelivered::new(way, M::NAME, WhyUndelivered::Ended, message));
            }
        }
    }
}
