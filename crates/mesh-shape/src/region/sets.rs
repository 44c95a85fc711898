//! Regions as sets of base ranks: what they hold together, and what one holds and the other does not.

use std::ops::Range;

use super::aligned::{Digits, Lane};
use super::{BaseRanks, Loop, Region};
use crate::inline_vec::InlineVec;
use crate::rank_set::RankSet;
use crate::shape_error::ShapeError;
use crate::slice::Slice;

impl Region {
    /// Whether `other` is a view of an equal base and holds every rank of this one.
    ///
    /// Does not depend on the number of ranks, unless the two regions
    /// [do not align](ShapeError::NotAligned) and would have to be cut into very many parts that do: the
    /// time of the runs of the one that has fewer then.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// let even = all.parse_slice("gpus=::2")?;
    /// assert!(all.parse_slice("hosts=1,gpus=::-4")?.is_subset(&all));
    /// assert!(all.parse_slice("hosts=1,gpus=6::-4")?.is_subset(&even));
    /// assert!(!even.is_subset(&all.parse_slice("gpus=::4")?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        if !self.has_base_of(other) || self.is_empty() || self.size() > other.size() {
            return self.is_empty() && self.has_base_of(other);
        }
        self.fold_digits(other, || true, |all, mine, its| *all &= mine.is_within(its))
            .unwrap_or_else(|| self.n_common(other) == self.size())
    }

    /// Whether some base rank is in both views of an equal base. As quick as
    /// [`is_subset`](Self::is_subset).
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// let (even, odd) = (all.parse_slice("gpus=::2")?, all.parse_slice("gpus=1::2")?);
    /// assert!(!even.intersects(&odd));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        if !self.has_base_of(other) || self.is_empty() || other.is_empty() {
            return false;
        }
        self.fold_digits(other, || true, |all, mine, its| *all &= mine.meets(its))
            .unwrap_or_else(|| self.n_common(other) > 0)
    }

    /// The part of this view that `other` holds too, under the dims of this view; `None` if it holds
    /// nothing of it. O(dims).
    ///
    /// # Errors
    ///
    /// - [`ShapeError::OtherBase`] if the bases differ.
    /// - [`ShapeError::NotAligned`] if a dim of one was flattened across dims of the base, or split, and
    ///   the other does not lie along the new dims, nor it along those of the other: what they share may
    ///   be no region. Intersect their [`ranks`](Self::ranks) then.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 12)?);
    /// let (second, third) = (all.parse_slice("gpus=::2")?, all.parse_slice("hosts=1,gpus=::3")?);
    /// let common = second.intersection(&third)?.expect("0 and 6 of host 1");
    /// assert_eq!(common.to_string(), "hosts=1:2,gpus=0:7:6");
    ///
    /// let flat = all.flatten(&["hosts", "gpus"], "procs")?;
    /// let (some, tenth) = (flat.parse_slice("procs=5:20")?, flat.parse_slice("procs=::10")?);
    /// assert_eq!(some.intersection(&tenth)?.expect("10 alone").ranks().to_string(), "10");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn intersection(&self, other: &Self) -> Result<Option<Self>, ShapeError> {
        if !self.has_base_of(other) {
            return Err(ShapeError::OtherBase);
        }
        if self.is_empty() || other.is_empty() {
            return Ok(None);
        }
        let narrow = |common: &mut Option<Self>, mine: Lane, its: Lane| match mine.common(its) {
            None => *common = None,
            Some((first, distance, count)) => {
                if let (Some(common), Some(axis)) = (common, mine.axis) {
                    common.narrow(axis, (first, distance.cast_signed(), count));
                }
            }
        };
        self.fold_digits(other, || Some(self.clone()), narrow).ok_or(ShapeError::NotAligned)
    }

    /// The base ranks of this view that `other` does not hold. O(runs).
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 4)?);
    /// let rest = all.difference(&all.parse_slice("gpus=1:3")?);
    /// assert_eq!(rest.to_string(), "0,3..5,7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn difference(&self, other: &Self) -> RankSet {
        if !self.has_base_of(other) {
            return self.ranks();
        }
        self.ranks().difference(&other.ranks())
    }

    /// How many runs [`ranks`](Self::ranks) and [`difference`](Self::difference) take time and room for:
    /// what is to be asked of a region that came from elsewhere. O(dims).
    ///
    /// The set can have fewer, because runs that touch are one in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 1_000_000, gpus = 8)?);
    /// assert_eq!(all.n_runs(), 1);
    /// assert_eq!(all.parse_slice("gpus=:4")?.n_runs(), 1_000_000);
    /// assert_eq!(all.parse_slice("gpus=::2")?.n_runs(), 4_000_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn n_runs(&self) -> usize {
        self.size() / self.inner_run().0
    }

    /// Whether the base ranks of the view are one run, in whichever order it shows them. O(dims).
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert!(all.parse_slice("hosts=1")?.is_contiguous());
    /// assert!(!all.parse_slice("gpus=1")?.is_contiguous());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        !self.is_empty() && self.inner_run().0 == self.size()
    }

    /// The range from the lowest to the highest base rank; `None` if there is none. O(dims).
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.parse_slice("gpus=6:2:-1")?.bounds(), Some(3..15));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn bounds(&self) -> Option<Range<usize>> {
        let (low, high) = self.ends();
        (!self.is_empty()).then_some(low..high + 1)
    }

    /// How many base ranks both hold, where they do not align. O(runs) of the one that has fewer, if they
    /// cannot be cut into a few parts that do.
    fn n_common(&self, other: &Self) -> usize {
        self.n_common_of_parts(other).unwrap_or_else(|| self.n_common_of_runs(other))
    }

    pub(super) fn n_common_of_runs(&self, other: &Self) -> usize {
        let (few, many) =
            if self.n_runs() <= other.n_runs() { (self, other) } else { (other, self) };
        few.runs().map(|run| many.n_below(run.end) - many.n_below(run.start)).sum()
    }

    /// How many base ranks are lower than `end`. O(dims).
    pub(crate) fn n_below(&self, end: usize) -> usize {
        let Some(mut rest) = end.checked_sub(self.lowest()) else { return 0 };
        let (mut n_below, mut n_inside) = (0, self.size());
        for axis in self.by_stride().iter() {
            let Loop { len, stride } = self.loops().nth(*axis).unwrap_or_default();
            let steps = rest / stride.unsigned_abs();
            if steps >= len {
                return n_below + n_inside;
            }
            // All of the steps before the one where the end is, and then some of that.
            n_inside /= len;
            n_below += steps * n_inside;
            rest -= steps * stride.unsigned_abs();
        }
        if rest > 0 { n_below + n_inside } else { n_below }
    }

    /// The runs of base ranks, in rising order; those that touch may be several. Not empty.
    fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let (len, axes) = self.inner_run();
        let outer = InlineVec::from_fn(axes.len(), |at| {
            let axis = axes.get(at).copied().unwrap_or_default();
            let Loop { len, stride } = self.loops().nth(axis).unwrap_or_default();
            Loop { len, stride: stride.unsigned_abs().cast_signed() }
        });
        BaseRanks::new(self.lowest(), &outer).map(move |rank| rank.index()..rank.index() + len)
    }

    /// The length of the runs of base ranks, and the axes that do not lie within one, the largest
    /// stride first.
    fn inner_run(&self) -> (usize, InlineVec<usize>) {
        let axes = self.by_stride();
        let (mut len, mut n_outer) = (1, axes.len());
        for axis in axes.iter().rev() {
            let each = self.loops().nth(*axis).unwrap_or_default();
            if each.stride.unsigned_abs() != len {
                break;
            }
            len *= each.len;
            n_outer -= 1;
        }
        (len, axes.get(..n_outer).unwrap_or_default().into())
    }
}

