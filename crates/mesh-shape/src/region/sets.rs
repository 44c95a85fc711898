//! Regions as sets of base ranks: what they hold together, and what one holds and the other does not.

use std::ops::Range;

use super::{BaseRanks, Loop, Region};
use crate::inline_vec::InlineVec;
use crate::rank::Rank;
use crate::rank_set::RankSet;
use crate::shape_error::ShapeError;
use crate::slice::Slice;

impl Region {
    /// Whether `other` is a view of an equal base and holds every rank of this one.
    ///
    /// O(dims²); at worst O(runs) if a dim was flattened across dims of the base, or split.
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
        self.is_box_in(other).unwrap_or_else(|| self.ranks().is_subset(&other.ranks()))
    }

    /// Whether this is a subset of `other`, if its positions there do not depend on each other.
    ///
    /// One step along an axis here moves by some positions there. If the first rank and every such step
    /// stay inside, and so do their sums, every rank is inside; and where a sum goes beyond, that very
    /// rank tells whether it is really outside.
    fn is_box_in(&self, other: &Self) -> Option<bool> {
        let Some(first) = other.positions(Rank::new(self.offset)) else { return Some(false) };
        let mut low = InlineVec::from_fn(first.len(), |at| signed(&first, at));
        let mut high = low.clone();
        for each in self.loops().filter(|each| each.stride != 0) {
            let next = self.offset.wrapping_add_signed(each.stride);
            let Some(next) = other.positions(Rank::new(next)) else { return Some(false) };
            for (at, (low, high)) in low.iter_mut().zip(high.iter_mut()).enumerate() {
                let way = (signed(&next, at) - signed(&first, at))
                    .checked_mul(each.len.saturating_sub(1).cast_signed())?;
                let bound = if way < 0 { low } else { high };
                *bound = bound.checked_add(way)?;
            }
        }
        let mut lens = other.extent.sizes().iter().map(|len| len.cast_signed());
        let is_inside =
            low.iter().zip(high.iter()).all(|(low, high)| *low >= 0 && Some(*high) < lens.next());
        if is_inside {
            return Some(true);
        }
        let corners = [self.ends().0, self.ends().1];
        let is_outside = corners.into_iter().any(|corner| !other.contains(Rank::new(corner)));
        (is_outside || (self.lanes().is_some() && other.lanes().is_some())).then_some(false)
    }

    /// Whether some base rank is in both views of an equal base.
    ///
    /// O(dims); O(runs) if a dim of either was flattened across dims of the base, or split.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        match self.intersection(other) {
            Ok(common) => common.is_some(),
            Err(ShapeError::NotAligned) => self.ranks().intersects(&other.ranks()),
            Err(_) => false,
        }
    }

    /// The part of this view that `other` holds too, under the dims of this view; `None` if it holds
    /// nothing of it. O(dims).
    ///
    /// # Errors
    ///
    /// - [`ShapeError::OtherBase`] if the bases differ.
    /// - [`ShapeError::NotAligned`] if a dim of either was flattened across dims of the base, or split
    ///   and not sliced to one part since: what they share may be no region. Intersect their
    ///   [`ranks`](Self::ranks) then.
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
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn intersection(&self, other: &Self) -> Result<Option<Self>, ShapeError> {
        if !self.has_base_of(other) {
            return Err(ShapeError::OtherBase);
        }
        if self.is_empty() || other.is_empty() {
            return Ok(None);
        }
        let (Some(lanes), Some(others)) = (self.lanes(), other.lanes()) else {
            return Err(ShapeError::NotAligned);
        };
        let mut common = self.clone();
        for (lane, other) in lanes.iter().zip(others.iter()) {
            let Some((first, distance, count)) = lane.common(*other) else { return Ok(None) };
            if let Some(axis) = lane.axis {
                common.narrow(axis, (first, distance.cast_signed(), count));
            }
        }
        Ok(Some(common))
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

    /// Whether the base ranks of the view are one run, in whichever order it shows them. O(dims).
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
    let (len, axes) = region.inner_run();
    let outer = InlineVec::from_fn(axes.len(), |at| {
        let axis = axes.get(at).copied().unwrap_or_default();
        let Loop { len, stride } = region.loops().nth(axis).unwrap_or_default();
        Loop { len, stride: stride.unsigned_abs().cast_signed() }
    });
    for rank in BaseRanks::new(region.ends().0, &outer) {
        ranks.insert_range(rank.index()..rank.index() + len);
    }
    ranks
}

fn signed(positions: &[usize], at: usize) -> isize {
    positions.get(at).copied().unwrap_or_default().cast_signed()
}

/// What was taken of each dim of the base, where that can be said dim by dim.
pub(super) fn slices(region: &Region) -> Option<Vec<Slice>> {
    let base = region.base();
    let mut at = 0;
    let mut slices = Vec::with_capacity(base.ndim());
    let lanes = if region.is_empty() { None } else { Some(region.lanes()?) };
    for (dim, (name, size)) in base.dims().enumerate() {
        let own = region.extent.dims().nth(at).filter(|(known, _)| *known == name);
        let lane = lanes.as_ref().and_then(|lanes| lanes.get(dim)).copied();
        let slice = match (own, lane) {
            (None, Some(lane)) if lane.axis.is_none() => Slice::Index(lane.start.cast_signed()),
            (None, None) if size > 0 => Slice::Index(0),
            (None, _) => return None,
            (Some((_, len)), None) if len <= size => range(0, 1, len),
            (Some((_, len)), Some(lane))
                if lane.len == len && lane.axis.is_none_or(|axis| axis == at) =>
            {
                range(lane.start, lane.step, len)
            }
            (Some(_), _) => return None,
        };
        at += usize::from(own.is_some());
        slices.push(slice);
    }
    (at == region.extent.ndim()).then_some(slices)
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
