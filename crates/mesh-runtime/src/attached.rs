//! What runs beside an actor, and ends with it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use crate::failure::Failure;
use crate::panics::caught;

/// Everything that is attached to one actor.
#[derive(Default)]
pub(crate) struct Attached {
    /// Dropped where it awaits.
    tasks: JoinSet<()>,
    /// On threads that nobody can cut off.
    blocking: JoinSet<()>,
    cancellation: Arc<Cancel>,
}

/// Something that runs beside an actor: see [`Context::attach`](crate::Context::attach). Dropped, it goes on.
#[derive(Clone, Debug)]
pub struct Attachment(AbortHandle);

impl Attachment {
    /// Ends it where it awaits. Messages that it has sent to its actor before are handled all the same.
    pub fn cancel(&self) {
        self.0.abort();
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

/// Tells work on a thread of its own that it need not go on. See
/// [`Context::spawn_blocking`](crate::Context::spawn_blocking).
#[derive(Clone, Debug)]
pub struct Cancellation {
    /// Of the actor.
    actor: Arc<Cancel>,
    /// Of this work.
    own: Arc<Cancel>,
}

#[derive(Debug, Default)]
struct Cancel(AtomicBool);

impl Cancel {
    fn tell(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_told(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Cancellation {
    /// Whether the actor ends, or nobody waits for the result: to be asked between any two steps of long work.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.actor.is_told() || self.own.is_told()
    }
}

/// The result of work on a thread of its own. A panic of the work is an `Err`.
///
/// # Cancellation
///
/// Dropped, the work is told so ([`Cancellation`]); it has not begun if no thread was free, and then never
/// does.
#[must_use = "dropped, the work is cancelled"]
pub struct Blocking<T> {
    result: oneshot::Receiver<Result<T, Failure>>,
    cancel: Arc<Cancel>,
}

impl<T> Future for Blocking<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(cx).map(|result| {
            result.unwrap_or_else(|_| {
                Err(Failure::new("the actor ended before its blocking work was done"))
            })
        })
    }
}

impl<T> Drop for Blocking<T> {
    fn drop(&mut self) {
        self.cancel.tell();
    }
}

impl<T> fmt::Debug for Blocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}

impl Attached {
    pub(crate) fn spawn(
        &mut self,
        work: impl Future<Output = ()> + Send + 'static,
        runtime: &Handle,
    ) -> Attachment {
        // Those that have ended are let go of, so that the set holds no more than what runs.
        while self.tasks.try_join_next().is_some() {}
        Attachment(self.tasks.spawn_on(work, runtime))
    }

    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Cancellation) -> T + Send + 'static,
        runtime: &Handle,
    ) -> Blocking<T> {
        while self.blocking.try_join_next().is_some() {}
        let (done, result) = oneshot::channel();
        let cancel = Arc::<Cancel>::default();
        let told = Cancellation { actor: Arc::clone(&self.cancellation), own: Arc::clone(&cancel) };
        let work = move || {
            if told.is_cancelled() {
                return;
            }
            // Whoever waited may have gone, and cares for no result; what went wrong is not lost.
            if let Err(Err(failure)) = done.send(caught(|| work(&told))) {
                tracing::error!(%failure, "work that blocks a thread, and that nobody waits for");
            }
        };
        self.blocking.spawn_blocking_on(work, runtime);
        Blocking { result, cancel }
    }

    /// Ends everything, and waits until it has been dropped; work on threads of its own is told, and waited for.
    pub(crate) async fn end(&mut self) {
        self.cancellation.tell();
        self.tasks.shutdown().await;
        while self.blocking.join_next().await.is_some() {}
    }
}

impl Drop for Attached {
    /// The actor was killed: nobody waits.
    fn drop(&mut self) {
        self.cancellation.tell();
        while self.blocking.try_join_next().is_some() {}
        let n = self.blocking.len();
        if n > 0 {
            tracing::warn!(n, "an actor was killed, and its work goes on that blocks a thread");
        }
    }
}
