//! A call of an actor.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mesh_core::{End, Fault};

use crate::actor::Actor;
use crate::answer::{Answer, Outcome};
use crate::error::CallError;
use crate::letter::Parcel;
use crate::mailbox::Refused;
use crate::shared::Shared;

/// A call that is sent when it is first polled, and ends with the answer, or with the reason why there
/// is none.
///
/// # Cancellation
///
/// Dropped before the actor has taken the message, nothing is done; dropped later, the message is
/// handled and its answer goes nowhere; a handler that is
/// [cancel-safe](crate::Handler::IS_CANCEL_SAFE) is cut off at its next await.
#[must_use = "nothing is sent before it is awaited"]
pub struct Call<A: Actor, R> {
    actor: Arc<Shared<A>>,
    state: State<A>,
    answer: Answer<R>,
}

enum State<A: Actor> {
    Unsent(Box<dyn Parcel<A>>),
    /// The mailbox is full.
    Waiting(Box<dyn Parcel<A>>, Room),
    Sent,
}

/// Ends when there is room for one message; `false` if there will never be.
pub(crate) type Room = Pin<Box<dyn Future<Output = bool> + Send>>;

impl<A: Actor, R> Call<A, R> {
    pub(crate) const fn new(
        actor: Arc<Shared<A>>,
        parcel: Box<dyn Parcel<A>>,
        answer: Answer<R>,
    ) -> Self {
        Self { actor, state: State::Unsent(parcel), answer }
    }

    /// How long to wait for the answer, room in the mailbox included, instead of
    /// [`ProcConfig::call_within`](crate::ProcConfig::call_within). Where there are thousands of calls a second, one of
    /// half a second or more may wait some milliseconds longer; none ever ends earlier.
    pub const fn within(mut self, within: Duration) -> Self {
        self.answer.set_within(within);
        self
    }

    /// Sends the message, if that is still to be done.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        loop {
            match std::mem::replace(&mut self.state, State::Sent) {
                State::Sent => return Poll::Ready(Ok(())),
                State::Unsent(parcel) => match self.actor.mailbox.try_push(parcel) {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(Refused::Closed(_)) => {
                        return Poll::Ready(Err(not_taken(&self.actor, None)));
                    }
                    Err(Refused::Full(parcel)) => {
                        let actor = Arc::clone(&self.actor);
                        let room = Box::pin(async move { actor.mailbox.room().await });
                        self.state = State::Waiting(parcel, room);
                    }
                },
                State::Waiting(parcel, mut room) => match room.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Waiting(parcel, room);
                        return self
                            .answer
                            .poll_over(cx)
                            .map(|over| Err(call_error(&self.actor, over)));
                    }
                    Poll::Ready(true) if self.actor.mailbox.push_permitted(parcel).is_ok() => {
                        return Poll::Ready(Ok(()));
                    }
                    Poll::Ready(_) => return Poll::Ready(Err(not_taken(&self.actor, None))),
                },
            }
        }
    }
}

/// What an outcome without an answer means.
pub(crate) fn call_error<A: Actor, R>(actor: &Shared<A>, outcome: Outcome<R>) -> CallError {
    let fault = match outcome {
        Outcome::Refused(Fault::NotTaken(end)) => return not_taken(actor, Some(end)),
        Outcome::Refused(Fault::Unanswered(None)) => Fault::Unanswered(actor.leaving().cloned()),
        Outcome::Refused(fault) => fault,
        Outcome::Answered(_) => Fault::Unanswered(None),
        Outcome::Over(within) => {
            actor.proc.metrics().deadline_passed();
            return CallError::Deadline { actor: actor.name.to_string(), within };
        }
    };
    CallError::new(actor.name.to_string(), fault)
}

fn not_taken<A: Actor>(actor: &Shared<A>, end: Option<End>) -> CallError {
    let end = end.or_else(|| actor.leaving().cloned()).unwrap_or(End::Stopped);
    CallError::NotTaken { actor: actor.name.to_string(), end }
}

impl<A: Actor, R> Future for Call<A, R> {
    type Output = Result<R, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        let call = self.get_mut();
        ready!(call.poll_sent(cx))?;
        Pin::new(&mut call.answer).poll(cx).map(|outcome| match outcome {
            Outcome::Answered(reply) => Ok(reply),
            outcome => Err(call_error(&call.actor, outcome)),
        })
    }
}

// Nothing in it is pinned where it stands.
impl<A: Actor, R> Unpin for Call<A, R> {}

impl<A: Actor, R> fmt::Debug for Call<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("actor", &self.actor.name).finish_non_exhaustive()
    }
}
