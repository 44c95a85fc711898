//! What was found wrong with what somebody was told.

use std::fmt::{self, Write};

use mesh_testkit::history::Verdict;

use super::figures::bounded;

/// What was found wrong, of how many ends that were to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) lost: usize,
    pub(crate) duplicate: usize,
    pub(crate) spurious: usize,
    pub(crate) wrong_cause: usize,
    pub(crate) n_ends: usize,
    /// What was to be seen: ends, and what ends nothing.
    pub(crate) n_seen: usize,
}

impl Tally {
    /// Of a verdict on so many ends, and what ends nothing.
    pub(crate) const fn new(verdict: &Verdict, n_ends: usize, n_survived: usize) -> Self {
        let Verdict { lost, duplicate, spurious, wrong_cause, .. } = verdict;
        Self {
            lost: lost.len(),
            duplicate: duplicate.len(),
            spurious: spurious.len(),
            wrong_cause: wrong_cause.len(),
            n_ends,
            n_seen: n_ends + n_survived,
        }
    }

    /// Whether nothing is wrong.
    pub(crate) const fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicate == 0 && self.spurious == 0 && self.wrong_cause == 0
    }

    /// Both together.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            duplicate: self.duplicate + other.duplicate,
            spurious: self.spurious + other.spurious,
            wrong_cause: self.wrong_cause + other.wrong_cause,
            n_ends: self.n_ends + other.n_ends,
            n_seen: self.n_seen + other.n_seen,
        }
    }
}

/// A table of them, each by its name.
pub(crate) fn write_tallies(
    to: &mut String,
    tallies: impl Iterator<Item = (String, Tally)>,
) -> fmt::Result {
    writeln!(
        to,
        "\n{:<33}{:>24}{:>24}{:>24}{:>24}",
        "told to, or told of", "lost", "duplicate", "spurious", "wrong cause"
    )?;
    for (name, tally) in tallies {
        let Tally { lost, duplicate, spurious, wrong_cause, n_ends, n_seen } = tally;
        let lost = bounded(lost, n_seen);
        let [duplicate, spurious, wrong] =
            [duplicate, spurious, wrong_cause].map(|count| bounded(count, n_ends));
        writeln!(to, "{name:<33}{lost:>24}{duplicate:>24}{spurious:>24}{wrong:>24}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_anything_wrong_is_not_clean() {
        let clean = Tally { n_ends: 9, n_seen: 9, ..Tally::default() };
        assert!(clean.is_clean());
        for wrong in [
            Tally { lost: 1, ..clean },
            Tally { duplicate: 1, ..clean },
            Tally { spurious: 1, ..clean },
            Tally { wrong_cause: 1, ..clean },
        ] {
            assert!(!wrong.is_clean() && !clean.plus(wrong).is_clean(), "{wrong:?}");
        }
    }
}
