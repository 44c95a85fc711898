//! One value for each rank of a mesh.

mod combine;

use std::ops::Range;

use crate::overlay::Overlay;
use crate::rank::Rank;
use crate::rank_set::RankSet;
use crate::region::{Loop, Region};
use crate::runs::Runs;
use crate::shape_error::ShapeError;

pub use combine::CollectMesh;

/// One value for each rank `0..size`, kept as runs of equal values.
///
/// Neighbours with equal values are one run, so equal meshes are equal structures, and a mesh whose
/// ranks are all alike takes the room of one.
///
/// # Examples
///
/// ```
/// use mesh_shape::{Rank, ValueMesh};
///
/// let mut statuses = ValueMesh::uniform(1_000_000, "running");
/// statuses.set(Rank::new(7), "failed")?;
/// assert_eq!(statuses.get(Rank::new(7)), Some(&"failed"));
/// assert_eq!(statuses.n_runs(), 3);
/// # Ok::<(), mesh_shape::ShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValueMesh<T> {
    // Invariant: the runs begin at 0 and leave no gap; their end is the size.
    runs: Runs<T>,
}

impl<T> ValueMesh<T> {
    /// The same value for every rank.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// let statuses = ValueMesh::uniform(1_000_000, "running");
    /// assert_eq!((statuses.size(), statuses.n_runs()), (1_000_000, 1));
    /// ```
    #[must_use]
    pub fn uniform(size: usize, value: T) -> Self {
        Self { runs: Runs::one(0..size, value) }
    }

    /// The number of ranks.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// assert_eq!(ValueMesh::uniform(16, "running").size(), 16);
    /// ```
    #[must_use]
    #[inline]
    pub fn size(&self) -> usize {
        self.runs.end()
    }

    /// Whether there are no ranks.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// assert!(ValueMesh::uniform(0, "running").is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// The value of `rank`, `None` if it is not in `0..size`; takes the logarithm of the number of
    /// runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, ValueMesh};
    ///
    /// let squares = ValueMesh::from_fn(4, |rank| rank.index().pow(2));
    /// assert_eq!(squares.get(Rank::new(3)), Some(&9));
    /// assert_eq!(squares.get(Rank::new(4)), None);
    /// ```
    #[must_use]
    #[inline]
    pub fn get(&self, rank: Rank) -> Option<&T> {
        self.runs.get(rank.index()).map(|(_, value)| value)
    }

    /// The number of runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// assert_eq!(ValueMesh::from_fn(6, |rank| rank.index() / 3).n_runs(), 2);
    /// ```
    #[must_use]
    pub fn n_runs(&self) -> usize {
        self.runs.as_slice().len()
    }

    /// The runs and their values, in rising order.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// let halves = ValueMesh::from_fn(6, |rank| rank.index() / 3);
    /// assert!(halves.runs().eq([(0..3, &0), (3..6, &1)]));
    /// ```
    pub fn runs(&self) -> impl ExactSizeIterator<Item = (Range<usize>, &T)> + DoubleEndedIterator {
        self.runs.as_slice().iter().map(|(run, value)| (run.clone(), value))
    }

