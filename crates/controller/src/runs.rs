//! A value for every rank of `0..size`, as runs of equal values that can be changed in place.
//!
//! A B-tree from the start of each run to its value: a change of a range costs O(log runs) and the
//! runs that it covers, however many ranks they hold (H8).

use std::collections::BTreeMap;
use std::ops::Range;

/// Runs of equal values over `0..size`.
///
/// Invariants: the first key is 0 if `size > 0`; keys are below `size`; values of neighbouring runs
/// differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunMap<T> {
    starts: BTreeMap<usize, T>,
    size: usize,
}

impl<T: Clone + PartialEq> RunMap<T> {
    pub(crate) fn uniform(size: usize, value: T) -> Self {
        let starts = if size > 0 { BTreeMap::from([(0, value)]) } else { BTreeMap::new() };
        Self { starts, size }
    }

    /// Sets every rank of `range`, as far as it is inside the size.
    pub(crate) fn set(&mut self, range: Range<usize>, value: T) {
        let range = range.start..range.end.min(self.size);
        if range.is_empty() {
            return;
        }
        self.split_at(range.end);
        self.split_at(range.start);
        let inner: Vec<usize> = self.starts.range(range.clone()).map(|(start, _)| *start).collect();
        for start in inner {
            self.starts.remove(&start);
        }
        if self.starts.get(&range.end) == Some(&value) {
            self.starts.remove(&range.end);
        }
        let before = self.starts.range(..range.start).next_back();
        if before.is_none_or(|(_, left)| *left != value) {
            self.starts.insert(range.start, value);
        }
    }

    /// Makes `at` the start of a run, for the time of one change.
    fn split_at(&mut self, at: usize) {
        if at >= self.size {
            return;
        }
        if let Some((start, value)) = self.starts.range(..=at).next_back()
            && *start != at
        {
            let value = value.clone();
            self.starts.insert(at, value);
        }
    }

    pub(crate) fn get(&self, rank: usize) -> Option<&T> {
        if rank >= self.size {
            return None;
        }
        self.starts.range(..=rank).next_back().map(|(_, value)| value)
    }

    /// The runs that meet `range`, cut to it, in order.
    pub(crate) fn runs_in(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, &T)> {
        let range = range.start..range.end.min(self.size);
        let first = self.starts.range(..=range.start).next_back().map_or(0, |(start, _)| *start);
        let empty = range.is_empty();
        let mut starts = self.starts.range(first..range.end.max(first)).peekable();
        std::iter::from_fn(move || {
            if empty {
                return None;
            }
            let (start, value) = starts.next()?;
            let end = starts.peek().map_or(range.end, |(next, _)| **next);
            Some(((*start).max(range.start)..end.min(range.end), value))
        })
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = (Range<usize>, &T)> {
        self.runs_in(0..self.size)
    }

    pub(crate) fn n_runs(&self) -> usize {
        self.starts.len()
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_what_a_plain_vector_holds(
            size in 0_usize..24,
            changes in prop::collection::vec((0_usize..30, 0_usize..12, 0_u8..3), 0..40),
            window in (0_usize..26, 0_usize..26),
        ) {
            let mut runs = RunMap::uniform(size, 0);
            let mut naive = vec![0; size];
            for (start, len, value) in changes {
                runs.set(start..start + len, value);
                naive[start.min(size)..(start + len).min(size)].fill(value);
            }
            let expanded: Vec<u8> = runs.runs().flat_map(|(range, value)| range.map(|_| *value)).collect();
            prop_assert_eq!(&expanded, &naive);
            let mut pairs = runs.runs().zip(runs.runs().skip(1));
            let is_canonical =
                pairs.all(|((left, a), (right, b))| left.end == right.start && a != b);
            prop_assert!(is_canonical);
            for rank in 0..size + 2 {
                prop_assert_eq!(runs.get(rank), naive.get(rank));
            }
            let (start, end) = (window.0.min(size), window.1.min(size));
            let cut: Vec<u8> = runs.runs_in(start..end).flat_map(|(range, value)| range.map(|_| *value)).collect();
            prop_assert_eq!(&cut[..], naive.get(start..end).unwrap_or_default());
        }
    }
}
