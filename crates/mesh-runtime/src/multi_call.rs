//! Calls of many actors at once.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mesh_core::{Fault, Message};

use crate::actor::{Actor, Handler};
use crate::actor_ref::ActorRef;
use crate::answer::Outcome;
use crate::call::{Room, call_error};
use crate::deadlines::Deadline;
use crate::error::CallError;
use crate::gather::Gather;
use crate::letter::{Back, Letter, Parcel};
use crate::mailbox::Refused;
use crate::reply::ReplyTo;
use crate::sender::Sender;
use crate::shared::Shared;

/// Calls many actors, each with a message of its own, and gathers their answers: one result for each, in the
/// order of `calls`, as soon as all are known. It costs less than as many calls that are joined.
///
/// All have one deadline, as of [`ActorRef::call`]; when it passes, those that are missing have it for their
/// result, and the others keep theirs. Nobody waits for a mailbox that is full but its own call. Of more than
/// `u32::MAX` calls those are refused that are too many, as not answered.
///
/// # Examples
///
/// ```
/// # use mesh_core::Message;
/// # use mesh_runtime::{Actor, Context, Failure, Handler};
/// use mesh_runtime::{Proc, multi_call};
///
/// # struct Shard(u64);
/// # impl Actor for Shard {
/// #     const NAME: &'static str = "shard";
/// #     type Params = u64;
/// #     async fn start(n: u64, _: &mut Context<Self>) -> Result<Self, Failure> { Ok(Self(n)) }
/// # }
/// # struct Sum;
/// # impl Message for Sum { const NAME: &'static str = "Sum"; type Reply = u64; }
/// # impl Handler<Sum> for Shard {
/// #     async fn handle(&mut self, _: Sum, _: &mut Context<Self>) -> Result<u64, Failure> { Ok(self.0) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let proc = Proc::local()?;
/// let shards: Vec<_> = (0..1000).map(|n| proc.spawn::<Shard>(n)).collect();
/// let sums = multi_call(&proc, shards.iter().map(|shard| (shard, Sum))).await;
/// assert_eq!(sums.into_iter().sum::<Result<u64, _>>()?, 499_500);
/// # Ok(())
/// # }
/// ```
///
/// # Source
///
/// `gen_server:multi_call` of Erlang/OTP.
pub fn multi_call<'a, A, M>(
    from: &impl Sender,
    calls: impl IntoIterator<Item = (&'a ActorRef<A>, M)>,
) -> MultiCall<A, M::Reply>
where
    A: Handler<M>,
    M: Message,
{
    let origin = from.origin();
    let calls: Vec<(&ActorRef<A>, M)> = calls.into_iter().collect();
    let gather = Gather::of(u32::try_from(calls.len()).unwrap_or(u32::MAX));
    let mut actors = Vec::with_capacity(calls.len());
    let mut unsent = Vec::with_capacity(calls.len());
    for ((actor, message), index) in calls.into_iter().zip(0..) {
        let back = Back::Caller(ReplyTo::gathered(gather.slot(index)));
        actors.push(Arc::clone(actor.shared()));
        unsent.push(Unsent { index, parcel: Box::new(Letter { message, back }), room: None });
    }
    let deadline = Deadline::new(origin.proc.deadlines(), origin.proc.call_within());
    MultiCall { actors, unsent, gather, deadline }
}

/// The calls that [`multi_call`] makes. They are sent when it is first polled.
///
/// # Cancellation
///
/// As of a [`Call`](crate::Call): dropped, what has not been taken yet is not handled.
#[must_use = "nothing is sent before it is awaited"]
pub struct MultiCall<A: Actor, R> {
    actors: Vec<Arc<Shared<A>>>,
    unsent: Vec<Unsent<A>>,
    gather: Gather<R>,
    deadline: Deadline,
}

/// A call that has not been taken yet.
struct Unsent<A: Actor> {
    index: u32,
    parcel: Box<dyn Parcel<A>>,
    /// The mailbox was full.
    room: Option<Room>,
}