    /// The value of each rank, in rising order.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// assert!(ValueMesh::from_fn(3, |rank| rank.index() / 2).iter().eq(&[0, 0, 1]));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.runs().flat_map(|(run, value)| run.map(move |_| value))
    }

    /// The runs and their values, in rising order, taken out.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// assert_eq!(ValueMesh::uniform(4, "up").into_runs(), [(0..4, "up")]);
    /// ```
    #[must_use]
    pub fn into_runs(self) -> Vec<(Range<usize>, T)> {
        self.runs.into_vec()
    }

    /// The mesh of what `f` makes of each value; it is called once for each run.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// let halves = ValueMesh::from_fn(6, |rank| rank.index() / 3);
    /// assert_eq!(halves.map(|half| *half < 2), ValueMesh::uniform(6, true));
    /// ```
    #[must_use]
    pub fn map<U: PartialEq>(&self, mut f: impl FnMut(&T) -> U) -> ValueMesh<U> {
        let mut mapped = Runs::new();
        self.runs().for_each(|(run, value)| mapped.push(run, f(value)));
        ValueMesh { runs: mapped }
    }

    /// The ranks whose value satisfies `is_wanted`, which is called once for each run.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{RankSet, ValueMesh};
    ///
    /// let loads = ValueMesh::from_fn(6, |rank| rank.index() / 2);
    /// assert_eq!(loads.ranks_where(|load| *load > 0), RankSet::from(2..6));
    /// ```
    pub fn ranks_where(&self, mut is_wanted: impl FnMut(&T) -> bool) -> RankSet {
        let mut ranks = Runs::new();
        self.runs().filter(|(_, value)| is_wanted(value)).for_each(|(run, _)| ranks.push(run, ()));
        RankSet::from_runs(ranks)
    }

    fn check(&self, range: &Range<usize>) -> Result<(), ShapeError> {
        if range.is_empty() || range.end <= self.size() {
            return Ok(());
        }
        Err(ShapeError::RangeOutOfBounds { start: range.start, end: range.end, size: self.size() })
    }

    pub(crate) const fn from_runs(runs: Runs<T>) -> Self {
        Self { runs }
    }
}

impl<T: PartialEq> ValueMesh<T> {
    /// The mesh of what `f` makes of each rank; it is called once for each, in rising order.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// let mesh = ValueMesh::from_fn(3, |rank| rank.index() * 10);
    /// assert!(mesh.iter().eq(&[0, 10, 20]));
    /// ```
    pub fn from_fn(size: usize, mut f: impl FnMut(Rank) -> T) -> Self {
        (0..size).map(|rank| f(Rank::new(rank))).collect()
    }

    /// The mesh of exactly `size` values, in the order of ranks.
    ///
    /// # Errors
    ///
    /// [`ShapeError::WrongLength`] if there are fewer or more; no more than `size + 1` are taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{ShapeError, ValueMesh};
    ///
    /// assert_eq!(ValueMesh::try_from_iter(3, ["a", "a", "b"])?.n_runs(), 2);
    /// let wrong = ShapeError::WrongLength { expected: 2, found: 3 };
    /// assert_eq!(ValueMesh::try_from_iter(2, ["a", "a", "b"]), Err(wrong));
    /// # Ok::<(), ShapeError>(())
    /// ```
    pub fn try_from_iter(
        size: usize,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Self, ShapeError> {
        let mesh: Self = values.into_iter().take(size.saturating_add(1)).collect();
        let found = mesh.size();
        if found == size {
            Ok(mesh)
        } else {
            Err(ShapeError::WrongLength { expected: size, found })
        }
    }
}

impl<T: Clone + PartialEq> ValueMesh<T> {
    /// Gives `value` to `rank`.
    ///
    /// # Errors
    ///
    /// [`ShapeError::RankOutOfBounds`] if `rank` is not in `0..size`; nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, ValueMesh};
    ///
    /// let mut statuses = ValueMesh::uniform(4, "up");
    /// statuses.set(Rank::new(2), "down")?;
    /// assert!(statuses.iter().eq(&["up", "up", "down", "up"]));
    /// assert!(statuses.set(Rank::new(4), "down").is_err());
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn set(&mut self, rank: Rank, value: T) -> Result<(), ShapeError> {
        if rank.index() >= self.size() {
            return Err(ShapeError::RankOutOfBounds { rank, size: self.size() });
        }
        self.runs.insert(rank.index()..rank.index() + 1, value);
        Ok(())
    }

