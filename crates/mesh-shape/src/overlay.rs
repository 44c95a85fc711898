//! Values for some ranks, to be laid over others.

use std::ops::Range;

use crate::rank::Rank;
use crate::rank_set::RankSet;
use crate::runs::Runs;
use crate::value_mesh::ValueMesh;

/// Values for some ranks, kept as sorted, disjoint runs; where two overlays meet the right one wins.
///
/// Runs that touch and have equal values are one run, so overlays made with
/// [`insert`](Self::insert), [`merge`](Self::merge) and `collect` are equal structures when their
/// contents are equal. `usize::MAX` is a rank of no mesh, and is never held.
///
/// # Examples
///
/// ```
/// use mesh_shape::{Overlay, Rank};
///
/// let mut left: Overlay<&str> = [(Rank::new(1), "a"), (Rank::new(0), "a")].into_iter().collect();
/// left.insert(1..4, "b");
/// assert_eq!(left.runs().collect::<Vec<_>>(), [(0..1, &"a"), (1..4, &"b")]);
///
/// left.merge(Overlay::from_rank(Rank::new(2), "c"));
/// assert_eq!(left.get(Rank::new(2)), Some(&"c"));
/// assert_eq!(left.n_runs(), 4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Overlay<T>(Runs<T>);

impl<T> Overlay<T> {
    /// The overlay without values.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Overlay;
    ///
    /// assert!(Overlay::<u8>::new().is_empty());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self(Runs::new())
    }

    /// The overlay with one value for one rank.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Overlay, Rank};
    ///
    /// let one = Overlay::from_rank(Rank::new(7), "late");
    /// assert_eq!(one, Overlay::from_range(7..8, "late"));
    /// ```
    #[must_use]
    pub fn from_rank(rank: Rank, value: T) -> Self {
        Self::from_range(rank.index()..rank.index().saturating_add(1), value)
    }

    /// The overlay with one value for every rank of `range`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Overlay;
    ///
    /// assert_eq!(Overlay::from_range(2..5, "ok").len(), 3);
    /// assert!(Overlay::from_range(5..5, "ok").is_empty());
    /// ```
    #[must_use]
    pub fn from_range(range: Range<usize>, value: T) -> Self {
        Self(Runs::one(range, value))
    }

    /// The value of `rank`; takes the logarithm of the number of runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Overlay, Rank};
    ///
    /// let replies = Overlay::from_range(2..5, "ok");
    /// assert_eq!(replies.get(Rank::new(4)), Some(&"ok"));
    /// assert_eq!(replies.get(Rank::new(5)), None);
    /// ```
    #[must_use]
    #[inline]
    pub fn get(&self, rank: Rank) -> Option<&T> {
        self.0.get(rank.index()).map(|(_, value)| value)
    }

    /// The number of ranks that have a value.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Overlay;
    ///
    /// assert_eq!(Overlay::from_range(0..1_000_000, "ok").len(), 1_000_000);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.n_ranks()
    }

    /// Whether no rank has a value.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Overlay;
    ///
    /// assert!(!Overlay::from_range(0..1, "ok").is_empty());
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
    /// use mesh_shape::Overlay;
    ///
    /// assert_eq!(Overlay::from_range(0..1_000_000, "ok").n_runs(), 1);
    /// ```
    #[must_use]
    pub fn n_runs(&self) -> usize {
        self.0.as_slice().len()
    }

    /// The ranks that have a value.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Overlay, RankSet};
    ///
    /// assert_eq!(Overlay::from_range(2..5, "ok").ranks(), RankSet::from(2..5));
    /// ```
    #[must_use]
    pub fn ranks(&self) -> RankSet {
        let mut ranks = Runs::new();
        self.runs().for_each(|(run, _)| ranks.push(run, ()));
        RankSet::from_runs(ranks)
    }

    /// The runs and their values, in rising order.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Overlay;
    ///
    /// let mut replies = Overlay::from_range(2..5, "ok");
    /// replies.insert(4..6, "late");
    /// assert!(replies.runs().eq([(2..4, &"ok"), (4..6, &"late")]));
    /// ```
    pub fn runs(&self) -> impl ExactSizeIterator<Item = (Range<usize>, &T)> + DoubleEndedIterator {
        self.0.as_slice().iter().map(|(run, value)| (run.clone(), value))
    }

    /// The ranks and their values, in rising order.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Overlay, Rank};
    ///
    /// let replies = Overlay::from_range(2..4, "ok");
    /// assert!(replies.iter().eq([(Rank::new(2), &"ok"), (Rank::new(3), &"ok")]));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (Rank, &T)> {
        self.runs().flat_map(|(run, value)| run.map(move |rank| (Rank::new(rank), value)))
    }

    /// The runs and their values, in rising order, taken out.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Overlay;
    ///
    /// assert_eq!(Overlay::from_range(2..5, "ok").into_runs(), [(2..5, "ok")]);
    /// ```
    #[must_use]
    pub fn into_runs(self) -> Vec<(Range<usize>, T)> {
        self.0.into_vec()
    }

    /// The overlay of what `f` makes of each value; it is called once for each run.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Overlay;
    ///
    /// let sizes = Overlay::from_range(2..5, "ok").map(|reply| reply.len());
    /// assert_eq!(sizes, Overlay::from_range(2..5, 2));
    /// ```
    #[must_use]
    pub fn map<U: PartialEq>(&self, mut f: impl FnMut(&T) -> U) -> Overlay<U> {
        let mut mapped = Runs::new();
        self.runs().for_each(|(run, value)| mapped.push(run, f(value)));
        Overlay(mapped)
    }

    /// The mesh of these values, if each of `0..size` has one.
    ///
    /// # Errors
    ///
    /// The ranks that have none, and those that are outside.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Overlay, RankSet, ValueMesh};
    ///
    /// let replies = Overlay::from_range(0..3, "ok");
    /// assert_eq!(replies.clone().into_mesh(4), Err(RankSet::from(3..4)));
    /// assert_eq!(replies.into_mesh(3), Ok(ValueMesh::uniform(3, "ok")));
    /// ```
    pub fn into_mesh(self, size: usize) -> Result<ValueMesh<T>, RankSet> {
        let (ranks, all) = (self.ranks(), RankSet::from(0..size));
        if ranks == all {
            return Ok(ValueMesh::from_runs(self.0));
        }
        Err(all.difference(&ranks).union(&ranks.difference(&all)))
    }

    pub(crate) fn as_runs(&self) -> &Runs<T> {
        &self.0
    }

    pub(crate) const fn from_runs(runs: Runs<T>) -> Self {
        Self(runs)
    }
}

