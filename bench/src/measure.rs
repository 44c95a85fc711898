//! Rounds of everybody in turn, so that a change of the machine's mood meets all alike.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::report::{Record, Stats};

/// How much is done for a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Enough to quote.
    Full,
    /// Enough to see that it works.
    Quick,
}

/// Some repetitions, timed together. What is set up for them is not part of the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// How many repetitions; more than zero.
    pub(crate) n: usize,
    /// How long all of them took.
    pub(crate) elapsed: Duration,
}

/// One of those who do the same work.
pub(crate) struct Case<'a> {
    /// `ours`, `floor`, or a peer's name and version.
    by: String,
    batch: Box<dyn FnMut() -> Batch + 'a>,
}

/// One work, and those who do it.
pub(crate) struct Contest<'a> {
    /// What is done, as the figures call it.
    pub(crate) work: String,
    /// Ours first.
    pub(crate) cases: Vec<Case<'a>>,
}

impl Effort {
    /// The words that ask for it on a command line.
    pub(crate) const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Full => &[],
            Self::Quick => &["--quick"],
        }
    }

    /// How many rounds count; one more goes before them to warm up.
    pub(crate) const fn rounds(self) -> usize {
        match self {
            Self::Full => 7,
            Self::Quick => 2,
        }
    }

    /// How long a round of one case takes at least.
    const fn round(self) -> Duration {
        match self {
            Self::Full => Duration::from_millis(20),
            Self::Quick => Duration::from_millis(1),
        }
    }

    /// The file of the figures of a bench. A quick run does not replace figures to quote.
    pub(crate) fn file_name(self, bench: &str) -> String {
        match self {
            Self::Full => format!("{bench}.json"),
            Self::Quick => format!("{bench}-quick.json"),
        }
    }
}

impl<'a> Case<'a> {
    /// A case whose batches take long against the reading of a clock, some 50 ns.
    pub(crate) fn new(by: impl Into<String>, batch: impl FnMut() -> Batch + 'a) -> Self {
        Self { by: by.into(), batch: Box::new(batch) }
    }

    /// A case that does `work` with each of `items`, one after another, in one batch.
    pub(crate) fn each<T: 'a, R>(
        by: impl Into<String>,
        items: Vec<T>,
        mut work: impl FnMut(&T) -> R + 'a,
    ) -> Self {
        Self::new(by, move || {
            let started = Instant::now();
            for item in &items {
                // Looked at where it lies: to be moved is no part of the work.
                black_box(&work(black_box(item)));
            }
            Batch { n: items.len(), elapsed: started.elapsed() }
        })
    }

    /// A case that does `work` so many times in one batch.
    pub(crate) fn repeat<R>(
        by: impl Into<String>,
        n: usize,
        mut work: impl FnMut() -> R + 'a,
    ) -> Self {
        Self::each(by, vec![(); n], move |()| work())
    }

    /// Runs batches for at least `slice`, and adds them to `turns`.
    fn slice(&mut self, slice: Duration, turns: &mut Turns) {
        let until = turns.elapsed + slice;
        while turns.elapsed < until {
            let Batch { n, elapsed } = (self.batch)();
            turns.elapsed += elapsed;
            turns.nanos.push(elapsed.as_secs_f64() * 1e9 / n as f64);
        }
    }
}

/// What one case did in one round.
#[derive(Clone, Debug, Default)]
struct Turns {
    elapsed: Duration,
    /// Of each batch, for one repetition.
    nanos: Vec<f64>,
}

/// The time that each case needs for one repetition of its work.
///
/// All cases of all contests have their turn in each round, so that any two can be compared.
pub(crate) fn times(mut contests: Vec<Contest<'_>>, effort: Effort) -> Vec<Vec<Record>> {
    let n_cases = contests.iter().map(|contest| contest.cases.len()).sum();
    let mut samples = vec![Vec::new(); n_cases];
    for round in 0..=effort.rounds() {
        let cases = contests.iter_mut().flat_map(|contest| &mut contest.cases).collect();
        let found = in_turn(cases, effort.round());
        if round > 0 {
            samples.iter_mut().zip(found).for_each(|(samples, sample)| samples.push(sample));
        }
    }
    let mut samples = samples.into_iter();
    let records = |Contest { work, cases }: Contest<'_>| {
        let figures = cases.into_iter().zip(samples.by_ref());
        let record = |(case, samples): (Case<'_>, _)| {
            Record::new(&*work, case.by, ("time", "ns"), Stats::of(samples))
        };
        figures.map(record).collect()
    };
    contests.into_iter().map(records).collect()
}

/// One round: everybody takes slices in turn until all have had `at_least`. The speed of a machine
/// changes within a round, and slices spread that over all.
///
/// Returns nanoseconds for each repetition, in the median of the batches: whatever else the machine
/// does meets a few of them, and is not the work's.
fn in_turn(mut cases: Vec<&mut Case<'_>>, at_least: Duration) -> Vec<f64> {
    let mut turns = vec![Turns::default(); cases.len()];
    while turns.iter().any(|turns| turns.elapsed < at_least) {
        let entries = cases.iter_mut().zip(&mut turns);
        for (case, turns) in entries.filter(|(_, turns)| turns.elapsed < at_least) {
            case.slice(at_least / N_SLICES, turns);
        }
    }
    turns.into_iter().map(|turns| Stats::of(turns.nanos).median()).collect()
}

/// In how many slices a round is cut.
const N_SLICES: u32 = 20;

#[cfg(test)]
mod tests {
    use super::{Batch, Case, Contest, Duration, Effort, times};

    #[test]
    fn a_round_counts_repetitions_and_not_batches() {
        let batch = || Batch { n: 10, elapsed: Duration::from_millis(30) };
        let contest = Contest { work: "work".into(), cases: vec![Case::new("ours", batch)] };
        let records = times(vec![contest], Effort::Full);
        let [[record]] = &records.iter().map(Vec::as_slice).collect::<Vec<_>>()[..] else {
            panic!("one record for each case: {records:?}")
        };
        assert_eq!((record.median(), record.rounds()), (3e6, 7));
    }
}
