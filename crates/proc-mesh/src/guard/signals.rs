//! Signals: the end of a child is an event, and what asks this process to end is ignored.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::io::read;
use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

/// A pipe that is readable when a child has stopped, continued or ended.
///
/// The handler stays for the rest of the process. It does not reach its children: the pipe is closed
/// on exec, and handlers end with it.
#[derive(Debug)]
pub(super) struct SignalPipe(OwnedFd);

impl SignalPipe {
    pub(super) fn of_children() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        low_level::pipe::register(SIGCHLD, writer)?;
        Ok(Self(reader))
    }

    /// Forgets the signals that came. What they tell of must be looked at after this.
    pub(super) fn drain(&self) {
        let mut bytes = [0; 64];
        while read(&self.0, &mut bytes).is_ok_and(|n_bytes| n_bytes > 0) {}
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Lets the signals that ask a process to end do nothing to this one (`GUARD-1`).
///
/// By handlers that nobody asks, since children would inherit that a signal is ignored.
pub(super) fn outlive_ends() -> io::Result<()> {
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}
