//! How an actor of this process is talked to.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use mesh_core::{ActorId, End, Message, PortRef};

use crate::actor::{Actor, Handler, Stop};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::{CastError, TryCastError};
use crate::letter::{Back, Cast, Letter};
use crate::mailbox::Refused;
use crate::name::Name;
use crate::proc::Proc;
use crate::reply::ReplyTo;
use crate::sender::Sender;
use crate::shared::Shared;

/// Talks to one actor of this process. Cheap to clone; keeps no actor alive.
///
/// Messages from one sender arrive in the order in which they were sent.
pub struct ActorRef<A: Actor>(Arc<Shared<A>>);

impl<A: Actor> ActorRef<A> {
    pub(crate) const fn new(shared: Arc<Shared<A>>) -> Self {
        Self(shared)
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared<A>> {
        &self.0
    }

    /// Sends a message, and waits while the mailbox is full.
    ///
    /// # Cancellation
    ///
    /// Dropped while it waits, the message is dropped too.
    ///
    /// # Errors
    ///
    /// [`CastError`] gives the message back if the actor has ended or is about to. If it ends later,
    /// before it has handled the message, that comes back to the sender as
    /// [`Undelivered`](crate::Undelivered).
    pub fn cast<M, S>(
        &self,
        from: &S,
        message: M,
    ) -> impl Future<Output = Result<(), CastError<M>>> + Send + use<'_, A, M, S>
    where
        M: Message,
        A: Handler<M>,
        S: Sender,
    {
        self.cast_from(from.origin().actor, message)
    }

    /// Sends a message if there is room for it now.
    ///
    /// # Errors
    ///
    /// - [`TryCastError::Full`] gives it back if there is no room.
    /// - [`TryCastError::Closed`] gives it back if the actor has ended or is about to.
    pub fn try_cast<M: Message>(
        &self,
        from: &impl Sender,
        message: M,
    ) -> Result<(), TryCastError<M>>
    where
        A: Handler<M>,
    {
        let from = from.origin().actor;
        let cast = Cast { message, from };
        self.0.mailbox.try_push(cast).map_err(|refused| match refused {
            Refused::Full(Cast { message, .. }) => {
                TryCastError::Full { actor: self.name().to_string(), message }
            }
            Refused::Closed(Cast { message, .. }) => {
                TryCastError::Closed { actor: self.name().to_string(), message }
            }
        })
    }

    /// Sends a message and waits for what its handler returns. See [`Call`] for how long.
    ///
    /// # Errors
    ///
    /// [`CallError`](crate::CallError), if the actor has ended, ends meanwhile, or takes too long.
    pub fn call<M: Message>(&self, from: &impl Sender, message: M) -> Call<A, M::Reply>
    where
        A: Handler<M>,
    {
        let origin = from.origin();
        let (reply, answer) = Answer::new(origin.proc, origin.proc.call_within());
        let letter = Letter { message, back: Back::Caller(reply) };
        Call::new(Arc::clone(&self.0), Box::new(letter), answer)
    }

    /// Sends a message that has the address to answer to in it, and waits for the answer, from whoever
    /// gives it. So a handler can return at once and answer later, or leave it to somebody else.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call); [`CallError::Unanswered`](crate::CallError::Unanswered) as soon as the
    /// address is dropped.
    pub fn call_with<M: Message, R: Send + 'static>(
        &self,
        from: &impl Sender,
        message: impl FnOnce(ReplyTo<R>) -> M,
    ) -> Call<A, R>
    where
        A: Handler<M>,
    {
        let origin = from.origin();
        let (reply, answer) = Answer::new(origin.proc, origin.proc.call_within());
        let letter = Letter { message: message(reply), back: Back::here(origin.actor) };
        Call::new(Arc::clone(&self.0), Box::new(letter), answer)
    }

    /// Asks the actor to end. It returns at once; a stricter way later counts.
    pub fn stop(&self, how: Stop) {
        self.0.control(crate::shared::Control::Stop(how));
    }

    /// Waits until the actor has ended, and all of its children have.
    pub async fn ended(&self) -> End {
        self.0.ended().await
    }

    /// The identity of the actor. From now on it can be found by it.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.0.list();
        self.0.id()
    }

    /// Its port for messages of type `M`: an address that others can be sent.
    #[must_use]
    pub fn port<M: Message>(&self) -> PortRef<M>
    where
        A: Handler<M>,
    {
        PortRef::of(self.id())
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.0.name
    }

    /// The process that it lives in.
    #[must_use]
    pub fn proc(&self) -> &Proc {
        &self.0.proc
    }

    /// How many messages wait in its mailbox; those that it has taken out together to handle one after the
    /// other are not among them.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        self.0.mailbox.len()
    }

    pub(crate) async fn cast_from<M: Message>(
        &self,
        from: Option<NonZeroU64>,
        message: M,
    ) -> Result<(), CastError<M>>
    where
        A: Handler<M>,
    {
        let cast = match self.0.mailbox.try_push(Cast { message, from }) {
            Ok(()) => return Ok(()),
            Err(Refused::Closed(cast)) => return Err(self.refused(cast)),
            Err(Refused::Full(cast)) => cast,
        };
        if !self.0.mailbox.room().await {
            return Err(self.refused(cast));
        }
        self.0.mailbox.push_permitted(cast).map_err(|cast| self.refused(cast))
    }

    fn refused<M: Message>(&self, Cast { message, .. }: Cast<M>) -> CastError<M> {
        CastError { actor: self.name().to_string(), message }
    }
}

// By hand, because deriving would ask the same of `A`.
impl<A: Actor> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor> PartialEq for ActorRef<A> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<A: Actor> Eq for ActorRef<A> {}

impl<A: Actor> fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef({} {})", self.0.name, self.0.id())
    }
}
