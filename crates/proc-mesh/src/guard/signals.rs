//! Signals: the end of a child is an event, and what asks this process to end is ignored.

use std::fs;
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
/// By handlers that nobody asks, since children would inherit that a signal is ignored. What was
/// ignored from the start stays so, for the children too (`nohup`).
pub(super) fn outlive_ends() -> io::Result<()> {
    let ignored = ignored();
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
        if ignored & (1 << (signal - 1)) == 0 {
            flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
    }
    Ok(())
}

/// The signals that this process was started to ignore, signal 1 in the lowest bit.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
