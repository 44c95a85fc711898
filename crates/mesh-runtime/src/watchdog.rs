//! Looks at what runs in a process, from its control thread: the shell of [`Watch`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep_until};

use crate::metrics::{Lag, Waiting};
use crate::pulse::WatchList;
use crate::stalls::{Probe, Stalls, Threads, Watch};

/// Looks at a runtime from another one, until it is dropped: whether it still runs anything, and which
/// actors of a process hang there.
///
/// A [`Proc`](crate::Proc) starts its own, if it is set up to. This is for programs that look after a
/// runtime without actors.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use mesh_runtime::{ControlThread, Watchdog};
///
/// let user = tokio::runtime::Builder::new_current_thread().build()?;
/// let control = ControlThread::start("control")?;
/// let watchdog = Watchdog::start(Duration::from_secs(1), user.handle(), control.handle());
/// assert_eq!(watchdog.stalls().borrow().of_process(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Watchdog {
    pub(crate) list: Arc<WatchList>,
    stalls: watch::Receiver<Arc<Stalls>>,
    task: AbortHandle,
}

impl Watchdog {
    /// Watches what runs on `user`, from `control`. What does for longer than `threshold` is told.
    #[must_use]
    pub fn start(threshold: Duration, user: &Handle, control: &Handle) -> Self {
        let list = Arc::<WatchList>::default();
        let (told, stalls) = watch::channel(Arc::<Stalls>::default());
        let task = control.spawn(watch_over(threshold, Arc::clone(&list), user.clone(), told));
        Self { list, stalls, task: task.abort_handle() }
    }

    /// What hangs: changes when something does and when it goes on.
    #[must_use]
    pub fn stalls(&self) -> watch::Receiver<Arc<Stalls>> {
        self.stalls.clone()
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("stalls", &self.stalls.borrow()).finish_non_exhaustive()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch_over(
    threshold: Duration,
    list: Arc<WatchList>,
    user: Handle,
    told: watch::Sender<Arc<Stalls>>,
) {
    let mut watch = Watch::new(threshold);
    let mut probe: Option<JoinHandle<()>> = None;
    let mut lag = LagProbe::new(user.clone());
    let mut waiting = Waiting::default();
    loop {
        let (next, is_idle) = watch.next_look();
        let due = Instant::now() + next;
        tokio::select! {
            biased;
            () = sleep_until(due) => lag.woke_up(due),
            () = list.something_begins(), if is_idle => (),
        }
        let is_back = probe.as_ref().is_some_and(JoinHandle::is_finished);
        let (stalls, next) = watch.look(Instant::now(), list.take(), (threads(&user), is_back));
        if is_back {
            probe = None;
        }
        if next == Probe::Send {
            // It is not waited for: whether it has run is seen.
            probe = Some(user.spawn(async {}));
        }
        waiting.update(&watch.waiting());
        if !watch.next_look().1 {
            lag.send();
        }
        told.send_if_modified(|last| {
            let has_changed = **last != stalls;
            if has_changed {
                *last = Arc::new(stalls);
            }
            has_changed
        });
    }
}

/// Measures how late a runtime runs what it could. One that does nothing is left alone.
struct LagProbe {
    user: Handle,
    of_user: Lag,
    of_control: Lag,
    on_its_way: Option<JoinHandle<()>>,
    /// When it was given something last.
    sent: Option<Instant>,
}

impl LagProbe {
    fn new(user: Handle) -> Self {
        let (of_user, of_control) = (Lag::of_user(), Lag::of_control());
        Self { user, of_user, of_control, on_its_way: None, sent: None }
    }

    /// We ourselves were to run at this moment.
    fn woke_up(&self, due: Instant) {
        self.of_control.record(due.elapsed());
    }

    /// Gives the runtime something to run now and then, unless it has not run the last one yet.
    fn send(&mut self) {
        let is_due = self.sent.is_none_or(|sent| sent.elapsed() >= LAG_EVERY);
        if is_due && self.on_its_way.as_ref().is_none_or(JoinHandle::is_finished) {
            let (sent, lag) = (Instant::now(), self.of_user);
            self.sent = Some(sent);
            self.on_its_way = Some(self.user.spawn(async move { lag.record(sent.elapsed()) }));
        }
    }
}

#[cfg(target_has_atomic = "64")]
fn threads(user: &Handle) -> Threads {
    let metrics = user.metrics();
    (0..metrics.num_workers()).map(|worker| metrics.worker_park_unpark_count(worker)).collect()
}

/// Nothing is known of them: a runtime that runs nothing is not told.
#[cfg(not(target_has_atomic = "64"))]
fn threads(_: &Handle) -> Threads {
    Threads::new()
}

/// How often the lag of a runtime is measured: each time one of its threads may have to be woken for it.
const LAG_EVERY: Duration = Duration::from_millis(500);
