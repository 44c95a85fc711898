//! One life of one rank on this host: from the order to start it to the report of its end.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mesh_core::{Echo, Epoch, Incarnation, LaunchProblem, MeshId, Stall};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group, pidfd_send_signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::guard::wire::{End, ProcKey};
use crate::notify::{News, Speaker};
use crate::output::Reading;
use crate::report::{HowEnded, SentSignals};

/// What a reader or a worker link has to say to its agent.
#[derive(Debug)]
pub(crate) enum Note {
    /// The output of a process that has ended has been read; these were its last lines.
    Drained { key: ProcKey, stderr: Vec<String> },
    /// A worker has said that it is ready. `known` is told when its process is known too: until then
    /// nobody hears of it.
    Ready { key: ProcKey, known: oneshot::Sender<()> },
    /// A process hangs, or goes on again.
    Hangs { key: ProcKey, stall: Option<Stall> },
    /// A program has said something of itself, or has not when it should have.
    Notified { key: ProcKey, news: News },
}

impl Note {
    pub(crate) const fn mesh(&self) -> MeshId {
        self.key().mesh
    }

    pub(crate) const fn key(&self) -> ProcKey {
        match self {
            Self::Drained { key, .. }
            | Self::Ready { key, .. }
            | Self::Hangs { key, .. }
            | Self::Notified { key, .. } => *key,
        }
    }
}

/// The end of a process, as the guard told it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEnd {
    pub(crate) end: End,
    pub(crate) evidence: Duration,
    pub(crate) alive: Duration,
    pub(crate) culled: bool,
    pub(crate) oom: bool,
}

/// One life of one rank.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) incarnation: Incarnation,
    /// The controller that ordered it, and the beat that it had heard.
    pub(crate) by: (Epoch, Option<Echo>),
    pub(crate) state: State,
    pub(crate) sent: SentSignals,
    /// Whether its core is being written: it will not run again.
    pub(crate) is_dumping: bool,
    /// Why we ended it ourselves, if we did.
    pub(crate) verdict: Option<HowEnded>,
    /// What it had said of itself, if it has ended.
    pub(crate) last_words: Option<String>,
}

/// Where the process is in its life.
#[derive(Debug)]
pub(crate) enum State {
    /// Waits for room.
    Queued,
    /// The guard was told to start it.
    Launching(Handles),
    /// It runs.
    Up(Process, Handles),
    /// It has ended; its output is being read.
    Draining { how: HowEnded, evidence: Duration, alive: Duration },
    /// Its end was reported.
    Ended,
}

/// What an agent holds of a process.
#[derive(Debug)]
pub(crate) struct Handles {
    pub(crate) reading: Reading,
    pub(crate) worker: Option<WorkerHandle>,
    /// When it must have said that it is ready; `None` once it has, or if nobody waits for that.
    pub(crate) ready_by: Option<Instant>,
    /// How often it was suspended and let go on: whoever listens to it looks at that.
    pub(crate) suspensions: Arc<AtomicU64>,
}

/// An agent's end of a worker.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    pub(crate) outbox: mpsc::Sender<Vec<u8>>,
    /// It is ready, but the guard has not said yet that it is there.
    pub(crate) known: Option<oneshot::Sender<()>>,
}

/// A process that was started.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// When the guard said so, on its clock and ours.
    pub(crate) started_at: Duration,
    /// The signal that suspended it, if it is.
    pub(crate) suspended: Option<i32>,
    /// What hangs in it, by its own word or its silence.
    pub(crate) stall: Option<Stall>,
    /// Its right to speak for itself, if it has that.
    pub(crate) speaker: Option<Speaker>,
    /// Only missing if this process could open no more.
    pidfd: Option<OwnedFd>,
}

impl Seat {
    pub(crate) const fn queued(incarnation: Incarnation, by: (Epoch, Option<Echo>)) -> Self {
        let sent = SentSignals { term: false, kill: false };
        Self {
            incarnation,
            by,
            state: State::Queued,
            sent,
            is_dumping: false,
            verdict: None,
            last_words: None,
        }
    }

    pub(crate) const fn is_live(&self) -> bool {
        !matches!(self.state, State::Draining { .. } | State::Ended)
    }

    pub(crate) const fn handles(&mut self) -> Option<&mut Handles> {
        match &mut self.state {
            State::Launching(handles) | State::Up(_, handles) => Some(handles),
            State::Queued | State::Draining { .. } | State::Ended => None,
        }
    }

    pub(crate) const fn process_mut(&mut self) -> Option<&mut Process> {
        match &mut self.state {
            State::Up(process, _) => Some(process),
            State::Queued | State::Launching(_) | State::Draining { .. } | State::Ended => None,
        }
    }

    pub(crate) const fn process(&self) -> Option<&Process> {
        match &self.state {
            State::Up(process, _) => Some(process),
            State::Queued | State::Launching(_) | State::Draining { .. } | State::Ended => None,
        }
    }

    /// When it must be ready; `None` if it is, or need not be.
    pub(crate) fn ready_by(&self) -> Option<Instant> {
        match &self.state {
            State::Up(_, handles) => handles.ready_by,
            State::Queued | State::Launching(_) | State::Draining { .. } | State::Ended => None,
        }
    }

    /// Whether it is being killed since it was not ready in time.
    pub(crate) const fn is_too_late(&self) -> bool {
        matches!(self.verdict, Some(HowEnded::NotReady { .. }))
    }

    /// Whether we have killed it, for whatever reason.
    pub(crate) const fn is_killed(&self) -> bool {
        self.sent.kill || self.verdict.is_some()
    }

    /// It has ended: what is left of its output is read first. Returns whether there is any to wait
    /// for.
    pub(crate) fn end(&mut self, how: HowEnded, evidence: Duration, alive: Duration) -> bool {
        let how = match self.verdict.take() {
            // Who ended by himself just before has not ended by that.
            Some(HowEnded::LetGo) if !how.is_kill() => how,
            verdict => verdict.unwrap_or(how),
        };
        let draining = State::Draining { how, evidence, alive };
        match std::mem::replace(&mut self.state, draining) {
            State::Launching(handles) | State::Up(_, handles) => {
                handles.reading.end();
                true
            }
            State::Queued => false,
            before @ (State::Draining { .. } | State::Ended) => {
                self.state = before;
                true
            }
        }
    }
}

impl Process {
    pub(crate) const fn new(pid: u32, pidfd: Option<OwnedFd>, started_at: Duration) -> Self {
        Self { pid, started_at, suspended: None, stall: None, speaker: None, pidfd }
    }

    /// Kills it and its group, for when its guard cannot any more.
    ///
    /// The pidfd names this process and no other; its group is only touched while it lives, so that a
    /// number that was given away is not hit.
    pub(crate) fn kill(&self) {
        let Some(pidfd) = &self.pidfd else { return };
        if is_alive(pidfd)
            && let Some(group) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
        {
            // It may have ended in between.
            _ = kill_process_group(group, Signal::KILL).is_ok();
        }
        _ = pidfd_send_signal(pidfd, Signal::KILL).is_ok();
    }
}

/// A pidfd can be read when its process has ended.
fn is_alive(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}

/// The problem that an error of our own system calls is, for a rank that could not be started.
pub(crate) fn problem(error: &std::io::Error) -> LaunchProblem {
    let text = error.to_string();
    // std appends the number, which `LaunchProblem` shows too.
    let message = text.split(" (os error").next().unwrap_or_default().to_owned();
    LaunchProblem::Os { errno: error.raw_os_error().unwrap_or_default(), message }
}
