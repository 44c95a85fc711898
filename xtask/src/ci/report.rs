//! `Report`: how each step ended, as the table at the end.

use std::fmt;
use std::time::Duration;

/// How each step ended, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

/// How one step ended.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The step.
    pub(super) name: &'static str,
    /// How it ended.
    pub(super) verdict: Verdict,
    /// How long it took; none if it did not run.
    pub(super) time: Option<Duration>,
}

/// What is known of a step at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// It could not be looked at, and why.
    Skipped(String),
    /// An earlier step failed.
    NotRun,
}

impl Report {
    pub(super) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.count(|verdict| *verdict == Verdict::Failed) > 0
    }

    fn count(&self, is_counted: fn(&Verdict) -> bool) -> usize {
        self.rows.iter().filter(|row| is_counted(&row.verdict)).count()
    }
}

impl Row {
    /// The time it took, in seconds, for people.
    pub(super) fn seconds(&self) -> String {
        self.time.map_or_else(|| "-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
    }
}

/// A table, and one closing line with the counts.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<10} {:>9}  result", "step", "time")?;
        for row in &self.rows {
            writeln!(f, "{:<10} {:>9}  {}", row.name, row.seconds(), row.verdict)?;
        }
        let n_passed = self.count(|verdict| *verdict == Verdict::Passed);
        let n_failed = self.count(|verdict| *verdict == Verdict::Failed);
        let n_skipped = self.count(|verdict| matches!(verdict, Verdict::Skipped(_)));
        write!(f, "\nci: {n_passed} passed, {n_failed} failed, {n_skipped} skipped")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed => f.write_str("FAILED"),
            Self::Skipped(why) => write!(f, "SKIPPED: {why}"),
            Self::NotRun => f.write_str("not run"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Report, Row, Verdict};

    fn report(rows: Vec<(&'static str, Verdict, Option<u64>)>) -> Report {
        let row = |(name, verdict, millis): (_, _, Option<u64>)| Row {
            name,
            verdict,
            time: millis.map(Duration::from_millis),
        };
        Report { rows: rows.into_iter().map(row).collect() }
    }

    #[test]
    fn a_skip_never_looks_like_a_pass() {
        let report = report(vec![
            ("fmt", Verdict::Passed, Some(1_250)),
            ("deny", Verdict::Skipped("no cargo-deny".to_owned()), Some(10)),
            ("doc", Verdict::Failed, Some(61_000)),
            ("demo", Verdict::NotRun, None),
        ]);
        assert_eq!(
            report.to_string(),
            "step            time  result\n\
             fmt            1.2 s  passed\n\
             deny           0.0 s  SKIPPED: no cargo-deny\n\
             doc           61.0 s  FAILED\n\
             demo               -  not run\n\
             \n\
             ci: 1 passed, 1 failed, 1 skipped"
        );
        assert!(report.has_failed());
    }

    #[test]
    fn a_skip_alone_is_no_failure() {
        assert!(!report(vec![("deny", Verdict::Skipped(String::new()), None)]).has_failed());
    }
}
