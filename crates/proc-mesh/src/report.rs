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
    /// It has ended. Shared, since it is told again with every poll.
    Ended(Arc<ProcEnd>),
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
}

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// Meshes of processes.
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
            ProcReport::Ended(end) => end_status(end),
        }
    }
}

/// Stopped if it ended with success or as it was asked to; otherwise it failed (ST4).
///
/// Some systems take every end after a stop, and every process that is not known, for a clean stop.
/// That loses the exit code of what crashes while stopping, and hides a host that died.
fn end_status(end: &ProcEnd) -> Status {
    let reason = match &end.how {
        HowEnded::Exited { code: 0 } | HowEnded::Cancelled => return Status::Stopped,
        // 128 + n is how a shell passes on that signal n ended its child.
        HowEnded::Exited { code } if end.sent.includes(*code - 128) => return Status::Stopped,
        HowEnded::Signaled { signal, .. } if end.sent.includes(*signal) => return Status::Stopped,
        HowEnded::Exited { code } => Reason::Exit { code: *code },
        HowEnded::Signaled { signal, core } => Reason::Signal { signal: *signal, core: *core },
        HowEnded::Culled => Reason::Orphaned,
        HowEnded::NotStarted { program, problem } => {
            Reason::Launch { program: program.clone(), problem: problem.clone() }
        }
        // It was we who killed it before it was ready: as asked.
        HowEnded::NotReady { .. } if end.sent.any() => return Status::Stopped,
        HowEnded::NotReady { within } => Reason::NotReady { within: *within },
        HowEnded::GuardLost => Reason::LostByAgent,
    };
    let mut cause = Cause::new(reason).with_stderr(end.stderr.clone());
    if !matches!(end.how, HowEnded::NotStarted { .. }) {
        cause = cause.with_alive(end.alive);
    }
    Status::failed(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: SentSignals = SentSignals { term: true, kill: false };
    const NONE: SentSignals = SentSignals { term: false, kill: false };

    fn ended(how: HowEnded, sent: SentSignals) -> Status {
        let end = ProcEnd { how, sent, alive: Duration::from_secs(1), stderr: Vec::new() };
        ProcKind.status(&ProcReport::Ended(Arc::new(end)))
    }

    fn reason(status: &Status) -> Option<&Reason> {
        status.cause().map(|cause| &cause.reason)
    }

    #[test]
    fn every_exit_code_but_zero_is_a_failure_that_names_it() {
        assert_eq!(ended(HowEnded::Exited { code: 0 }, NONE), Status::Stopped);
        for code in 1..=255 {
            let status = ended(HowEnded::Exited { code }, NONE);
            assert_eq!(reason(&status), Some(&Reason::Exit { code }));
        }
    }

    /// ST4
    #[test]
    fn while_stopping_only_success_and_our_own_signals_count_as_stopped() {
        let stopped = [
            HowEnded::Exited { code: 0 },
            HowEnded::Exited { code: 128 + 15 },
            HowEnded::Signaled { signal: 15, core: false },
            HowEnded::Cancelled,
        ];
        for how in stopped {
            assert_eq!(ended(how.clone(), TERM), Status::Stopped, "{how:?}");
        }
        let failed = [
            (HowEnded::Exited { code: 7 }, Reason::Exit { code: 7 }),
            (HowEnded::Exited { code: 128 + 9 }, Reason::Exit { code: 137 }),
            (
                HowEnded::Signaled { signal: 11, core: true },
                Reason::Signal { signal: 11, core: true },
            ),
            // The signal of somebody else: we have not killed it yet.
            (
                HowEnded::Signaled { signal: 9, core: false },
                Reason::Signal { signal: 9, core: false },
            ),
            (HowEnded::Culled, Reason::Orphaned),
            (HowEnded::GuardLost, Reason::LostByAgent),
        ];
        for (how, expected) in failed {
            assert_eq!(reason(&ended(how.clone(), TERM)), Some(&expected), "{how:?}");
        }
    }

    #[test]
    fn a_signal_that_nobody_asked_for_is_a_failure() {
        let status = ended(HowEnded::Signaled { signal: 15, core: false }, NONE);
        assert_eq!(reason(&status), Some(&Reason::Signal { signal: 15, core: false }));
    }
}
