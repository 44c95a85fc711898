//! A strided view of a base extent.

mod aligned;
mod base_ranks;
mod cuts;
mod lookup;
mod parts;
mod reshape;
mod sets;
mod take;
mod text;

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::extent::Extent;
use crate::inline_vec::InlineVec;
use crate::parse_error::ParseShapeError;
use crate::rank_set::RankSet;
use crate::shape_error::ShapeError;

pub use base_ranks::BaseRanks;
pub(crate) use base_ranks::Loop;
pub use parts::Parts;
pub use take::Take;

/// A strided view of a base extent: which of its ranks, in which order, under which dims.
///
/// A region has two kinds of ranks. A *base rank* is one of the extent that was sliced first; a
/// *view rank* is dense, `0..size`, in the row-major order of the view. Slicing, looking a rank up
/// and comparing do not depend on the number of ranks, and take no room on the heap while there are
/// at most six dims. Two regions are equal when they show the same ranks of equal bases in the same
/// order under the same dims, however they were made.
///
/// ```text
/// base a=3,b=4        a=0:2,b=::2           the same, as view ranks
///  0  1  2  3          0  ·  2  ·            0  1
///  4  5  6  7          4  ·  6  ·            2  3
///  8  9 10 11          ·  ·  ·  ·
///
/// offset 0, strides (4, 2): view rank (i, j) is base rank 0 + 4 i + 2 j
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
/// assert_eq!(view.to_string(), "a=0:2,b=0:3:2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
///
/// NumPy's strided views and basic indexing, with the named dims of xarray.
#[derive(Clone)]
pub struct Region {
    // Knows the base: what it shares with the extents of other views of it.
    extent: Extent,
    // Invariants: every rank that is shown is one of the base. A dim of at most one position has the
    // stride 0, and so has every dim of an empty region, whose offset is 0. Ordered by the size of
    // their strides, each dim's stride is greater than the way that all smaller ones go together: so
    // no rank is shown twice, and its positions are found by division.
    offset: usize,
    strides: InlineVec<isize>,
}

impl Region {
    /// The whole of `base`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!((all.size(), all.to_string()), (16, "hosts=0:2,gpus=0:8".to_owned()));
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn all(base: Extent) -> Self {
        let extent = base.view_of(&base);
        let strides = extent.base_strides();
        let strides = InlineVec::from_fn(strides.len(), |axis| {
            strides.get(axis).map_or(0, |stride| stride.cast_signed())
        });
        Self::new(extent, (0, strides))
    }

    /// The region of these parts, which must show ranks of the base of `extent`, none twice.
    fn new(extent: Extent, (offset, strides): (usize, InlineVec<isize>)) -> Self {
        let mut region = Self { extent, offset, strides };
        for axis in 0..region.strides.len() {
            region.still(axis);
        }
        region
    }

    /// Upholds the invariants of what does not move, after a change of an axis.
    #[inline]
    fn still(&mut self, axis: usize) {
        if self.extent.is_empty() {
            self.offset = 0;
            self.strides.fill(0);
        } else if self.extent.sizes().get(axis).is_some_and(|len| *len <= 1)
            && let Some(stride) = self.strides.get_mut(axis)
        {
            *stride = 0;
        }
    }

