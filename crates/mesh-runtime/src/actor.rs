//! What an actor is: the traits that a user implements, and the words of its life.

use std::time::Duration;

use mesh_core::{Failures, Message, Strategy};

use crate::child_failure::ChildFailure;
use crate::context::Context;
use crate::failure::Failure;
use crate::handlers::Handlers;
use crate::intensity::Intensity;
use crate::reply::ReplyTo;
use crate::task::is_mended;
use crate::undelivered::Undelivered;

/// A thing with a state of its own that handles messages one after the other.
///
/// It is created by [`start`](Self::start) on a task of its own, has a parent who is told how it ends,
/// and ends with its parent. All functions may await; while they do, the actor handles nothing else, and
/// only a kill gets through. An `Err` or a panic from any of them ends the actor (E1):
/// `Err(Failure::new("no such shard"))`, or any error by `?`.
///
/// The actors of a process share its runtime, which in the workers of a program has one thread. A handler that computes for
/// long or blocks, and does not await, holds up all of them there, whatever mesh they are of, and what is to be spawned
/// there. Such work is for [`Context::spawn_blocking`], or for several processes; who holds up the others is told as stalled
/// ([`ProcConfig::stalled_handler`](crate::ProcConfig::stalled_handler)). One that calls `std::process::exit(0)` ends its
/// process well: that is no failure, so no owner is told, and nothing is started again that is to be after a failure.
///
/// # Examples
///
/// ```
/// use mesh_core::Message;
/// use mesh_runtime::{Actor, Context, Failure, Handler, Proc};
///
/// struct Counter { words: usize }
///
/// impl Actor for Counter {
///     const NAME: &'static str = "counter";
///     type Params = ();
///
///     async fn start(_: (), _: &mut Context<Self>) -> Result<Self, Failure> {
///         Ok(Self { words: 0 })
///     }
/// }
///
/// struct Count(String);
///
/// impl Message for Count {
///     const NAME: &'static str = "words.Count";
///     type Reply = usize;
/// }
///
/// impl Handler<Count> for Counter {
///     async fn handle(&mut self, Count(text): Count, _: &mut Context<Self>) -> Result<usize, Failure> {
///         self.words += text.split_whitespace().count();
///         Ok(self.words)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let proc = Proc::local()?;
/// let counter = proc.spawn::<Counter>(());
/// counter.cast(&proc, Count("one word more".to_owned())).await?;
/// assert_eq!(counter.call(&proc, Count("than that".to_owned())).await?, 5);
/// # Ok(())
/// # }
/// ```
///
/// # Source
///
/// `gen_server` of Erlang/OTP: `start` is its `init`, `stop` its `terminate`, a failed child the exit
/// signal of a linked process.
pub trait Actor: Sized + Send + 'static {
    /// The name of the type: of its actors where they get no other one, in metrics and in logs.
    const NAME: &'static str;
    /// How many messages may wait for it; a sender of more waits. At least one. An actor that handles many in a row tells
    /// of room for several of them together, for up to a quarter of this.
    const MAILBOX: usize = 1024;
    /// How long it may take to stop when its parent ends, before it is killed (OTP: `shutdown`).
    const GRACE: Duration = Duration::from_secs(5);
    /// How many restarts of its children are too many.
    const INTENSITY: Intensity = Intensity::DEFAULT;
    /// What it is created from.
    type Params: Send + 'static;

    /// Creates it. Messages that are sent meanwhile wait.
    ///
    /// # Errors
    ///
    /// Whatever makes it impossible: the actor has failed then, and its parent is told.
    fn start(
        params: Self::Params,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// Decides what the failure of a child means. By default the actor fails with it (E2).
    ///
    /// It is asked about one failure after the other; about none of a child that has been started again since,
    /// with another one, which the log tells. An actor that is killed meanwhile fails with the failure of the child.
    ///
    /// # Errors
    ///
    /// The actor fails, with its own error, or panic, before that of the child in the chain of causes.
    fn on_failure(
        &mut self,
        failure: ChildFailure,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Result<Verdict, Failure>> + Send {
        _ = (failure, cx);
        async { Ok(Verdict::Escalate) }
    }

    /// Decides what failures of a mesh mean that the actor owns ([`Context::watch_failures`]). By default they are
    /// handled if all of the ranks are started again, and else the actor fails with them (E2); also where one was to be, and
    /// is not after all ([`Failures::withdrawn`]).
    ///
    /// It is asked about what failed together at once, and about one after the other. Whether ranks are started
    /// again is a matter of their mesh: [`Verdict::Restart`] is an [`Escalate`](Verdict::Escalate) here.
    ///
    /// # Errors
    ///
    /// The actor fails, with its own error, or panic, before that of the mesh in the chain of causes.
    fn on_mesh_failure(
        &mut self,
        failures: Failures,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Result<Verdict, Failure>> + Send {
        _ = cx;
        let is_mended = is_mended(&failures);
        async move { Ok(if is_mended { Verdict::Handled } else { Verdict::Escalate }) }
    }

    /// Is told of a message of its own that could not be delivered (R3). By default nothing comes of it:
    /// it has been counted and logged already. Where a session with another process was lost meanwhile it may be told
    /// twice, since nobody knows what has arrived by that; and up to a minute after the two have lost each other.
    ///
    /// # Errors
    ///
    /// The actor fails.
    fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        _ = (undelivered, cx);
        async { Ok(()) }
    }

    /// Cleans up. Its children have ended. Not called after a panic, whose state nobody can trust, and
    /// not for an actor that is killed.
    ///
    /// # Errors
    ///
    /// The actor has failed instead of stopped.
    fn stop(&mut self, cx: &mut Context<Self>) -> impl Future<Output = Result<(), Failure>> + Send {
        _ = cx;
        async { Ok(()) }
    }

    /// Names the messages that can be sent to it by address, through a
    /// [`PortRef`](mesh_core::PortRef): from elsewhere, or by those who do not know its type. None by
    /// default; whoever has an [`ActorRef`](crate::ActorRef) needs none of them.
    fn handlers(handlers: &mut Handlers<Self>) {
        _ = handlers;
    }
}

/// Handles messages of type `M`.
///
/// # Source
///
/// `handle_cast` and `handle_call` of `gen_server` in Erlang/OTP: `handle_call` gets its `From`, and may
/// return before it has answered.
pub trait Handler<M: Message>: Actor {
    /// Whether [`handle`](Self::handle) may be dropped at any await without harm to the actor: then it is, as
    /// soon as whoever called has gone, in this process or another, and the next message has its turn. Not by
    /// default: it goes on to its end, and only the answer goes nowhere.
    const IS_CANCEL_SAFE: bool = false;

    /// Handles one message. What it returns is the answer, if it was a call.
    ///
    /// # Errors
    ///
    /// The actor cannot go on: it has failed, and the caller is told so. An error that is the caller's
    /// belongs into the reply.
    fn handle(
        &mut self,
        message: M,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Result<M::Reply, Failure>> + Send;

    /// Handles a call, and answers it now, or later, or leaves that to somebody else. By default it is
    /// answered with what [`handle`](Self::handle) returns.
    ///
    /// Whoever called is told at once when `reply` is dropped unanswered.
    ///
    /// # Errors
    ///
    /// As of [`handle`](Self::handle).
    fn handle_call(
        &mut self,
        message: M,
        mut reply: ReplyTo<M::Reply>,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        async {
            let answer = if Self::IS_CANCEL_SAFE {
                let Some(answer) = reply.run_until_abandoned(self.handle(message, cx)).await else {
                    return Ok(());
                };
                answer
            } else {
                self.handle(message, cx).await
            };
            match answer {
                Ok(answer) => {
                    // Whoever called may have given up meanwhile.
                    _ = reply.send(answer).is_ok();
                    Ok(())
                }
                Err(failure) => {
                    reply.fail(&failure);
                    Err(failure)
                }
            }
        }
    }
}

/// What the failure of a child means for its parent.
///
/// # Source
///
/// What a supervisor of Erlang/OTP can do, in its words; there the strategy is the supervisor's, here it is
/// decided for each failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The parent has dealt with it, and goes on without the child.
    Handled,
    /// The child is started again, and with it those that the strategy names, where "rank" means the order in
    /// which they were spawned. Those that live end first, the youngest first, each within its
    /// [`GRACE`](Actor::GRACE); the parent handles no message meanwhile. Then all are started, the oldest first, each
    /// when [`start`](Actor::start) of the one before it has returned, so that it finds that one by its name. If a
    /// start fails that others wait for, that counts as one more restart, and the strategy is applied anew to the
    /// child whose start it was; the parent is not asked. The last one is not waited for: what becomes of it is told
    /// the parent as any end.
    ///
    /// A child that was not spawned by
    /// [`supervise`](Context::supervise) cannot be started again: it only ends with the others, and if it
    /// is the one that failed, the parent fails with it. So it does if there are more restarts than
    /// [`INTENSITY`](Actor::INTENSITY) allows.
    Restart(Strategy),
    /// The parent stops, as if it had been asked to: [`Stop::Now`].
    Stop,
    /// The parent fails with it (E2).
    Escalate,
}

/// How an actor is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Handle what has been accepted, then end.
    Drain,
    /// End after the message that is being handled. The others come back to their senders.
    Now,
    /// End at the next await. The message that is being handled is cut off there.
    Kill,
}
