//! A strided view of a base extent.

mod axis;
mod base_ranks;
mod lookup;
mod text;

use std::fmt;

use crate::extent::Extent;
use crate::inline_vec::InlineVec;
use crate::parse_error::ParseShapeError;
use crate::rank::Rank;
use crate::rank_set::RankSet;
use crate::shape_error::ShapeError;
use crate::slice::Slice;

pub(crate) use axis::Axis;
use axis::Refusal;
pub use base_ranks::BaseRanks;
pub(crate) use base_ranks::Loop;

/// A strided view of a base extent: which of its ranks, in which order, under which dims.
///
/// A region has two kinds of ranks. A *base rank* is one of the extent that was sliced first; a
/// *view rank* is dense, `0..size`, in the row-major order of the view. Slicing, looking a rank up
/// and comparing do not depend on the number of ranks. Two regions are equal when they show the
/// same ranks of equal bases in the same order under the same dims, however they were sliced.
///
/// ```text
/// base a=3,b=4        a=0:2,b=::2           the same, as view ranks
///  0  1  2  3          0  ·  2  ·            0  1
///  4  5  6  7          4  ·  6  ·            2  3
///  8  9 10 11          ·  ·  ·  ·
/// ```
///
/// # Examples
///
/// ```
/// use mesh_shape::{Rank, Region, extent};
///
/// let base = Region::all(extent!(a = 3, b = 4)?);
/// let view = base.slice("a", 0..2)?.parse_slice("b=::2")?;
/// assert_eq!(view.iter().map(Rank::index).collect::<Vec<_>>(), [0, 2, 4, 6]);
/// assert_eq!(view.rank_of_base(Rank::new(6)), Some(Rank::new(3)));
/// assert_eq!(view.slice_text(), "a=0:2,b=0:3:2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
///
/// NumPy's basic indexing, with the named dims of xarray.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Region {
    base: Extent,
    // Invariants: one for each axis of the base; `extent` is the kept ones; if the region is empty,
    // every start is 0 and every step 1, so that equal regions are equal structures.
    axes: InlineVec<Axis>,
    extent: Extent,
}

impl Region {
    /// The whole of `base`.
    #[must_use]
    pub fn all(base: Extent) -> Self {
        let mut axes = InlineVec::of_len(base.ndim());
        for (axis, size) in axes.iter_mut().zip(base.sizes()) {
            *axis = Axis::all(*size);
        }
        Self { extent: base.clone(), axes, base }
    }

    /// The extent that was sliced first.
    #[must_use]
    pub fn base(&self) -> &Extent {
        &self.base
    }

    /// The extent of the view: the dims that no index dropped, with what is left of them.
    #[must_use]
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// The number of ranks in the view.
    #[must_use]
    #[inline]
    pub fn size(&self) -> usize {
        self.extent.size()
    }

