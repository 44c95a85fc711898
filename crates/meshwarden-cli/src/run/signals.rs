//! The signals that a run listens to.

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

/// Listens from its creation on.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Stream,
    terminate: Stream,
    hangup: Stream,
    suspend: Stream,
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
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            suspend: signal(SignalKind::from_raw(SIGTSTP))?,
        })
    }

    /// The next signal.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop(SIGINT),
            _ = self.terminate.recv() => Signal::Stop(SIGTERM),
            _ = self.hangup.recv() => Signal::Stop(SIGHUP),
            _ = self.suspend.recv() => Signal::Suspend,
        }
    }
}

/// Suspends this process, until somebody continues it.
pub(crate) fn suspend_self() {
    // Nothing forbids it; if it did not happen, we just go on.
    _ = kill_process(getpid(), SystemSignal::STOP).is_ok();
}
