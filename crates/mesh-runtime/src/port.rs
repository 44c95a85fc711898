//! Sending by address: to an actor whose type the sender does not know, or to a queue.

use std::any::Any;
use std::fmt;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;

use mesh_core::{ActorId, Message, PortId, PortRef};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::actor::Stop;
use crate::answer::{Answer, Outcome};
use crate::endpoint::{Endpoint, Rejected};
use crate::error::{CallError, TryCastError};
use crate::fault::Fault;
use crate::letter::Letter;
use crate::proc::Proc;
use crate::sender::{Origin, Sender};
use crate::undelivered::{Undelivered, WhyUndelivered};

/// Sending through a [`PortRef`]. What cannot be delivered comes back to the actor that sent it (R3), and
/// is no error of the sender.
///
/// Within a process the message is moved, and never serialised.
pub trait Port<M: Message> {
    /// Sends a message, and waits while there is no room for it.
    ///
    /// # Cancellation
    ///
    /// Dropped while it waits, the message is dropped too.
    fn cast(&self, from: &impl Sender, message: M) -> impl Future<Output = ()> + Send;

    /// Sends a message if there is room for it now.
    ///
    /// # Errors
    ///
    /// [`TryCastError::Full`] gives it back if there is no room.
    fn try_cast(&self, from: &impl Sender, message: M) -> Result<(), TryCastError<M>>;

    /// Sends a message, and waits for its answer for as long as the process's calls may take.
    ///
    /// # Errors
    ///
    /// - [`CallError::Undelivered`] if the message cannot be delivered.
    /// - The others as of [`ActorRef::call`](crate::ActorRef::call).
    fn call(
        &self,
        from: &impl Sender,
        message: M,
    ) -> impl Future<Output = Result<M::Reply, CallError>> + Send;
}

impl<M> Port<M> for PortRef<M>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Serialize + DeserializeOwned,
{
    fn cast(&self, from: &impl Sender, message: M) -> impl Future<Output = ()> + Send {
        let Origin { proc, actor } = from.origin();
        let (proc, to) = (proc.clone(), *self);
        async move {
            let letter = Letter { message, from: actor, reply: None };
            if let Err((why, letter)) = send(&proc, to, letter).await {
                let way = (actor.map(|actor| proc.actor_id(actor)), to.actor());
                proc.give_back(Undelivered::new(way, M::NAME, why, Box::new(letter.message)));
            }
        }
    }

    fn try_cast(&self, from: &impl Sender, message: M) -> Result<(), TryCastError<M>> {
        let Origin { proc, actor } = from.origin();
        let letter = Letter { message, from: actor, reply: None };
        match try_send(proc, *self, Box::new(letter)) {
            Ok(()) => Ok(()),
            Err(Unsent::Full(to, letter)) => {
                Err(TryCastError::Full { actor: to.name().to_owned(), message: letter.message })
            }
            Err(Unsent::Never(why, letter)) => {
                let way = (actor.map(|actor| proc.actor_id(actor)), self.actor());
                proc.give_back(Undelivered::new(way, M::NAME, why, Box::new(letter.message)));
                Ok(())
            }
        }
    }

    fn call(
        &self,
        from: &impl Sender,
        message: M,
    ) -> impl Future<Output = Result<M::Reply, CallError>> + Send {
        let Origin { proc, actor: from } = from.origin();
        let (proc, to) = (proc.clone(), *self);
        async move {
            let actor = to.actor().to_string();
            let (reply, mut answer) = Answer::new(&proc, proc.call_within());
            let letter = Letter { message, from, reply: Some(reply) };
            let outcome = tokio::select! {
                biased;
                sent = send(&proc, to, letter) => match sent {
                    Ok(()) => answer.await,
                    Err((why, _)) => return Err(CallError::Undelivered { actor, why }),
                },
                over = std::future::poll_fn(|cx| answer.poll_over(cx)) => over,
            };
            match outcome {
                Outcome::Answered(reply) => Ok(reply),
                Outcome::Refused(Fault::NotTaken(end)) => Err(CallError::NotTaken { actor, end }),
                Outcome::Refused(Fault::Failed(cause)) => Err(CallError::Failed { actor, cause }),
                Outcome::Unanswered => Err(CallError::Unanswered { actor }),
                Outcome::Over(within) => {
                    proc.metrics().deadline_passed();
                    Err(CallError::Deadline { actor, within })
                }
            }
        }
    }
}

/// A letter that was not taken. It comes back.
enum Unsent<M: Message> {
    /// There is no room now.
    Full(Arc<dyn Endpoint>, Box<Letter<M>>),
    /// It will not be taken.
    Never(WhyUndelivered, Box<Letter<M>>),
}

/// Sends a letter, and waits while there is no room for it.
async fn send<M: Message>(
    proc: &Proc,
    to: PortRef<M>,
    letter: Letter<M>,
) -> Result<(), (WhyUndelivered, Box<Letter<M>>)> {
    let mut letter = Box::new(letter);
    loop {
        let (full, back) = match try_send(proc, to, letter) {
            Ok(()) => return Ok(()),
            Err(Unsent::Never(why, letter)) => return Err((why, letter)),
            Err(Unsent::Full(full, letter)) => (full, letter),
        };
        letter = back;
        full.room().await;
    }
}

