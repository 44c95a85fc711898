//! The signals that a run listens to.

use std::fs;
use std::io;

use rustix::process::{Signal as SystemSignal, getpid, kill_process};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What somebody wants of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// To end; with the number of the signal.
    Stop(i32),
    /// To be suspended (Ctrl-Z).
    Suspend,
}

/// Listens from its creation on. What whoever started us wants ignored stays so (`nohup`, a shell's
/// background): those are `None`.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Option<Stream>,
    terminate: Option<Stream>,
    hangup: Option<Stream>,
    suspend: Option<Stream>,
    has_stopped: bool,
}

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGTSTP: i32 = 20;

impl Signals {
    /// # Errors
    ///
    /// If the system refuses.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: listen(SIGINT)?,
            terminate: listen(SIGTERM)?,
            hangup: listen(SIGHUP)?,
            suspend: listen(SIGTSTP)?,
            has_stopped: false,
        })
    }

    /// Whether somebody wanted the run to end.
    pub(crate) const fn has_stopped(&self) -> bool {
        self.has_stopped
    }

    /// The next signal.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Signal {
        let signal = tokio::select! {
            () = heard(self.interrupt.as_mut()) => Signal::Stop(SIGINT),
            () = heard(self.terminate.as_mut()) => Signal::Stop(SIGTERM),
            () = heard(self.hangup.as_mut()) => Signal::Stop(SIGHUP),
            () = heard(self.suspend.as_mut()) => Signal::Suspend,
        };
        self.has_stopped |= matches!(signal, Signal::Stop(_));
        signal
    }

    /// The next signal that wants the run to end. The others only concern this process: call it
    /// when no rank runs any more.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn stop(&mut self) {
        while self.next().await == Signal::Suspend {
            suspend_self();
        }
    }
}

fn listen(number: i32) -> io::Result<Option<Stream>> {
    if is_ignored(number) {
        return Ok(None);
    }
    signal(SignalKind::from_raw(number)).map(Some)
}

async fn heard(stream: Option<&mut Stream>) {
    match stream {
        Some(stream) => _ = stream.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether this process was started with the signal ignored. Ask before listening to it.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

/// Suspends this process, until somebody continues it.
pub(crate) fn suspend_self() {
    // Nothing forbids it; if it did not happen, we just go on.
    _ = kill_process(getpid(), SystemSignal::STOP).is_ok();
}
