//! `Row`: one work, who does it, and what ours is to reach.

use crate::measure::{Case, Contest};
use crate::report::{Record, Report};

/// One work, who does it, and what ours is to reach.
pub(super) struct Row {
    contest: Contest<'static>,
    targets: Vec<Target>,
}

/// What ours is to reach.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// At most so many nanoseconds.
    Nanos(f64),
    /// At most so many times as long as this one takes.
    Times(&'static str, f64),
    /// At most [`FLAT_MAX`] times as long as the row of this name, which has fewer ranks.
    Flat(String),
}

impl Row {
    /// The row of these cases, ours first.
    pub(super) fn new(work: impl Into<String>, cases: Vec<Case<'static>>) -> Self {
        Self { contest: Contest { work: work.into(), cases }, targets: Vec::new() }
    }

    /// Adds a case, if there is one.
    pub(super) fn beside(mut self, case: impl IntoIterator<Item = Case<'static>>) -> Self {
        self.contest.cases.extend(case);
        self
    }

    /// Adds something to reach.
    pub(super) fn must(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    pub(super) fn into_parts(self) -> (Contest<'static>, Vec<Target>) {
        (self.contest, self.targets)
    }
}

/// Judges what was found in rows by the targets of each.
pub(super) fn judge(targets: &[Vec<Target>], found: &[Vec<Record>], report: &mut Report) {
    for (records, targets) in found.iter().zip(targets) {
        let Some(ours) = records.first() else { continue };
        let work = ours.work();
        for target in targets {
            match target {
                Target::Nanos(max) => report.judge(work, ours.median(), (*max, "ns")),
                Target::Times(of, max) => {
                    let name = format!("{work} ÷ {of}");
                    match records.iter().find(|record| record.by() == *of) {
                        Some(other) => {
                            report.judge(&name, ours.median() / other.median(), (*max, "×"));
                        }
                        None => report.skipped(&name, "was not measured"),
                    }
                }
                Target::Flat(than) => flat(ours, than, found, report),
            }
        }
    }
}

fn flat(ours: &Record, than: &str, found: &[Vec<Record>], report: &mut Report) {
    let mut firsts = found.iter().filter_map(|records| records.first());
    let first = firsts.find(|record| record.work() == than).expect("the row is there");
    let name = format!("{} ÷ {than}", ours.work());
    report.judge(&name, ours.median() / first.median(), (FLAT_MAX, "×"));
}

/// What counts as flat: the noise of a busy machine.
const FLAT_MAX: f64 = 1.25;