/// The base ranks of a view, run by run.
pub(super) fn ranks(region: &Region) -> RankSet {
    let mut ranks = RankSet::new();
    if region.is_empty() {
        return ranks;
    }
    region.runs().for_each(|run| ranks.insert_range(run));
    ranks
}

/// What was taken of each dim of the base, where that can be said dim by dim.
pub(super) fn slices(region: &Region) -> Option<Vec<Slice>> {
    let base = region.base();
    let mut at = 0;
    let mut slices = Vec::with_capacity(base.ndim());
    let mut digits = (!region.is_empty()).then(|| Digits::new(region, 0));
    let units = region.extent.base_strides();
    for ((name, size), unit) in base.dims().zip(units) {
        let own = region.extent.dims().nth(at).filter(|(known, _)| *known == name);
        let lane = match &mut digits {
            Some(digits) => Some(digits.lane(*unit)?),
            None => None,
        };
        let slice = match (own, lane) {
            (None, Some(lane)) if lane.axis.is_none() => Slice::Index(lane.first.cast_signed()),
            (None, None) if size > 0 => Slice::Index(0),
            (None, _) => return None,
            (Some((_, len)), None) if len <= size => range(0, 1, len),
            (Some((_, len)), Some(lane))
                if lane.len == len && lane.axis.is_none_or(|axis| axis == at) =>
            {
                rising_or_not(lane)
            }
            (Some(_), _) => return None,
        };
        at += usize::from(own.is_some());
        slices.push(slice);
    }
    (at == region.extent.ndim()).then_some(slices)
}

fn rising_or_not(Lane { first, step, len, falls, .. }: Lane) -> Slice {
    let start = if falls { first + step * (len - 1) } else { first };
    range(start, if falls { -step.cast_signed() } else { step.cast_signed() }, len)
}

/// The slice that takes `len` positions from `start` on.
fn range(start: usize, step: isize, len: usize) -> Slice {
    // A rising range ends after its last coordinate, a falling one before it, if it can.
    let way = step.wrapping_mul(len.saturating_sub(1).cast_signed());
    let last = start.wrapping_add_signed(way).cast_signed();
    let end = match (len, step.signum()) {
        (0, _) => Some(start.cast_signed()),
        (_, 1) => Some(last.saturating_add(1)),
        _ => last.checked_sub(1).filter(|end| *end >= 0),
    };
    Slice::Range { start: Some(start.cast_signed()), end, step }
}
