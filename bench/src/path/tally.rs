//! What was found in each round, and the figures that are made of it.

use std::time::Duration;

use crate::report::{Record, Stats};

/// The times of one who does a work, round by round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Vec<f64>>);

/// A work, and the times of both who do it.
#[derive(Clone, Debug)]
pub(crate) struct Duel {
    work: String,
    pub(crate) ours: Times,
    pub(crate) floor: Times,
}

/// Which of the times of a round stands for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    P50,
    P99,
    Worst,
}

impl Times {
    pub(crate) fn begin_round(&mut self) {
        self.0.push(Vec::new());
    }

    pub(crate) fn push(&mut self, elapsed: Duration) {
        if let Some(round) = self.0.last_mut() {
            round.push(elapsed.as_secs_f64() * 1e9);
        }
    }

    /// The figure of each round after the first, which warms up.
    fn stats(&self, figure: Figure) -> Option<Stats> {
        let rounds = self.0.iter().skip(1).filter(|round| !round.is_empty());
        let found: Vec<f64> = rounds.map(|round| figure.of(round)).collect();
        (!found.is_empty()).then(|| Stats::of(found))
    }
}

impl Duel {
    pub(crate) fn new(work: impl Into<String>) -> Self {
        Self { work: work.into(), ours: Times::default(), floor: Times::default() }
    }

    pub(crate) fn begin_round(&mut self) {
        self.ours.begin_round();
        self.floor.begin_round();
    }

    /// One figure of it, ours first. It is named after the work and `suffix`.
    pub(crate) fn records(&self, figure: Figure, suffix: &str) -> Vec<Record> {
        let work = format!("{}{suffix}", self.work);
        let both = [("ours", &self.ours), ("floor", &self.floor)];
        let found = both.iter().filter_map(|(by, times)| Some((by, times.stats(figure)?)));
        found.map(|(by, stats)| Record::new(&*work, *by, (figure.name(), "ns"), stats)).collect()
    }
}

impl Duel {
    /// One figure of two of ours beside one floor, which has done the work for both.
    pub(crate) fn beside(
        &self,
        (by, other): (&str, &Self),
        figure: Figure,
        suffix: &str,
    ) -> Vec<Record> {
        let mut records = self.records(figure, suffix);
        if let Some(stats) = other.ours.stats(figure) {
            let work = format!("{}{suffix}", self.work);
            let record = Record::new(work, by, (figure.name(), "ns"), stats);
            records.insert(records.len().min(1), record);
        }
        records
    }
}

impl Figure {
    /// The figure of some times; at least one.
    fn of(self, nanos: &[f64]) -> f64 {
        let mut nanos = nanos.to_vec();
        nanos.sort_by(f64::total_cmp);
        let last = nanos.len().saturating_sub(1);
        let index = match self {
            Self::P50 => last / 2,
            Self::P99 => last * 99 / 100,
            Self::Worst => last,
        };
        nanos.get(index).copied().unwrap_or(f64::NAN)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::Worst => "max",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duel, Duration, Figure};

    #[test]
    fn a_round_stands_for_itself_and_the_first_does_not_count() {
        let mut duel = Duel::new("work");
        for round in 0..3 {
            duel.begin_round();
            (0..101).for_each(|n| duel.ours.push(Duration::from_nanos(round * 1_000 + n)));
        }
        let p50 = duel.records(Figure::P50, "; p50");
        let [record] = &p50[..] else { panic!("the floor did nothing: {p50:?}") };
        assert_eq!((record.work(), record.median().round()), ("work; p50", 1_550.0));
        assert_eq!(duel.records(Figure::P99, "")[0].median().round(), 1_599.0);
        assert_eq!(duel.records(Figure::Worst, "")[0].median().round(), 1_600.0);
    }
}
