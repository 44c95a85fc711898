//! A work, those who do it, and what each round has found.

use std::time::Duration;

use crate::report::{Record, Stats};

/// A work, and those who do it in turn; ours comes first.
pub(crate) struct Work {
    name: String,
    metric: (&'static str, &'static str),
    cases: Vec<Case>,
}

struct Case {
    by: String,
    /// Of each round, the one that warms up too.
    rounds: Vec<Vec<f64>>,
}

impl Work {
    /// A work that takes time.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), metric: ("time", "ns"), cases: Vec::new() }
    }

    /// A work by which processes are left behind.
    pub(crate) fn leaving(name: impl Into<String>) -> Self {
        Self { metric: ("left behind", "processes"), ..Self::new(name) }
    }

    /// Adds what `by` took in a round.
    pub(crate) fn push(&mut self, by: &str, round: usize, elapsed: Duration) {
        self.count(by, round, elapsed.as_secs_f64() * 1e9);
    }

    /// Adds what `by` found in a round.
    pub(crate) fn count(&mut self, by: &str, round: usize, found: f64) {
        let known = self.cases.iter().position(|case| case.by == by);
        let index = known.unwrap_or_else(|| {
            self.cases.push(Case { by: by.to_owned(), rounds: Vec::new() });
            self.cases.len() - 1
        });
        if let Some(case) = self.cases.get_mut(index) {
            case.rounds.resize(case.rounds.len().max(round + 1), Vec::new());
            if let Some(times) = case.rounds.get_mut(round) {
                times.push(found);
            }
        }
    }

    /// The figures: of each round the median, and the first round does not count.
    pub(crate) fn records(self) -> Vec<Record> {
        let Self { name, metric, cases } = self;
        let record = |case: Case| {
            let rounds = case.rounds.into_iter().skip(1).filter(|times| !times.is_empty());
            let found: Vec<f64> = rounds.map(|times| Stats::of(times).median()).collect();
            let stats = (!found.is_empty()).then(|| Stats::of(found))?;
            Some(Record::new(&*name, case.by, metric, stats))
        };
        cases.into_iter().filter_map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Work};

    #[test]
    fn the_first_round_does_not_count_and_the_others_do_by_their_medians() {
        let mut work = Work::new("work");
        for (round, nanos) in [(0, 9), (1, 1), (1, 2), (1, 9), (2, 4)] {
            work.push("ours", round, Duration::from_nanos(nanos));
        }
        work.push("floor", 0, Duration::from_nanos(1));
        let records = work.records();
        let [ours] = &records[..] else { panic!("the floor only warmed up: {records:?}") };
        assert_eq!((ours.by(), ours.median().round(), ours.rounds()), ("ours", 3.0, 2));
    }
}
