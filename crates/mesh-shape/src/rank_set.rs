//! A set of ranks, kept as runs.
//!
//! Of our own, because a set here is a field of a message or of a condition: it has few runs and is
//! sent, compared and intersected more than it is changed. Both well-known sets were looked at.
//! `range-set-blaze` keeps a B-tree for each set and brings a tree of dependencies (itertools,
//! num-integer, num-traits) into a crate that has none; it has no serde. `roaring` is limited to
//! 32-bit members, or a B-tree of bitmaps for 64, and sends a format of bytes that cannot be read
//! by eye. A sorted vector of runs is smaller than either, and its operations are short loops.

mod iter;
mod ops;
mod regions;
mod text;

use std::ops::Range;

use crate::rank::Rank;
use crate::runs::Runs;

pub use iter::RankSetIter;

/// A set of ranks, kept as sorted, disjoint runs that do not touch.
///
/// Every operation works by runs, never rank by rank; looking a rank up takes the logarithm of
/// their number. Equal sets are equal structures. `usize::MAX` is a rank of no mesh, and is never
/// held. The text form is half-open: `0..4,7,9..12`; the empty set is written `()`.
///
/// # Examples
///
/// ```
/// use mesh_shape::{Rank, RankSet};
///
/// let mut ranks = RankSet::from(0..4);
/// ranks.insert(Rank::new(7));
/// assert_eq!(ranks.len(), 5);
/// assert_eq!(ranks.to_string(), "0..4,7");
/// assert_eq!(ranks.complement(9).to_string(), "4..7,8");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RankSet(Runs<()>);

impl RankSet {
    /// The empty set.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert_eq!(RankSet::new().to_string(), "()");
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self(Runs::new())
    }

    /// The empty set, where the word reads better.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert_eq!(RankSet::empty(), RankSet::new());
    /// ```
    #[must_use]
    pub const fn empty() -> Self {
        Self::new()
    }

    /// The set of `ranks`, in any order, repeated or not.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, RankSet};
    ///
    /// let ranks = RankSet::from_ranks([3, 1, 2, 3].map(Rank::new));
    /// assert_eq!(ranks, RankSet::from(1..4));
    /// ```
    pub fn from_ranks(ranks: impl IntoIterator<Item = Rank>) -> Self {
        ranks.into_iter().collect()
    }

    /// Adds a rank; answers whether it was absent, as the sets of std do.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, RankSet};
    ///
    /// let mut ranks = RankSet::from(0..4);
    /// assert!(ranks.insert(Rank::new(4)) && !ranks.insert(Rank::new(4)));
    /// assert_eq!(ranks, RankSet::from(0..5));
    /// ```
    pub fn insert(&mut self, rank: Rank) -> bool {
        let Some(end) = rank.index().checked_add(1) else { return false };
        let was_absent = !self.contains(rank);
        if was_absent {
            self.insert_range(rank.index()..end);
        }
        was_absent
    }

    /// Adds every rank of `range`; an empty one changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// let mut ranks = RankSet::from(0..4);
    /// ranks.insert_range(2..8);
    /// assert_eq!(ranks, RankSet::from(0..8));
    /// ```
    pub fn insert_range(&mut self, range: Range<usize>) {
        self.0.insert(range, ());
    }

    /// Takes a rank away; answers whether it was there, as the sets of std do.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, RankSet};
    ///
    /// let mut ranks = RankSet::from(0..4);
    /// assert!(ranks.remove(Rank::new(1)) && !ranks.remove(Rank::new(1)));
    /// assert_eq!(ranks.to_string(), "0,2..4");
    /// ```
    pub fn remove(&mut self, rank: Rank) -> bool {
        let was_there = self.contains(rank);
        if was_there {
            self.remove_range(rank.index()..rank.index().saturating_add(1));
        }
        was_there
    }

    /// Takes every rank of `range` away; an empty one changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// let mut ranks = RankSet::from(0..8);
    /// ranks.remove_range(2..6);
    /// assert_eq!(ranks.to_string(), "0..2,6..8");
    /// ```
    pub fn remove_range(&mut self, range: Range<usize>) {
        self.0.remove(range);
    }

    /// Whether the set holds `rank`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, RankSet};
    ///
    /// let ranks = RankSet::from(2..5);
    /// assert!(ranks.contains(Rank::new(4)) && !ranks.contains(Rank::new(5)));
    /// ```
    #[must_use]
    #[inline]
    pub fn contains(&self, rank: Rank) -> bool {
        self.0.get(rank.index()).is_some()
    }

    /// The number of ranks.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert_eq!(RankSet::from(2..5).len(), 3);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.n_ranks()
    }

    /// Whether there are no ranks.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert!(RankSet::from(5..5).is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    /// The number of runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// let ranks: RankSet = "0..4,7".parse()?;
    /// assert_eq!((ranks.n_runs(), ranks.len()), (2, 5));
    /// # Ok::<(), mesh_shape::ParseShapeError>(())
    /// ```
    #[must_use]
    pub fn n_runs(&self) -> usize {
        self.0.as_slice().len()
    }

    /// The lowest rank.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, RankSet};
    ///
    /// assert_eq!(RankSet::from(2..5).first(), Some(Rank::new(2)));
    /// ```
    #[must_use]
    pub fn first(&self) -> Option<Rank> {
        self.0.as_slice().first().map(|(run, ())| Rank::new(run.start))
    }

    /// The highest rank.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, RankSet};
    ///
    /// assert_eq!(RankSet::from(2..5).last(), Some(Rank::new(4)));
    /// ```
    #[must_use]
    pub fn last(&self) -> Option<Rank> {
        self.0.as_slice().last().map(|(run, ())| Rank::new(run.end - 1))
    }

    /// The runs, in rising order.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// let ranks: RankSet = "0..4,7".parse()?;
    /// assert!(ranks.runs().eq([0..4, 7..8]));
    /// # Ok::<(), mesh_shape::ParseShapeError>(())
    /// ```
    pub fn runs(&self) -> impl ExactSizeIterator<Item = Range<usize>> + DoubleEndedIterator {
        self.0.as_slice().iter().map(|(run, ())| run.clone())
    }

    /// The runs of the ranks that are in `range`, in rising order. Finding the first takes the logarithm
    /// of the number of runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// let ranks: RankSet = "0..4,7,9..12".parse()?;
    /// assert_eq!(ranks.runs_within(2..10).collect::<Vec<_>>(), [2..4, 7..8, 9..10]);
    /// # Ok::<(), mesh_shape::ParseShapeError>(())
    /// ```
    pub fn runs_within(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let runs = self.0.as_slice();
        let first = runs.partition_point(|(run, ())| run.end <= range.start);
        let (start, end) = (range.start, range.end);
        let within = runs.get(first..).unwrap_or_default().iter();
        within
            .take_while(move |(run, ())| run.start < end)
            .map(move |(run, ())| run.start.max(start)..run.end.min(end))
            .filter(|run| !run.is_empty())
    }

    /// The ranks, in rising order.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, RankSet};
    ///
    /// assert!(RankSet::from(2..5).iter().eq([2, 3, 4].map(Rank::new)));
    /// ```
    #[must_use]
    pub fn iter(&self) -> RankSetIter<'_> {
        RankSetIter::new(self.0.as_slice())
    }

    /// The runs, as other modules of runs take them.
    pub(crate) fn as_runs(&self) -> &Runs<()> {
        &self.0
    }

    pub(crate) const fn from_runs(runs: Runs<()>) -> Self {
        Self(runs)
    }
}

