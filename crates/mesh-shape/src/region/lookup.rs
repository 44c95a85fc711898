//! Between the ranks of a base and those of a view.

use super::{Loop, Region};
use crate::extent::ravel_split;
use crate::inline_vec::InlineVec;
use crate::point::Point;
use crate::rank::Rank;

impl Region {
    /// The base rank of a view rank. O(dims).
    #[must_use]
    #[inline]
    pub fn base_rank(&self, view: Rank) -> Option<Rank> {
        if !self.extent.contains(view) {
            return None;
        }
        let mut rest = view.index();
        let mut base = self.offset;
        for (&len, &stride) in self.extent.sizes().iter().zip(self.strides.iter()).rev() {
            let position;
            (position, rest) = ravel_split(rest, len);
            base = base.wrapping_add_signed(stride.wrapping_mul(position.cast_signed()));
        }
        Some(Rank::new(base))
    }

    /// The view rank of a base rank: the inverse of [`Region::base_rank`]. O(dims).
    #[must_use]
    #[inline]
    pub fn rank_of_base(&self, base: Rank) -> Option<Rank> {
        let positions = self.positions(base.index())?;
        let lens = self.extent.sizes().iter();
        let view =
            positions.iter().zip(lens).fold(0, |view, (position, len)| view * len + position);
        Some(Rank::new(view))
    }

    /// The point in the view of a base rank. O(dims).
    ///
    /// # Shape
    ///
    /// The point is in [`Region::extent`]; its rank is the view rank.
    #[must_use]
    #[inline]
    pub fn point_of_base(&self, base: Rank) -> Option<Point<'_>> {
        self.rank_of_base(base).map(|rank| Point::at(&self.extent, rank))
    }

    /// Whether the view holds a base rank. O(dims).
    #[must_use]
    #[inline]
    pub fn contains(&self, base: Rank) -> bool {
        self.positions(base.index()).is_some()
    }

    /// The rank in the view `to` of what is `view` here: the same rank of an equal base. O(dims).
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 4)?);
    /// let (second, even) = (all.parse_slice("hosts=1")?, all.parse_slice("gpus=::2")?);
    /// assert_eq!(second.remap(Rank::new(2), &even), Some(Rank::new(3)));
    /// assert_eq!(second.remap(Rank::new(1), &even), None, "an odd one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn remap(&self, view: Rank, to: &Self) -> Option<Rank> {
        if self.base != to.base {
            return None;
        }
        to.rank_of_base(self.base_rank(view)?)
    }

    /// The position of a base rank along each axis, if the view holds it.
    ///
    /// The largest stride is taken out first: what the smaller ones make up together is less than it
    /// (an invariant), so the quotient is the position.
    #[inline]
    pub(super) fn positions(&self, base: usize) -> Option<InlineVec<usize>> {
        if self.is_empty() {
            return None;
        }
        let (low, high) = self.ends();
        if base < low || base > high {
            return None;
        }
        let mut rest = base - low;
        let mut positions = InlineVec::of_len(self.strides.len());
        let mut place = |axis: usize, each: Loop| {
            let distance = each.stride.unsigned_abs();
            let steps = if distance == 1 { rest } else { rest / distance };
            if steps >= each.len {
                return None;
            }
            rest -= steps * distance;
            if let Some(slot) = positions.get_mut(axis) {
                *slot = if each.stride < 0 { each.len - 1 - steps } else { steps };
            }
            Some(())
        };
        if self.is_in_order() {
            for (axis, each) in self.loops().enumerate().filter(|(_, each)| each.stride != 0) {
                place(axis, each)?;
            }
        } else {
            for axis in self.by_stride().iter() {
                place(*axis, self.loops().nth(*axis)?)?;
            }
        }
        (rest == 0).then_some(positions)
    }

    /// Whether the strides of the axes fall from the outermost on, as they do unless permuted.
    fn is_in_order(&self) -> bool {
        let mut last = usize::MAX;
        self.strides.iter().filter(|stride| **stride != 0).all(|stride| {
            let falls = stride.unsigned_abs() < last;
            last = stride.unsigned_abs();
            falls
        })
    }
}