    /// The extent that was sliced first.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.slice("hosts", 1)?.base(), &extent!(hosts = 2, gpus = 8)?);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn base(&self) -> &Extent {
        self.extent.base()
    }

    /// The extent of the view: its dims, with what is left of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.slice("hosts", 1)?.extent(), &extent!(gpus = 8)?);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn extent(&self) -> &Extent {
        &self.extent
    }

    /// The number of ranks in the view.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.slice("hosts", 1)?.size(), 8);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn size(&self) -> usize {
        self.extent.size()
    }

    /// Whether the view has no ranks.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert!(all.slice("gpus", 5..5)?.is_empty());
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size() == 0
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

    /// Reads the text of a region of `base`, as it is displayed.
    ///
    /// Two forms are read: slices of the dims of `base`, `hosts=0,gpus=0:8:2`; and, for a region that
    /// was permuted, flattened or split, its offset and the size and stride of each dim,
    /// `3+gpus=4@2,hosts=2@8`.
    ///
    /// # Errors
    ///
    /// A [`ParseShapeError`] at the byte where the text stops being a region of `base`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let base = extent!(hosts = 2, gpus = 8)?;
    /// let turned = Region::all(base.clone()).permute(&["gpus", "hosts"])?;
    /// assert_eq!(turned.to_string(), "0+gpus=8@1,hosts=2@8");
    /// assert_eq!(Region::parse("0+gpus=8@1,hosts=2@8", &base)?, turned);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(text: &str, base: &Extent) -> Result<Self, ParseShapeError> {
        text::parse_region(text, base)
    }

    /// The base rank of the first view rank; 0 if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.parse_slice("hosts=1,gpus=2:")?.offset(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// How far apart, in base ranks, two neighbours along each axis of the view are; 0 along an axis
    /// of at most one position.
    ///
    /// ```text
    /// base hosts=2,gpus=8                     hosts=::-1,gpus=::2
    ///
    ///  0  1  2  3  4  5  6  7                  8 → 10 → 12 → 14     along gpus:  + 2
    ///  8  9 10 11 12 13 14 15                  ↓    ↓    ↓    ↓
    ///                                          0 →  2 →  4 →  6     along hosts: − 8
    ///
    /// base rank of the view's (i, j)  =  offset + i × stride of hosts + j × stride of gpus
    ///                                 =  8 − 8 i + 2 j
    /// ```
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.parse_slice("hosts=::-1,gpus=::2")?.strides(), [-8, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// The dims that have more than one position, by the size of their strides, the largest first.
    fn by_stride(&self) -> InlineVec<usize> {
        let mut axes =
            InlineVec::of_len(self.strides.iter().filter(|stride| **stride != 0).count());
        let moving = self.strides.iter().enumerate().filter(|(_, stride)| **stride != 0);
        for (slot, (axis, _)) in axes.iter_mut().zip(moving) {
            *slot = axis;
        }
        let stride =
            |axis: &usize| self.strides.get(*axis).map_or(0, |stride| stride.unsigned_abs());
        axes.sort_unstable_by_key(|axis| std::cmp::Reverse(stride(axis)));
        axes
    }

    /// Whether both are views of equal bases.
    fn has_base_of(&self, other: &Self) -> bool {
        self.extent.is_of_base_of(&other.extent)
    }

    /// The lowest and the highest base rank. Not empty.
    fn ends(&self) -> (usize, usize) {
        let mut ends = (self.offset, self.offset);
        for Loop { len, stride } in self.loops() {
            let way = stride.wrapping_mul(len.saturating_sub(1).cast_signed());
            if way < 0 {
                ends.0 = ends.0.wrapping_add_signed(way);
            } else {
                ends.1 = ends.1.wrapping_add_signed(way);
            }
        }
        ends
    }

    /// The axis of the view that has this name.
    fn axis(&self, name: &str) -> Result<usize, ShapeError> {
        self.extent.axis(name).ok_or_else(|| self.extent.unknown_dim(name))
    }

    /// The base ranks of the view, as a set.
    ///
    /// Takes time and room for each contiguous run, not for each rank: a step along the last axis
    /// makes as many runs as ranks. [`n_runs`](Self::n_runs) says how many before.
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
        sets::ranks(self)
    }
}

impl Region {
    /// The region of these parts, unless one breaks an invariant.
    pub(crate) fn checked(
        base: &Extent,
        extent: &Extent,
        (offset, strides): (usize, &[isize]),
    ) -> Option<Self> {
        if strides.len() != extent.ndim() || (offset >= base.size() && !extent.is_empty()) {
            return None;
        }
        let region = Self::new(extent.view_of(base), (offset, strides.into()));
        let (mut low, mut high, mut way) = (region.offset, region.offset, 0_usize);
        for axis in region.by_stride().iter().rev() {
            let Loop { len, stride } = region.loops().nth(*axis)?;
            if stride.unsigned_abs() <= way {
                return None;
            }
            let own = stride.unsigned_abs().checked_mul(len - 1)?;
            way = way.checked_add(own)?;
            if stride < 0 {
                low = low.checked_sub(own)?;
            } else {
                high = high.checked_add(own)?;
            }
        }
        let moves = region.loops().all(|each| each.stride != 0 || each.len <= 1);
        let is_inside = high < region.base().size() && low <= high;
        (region.is_empty() || (moves && is_inside)).then_some(region)
    }
}

impl PartialEq for Region {
    fn eq(&self, other: &Self) -> bool {
        self.offset == other.offset
            && self.strides == other.strides
            && self.extent == other.extent
            && self.has_base_of(other)
    }
}

impl Eq for Region {}

impl Hash for Region {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.base(), &self.extent, self.offset, &self.strides).hash(state);
    }
}

impl From<Extent> for Region {
    fn from(base: Extent) -> Self {
        Self::all(base)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({self} of {})", self.base())
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_region(f, self)
    }
}
