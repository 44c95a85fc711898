//! A set of ranks as regions of an extent.

use std::ops::Range;

use super::RankSet;
use crate::extent::Extent;
use crate::rank::Rank;
use crate::region::Region;
use crate::shape_error::ShapeError;
use crate::slice::Slice;

impl RankSet {
    /// Regions of `base` that hold these ranks together, each rank in one, under the dims of `base`.
    ///
    /// One region, if slices of the dims say it; else some for each run: at most twice as many as there
    /// are dims, less one. O(runs × dims²).
    ///
    /// # Errors
    ///
    /// [`ShapeError::RankOutOfBounds`] if a rank is not one of `base`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{RankSet, Region, extent};
    ///
    /// let base = extent!(hosts = 4, gpus = 8)?;
    /// let column: RankSet = "3..5,11..13,19..21,27..29".parse()?;
    /// let regions = column.to_regions(&base)?;
    /// assert_eq!(regions, [Region::parse("gpus=3:5", &base)?]);
    ///
    /// // What is left of the first row, a whole one, and the beginning of the third.
    /// let texts: Vec<String> =
    ///     RankSet::from(6..20).to_regions(&base)?.iter().map(Region::to_string).collect();
    /// assert_eq!(texts, ["hosts=0:1,gpus=6:8", "hosts=1:2,gpus=0:8", "hosts=2:3,gpus=0:4"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_regions(&self, base: &Extent) -> Result<Vec<Region>, ShapeError> {
        let (Some(first), Some(last)) = (self.first(), self.last()) else {
            return Ok(Vec::new());
        };
        if !base.contains(last) {
            return Err(ShapeError::RankOutOfBounds { rank: last, size: base.size() });
        }
        let all = Region::all(base.clone());
        if let Some(region) = self.as_one_of(&all, (first, last))? {
            return Ok(vec![region]);
        }
        let mut regions = Vec::with_capacity(self.n_runs());
        for mut run in self.runs() {
            while !run.is_empty() {
                regions.push(take_block(&all, &mut run)?);
            }
        }
        Ok(regions)
    }

    /// The region of slices of `all` that holds just these ranks, if there is one.
    fn as_one_of(
        &self,
        all: &Region,
        (first, last): (Rank, Rank),
    ) -> Result<Option<Region>, ShapeError> {
        let base = all.base();
        let (low, high) = (base.coordinates_of(first), base.coordinates_of(last));
        let mut region = all.clone();
        for (axis, unit) in base.strides().enumerate() {
            let (start, end) = (at(&low, axis), at(&high, axis));
            // If there is a second coordinate, it is that of the lowest rank that has another one.
            let next = self.runs_within((first.index() / unit + 1) * unit..usize::MAX).next();
            let step = next.map_or(1, |run| run.start / unit - first.index() / unit);
            let step = if start < end { step } else { 1 };
            let slice = Slice::from(start.cast_signed()..end.cast_signed() + 1);
            region = region.slice_at(axis, slice.by(step.cast_signed()))?;
        }
        let is_held =
            |run: Range<usize>| region.n_below(run.end) - region.n_below(run.start) == run.len();
        let is_it = region.size() == self.len() && self.runs().all(is_held);
        Ok(is_it.then_some(region))
    }
}

/// Takes as much from the start of a run as one region holds: whole blocks of the outermost dim that has
/// one there. The run is not empty, and lies within `all`, which has a dim.
fn take_block(all: &Region, run: &mut Range<usize>) -> Result<Region, ShapeError> {
    let base = all.base();
    let low = base.coordinates_of(Rank::new(run.start));
    let mut region = all.clone();
    for (axis, unit) in base.strides().enumerate() {
        let start = at(&low, axis);
        let is_block = run.start.is_multiple_of(unit) && run.len() >= unit;
        let n_left = at(base.sizes(), axis) - start;
        let len = if is_block { n_left.min(run.len() / unit) } else { 1 };
        region = region.slice_at(axis, start.cast_signed()..(start + len).cast_signed())?;
        if is_block {
            run.start += len * unit;
            break;
        }
    }
    Ok(region)
}

fn at(list: &[usize], axis: usize) -> usize {
    list.get(axis).copied().unwrap_or_default()
}
