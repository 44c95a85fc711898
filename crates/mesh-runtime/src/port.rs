//! Sending by address: to an actor whose type the sender does not know, or to a queue that somebody reads.

use std::future::poll_fn;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mesh_core::{Body, Fault, Message, PortId, PortRef, WhyUndelivered};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::codec::Outgoing;
use crate::deadlines::Deadline;
use crate::endpoint::{Endpoint, Rejected, Room};
use crate::error::{CallError, TryCastError};
use crate::handlers::downcast;
use crate::letter::{AnyLetter, Back, Letter};
use crate::panics::discard;
use crate::proc::Proc;
use crate::reply::ReplyTo;
use crate::sender::{Origin, Sender};

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

    /// Sends a message that grows older while there is no room for it: then `age` is given it, and how
    /// long it has waited since it was given last.
    ///
    /// # Cancellation
    ///
    /// Dropped while it waits, the message is dropped too.
    fn cast_aging(
        &self,
        from: &impl Sender,
        message: M,
        age: fn(&mut M, Duration),
    ) -> impl Future<Output = ()> + Send;

    /// Sends a message if there is room for it now.
    ///
    /// # Errors
    ///
    /// [`TryCastError::Full`] gives it back if there is no room; also, for a moment, while what was sent to its process
    /// by another session is still on its way there.
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
    ) -> impl Future<Output = Result<M::Reply, CallError>> + Send {
        self.call_within(from, message, from.origin().proc.call_within())
    }

    /// The same with a deadline of its own, room for the message included.
    ///
    /// # Errors
    ///
    /// As of [`call`](Self::call).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use mesh_core::{Message, PortRef};
    /// use mesh_runtime::{CallError, Port, Proc};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Sum;
    /// # impl Message for Sum { const NAME: &'static str = "doc.Sum"; type Reply = u64; }
    ///
    /// /// Is asked for what takes a while.
    /// async fn sum(proc: &Proc, of: PortRef<Sum>) -> Result<u64, CallError> {
    ///     of.call_within(proc, Sum, Duration::from_secs(60)).await
    /// }
    /// ```
    fn call_within(
        &self,
        from: &impl Sender,
        message: M,
        within: Duration,
    ) -> impl Future<Output = Result<M::Reply, CallError>> + Send;
}

impl<M> Port<M> for PortRef<M>
where
    M: Message<Reply: Serialize + DeserializeOwned> + Serialize + DeserializeOwned,
{
    fn cast(&self, from: &impl Sender, message: M) -> impl Future<Output = ()> + Send {
        self.cast_aging(from, message, |_, _| ())
    }

    fn cast_aging(
        &self,
        from: &impl Sender,
        message: M,
        age: fn(&mut M, Duration),
    ) -> impl Future<Output = ()> + Send {
        let Origin { proc, actor } = from.origin();
        let to = *self;
        async move {
            if to.actor().peer() != proc.peer() {
                return proc.cast_away_aging(to, actor, (message, age)).await;
            }
            cast_here(proc, to, actor, (message, age)).await;
        }
    }

    fn try_cast(&self, from: &impl Sender, message: M) -> Result<(), TryCastError<M>> {
        let Origin { proc, actor } = from.origin();
        if self.actor().peer() != proc.peer() {
            return proc.try_cast_away(*self, actor, message);
        }
        let letter = Letter { message, back: Back::here(actor) };
        match try_send(proc, *self, Box::new(letter)) {
            Ok(()) => Ok(()),
            Err(Unsent::Full(to, letter)) => {
                Err(TryCastError::Full { actor: to.name().to_owned(), message: letter.message })
            }
            Err(Unsent::Never(why, letter)) => {
                letter.undelivered(proc, self.actor(), why, Fault::Undelivered(why));
                Ok(())
            }
        }
    }

    fn call_within(
        &self,
        from: &impl Sender,
        message: M,
        within: Duration,
    ) -> impl Future<Output = Result<M::Reply, CallError>> + Send {
        let proc = from.origin().proc.clone();
        let to = *self;
        async move {
            let mut deadline = Deadline::new(proc.deadlines(), within);
            let over = poll_fn(|cx| match deadline.is_over(cx.waker()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            });
            let outcome = tokio::select! {
                biased;
                outcome = call(&proc, to, message) => outcome,
                () = over => {
                    proc.metrics().deadline_passed();
                    let actor = to.actor().to_string();
                    return Err(CallError::Deadline { actor, within });
                }
            };
            outcome.map_err(|fault| CallError::new(to.actor().to_string(), fault))
        }
    }
}