impl<T: Clone + PartialEq> Overlay<T> {
    /// Gives `value` to every rank of `range`, whatever they had; an empty range changes nothing.
    ///
    /// Quick at the end; elsewhere the runs behind it move. Collect what comes in random order.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Overlay;
    ///
    /// let mut replies = Overlay::from_range(0..4, "ok");
    /// replies.insert(1..2, "late");
    /// assert_eq!(replies.n_runs(), 3);
    /// ```
    pub fn insert(&mut self, range: Range<usize>, value: T) {
        self.0.insert(range, value);
    }

    /// Lays `right` over this overlay: where both have a value, that of `right` stays.
    ///
    /// Linear in the runs of both. Associative: in a tree of merges only the order of the leaves
    /// counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Overlay;
    ///
    /// let mut replies = Overlay::from_range(0..4, "ok");
    /// replies.merge(Overlay::from_range(3..5, "late"));
    /// assert_eq!(replies.runs().collect::<Vec<_>>(), [(0..3, &"ok"), (3..5, &"late")]);
    /// ```
    pub fn merge(&mut self, right: Self) {
        if self.is_empty() {
            *self = right;
        } else {
            self.0.merge(right.into_runs().into_iter());
        }
    }
}

impl<T> Default for Overlay<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes values in any order; of two for one rank the later wins. Costs one sort.
impl<T: PartialEq> FromIterator<(Rank, T)> for Overlay<T> {
    fn from_iter<I: IntoIterator<Item = (Rank, T)>>(values: I) -> Self {
        let values = values.into_iter().map(|(rank, value)| (rank.index(), value)).collect();
        Self(Runs::from_unsorted(values))
    }
}

/// As collecting the values and merging them.
impl<T: Clone + PartialEq> Extend<(Rank, T)> for Overlay<T> {
    fn extend<I: IntoIterator<Item = (Rank, T)>>(&mut self, values: I) {
        self.merge(values.into_iter().collect());
    }
}
