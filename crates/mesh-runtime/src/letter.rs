//! One message on its way within a process, with who is to know what becomes of it.

use std::any::Any;
use std::num::NonZeroU64;
use std::pin::pin;

use bytes::Bytes;
use mesh_core::{ActorId, Body, End, Fault, Head, MeshId, Message, PortId, WhyUndelivered};

use crate::actor::{Actor, Handler};
use crate::codec::DecodeError;
use crate::panics::{caught, caught_async, discard};
use crate::proc::Proc;
use crate::reply::ReplyTo;
use crate::task::{Life, Turn, Turns};
use crate::undelivered::Undelivered;

pub(crate) mod bundle;
pub(crate) mod parcels;

/// A message, and who is to know what becomes of it.
pub(crate) struct Letter<M: Message> {
    pub(crate) message: M,
    pub(crate) back: Back<M>,
}

/// A message that was cast by reference, as it waits. Half as large as a letter, or less: what passes from thread to thread
/// is lines of memory.
pub(crate) struct Cast<M> {
    pub(crate) message: M,
    /// The actor that has cast it, if it was one.
    pub(crate) from: Option<NonZeroU64>,
}

/// Who is to know what becomes of a message.
pub(crate) enum Back<M: Message> {
    /// Nobody: a program has cast it.
    Nobody,
    /// Nobody, and if it is not taken nobody misses it: word of the process itself.
    Unmissed,
    /// The actor of this process that has cast it.
    Here(NonZeroU64),
    /// The actor of another process that has cast it.
    Away(Box<BackAway<M>>),
    /// Whoever has called.
    Caller(ReplyTo<M::Reply>),
}

/// The way back of a message from another process.
pub(crate) struct BackAway<M> {
    pub(crate) from: ActorId,
    /// To which mesh it was cast, if it has not come straight from there: others say so who have passed it on.
    pub(crate) passed_on: Option<MeshId>,
    /// The message as it travels.
    pub(crate) body: fn(M) -> Body,
}

impl<M: Message> Back<M> {
    /// To the actor of this process that has cast it, if it was one.
    pub(crate) const fn here(from: Option<NonZeroU64>) -> Self {
        match from {
            Some(from) => Self::Here(from),
            None => Self::Nobody,
        }
    }

    /// The actor that has cast it, if that is known to be so.
    fn sender(&self, proc: &Proc) -> Option<ActorId> {
        match self {
            Self::Here(from) => Some(proc.actor_id(*from)),
            Self::Away(back) => back.passed_on.is_none().then_some(back.from),
            Self::Nobody | Self::Unmissed | Self::Caller(_) => None,
        }
    }
}

/// A letter of any type.
pub(crate) trait AnyLetter: Send {
    /// The letter, to be looked at.
    fn as_any(&self) -> &dyn Any;

    /// The letter, to be taken.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;

    /// It was not delivered to `to`: a caller is told `fault`, and a cast goes back to who sent it.
    fn undelivered(self: Box<Self>, proc: &Proc, to: ActorId, why: WhyUndelivered, fault: Fault);
}

/// A letter for an actor of type `A`: its type is not known to the mailbox.
pub(crate) trait Parcel<A: Actor>: AnyLetter {
    /// Which message it is.
    fn port(&self) -> PortId;

    /// What that is called.
    fn name(&self) -> &'static str;

    /// Begins to handle it. Gives `life` back if there is nothing to do, since whoever called has gone.
    fn begin(self: Box<Self>, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>>;
}

/// A message of another process as it has come: it is decoded by whoever takes it, since the bytes of a
/// stranger run the code of a user.
pub(crate) struct Sealed<M: Message> {
    pub(crate) bytes: Bytes,
    pub(crate) back: Back<M>,
    pub(crate) decode: fn(&Bytes) -> Result<M, DecodeError>,
}

impl<M: Message> Sealed<M> {
    /// Decodes the message. All of it comes back if it is none, or if decoding panics.
    pub(crate) fn unseal(self) -> Result<Letter<M>, Self> {
        match caught(|| (self.decode)(&self.bytes)) {
            Ok(Ok(message)) => Ok(Letter { message, back: self.back }),
            Ok(Err(_)) | Err(_) => Err(self),
        }
    }

    /// It is no message that its port takes.
    pub(crate) fn malformed(self, proc: &Proc, to: ActorId) {
        let why = WhyUndelivered::Malformed;
        Box::new(self).undelivered(proc, to, why, Fault::Undelivered(why));
    }
}

impl<M: Message> Sealed<M> {
    /// Begins to handle it, as [`Parcel::begin`] does.
    pub(crate) fn begin_by<A: Handler<M>>(
        self,
        life: Box<Life<A>>,
        turn: &mut Turns<A>,
    ) -> Option<Box<Life<A>>> {
        match self.unseal() {
            Ok(letter) => letter.begin_by(life, turn),
            Err(sealed) => sealed.refused_by(life),
        }
    }