    /// Gives `value` to every rank of `range`; an empty one changes nothing.
    ///
    /// # Errors
    ///
    /// [`ShapeError::RangeOutOfBounds`] if `range` ends past the size; nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// let mut statuses = ValueMesh::uniform(4, "up");
    /// statuses.set_range(1..3, "down")?;
    /// assert!(statuses.iter().eq(&["up", "down", "down", "up"]));
    /// assert!(statuses.set_range(3..5, "down").is_err());
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn set_range(&mut self, range: Range<usize>, value: T) -> Result<(), ShapeError> {
        self.check(&range)?;
        self.runs.insert(range, value);
        Ok(())
    }

    /// Lays `overlay` over this mesh: its values replace those of the same ranks.
    ///
    /// Linear in the runs of both.
    ///
    /// # Errors
    ///
    /// [`ShapeError::RangeOutOfBounds`] if `overlay` ends past the size; nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Overlay, ValueMesh};
    ///
    /// let mut mesh = ValueMesh::uniform(4, 0);
    /// mesh.apply(&Overlay::from_range(1..3, 9))?;
    /// assert_eq!(mesh.iter().copied().collect::<Vec<_>>(), [0, 9, 9, 0]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn apply(&mut self, overlay: &Overlay<T>) -> Result<(), ShapeError> {
        if let Some((last, _)) = overlay.as_runs().as_slice().last() {
            self.check(last)?;
        }
        self.runs.merge(overlay.as_runs().as_slice().iter().cloned());
        Ok(())
    }

    /// The values of the ranks of `region`, as a mesh over its view ranks.
    ///
    /// Does not look at each rank: a part of the region whose values are one run is copied whole.
    ///
    /// # Shape
    ///
    /// `region.base().size()` is this size; the result has `region.size()` values.
    ///
    /// # Errors
    ///
    /// [`ShapeError::WrongLength`] if the base of `region` has another size.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, ValueMesh, extent};
    ///
    /// let values = ValueMesh::from_fn(6, |rank| rank.index());
    /// let region = Region::all(extent!(a = 2, b = 3)?).parse_slice("b=::-2")?;
    /// assert_eq!(values.slice(&region)?.iter().copied().collect::<Vec<_>>(), [2, 0, 5, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slice(&self, region: &Region) -> Result<Self, ShapeError> {
        let (expected, found) = (region.base().size(), self.size());
        if expected != found {
            return Err(ShapeError::WrongLength { expected, found });
        }
        let mut taken = Runs::new();
        if !region.is_empty() {
            let mut loops: Vec<Loop> = region.loops().collect();
            self.gather(region.offset(), &mut loops, &mut taken);
        }
        Ok(Self { runs: taken })
    }

    /// Appends the values of the ranks that `loops` walk from `start`; no loop is empty.
    ///
    /// Halves the outermost loop until what is left lies in one run, so it calls itself no deeper
    /// than the logarithm of the number of ranks.
    fn gather(&self, start: usize, loops: &mut [Loop], taken: &mut Runs<T>) {
        let (mut low, mut high, mut n_ranks) = (start, start, 1);
        for each in loops.iter() {
            let span = each.stride.wrapping_mul(each.len.cast_signed() - 1);
            low = low.wrapping_add_signed(span.min(0));
            high = high.wrapping_add_signed(span.max(0));
            n_ranks *= each.len;
        }
        let Some((run, value)) = self.runs.get(low) else { return };
        let halved = loops.iter().position(|each| each.len > 1);
        let Some(axis) = halved.filter(|_| high >= run.end) else {
            taken.push(taken.end()..taken.end() + n_ranks, value.clone());
            return;
        };
        let whole = loops[axis];
        let half = whole.len / 2;
        loops[axis].len = half;
        self.gather(start, loops, taken);
        loops[axis].len = whole.len - half;
        let middle = whole.stride.wrapping_mul(half.cast_signed());
        self.gather(start.wrapping_add_signed(middle), loops, taken);
        loops[axis] = whole;
    }
}

/// One value for each rank, from 0 on.
impl<T: PartialEq> FromIterator<T> for ValueMesh<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut runs = Runs::new();
        for value in values {
            runs.push(runs.end()..runs.end() + 1, value);
        }
        Self { runs }
    }
}
