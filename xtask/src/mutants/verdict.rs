//! `Verdict`: what became of one mutant.

use std::fmt;

use super::child::Ended;
use super::mutant::Mutant;
use super::results::Fate;
use super::suite::Ran;

/// What became of one mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The test that its file names is among those that failed; it comes first.
    Killed(Vec<String>),
    /// That test was not over in time, and its file says that the bug makes it hang.
    Hung,
    /// Its test, or the suite, was not over in time, which proves nothing: the machine may be busy. These
    /// tests had failed by then, or been over their time.
    Overdue(Vec<String>),
    /// These tests failed, and the one that its file names did not.
    KilledByOthers(Vec<String>),
    /// No test failed.
    Survived,
    /// A block does not fit the code any more, and why.
    DoesNotApply(String),
    /// What does not compile proves nothing.
    DoesNotCompile,
    /// The runner of the tests did not get far enough to tell.
    NotJudged(String),
}

impl Verdict {
    /// What the results of its tests say of a mutant.
    pub(super) fn of(mutant: &Mutant, ran: &Ran) -> Self {
        let mut failed: Vec<(&str, Fate)> = ran.results.failed().collect();
        // The named one first, then in the order in which they failed.
        failed.sort_by_key(|(name, _)| !mutant.names(name));
        let named = failed.first().filter(|(name, _)| mutant.names(name)).map(|(_, fate)| *fate);
        let names = failed.into_iter().map(|(name, fate)| match fate {
            Fate::TimedOut => format!("{name} (timeout)"),
            Fate::Passed | Fate::Failed => name.to_owned(),
        });
        let names: Vec<String> = names.collect();
        match ran.ended {
            _ if named == Some(Fate::Failed) => Self::Killed(names),
            _ if named == Some(Fate::TimedOut) && mutant.hangs => Self::Hung,
            _ if named == Some(Fate::TimedOut) => Self::Overdue(names),
            Ended::Overdue => Self::Overdue(names),
            Ended::Exited(_) if !names.is_empty() => Self::KilledByOthers(names),
            Ended::Exited(status) if status.success() => Self::Survived,
            Ended::Exited(status) => Self::NotJudged(format!("the tests: {status}")),
        }
    }

    /// Whether a test has found the bug, and it is the named one.
    pub(super) const fn is_killed(&self) -> bool {
        matches!(self, Self::Killed(_) | Self::Hung)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(by) => write!(f, "killed by {}", first_few(by)),
            Self::Hung => f.write_str("killed: its test hangs, as it is to"),
            Self::Overdue(by) if by.is_empty() => f.write_str("NOT OVER IN TIME"),
            Self::Overdue(by) => write!(f, "NOT OVER IN TIME, after {}", first_few(by)),
            Self::KilledByOthers(by) => {
                write!(f, "NOT KILLED BY THE NAMED TEST, but by {}", first_few(by))
            }
            Self::Survived => f.write_str("SURVIVED"),
            Self::DoesNotApply(why) => write!(f, "DOES NOT APPLY: {why}"),
            Self::DoesNotCompile => f.write_str("DOES NOT COMPILE"),
            Self::NotJudged(why) => write!(f, "NOT JUDGED: {why}"),
        }
    }
}

fn first_few(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

const NAMES_SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::time::Duration;

    use super::{Ended, Mutant, Ran, Verdict};
    use crate::mutants::results::Results;

    fn verdict(ended: Ended, said: &str) -> Verdict {
        verdict_of("", ended, said)
    }

    fn verdict_of(more: &str, ended: Ended, said: &str) -> Verdict {
        let text = "what: x\nbreaks: H1\nfile: a\npackage: b\nkilled-by: it\n";
        let text = format!("{text}{more}<<<<\na\n====\n>>>>\n");
        let mutant = Mutant::parse("a.mutant", &text).expect("it is right");
        let results = Results::of_libtest(said);
        Verdict::of(&mutant, &Ran { results, ended, time: Duration::ZERO })
    }

    fn exited(code: i32) -> Ended {
        Ended::Exited(ExitStatus::from_raw(code << 8))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_named_test_must_be_among_those_that_fail() {
        let (it, other) = ("test a::it ... FAILED\n", "test a::other ... FAILED\n");
        assert_eq!(
            verdict(exited(101), &format!("{other}{it}")),
            Verdict::Killed(names(&["a::it", "a::other"]))
        );
        assert_eq!(verdict(exited(101), other), Verdict::KilledByOthers(names(&["a::other"])));
    }

    /// A busy machine is no proof; a bug that makes its test hang says so.
    #[test]
    fn what_is_not_over_in_time_is_killed_only_if_it_is_to_hang() {
        let late = "test a::it has been running for over 60 seconds\n";
        let overdue = verdict(Ended::Overdue, late);
        assert_eq!(overdue, Verdict::Overdue(names(&["a::it (timeout)"])));
        assert!(!overdue.is_killed());
        assert_eq!(verdict(Ended::Overdue, ""), Verdict::Overdue(Vec::new()));
        let hung = verdict_of("hangs: yes\n", Ended::Overdue, late);
        assert_eq!((&hung, hung.is_killed()), (&Verdict::Hung, true));
        let other = verdict_of("hangs: yes\n", Ended::Overdue, "test a::other ... FAILED\n");
        assert!(!other.is_killed(), "another one failed, and the named one did not hang");
    }

    #[test]
    fn only_a_run_without_a_failure_is_survived() {
        assert_eq!(verdict(exited(0), "test a::it ... ok\n"), Verdict::Survived);
        let odd = Verdict::NotJudged("the tests: exit status: 4".to_owned());
        assert_eq!(verdict(exited(4), ""), odd);
    }

    #[test]
    fn a_long_list_of_names_is_cut() {
        let by = Verdict::Killed(names(&["a", "b", "c", "d", "e"]));
        assert_eq!(by.to_string(), "killed by a, b, c and 2 more");
    }
}
