//! Does a deed to the process of a rank: what can be prepared before the clock starts, and the blow.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use meshwarden::mesh_core::Timestamp;
use meshwarden::proc_mesh::ProcSeat;
use meshwarden::supervise::Clock;
use rustix::process::Signal;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::floor::limit_core;
use crate::freezer::Frozen;
use crate::kind::Deed;
use crate::processes::{raw, signal, watch_end};
use crate::victim::Order;

/// A deed that is ready to be done.
#[derive(Debug)]
pub(crate) struct Injection {
    pub(crate) seat: ProcSeat,
    pub(crate) deed: Deed,
    /// Whether a plain child that it was done to has written a core.
    pub(crate) dumps: bool,
    /// When the process will have ended, if it is to.
    pub(crate) end: Option<oneshot::Receiver<Timestamp>>,
    frozen: Option<Frozen>,
}

/// How a deed is done.
#[derive(Debug)]
pub(crate) enum Blow {
    Signal(Signal),
    Order(Order),
    Freeze,
}

impl Injection {
    /// Prepares everything that is not to be measured.
    pub(crate) async fn prepare(
        seat: ProcSeat,
        deed: Deed,
        (dumps, clock): (bool, Clock),
    ) -> Result<Self> {
        let mut frozen = None;
        match deed {
            Deed::Segv(core) => {
                disarm(&seat).await?;
                limit_core(raw(seat.pid)?, core)?;
            }
            Deed::Freeze(freezer) => frozen = Some(freezer.prepare(seat.pid)?),
            Deed::Exit(_) | Deed::Kill | Deed::Terminate | Deed::OutOfMemory | Deed::Suspend => {}
        }
        let is_end = deed.end(dumps).is_some();
        let end = is_end.then(|| watch_end(seat.pid, clock)).transpose()?;
        Ok(Self { seat, deed, dumps, end, frozen })
    }

    /// What is to be done now.
    pub(crate) const fn blow(&self) -> Blow {
        match self.deed {
            Deed::Exit(code) => Blow::Order(Order::Exit(code)),
            Deed::OutOfMemory => Blow::Order(Order::Eat),
            Deed::Kill => Blow::Signal(Signal::KILL),
            Deed::Terminate => Blow::Signal(Signal::TERM),
            Deed::Segv(_) => Blow::Signal(Signal::SEGV),
            Deed::Suspend => Blow::Signal(Signal::STOP),
            Deed::Freeze(_) => Blow::Freeze,
        }
    }

    pub(crate) fn signal(&self, what: Signal) -> Result<()> {
        signal(self.seat.pid, what)
    }

    pub(crate) fn freeze(&mut self) -> Result<()> {
        self.frozen.as_mut().map_or(Ok(()), Frozen::freeze)
    }

    /// Lets the rank go on, if that is not its end.
    pub(crate) fn relieve(&mut self) -> Result<()> {
        if self.deed == Deed::Suspend {
            self.signal(Signal::CONT)?;
        }
        self.frozen = None;
        Ok(())
    }
}

/// Waits until a rank is where it leaves its core, and takes its handler away: Rust's runtime has one for
/// `SIGSEGV`, which restores the default and returns when it meets one that is no overflow of a stack.
/// So the first from outside ends nobody, and is given before the clock starts.
async fn disarm(seat: &ProcSeat) -> Result<()> {
    let pid = seat.pid;
    let deadline = Instant::now() + Duration::from_secs(10);
    let home = seat.rank.to_string();
    while !fs::read_link(format!("/proc/{pid}/cwd"))?.ends_with(&home) {
        ensure!(Instant::now() < deadline, "rank {home} does not go home");
        sleep(Duration::from_millis(1)).await;
    }
    if catches_segv(pid) {
        signal(pid, Signal::SEGV)?;
    }
    while catches_segv(pid) {
        ensure!(Instant::now() < deadline, "process {pid} goes on catching SIGSEGV");
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Whether a process has a handler for `SIGSEGV`.
fn catches_segv(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    is_caught(&status, Signal::SEGV)
}

/// The same, given what the kernel says of a process.
fn is_caught(status: &str, signal: Signal) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_shows_in_the_mask_of_the_kernel() {
        let status = "SigIgn:\t0000000000001000\nSigCgt:\t0000000000000440\n";
        assert!(is_caught(status, Signal::SEGV) && is_caught(status, Signal::BUS));
        assert!(!is_caught(status, Signal::TERM) && !is_caught("", Signal::SEGV));
    }
}