    /// Whether the view has no ranks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// What `slice` takes of the dim `name`: an index drops the dim, a range keeps it.
    ///
    /// # Shape
    ///
    /// `name` is a dim of the view, and positions count within it: slices of slices compose.
    ///
    /// # Errors
    ///
    /// - [`ShapeError::UnknownDim`] if the view has no such dim.
    /// - [`ShapeError::IndexOutOfBounds`] if an index is not in `-size..size`. Ranges are clamped.
    /// - [`ShapeError::ZeroStep`] if the step of a range is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, Region, Slice, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// let last = all.slice("hosts", -1)?.slice("gpus", Slice::from(..).by(-3))?;
    /// assert_eq!(last.extent(), &extent!(gpus = 3)?);
    /// assert_eq!(last.iter().map(Rank::index).collect::<Vec<_>>(), [15, 12, 9]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn slice(&self, name: &str, slice: impl Into<Slice>) -> Result<Self, ShapeError> {
        let Some(view_axis) = self.extent.axis(name) else {
            return Err(self.extent.unknown_dim(name));
        };
        let kept = self.axes.iter().enumerate().filter(|(_, axis)| axis.kept);
        let Some((at, axis)) = kept.map(|(at, axis)| (at, *axis)).nth(view_axis) else {
            return Err(self.extent.unknown_dim(name));
        };
        let taken = axis.slice(slice.into()).map_err(|refusal| {
            let dim = name.to_owned();
            match refusal {
                Refusal::ZeroStep => ShapeError::ZeroStep { dim },
                Refusal::OutOfBounds(index) => {
                    ShapeError::IndexOutOfBounds { dim, index, size: axis.len }
                }
            }
        })?;
        let mut axes = self.axes.clone();
        if let Some(slot) = axes.get_mut(at) {
            *slot = taken;
        }
        Ok(Self::from_axes(self.base.clone(), axes, Some((&self.extent, view_axis))))
    }

    /// What a text such as `hosts=0,gpus=0:8:2` takes; dims that it does not name are kept whole.
    ///
    /// Bounds may be left out, as in `gpus=::2`. The text `()` takes everything.
    ///
    /// # Errors
    ///
    /// A [`ParseShapeError`] at the byte where the text stops being a slice of this view; what
    /// [`Region::slice`] refuses is its reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.parse_slice("gpus=:-2:2")?.extent(), &extent!(hosts = 2, gpus = 3)?);
    /// assert_eq!(
    ///     all.parse_slice("racks=0").expect_err("there are no racks").to_string(),
    ///     "unknown dim racks: the dims are hosts, gpus\n  racks=0\n  ^"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse_slice(&self, text: &str) -> Result<Self, ParseShapeError> {
        text::parse_slice(self, text)
    }

    /// The text that takes this region of its whole base: every dim of the base, bounds written out.
    #[must_use]
    pub fn slice_text(&self) -> String {
        self.to_string()
    }

    /// What was taken of each dim of the base, outermost first.
    pub fn slices(&self) -> impl ExactSizeIterator<Item = (&str, Slice)> {
        self.base.names().zip(self.axes.iter().map(|axis| axis.to_slice()))
    }

    /// The base rank of the first view rank; 0 if there is none.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.axes.iter().zip(self.base.strides()).map(|(axis, stride)| axis.start * stride).sum()
    }

    /// How far apart, in base ranks, two neighbours along each axis of the view are.
    pub fn strides(&self) -> impl Iterator<Item = isize> {
        self.loops().map(|each| each.stride)
    }

    /// The base ranks of the view, in the order of view ranks.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, Region, extent};
    ///
    /// let backwards = Region::all(extent!(gpus = 3)?).parse_slice("gpus=::-1")?;
    /// assert_eq!(backwards.iter().map(Rank::index).collect::<Vec<_>>(), [2, 1, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn iter(&self) -> BaseRanks {
        BaseRanks::new(self.offset(), &self.loops().collect::<Vec<_>>())
    }

    /// The base ranks of the view, as a set.
    ///
    /// Takes time and room for each contiguous run, not for each rank: a step along the last axis
    /// makes as many runs as ranks.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.parse_slice("gpus=0:4")?.ranks().to_string(), "0..4,8..12");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ranks(&self) -> RankSet {
        let mut ranks = RankSet::new();
        if self.is_empty() {
            return ranks;
        }
        // Whole axes from the right, and the first that is not whole, make one run.
        let rising: Vec<Axis> = self.axes.iter().map(|axis| axis.rising()).collect();
        let (mut n_outer, mut run_len) = (rising.len(), 1);
        for (axis, size) in rising.iter().zip(self.base.sizes()).rev() {
            if axis.step != 1 {
                break;
            }
            n_outer -= 1;
            run_len *= axis.len;
            if axis.len != *size {
                break;
            }
        }
        let steps = || rising.iter().zip(self.base.strides());
        let start = steps().map(|(axis, stride)| axis.start * stride).sum();
        let outer: Vec<Loop> =
            steps().take(n_outer).map(|(axis, stride)| walk(*axis, *stride)).collect();
        for rank in BaseRanks::new(start, &outer) {
            ranks.insert_range(rank.index()..rank.index() + run_len);
        }
        ranks
    }

    /// The region with these axes, `extent` of the view aside; `was` says which extent the view
    /// had, and which of its axes is new.
    fn from_axes(base: Extent, mut axes: InlineVec<Axis>, was: Option<(&Extent, usize)>) -> Self {
        if axes.iter().any(|axis| axis.len == 0) {
            for axis in axes.iter_mut() {
                (axis.start, axis.step) = (0, 1);
            }
        }
        let n_kept = axes.iter().filter(|axis| axis.kept).count();
        let mut sizes = InlineVec::of_len(n_kept);
        for (size, axis) in sizes.iter_mut().zip(axes.iter().filter(|axis| axis.kept)) {
            *size = axis.len;
        }
        let extent = match was {
            Some((was, axis)) => was.view(|known| known != axis, sizes),
            None => base.view(|at| axes.get(at).is_some_and(|axis| axis.kept), sizes),
        };
        Self { base, axes, extent }
    }

    /// The nested loops over the view, outermost first.
    pub(crate) fn loops(&self) -> impl Iterator<Item = Loop> {
        let kept = self.axes.iter().zip(self.base.strides()).filter(|(axis, _)| axis.kept);
        kept.map(|(axis, stride)| walk(*axis, *stride))
    }
}

#[cfg(feature = "serde")]
impl Region {
    /// What was taken of each dim of the base, as it is sent.
    pub(crate) fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The region with these axes, unless one breaks an invariant.
    pub(crate) fn checked(base: Extent, mut axes: Vec<Axis>) -> Option<Self> {
        let fit = |(axis, size): (&mut Axis, &usize)| axis.make_fit(*size);
        let is_whole = axes.len() == base.ndim() && axes.iter_mut().zip(base.sizes()).all(fit);
        is_whole.then(|| Self::from_axes(base, (&*axes).into(), None))
    }
}

impl From<Extent> for Region {
    fn from(base: Extent) -> Self {
        Self::all(base)
    }
}

impl IntoIterator for &Region {
    type Item = Rank;
    type IntoIter = BaseRanks;

    fn into_iter(self) -> BaseRanks {
        self.iter()
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({self} of {})", self.base)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_slices(f, self.slices())
    }
}

fn walk(axis: Axis, base_stride: usize) -> Loop {
    Loop { len: axis.len, stride: axis.step.wrapping_mul(base_stride.cast_signed()) }
}