impl<A: Actor, R> MultiCall<A, R> {
    /// How long to wait for the answers, room in the mailboxes included, instead of
    /// [`ProcConfig::call_within`](crate::ProcConfig::call_within).
    pub const fn within(mut self, within: Duration) -> Self {
        self.deadline.set(within);
        self
    }

    /// Sends what can be sent; what finds no room stays.
    fn send(&mut self, cx: &mut Context<'_>) {
        let (actors, gather) = (&self.actors, &self.gather);
        let waiting = std::mem::take(&mut self.unsent).into_iter().filter_map(|unsent| {
            let actor = actors.get(unsent.index as usize)?;
            unsent.send(actor, gather, cx)
        });
        self.unsent = waiting.collect();
    }

    /// The result of each call, given what is known of it.
    fn results(&self, answers: Vec<Option<Result<R, Fault>>>) -> Vec<Result<R, CallError>> {
        let outcome = |answer| match answer {
            Some(Ok(reply)) => Outcome::Answered(reply),
            Some(Err(fault)) => Outcome::Refused(fault),
            None => Outcome::Over(self.deadline.within()),
        };
        let each = self.actors.iter().zip(answers);
        each.map(|(actor, answer)| match outcome(answer) {
            Outcome::Answered(reply) => Ok(reply),
            outcome => Err(call_error(actor, outcome)),
        })
        .collect()
    }
}

impl<A: Actor> Unsent<A> {
    /// Sends it, if there is room; if not, it comes back, and is polled again when there is.
    fn send<R>(
        mut self,
        actor: &Arc<Shared<A>>,
        gather: &Gather<R>,
        cx: &mut Context<'_>,
    ) -> Option<Self> {
        let pushed = match &mut self.room {
            None => actor.mailbox.try_push(self.parcel),
            Some(room) => match room.as_mut().poll(cx) {
                Poll::Pending => return Some(self),
                Poll::Ready(true) => {
                    actor.mailbox.push_permitted(self.parcel).map_err(Refused::Closed)
                }
                Poll::Ready(false) => Err(Refused::Closed(self.parcel)),
            },
        };
        match pushed {
            Ok(()) => None,
            Err(Refused::Full(parcel)) => {
                let waiting = Arc::clone(actor);
                let room: Room = Box::pin(async move { waiting.mailbox.room().await });
                Self { parcel, room: Some(room), ..self }.send(actor, gather, cx)
            }
            Err(Refused::Closed(parcel)) => {
                let end = actor.leaving().cloned().unwrap_or(mesh_core::End::Stopped);
                // Before the letter is dropped, which would say that it is unanswered.
                if let Some(slot) = gather.slot(self.index) {
                    _ = slot.settle(Err(Fault::NotTaken(end))).is_ok();
                }
                drop(parcel);
                None
            }
        }
    }
}

impl<A: Actor, R> Future for MultiCall<A, R> {
    type Output = Vec<Result<R, CallError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let calls = self.get_mut();
        if !calls.unsent.is_empty() {
            calls.send(cx);
        }
        if let Poll::Ready(answers) = calls.gather.poll(cx.waker()) {
            return Poll::Ready(calls.results(answers));
        }
        if calls.deadline.is_over(cx.waker()) {
            // Before the letters are dropped, which would say that they are unanswered.
            let answers = calls.gather.abandon();
            calls.unsent.clear();
            return Poll::Ready(calls.results(answers));
        }
        Poll::Pending
    }
}

impl<A: Actor, R> Drop for MultiCall<A, R> {
    fn drop(&mut self) {
        drop(self.gather.abandon());
    }
}

// Nothing in it is pinned where it stands.
impl<A: Actor, R> Unpin for MultiCall<A, R> {}

impl<A: Actor, R> fmt::Debug for MultiCall<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiCall").field("n", &self.actors.len()).finish_non_exhaustive()
    }
}