impl Default for RankSet {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Range<usize>> for RankSet {
    fn from(range: Range<usize>) -> Self {
        Self(Runs::one(range, ()))
    }
}

impl FromIterator<Rank> for RankSet {
    fn from_iter<I: IntoIterator<Item = Rank>>(ranks: I) -> Self {
        Self(Runs::from_unsorted(ranks.into_iter().map(|rank| (rank.index(), ())).collect()))
    }
}

impl Extend<Rank> for RankSet {
    fn extend<I: IntoIterator<Item = Rank>>(&mut self, ranks: I) {
        *self = self.union(&ranks.into_iter().collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_touch_are_one() {
        let mut ranks = RankSet::from(0..2);
        ranks.insert_range(4..6);
        ranks.insert_range(2..4);
        assert_eq!(ranks, RankSet::from(0..6));
    }

    #[test]
    fn the_last_number_is_never_held() {
        let mut ranks = RankSet::from_ranks([Rank::new(usize::MAX)]);
        assert!(ranks.is_empty() && !ranks.insert(Rank::new(usize::MAX)));
        ranks.insert_range(5..usize::MAX);
        assert_eq!(ranks.len(), usize::MAX - 5);
        assert!(!ranks.contains(Rank::new(usize::MAX)) && !ranks.remove(Rank::new(usize::MAX)));
        assert_eq!(ranks.complement(usize::MAX), RankSet::from(0..5));
    }

    #[test]
    fn an_empty_range_changes_nothing() {
        let mut ranks = RankSet::from(2..6);
        ranks.insert_range(4..4);
        ranks.remove_range(4..4);
        ranks.insert_range(9..9);
        assert_eq!((ranks.n_runs(), ranks.len()), (1, 4));
        assert_eq!(RankSet::from(3..3), RankSet::new());
    }

    #[test]
    fn the_ends_are_the_lowest_and_the_highest_rank() {
        let ranks = RankSet::from_ranks([9, 2, 3].map(Rank::new));
        assert_eq!((ranks.first(), ranks.last()), (Some(Rank::new(2)), Some(Rank::new(9))));
        assert_eq!((RankSet::new().first(), RankSet::new().last()), (None, None));
    }
}
