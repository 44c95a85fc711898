//! Sorted runs of ranks with a value each: what rank sets, value meshes and overlays are made of.

use std::ops::Range;

/// Runs of ranks, each with one value.
///
/// Invariants: no run is empty; runs are sorted and disjoint; of two runs that touch, the values
/// differ. So equal contents are equal structures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Runs<T>(Vec<(Range<usize>, T)>);

/// As many runs as are searched without a guess, and the first step away from one.
const FEW: usize = 32;

impl<T> Runs<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// One run, or none if `range` is empty.
    pub(crate) fn one(range: Range<usize>, value: T) -> Self {
        if range.is_empty() { Self::new() } else { Self(vec![(range, value)]) }
    }

    pub(crate) fn as_slice(&self) -> &[(Range<usize>, T)] {
        &self.0
    }

    pub(crate) fn into_vec(self) -> Vec<(Range<usize>, T)> {
        self.0
    }

    /// The place of the first run that ends after `rank`.
    ///
    /// Looks first where the rank would be if all runs were of one length, then twice as far and
    /// twice as far again: at worst two binary searches, and in a large mesh whose runs are alike a
    /// few probes that lie near each other in memory.
    #[inline]
    fn place_of(&self, rank: usize) -> usize {
        let n_runs = self.0.len();
        if n_runs <= FEW {
            return self.0.partition_point(|(run, _)| run.end <= rank);
        }
        // No more than a guess, so rounding does no harm; a cast to an integer saturates.
        let guess = (rank as f64 * (n_runs as f64 / self.end() as f64)) as usize;
        if self.0.get(guess).is_some_and(|(run, _)| run.contains(&rank)) {
            return guess;
        }
        let is_before = |at: usize| self.0.get(at).is_some_and(|(run, _)| run.end <= rank);
        let (mut low, mut high, mut step) = (guess.min(n_runs), guess.min(n_runs), FEW);
        if is_before(low) {
            while is_before(high) {
                low = high;
                high = high.saturating_add(step).min(n_runs);
                step *= 2;
            }
        } else {
            while low > 0 && !is_before(low) {
                high = low;
                low = low.saturating_sub(step);
                step *= 2;
            }
        }
        let between = self.0.get(low..high).unwrap_or_default();
        low + between.partition_point(|(run, _)| run.end <= rank)
    }

    /// The run that holds `rank`, and its value.
    #[inline]
    pub(crate) fn get(&self, rank: usize) -> Option<&(Range<usize>, T)> {
        self.0.get(self.place_of(rank)).filter(|(run, _)| run.start <= rank)
    }

    /// The number of ranks in all runs.
    pub(crate) fn n_ranks(&self) -> usize {
        self.0.iter().map(|(run, _)| run.len()).sum()
    }

    /// The rank after the last one, 0 if there is none.
    pub(crate) fn end(&self) -> usize {
        self.0.last().map_or(0, |(run, _)| run.end)
    }
}

impl<T: PartialEq> Runs<T> {
    /// Appends a run that does not begin before the end; an empty one changes nothing.
    pub(crate) fn push(&mut self, range: Range<usize>, value: T) {
        debug_assert!(range.start >= self.end(), "runs are pushed in order");
        if range.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some((last, same)) if last.end == range.start && *same == value => last.end = range.end,
            _ => self.0.push((range, value)),
        }
    }

    /// The runs of values that come in any order; of two for one rank the later wins.
    pub(crate) fn from_unsorted(mut entries: Vec<(usize, T)>) -> Self {
        entries.sort_by_key(|(rank, _)| *rank);
        let mut runs = Self::new();
        let mut entries = entries.into_iter().peekable();
        while let Some((rank, value)) = entries.next() {
            // The sort is stable: the last of equal ranks came last.
            let is_last = entries.peek().is_none_or(|(next, _)| *next != rank);
            if let Some(end) = rank.checked_add(1).filter(|_| is_last) {
                runs.push(rank..end, value);
            }
        }
        runs
    }
}

impl<T: Clone + PartialEq> Runs<T> {
    /// Gives `value` to every rank of `range`, whatever they had.
    pub(crate) fn insert(&mut self, range: Range<usize>, value: T) {
        if range.start >= self.end() {
            self.push(range, value);
        } else if !range.is_empty() {
            self.replace(range, Some(value));
        }
    }

    /// Takes every rank of `range` away.
    pub(crate) fn remove(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.replace(range, None);
        }
    }

    /// Lays sorted, disjoint, non-empty runs over these; linear in both.
    pub(crate) fn merge(&mut self, right: impl ExactSizeIterator<Item = (Range<usize>, T)>) {
        // A splice moves the runs behind it and touches no others: better for one, not for many.
        if right.len() <= 1 {
            right.for_each(|(range, value)| self.insert(range, value));
            return;
        }
        let mut merged = Self(Vec::with_capacity(self.0.len() + right.len()));
        let mut left = std::mem::take(&mut self.0).into_iter();
        let mut rest = left.next();
        for (range, value) in right {
            while let Some((run, kept)) = rest.take() {
                if run.start >= range.end {
                    rest = Some((run, kept));
                    break;
                }
                let (before, after) = (run.start..run.end.min(range.start), range.end..run.end);
                if after.is_empty() {
                    merged.push(before, kept);
                    rest = left.next();
                } else {
                    merged.push(before, kept.clone());
                    rest = Some((after, kept));
                    break;
                }
            }
            merged.push(range, value);
        }
        rest.into_iter().chain(left).for_each(|(run, value)| merged.push(run, value));
        *self = merged;
    }

    /// Puts `value`, or nothing, in the place of a non-empty range.
    fn replace(&mut self, range: Range<usize>, value: Option<T>) {
        // The runs that overlap the range or touch it.
        let first = self.0.partition_point(|(run, _)| run.end < range.start);
        let after = self.0.partition_point(|(run, _)| run.start <= range.end);
        let touched = self.0.get(first..after).unwrap_or_default();
        let mut replacement = Self(Vec::with_capacity(3));
        if let Some((run, kept)) = touched.first() {
            replacement.push(run.start..run.end.min(range.start), kept.clone());
        }
        if let Some(value) = value {
            replacement.push(range.clone(), value);
        }
        if let Some((run, kept)) = touched.last() {
            replacement.push(run.start.max(range.end)..run.end, kept.clone());
        }
        self.0.splice(first..after, replacement.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_is_found_among_many_uneven_runs() {
        // Runs of many lengths with gaps between some: the guess is wrong in both directions.
        for growth in 0..4_usize {
            let mut runs = Runs::new();
            for at in 0..300_usize {
                let start = runs.end() + usize::from(at % 3 == 0);
                runs.push(start..start + 1 + (at * growth) % 17 + at / 100 * growth * 50, at);
            }
            for rank in 0..runs.end() + 5 {
                let found = runs.as_slice().iter().find(|(run, _)| run.contains(&rank));
                assert_eq!(runs.get(rank), found, "rank {rank}, growth {growth}");
            }
            assert_eq!(runs.get(usize::MAX), None);
        }
    }
}
