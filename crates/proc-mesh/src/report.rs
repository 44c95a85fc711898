//! What a host agent says about one process, and what that means: the whole mapping, pure.

use std::sync::Arc;
use std::time::Duration;

use controller::Controlled;
use mesh_core::{Cause, LaunchProblem, Reason, Stall, Status};
use serde::{Deserialize, Serialize};

/// What a host agent says about the process of one rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcReport {
    /// Nothing is known of it here.
    Absent,
    /// Asked for, and not yet ready.
    Starting,
    /// Ready: a program runs, a worker has said so.
    Ready,
    /// Suspended by this signal.
    Suspended {
        /// The number of the signal.
        signal: i32,
    },
    /// It lives, but makes no progress: a handler of it, or something in it that should be heard.
    Hanging(Stall),
    /// A fatal signal has hit it and its core is being written: it will not run again, but it has not
    /// ended.
    DumpingCore,
    /// A stop was asked for and has not finished: for a controller that was not there when it was
    /// asked for. No agent says so yet.
    Stopping,
    /// It has ended. Shared, since it is told again with every poll.
    Ended(Arc<ProcEnd>),
    /// It has ended, and its host is closed, or its owner wants it no more, since then or with that: nothing is started
    /// there any more.
    EndedForGood(Arc<ProcEnd>),
}

/// How a process ended, and what its agent had done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcEnd {
    /// How.
    pub how: HowEnded,
    /// The signals that the agent had sent it, because it was asked to stop it.
    pub sent: SentSignals,
    /// How long it had lived; zero if it never did.
    pub alive: Duration,
    /// The last lines of its standard error.
    pub stderr: Vec<String>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HowEnded {
    /// By itself, with this code.
    Exited {
        /// The exit code.
        code: i32,
    },
    /// By a signal.
    Signaled {
        /// The number of the signal.
        signal: i32,
        /// Whether it dumped core.
        core: bool,
    },
    /// Killed by the kernel, because memory had run out. Said only if the kernel's own counter of such
    /// kills, in a cgroup of its own, says so: a mere `SIGKILL` may be anybody's.
    OutOfMemory,
    /// Killed by its guard, because its lease had run out.
    Culled,
    /// Stopped before it was started.
    Cancelled,
    /// It could not be started.
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        problem: LaunchProblem,
    },
    /// It was started but did not say that it is ready, and was killed.
    NotReady {
        /// How long it was given.
        within: Duration,
    },
    /// Its guard died, so that nobody can say.
    GuardLost,
    /// With its host, which was closed while it ran, or before it could be started.
    HostClosed,
    /// Killed, since the owner of its mesh has let go of it.
    LetGo,
}

impl HowEnded {
    /// Whether it is how one ends that is killed, or whose shell passes that on.
    pub(crate) const fn is_kill(&self) -> bool {
        const CODE: i32 = 128 + SIGKILL;
        matches!(self, Self::Signaled { signal: SIGKILL, .. } | Self::Exited { code: CODE })
    }
}

/// Which signals an agent has sent to a process in order to stop it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentSignals {
    /// `SIGTERM`: it was asked to end.
    pub term: bool,
    /// `SIGKILL`: it was ended.
    pub kill: bool,
}

impl SentSignals {
    /// None.
    pub const NONE: Self = Self { term: false, kill: false };

    /// One more was sent.
    pub(crate) const fn mark(&mut self, is_kill: bool) {
        if is_kill {
            self.kill = true;
        } else {
            self.term = true;
        }
    }

    pub(crate) const fn any(self) -> bool {
        self.term || self.kill
    }

    const fn includes(self, signal: i32) -> bool {
        (self.term && signal == SIGTERM) || (self.kill && signal == SIGKILL)
    }

    /// Whether `code` is how a shell passes on that one of them ended its child: 128 + the signal.
    const fn explains(self, code: i32) -> bool {
        match code.checked_sub(128) {
            Some(signal) => self.includes(signal),
            None => false,
        }
    }
}

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// Meshes of processes.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use controller::Controlled;
/// use mesh_core::Status;
/// use proc_mesh::{HowEnded, ProcEnd, ProcKind, ProcReport, SentSignals};
///
/// let end = |sent| ProcEnd {
///     how: HowEnded::Signaled { signal: 15, core: false },
///     sent,
///     alive: Duration::from_secs(1),
///     stderr: Vec::new(),
/// };
/// let asked = ProcReport::Ended(Arc::new(end(SentSignals { term: true, kill: false })));
/// assert_eq!(ProcKind.status(&asked), Status::Stopped);
/// let not_asked = ProcReport::Ended(Arc::new(end(SentSignals::NONE)));
/// assert_eq!(ProcKind.status(&not_asked).to_string(), "failed: signal 15 (SIGTERM)");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcKind;

impl Controlled for ProcKind {
    type Report = ProcReport;

    const KIND: &'static str = "proc";

    fn status(&self, report: &ProcReport) -> Status {
        match report {
            ProcReport::Absent => Status::NotExist,
            ProcReport::Starting => Status::Initializing,
            ProcReport::Ready => Status::Running,
            ProcReport::Suspended { signal } => {
                Status::Stalled(Stall::Suspended { signal: *signal })
            }
            ProcReport::Hanging(stall) => Status::Stalled(stall.clone()),
            ProcReport::DumpingCore => Status::Stalled(Stall::DumpingCore),
            ProcReport::Stopping => Status::Stopping,
            ProcReport::Ended(end) | ProcReport::EndedForGood(end) => end_status(end),
        }
    }

    /// A host that is closed starts nothing again, nor does any what nobody wants.
    fn bar(&self, report: &ProcReport) -> Option<Status> {
        let is_closed = matches!(report, ProcReport::EndedForGood(_));
        is_closed.then(|| Status::failed(Cause::new(Reason::Closed)))
    }
}

/// Stopped if it ended with success or as it was asked to; otherwise it failed (ST4).
pub(crate) fn end_status(end: &ProcEnd) -> Status {
    let Some(reason) = failure(&end.how, end.sent) else { return Status::Stopped };
    let mut cause = Cause::new(reason).with_stderr(end.stderr.clone());
    // What was never started has not lived.
    if !matches!(end.how, HowEnded::NotStarted { .. }) {
        cause = cause.with_alive(end.alive);
    }
    Status::failed(cause)
}

/// What was wrong with an end, given the signals that its agent had sent; `None` if nothing was.
fn failure(how: &HowEnded, sent: SentSignals) -> Option<Reason> {
    match how {
        HowEnded::Exited { code: 0 } | HowEnded::Cancelled => None,
        HowEnded::Exited { code } => {
            (!sent.explains(*code)).then_some(Reason::Exit { code: *code })
        }
        HowEnded::Signaled { signal, core } => {
            let reason = Reason::Signal { signal: *signal, core: *core };
            (!sent.includes(*signal)).then_some(reason)
        }
        // It was asked to stop before it was ready, and was killed for that: as asked.
        HowEnded::NotReady { .. } if sent.any() => None,
        HowEnded::NotReady { within } => Some(Reason::NotReady { within: *within }),
        HowEnded::NotStarted { program, problem } => {
            Some(Reason::Launch { program: program.clone(), problem: problem.clone() })
        }
        HowEnded::OutOfMemory => Some(Reason::OutOfMemory),
        HowEnded::Culled => Some(Reason::Orphaned),
        HowEnded::GuardLost => Some(Reason::LostByAgent),
        HowEnded::HostClosed | HowEnded::LetGo if sent.any() => None,
        HowEnded::HostClosed | HowEnded::LetGo => Some(Reason::Closed),
    }
}

#[cfg(test)]
mod tests;
