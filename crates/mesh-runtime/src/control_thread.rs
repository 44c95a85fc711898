//! A current-thread runtime on an OS thread of its own.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long the thread may take to drop its tasks when it is ended.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// An OS thread with a current-thread runtime: what is spawned here goes on while the rest of the
/// program blocks.
///
/// The thread ends when the last owner is dropped; its tasks are dropped with it, and whatever guards
/// they hold act then.
///
/// # Examples
///
/// ```
/// use mesh_runtime::ControlThread;
///
/// let control = ControlThread::start("control")?;
/// let answer = control.spawn(async { 42 });
/// // The thread that asks may block as long as it likes: the task goes on.
/// while !answer.is_finished() {
///     std::thread::yield_now();
/// }
/// # Ok::<(), mesh_runtime::ThreadError>(())
/// ```
#[derive(Debug)]
pub struct ControlThread {
    handle: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Why a thread could not be started.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot start the thread {name:?}")]
pub struct ThreadError {
    /// The name it was to have.
    pub name: String,
    /// What the system said. An [`io::Error`] is neither `Clone` nor `Eq`, so it is shared.
    #[source]
    pub source: Arc<io::Error>,
}

impl ControlThread {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// [`ThreadError`] if the system has no thread or no file descriptors left. Nothing is left
    /// running.
    pub fn start(name: &str) -> Result<Self, ThreadError> {
        let refused =
            |source: io::Error| ThreadError { name: name.to_owned(), source: Arc::new(source) };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Ends at the signal, and also if the sender is gone.
                _ = runtime.block_on(ended).is_ok();
                runtime.shutdown_timeout(SHUTDOWN);
            })
            .map_err(refused)?;
        Ok(Self { handle, end: Some(end), thread: Some(thread) })
    }

    /// Runs `task` on the thread. It is dropped when the thread ends.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(task)
    }

    /// The runtime of the thread, to spawn from elsewhere.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for ControlThread {
    /// Ends the thread and waits until its tasks have been dropped.
    fn drop(&mut self) {
        drop(self.end.take());
        // Dropped from its own thread, as the last act of one of its tasks: it ends by itself.
        let Some(thread) =
            self.thread.take().filter(|it| it.thread().id() != thread::current().id())
        else {
            return;
        };
        // A task that panicked was told by its own handle.
        _ = thread.join().is_ok();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn tasks_go_on_while_the_users_thread_blocks() {
        let control = ControlThread::start("test-control").unwrap();
        let (ask, asked) = oneshot::channel::<u32>();
        let (answer, mut answered) = oneshot::channel();
        control.spawn(async move {
            let number = asked.await.unwrap();
            answer.send(number + 1).unwrap();
        });
        ask.send(41).unwrap();
        let number = loop {
            match answered.try_recv() {
                Ok(number) => break number,
                Err(oneshot::error::TryRecvError::Empty) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(number, 42);
    }

    /// C2
    #[tokio::test]
    async fn ending_the_thread_drops_what_runs_on_it() {
        let control = ControlThread::start("test-control").unwrap();
        let (guard, dropped) = oneshot::channel::<()>();
        control.spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        drop(control);
        assert!(dropped.await.is_err(), "the sender was dropped with its task");
    }
}
