//! What an agent has to say about its ranks: numbered, newest only, kept until it is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_core::{Generation, Incarnation, Update};
use mesh_shape::{Overlay, Rank};

use crate::report::ProcReport;

/// The newest report about each rank of one mesh, and which of them the controller has not had.
///
/// Bound: one report for each rank, however long the controller does not take any.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    newest: BTreeMap<Rank, Report>,
    unsent: BTreeSet<Rank>,
}

#[derive(Clone, Debug)]
struct Report {
    incarnation: Incarnation,
    generation: Generation,
    /// When it was seen, on the agent's own clock.
    evidence: Duration,
    report: ProcReport,
}

impl Reporter {
    /// A new report. Every report of an incarnation has a greater generation than the one before; a
    /// report of an older incarnation than the newest is dropped.
    pub(crate) fn report(
        &mut self,
        rank: Rank,
        incarnation: Incarnation,
        evidence: Duration,
        report: ProcReport,
    ) {
        let generation = match self.newest.get(&rank) {
            Some(newest) if newest.incarnation > incarnation => return,
            Some(newest) if newest.incarnation == incarnation => newest.generation.next(),
            Some(_) | None => Generation::FIRST,
        };
        self.newest.insert(rank, Report { incarnation, generation, evidence, report });
        self.unsent.insert(rank);
    }

    /// What the controller has not had. It counts as sent; give it back with
    /// [`keep`](Self::keep) if it was not taken.
    pub(crate) fn take_unsent(&mut self, now: Duration) -> Overlay<Update<ProcReport>> {
        let unsent = std::mem::take(&mut self.unsent);
        unsent
            .into_iter()
            .filter_map(|rank| Some((rank, self.newest.get(&rank)?.update(now))))
            .collect()
    }

    /// These reports were not taken: they are to be sent again.
    pub(crate) fn keep(&mut self, reports: &Overlay<Update<ProcReport>>) {
        self.unsent.extend(reports.iter().map(|(rank, _)| rank));
    }

    /// The newest report about every rank: the answer to a poll. Old evidence has no age here, so
    /// that ranks that are alike are one run.
    pub(crate) fn poll(&self) -> Overlay<Update<ProcReport>> {
        self.newest
            .iter()
            .map(|(rank, report)| {
                (*rank, Update { age: Duration::ZERO, ..report.update(report.evidence) })
            })
            .collect()
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }
}

impl Report {
    fn update(&self, now: Duration) -> Update<ProcReport> {
        Update {
            incarnation: self.incarnation,
            generation: self.generation,
            age: now.saturating_sub(self.evidence),
            report: self.report.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANK: Rank = Rank::new(3);

    fn generations(reports: &Overlay<Update<ProcReport>>) -> Vec<(Rank, u64, u64)> {
        reports
            .iter()
            .map(|(rank, update)| (rank, update.incarnation.number(), update.generation.number()))
            .collect()
    }

    /// H1, L1
    #[test]
    fn generations_rise_within_an_incarnation_and_start_again_with_the_next() {
        let mut reporter = Reporter::default();
        let (first, second) = (Incarnation::FIRST, Incarnation::FIRST.next());
        reporter.report(RANK, first, Duration::ZERO, ProcReport::Starting);
        assert_eq!(generations(&reporter.take_unsent(Duration::ZERO)), [(RANK, 0, 0)]);
        reporter.report(RANK, first, Duration::ZERO, ProcReport::Ready);
        assert_eq!(generations(&reporter.take_unsent(Duration::ZERO)), [(RANK, 0, 1)]);
        reporter.report(RANK, second, Duration::ZERO, ProcReport::Starting);
        reporter.report(RANK, first, Duration::ZERO, ProcReport::Ready);
        assert_eq!(generations(&reporter.take_unsent(Duration::ZERO)), [(RANK, 1, 0)]);
        assert!(reporter.take_unsent(Duration::ZERO).is_empty(), "each is sent once");
    }

    #[test]
    fn what_was_not_taken_is_sent_again_with_its_true_age() {
        let mut reporter = Reporter::default();
        reporter.report(RANK, Incarnation::FIRST, Duration::from_secs(5), ProcReport::Ready);
        let refused = reporter.take_unsent(Duration::from_secs(5));
        reporter.keep(&refused);
        let again = reporter.take_unsent(Duration::from_secs(7));
        assert_eq!(again.get(RANK).map(|update| update.age), Some(Duration::from_secs(2)));
    }

    /// H8
    #[test]
    fn ranks_that_are_alike_are_one_run_of_a_poll() {
        let mut reporter = Reporter::default();
        for rank in 0..1_000 {
            let evidence = Duration::from_millis(rank as u64);
            reporter.report(Rank::new(rank), Incarnation::FIRST, evidence, ProcReport::Ready);
        }
        assert_eq!(reporter.poll().n_runs(), 1);
    }
}
