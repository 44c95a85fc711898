//! The exit code of a run: pure.

use meshwarden::mesh_core::{Failures, Status};

/// What has become of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The code of the first rank that failed for good.
    first_failure: Option<u8>,
    /// The signal that ended the run itself.
    signal: Option<i32>,
}

impl Outcome {
    /// Some ranks failed. Those that are started again have not failed for good.
    pub(crate) fn failed(&mut self, failures: &Failures) {
        let left = failures.changes.iter().filter(|change| change.restart_in.is_none());
        let left = left.map(|change| &change.status);
        let mut left = left.chain(failures.withdrawn.iter().map(|it| &it.why));
        self.first_failure = self.first_failure.or_else(|| left.next().map(code_of));
    }

    /// The run was asked to end.
    pub(crate) fn signaled(&mut self, signal: i32) {
        self.signal.get_or_insert(signal);
    }

    pub(crate) const fn has_failed(&self) -> bool {
        self.first_failure.is_some()
    }

    /// 0 if all ended well; else the code of the first rank that failed, or 128 + the signal that
    /// ended the run.
    pub(crate) fn exit_code(&self) -> u8 {
        match (self.first_failure, self.signal) {
            (Some(code), _) => code,
            (None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(1),
            (None, None) => 0,
        }
    }
}

/// As a shell would show it; never 0.
fn code_of(status: &Status) -> u8 {
    let code = status.cause().map_or(1, |cause| cause.reason.exit_code());
    u8::try_from(code).ok().filter(|code| *code != 0).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use meshwarden::mesh_core::{Cause, Change, Epoch, Incarnation, MeshId, MeshLabel, Reason};
    use meshwarden::mesh_shape::{Extent, RankSet, Region};

    use super::*;

    fn failures(changes: &[(Reason, bool)]) -> Failures {
        let changes = changes.iter().enumerate().map(|(rank, (reason, restarts))| Change {
            ranks: RankSet::from(rank..rank + 1),
            incarnation: Incarnation::FIRST,
            status: Status::failed(Cause::new(reason.clone())),
            restart_in: restarts.then_some(Duration::ZERO),
            age: Duration::ZERO,
        });
        let extent: Extent = "procs=4".parse().unwrap();
        Failures {
            mesh: MeshLabel::new(MeshId::from_random(1), "m", "proc"),
            region: Region::all(extent).into(),
            reporter: Epoch::FIRST,
            changes: changes.collect(),
            waited: Duration::ZERO,
            withdrawn: Vec::new(),
            escalation: None,
        }
    }

    #[test]
    fn the_first_rank_that_fails_for_good_gives_the_code() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.exit_code(), 0);
        outcome.failed(&failures(&[(Reason::Exit { code: 3 }, true)]));
        assert!(!outcome.has_failed(), "it is started again");
        outcome.failed(&failures(&[
            (Reason::Exit { code: 4 }, true),
            (Reason::Signal { signal: 9, core: false }, false),
        ]));
        outcome.failed(&failures(&[(Reason::Exit { code: 7 }, false)]));
        assert_eq!(outcome.exit_code(), 137);
    }

    #[test]
    fn a_run_that_was_ended_says_by_which_signal_unless_a_rank_failed() {
        let mut outcome = Outcome::default();
        outcome.signaled(2);
        outcome.signaled(15);
        assert_eq!(outcome.exit_code(), 130);
        outcome.failed(&failures(&[(Reason::Orphaned, false)]));
        assert_eq!(outcome.exit_code(), 1);
    }
}