/// Calls a port, wherever it is, for as long as it takes.
async fn call<M>(proc: &Proc, to: PortRef<M>, message: M) -> Result<M::Reply, Fault>
where
    M: Message<Reply: DeserializeOwned> + Serialize,
{
    if to.actor().peer() != proc.peer() {
        return proc.call_away(to, outgoing(message)).await;
    }
    call_here(proc, to, message).await
}

/// A message that is encoded if it leaves its process.
fn outgoing<M: Message + Serialize>(message: M) -> Body {
    Body::Value(Box::new(Outgoing(message)))
}

/// Casts to a port of this process a message that grows older while it waits for room. What cannot be
/// delivered comes back to the actor `from`.
pub(crate) async fn cast_here<M: Message>(
    proc: &Proc,
    to: PortRef<M>,
    from: Option<NonZeroU64>,
    (message, age): (M, fn(&mut M, Duration)),
) {
    let letter = Box::new(Letter { message, back: Back::here(from) });
    if let Err((why, letter)) = send(proc, to, letter, age).await {
        letter.undelivered(proc, to.actor(), why, Fault::Undelivered(why));
    }
}

/// Casts to a port of this process. What cannot be delivered comes back to nobody: whoever sends it is told why.
pub(crate) async fn cast_here_told<M: Message>(
    proc: &Proc,
    to: PortRef<M>,
    from: Option<NonZeroU64>,
    message: M,
) -> Result<(), WhyUndelivered> {
    let letter = Box::new(Letter { message, back: Back::here(from) });
    send(proc, to, letter, |_, _| ()).await.map_err(|(why, letter)| {
        discard(letter);
        why
    })
}

/// Calls a port of this process, for as long as it takes.
pub(crate) async fn call_here<M: Message>(
    proc: &Proc,
    to: PortRef<M>,
    message: M,
) -> Result<M::Reply, Fault> {
    let (reply, answer) = oneshot::channel();
    let letter = Letter { message, back: Back::Caller(ReplyTo::here(reply)) };
    if let Err((why, _)) = send(proc, to, Box::new(letter), |_, _| ()).await {
        return Err(Fault::Undelivered(why));
    }
    answer.await.unwrap_or(Err(Fault::Unanswered(None)))
}

/// A letter that was not taken. It comes back.
enum Unsent<M: Message> {
    /// There is no room now.
    Full(Arc<dyn Endpoint>, Box<Letter<M>>),
    /// It will not be taken.
    Never(WhyUndelivered, Box<Letter<M>>),
}

/// Sends a letter within the process, and waits while there is no room for it.
async fn send<M: Message>(
    proc: &Proc,
    to: PortRef<M>,
    mut letter: Box<Letter<M>>,
    age: fn(&mut M, Duration),
) -> Result<(), (WhyUndelivered, Box<Letter<M>>)> {
    loop {
        let (full, back) = match try_send(proc, to, letter) {
            Ok(()) => return Ok(()),
            Err(Unsent::Never(why, letter)) => return Err((why, letter)),
            Err(Unsent::Full(full, letter)) => (full, letter),
        };
        letter = back;
        let since = Instant::now();
        let has_room = Arc::clone(&full).room().await;
        age(&mut letter.message, since.elapsed());
        if has_room {
            return match full.deliver(to.port(), letter, Room::Kept) {
                Ok(()) => Ok(()),
                Err(Rejected::Full(letter)) => Err((WhyUndelivered::Ended, letter_of(letter))),
                Err(Rejected::Never(why, letter)) => Err((why, letter_of(letter))),
            };
        }
    }
}

fn try_send<M: Message>(
    proc: &Proc,
    to: PortRef<M>,
    letter: Box<Letter<M>>,
) -> Result<(), Unsent<M>> {
    let Some(endpoint) = proc.find(to.actor()) else {
        return Err(Unsent::Never(WhyUndelivered::NoActor, letter));
    };
    // What came over a wire may name another port than that of its type.
    if to.port() != PortId::of::<M>() {
        return Err(Unsent::Never(WhyUndelivered::NoPort, letter));
    }
    endpoint.deliver(to.port(), letter, Room::Free).map_err(|rejected| match rejected {
        Rejected::Full(letter) => Unsent::Full(endpoint, letter_of(letter)),
        Rejected::Never(why, letter) => Unsent::Never(why, letter_of(letter)),
    })
}

fn letter_of<M: Message>(letter: Box<dyn AnyLetter>) -> Box<Letter<M>> {
    match downcast(letter) {
        Ok(letter) => letter,
        Err(_) => unreachable!("what comes back is what was sent"),
    }
}
