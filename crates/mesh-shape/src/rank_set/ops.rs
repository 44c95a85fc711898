//! What two sets of ranks make together; each takes the sum of their runs.

use std::ops::Range;

use super::RankSet;
use crate::runs::Runs;

impl RankSet {
    /// The ranks that are in this set or in `other`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert_eq!(RankSet::from(0..3).union(&RankSet::from(2..5)), RankSet::from(0..5));
    /// ```
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.0.clone();
        union.merge(other.as_runs().as_slice().iter().cloned());
        Self(union)
    }

    /// The ranks that are in this set and in `other`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert_eq!(RankSet::from(0..3).intersection(&RankSet::from(2..5)), RankSet::from(2..3));
    /// ```
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Runs::new();
        for common in common_runs(self, other) {
            both.push(common, ());
        }
        Self(both)
    }

    /// The ranks that are in this set and not in `other`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert_eq!(RankSet::from(0..3).difference(&RankSet::from(2..5)), RankSet::from(0..2));
    /// ```
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement(usize::MAX))
    }

    /// The ranks of `0..size` that are not in this set.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert_eq!(RankSet::from(2..5).complement(4), RankSet::from(0..2));
    /// ```
    #[must_use]
    pub fn complement(&self, size: usize) -> Self {
        let mut gaps = Runs::new();
        let mut start = 0;
        for run in self.runs().take_while(|run| run.start < size) {
            gaps.push(start..run.start, ());
            start = run.end;
        }
        gaps.push(start..size, ());
        Self(gaps)
    }

    /// Whether every rank of this set is in `other`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert!(RankSet::from(2..4).is_subset(&RankSet::from(0..5)));
    /// assert!(!RankSet::from(2..6).is_subset(&RankSet::from(0..5)));
    /// ```
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        // Runs do not touch, so each must lie in one run of the other.
        self.runs().all(|run| {
            other.as_runs().get(run.start).is_some_and(|(holder, ())| run.end <= holder.end)
        })
    }

    /// Whether a rank is in both sets.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert!(RankSet::from(2..6).intersects(&RankSet::from(0..5)));
    /// assert!(!RankSet::from(5..6).intersects(&RankSet::from(0..5)));
    /// ```
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        common_runs(self, other).next().is_some()
    }
}

/// The runs that two sets share, in rising order.
fn common_runs(left: &RankSet, right: &RankSet) -> impl Iterator<Item = Range<usize>> {
    let mut lefts = left.runs().peekable();
    let mut rights = right.runs().peekable();
    std::iter::from_fn(move || {
        loop {
            let (left, right) = (lefts.peek()?, rights.peek()?);
            let common = left.start.max(right.start)..left.end.min(right.end);
            if left.end <= right.end {
                lefts.next();
            } else {
                rights.next();
            }
            if !common.is_empty() {
                return Some(common);
            }
        }
    })
}