fn try_send<M: Message>(
    proc: &Proc,
    to: PortRef<M>,
    letter: Box<Letter<M>>,
) -> Result<(), Unsent<M>> {
    let endpoint = match route(proc, to.actor()) {
        Ok(endpoint) => endpoint,
        Err(why) => return Err(Unsent::Never(why, letter)),
    };
    // What came over a wire may name another port than that of its type.
    if to.port() != PortId::of::<M>() {
        return Err(Unsent::Never(WhyUndelivered::NoPort, letter));
    }
    endpoint.deliver(to.port(), letter).map_err(|rejected| match rejected {
        Rejected::Full(letter) => Unsent::Full(endpoint, letter_of(letter)),
        Rejected::Never(why, letter) => Unsent::Never(why, letter_of(letter)),
    })
}

/// Who is to get it.
fn route(proc: &Proc, to: ActorId) -> Result<Arc<dyn Endpoint>, WhyUndelivered> {
    if to.proc != proc.id() {
        return Err(WhyUndelivered::NoRoute);
    }
    if to.life != proc.life() {
        return Err(WhyUndelivered::NoActor);
    }
    proc.find(to).ok_or(WhyUndelivered::NoActor)
}

fn letter_of<M: Message>(letter: Box<dyn Any + Send>) -> Box<Letter<M>> {
    match letter.downcast() {
        Ok(letter) => letter,
        Err(_) => unreachable!("what comes back is what was sent"),
    }
}

/// The reading end of a port that is no actor's: a queue for messages of type `M`.
///
/// Made by [`Proc::open_port`]. Its port is gone when it is dropped.
pub struct PortReceiver<M: Message> {
    messages: mpsc::Receiver<Letter<M>>,
    port: PortRef<M>,
    proc: Proc,
}

/// The sending end.
struct Queue<M: Message> {
    index: NonZeroU64,
    messages: mpsc::Sender<Letter<M>>,
}

impl Proc {
    /// A port that is no actor's: what is sent to it is queued for whoever has the receiver, `capacity`
    /// messages at most, and at least one. Calls get no answer from it.
    pub fn open_port<M: Message>(&self, capacity: usize) -> PortReceiver<M> {
        let (sender, messages) = mpsc::channel(capacity.clamp(1, CAPACITY_MAX));
        let index = self.next_index();
        self.list(Arc::new(Queue { index, messages: sender }));
        PortReceiver { messages, port: PortRef::of(self.actor_id(index)), proc: self.clone() }
    }
}

impl<M: Message> PortReceiver<M> {
    /// The address to send to.
    #[must_use]
    pub const fn port(&self) -> PortRef<M> {
        self.port
    }

    /// The next message. It comes from whoever has the address, so it may never come.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> M {
        match self.messages.recv().await {
            Some(letter) => letter.message,
            // Not reached: the address table keeps the sending end for as long as this lives.
            None => std::future::pending().await,
        }
    }

    /// The next message, if it is here.
    pub fn try_recv(&mut self) -> Option<M> {
        self.messages.try_recv().ok().map(|letter| letter.message)
    }
}

impl<M: Message> Drop for PortReceiver<M> {
    /// What has not been read goes back to who sent it.
    fn drop(&mut self) {
        self.messages.close();
        if let Some(index) = NonZeroU64::new(self.port.actor().index) {
            self.proc.unlist(index);
        }
        while let Ok(Letter { message, from, .. }) = self.messages.try_recv() {
            let way = (from.map(|from| self.proc.actor_id(from)), self.port.actor());
            let message = Box::new(message);
            self.proc.give_back(Undelivered::new(way, M::NAME, WhyUndelivered::Ended, message));
        }
    }
}

impl<M: Message> fmt::Debug for PortReceiver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortReceiver").field("port", &self.port).finish_non_exhaustive()
    }
}

impl<M: Message> Endpoint for Queue<M> {
    fn index(&self) -> NonZeroU64 {
        self.index
    }

    fn name(&self) -> &str {
        M::NAME
    }

    fn deliver(&self, port: PortId, letter: Box<dyn Any + Send>) -> Result<(), Rejected> {
        let letter = match letter.downcast::<Letter<M>>() {
            Ok(letter) if port == PortId::of::<M>() => letter,
            Ok(letter) => return Err(Rejected::Never(WhyUndelivered::NoPort, letter)),
            Err(letter) => return Err(Rejected::Never(WhyUndelivered::NoPort, letter)),
        };
        self.messages.try_send(*letter).map_err(|refused| match refused {
            TrySendError::Full(letter) => Rejected::Full(Box::new(letter)),
            TrySendError::Closed(letter) => {
                Rejected::Never(WhyUndelivered::Ended, Box::new(letter))
            }
        })
    }

    fn room(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { drop(self.messages.reserve().await) })
    }

    fn returned(&self, _: Undelivered) {}

    fn stop(&self, _: Stop) {}
}

/// The largest queue.
const CAPACITY_MAX: usize = 1 << 20;