    /// It is no message, and the actor goes on.
    fn refused_by<A: Handler<M>>(self, life: Box<Life<A>>) -> Option<Box<Life<A>>> {
        let to = life.cx.me().shared().id();
        self.malformed(life.cx.proc(), to);
        Some(life)
    }
}

impl<M: Message> Letter<M> {
    /// Begins to handle it, as [`Parcel::begin`] does.
    pub(crate) fn begin_by<A: Handler<M>>(
        self,
        mut life: Box<Life<A>>,
        turn: &mut Turns<A>,
    ) -> Option<Box<Life<A>>> {
        let Self { message, back } = self;
        let sender = back.sender(life.cx.proc());
        life.cx.set_sender(sender);
        match back.wanted() {
            Ok(None) => turn.set(handle(life, message)),
            Ok(Some(reply)) => turn.set(handle_call(life, message, reply)),
            Err(Unwanted) => {
                discard(message);
                return Some(life);
            }
        }
        None
    }
}

impl<M: Message> From<Cast<M>> for Letter<M> {
    fn from(Cast { message, from }: Cast<M>) -> Self {
        Self { message, back: Back::here(from) }
    }
}

impl<M: Message> Cast<M> {
    /// Begins to handle it, as [`Parcel::begin`] does.
    pub(crate) fn begin_by<A: Handler<M>>(self, mut life: Box<Life<A>>, turns: &mut Turns<A>) {
        self.tell_sender(&mut life);
        turns.set(handle(life, self.message));
    }

    /// Tells the actor who has cast it.
    fn tell_sender<A: Actor>(&self, life: &mut Life<A>) {
        let sender = self.from.map(|from| life.cx.proc().actor_id(from));
        life.cx.set_sender(sender);
    }
}

impl<M: Message, A: Handler<M>> Parcel<A> for Letter<M> {
    fn port(&self) -> PortId {
        const { PortId::of::<M>() }
    }

    fn name(&self) -> &'static str {
        M::NAME
    }

    fn begin(self: Box<Self>, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        self.begin_by(life, turn)
    }
}

impl<M: Message, A: Handler<M>> Parcel<A> for Sealed<M> {
    fn port(&self) -> PortId {
        const { PortId::of::<M>() }
    }

    fn name(&self) -> &'static str {
        M::NAME
    }

    fn begin(self: Box<Self>, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        self.begin_by(life, turn)
    }
}

/// Nobody waits any more for the answer to a call.
struct Unwanted;

impl<M: Message> Back<M> {
    /// Whom to answer, if it is a call.
    fn wanted(self) -> Result<Option<ReplyTo<M::Reply>>, Unwanted> {
        match self {
            Self::Caller(reply) if reply.is_abandoned() => Err(Unwanted),
            Self::Caller(reply) => Ok(Some(reply)),
            Self::Nobody | Self::Unmissed | Self::Here(_) | Self::Away(_) => Ok(None),
        }
    }
}

/// Handles one message that nobody waits for.
async fn handle<M: Message, A: Handler<M>>(mut life: Box<Life<A>>, message: M) -> Turn<A> {
    let Life { actor, cx } = &mut *life;
    let outcome = caught_async(pin!(actor.handle(message, cx))).await;
    Turn { outcome: outcome.map(|_| None), life: Some(life) }
}

/// Handles one call.
async fn handle_call<M: Message, A: Handler<M>>(
    mut life: Box<Life<A>>,
    message: M,
    reply: ReplyTo<M::Reply>,
) -> Turn<A> {
    let Life { actor, cx } = &mut *life;
    let outcome = caught_async(pin!(actor.handle_call(message, reply, cx))).await;
    Turn { outcome: outcome.map(|()| None), life: Some(life) }
}

impl<M: Message> AnyLetter for Letter<M> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn undelivered(self: Box<Self>, proc: &Proc, to: ActorId, why: WhyUndelivered, fault: Fault) {
        let Self { message, back } = *self;
        let from = match back {
            Back::Caller(reply) => {
                reply.refuse(fault);
                return discard(message);
            }
            Back::Away(back) => {
                let head = Head::Returned { to: back.from, of: to, port: PortId::of::<M>(), why };
                let body = (back.body)(message);
                return match back.passed_on {
                    None => proc.return_away(head, body),
                    Some(mesh) => proc.return_passed_on(mesh, head, body),
                };
            }
            Back::Unmissed => return discard(message),
            Back::Nobody => None,
            Back::Here(from) => Some(proc.actor_id(from)),
        };
        proc.give_back(Undelivered::here((from, to), M::NAME, why, message));
    }
}

impl<M: Message> AnyLetter for Sealed<M> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn undelivered(self: Box<Self>, proc: &Proc, to: ActorId, why: WhyUndelivered, fault: Fault) {
        let Self { bytes, back, .. } = *self;
        let from = match back {
            Back::Caller(reply) => return reply.refuse(fault),
            Back::Away(back) => {
                let head = Head::Returned { to: back.from, of: to, port: PortId::of::<M>(), why };
                let body = Body::Bytes(bytes);
                return match back.passed_on {
                    None => proc.return_away(head, body),
                    Some(mesh) => proc.return_passed_on(mesh, head, body),
                };
            }
            Back::Unmissed => return,
            Back::Nobody => None,
            Back::Here(from) => Some(proc.actor_id(from)),
        };
        proc.give_back(Undelivered::new((from, to), M::NAME, why, Body::Bytes(bytes)));
    }
}

/// The actor `to` leaves, so, without having handled the letter.
pub(crate) fn give_back(letter: Box<dyn AnyLetter>, to: NonZeroU64, end: &End, proc: &Proc) {
    let fault = Fault::NotTaken(end.clone());
    letter.undelivered(proc, proc.actor_id(to), WhyUndelivered::Ended, fault);
}
