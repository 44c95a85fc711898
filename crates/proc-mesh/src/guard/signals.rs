//! Signals as events: each kind has a pipe that becomes readable.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::read;
use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::pipe::register;

/// One kind of signal, or several that mean the same.
///
/// The handlers stay for the rest of the process. They do not reach its children: the pipes are
/// closed on exec, and so are handlers.
#[derive(Debug)]
pub(super) struct SignalPipe(OwnedFd);

impl SignalPipe {
    /// A child has stopped, continued or ended.
    pub(super) fn of_children() -> io::Result<Self> {
        Self::of(&[SIGCHLD])
    }

    /// Somebody wants this process to end.
    pub(super) fn of_ends() -> io::Result<Self> {
        Self::of(&[SIGTERM, SIGINT, SIGHUP, SIGQUIT])
    }

    fn of(signals: &[i32]) -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        for signal in signals {
            register(*signal, writer.try_clone()?)?;
        }
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
