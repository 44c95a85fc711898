//! Between the ranks of a base and those of a view.

use super::{Loop, Region};
use crate::extent::ravel_split;
use crate::inline_vec::InlineVec;
use crate::point::Point;
use crate::rank::Rank;

impl Region {
    /// The base rank of a view rank. O(dims).
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// let even = all.parse_slice("gpus=::2")?;
    /// assert_eq!(even.base_rank(Rank::new(5)), Some(Rank::new(10)));
    /// assert_eq!(even.base_rank(Rank::new(8)), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, Region, extent};
    ///
    /// let odd = Region::all(extent!(gpus = 8)?).parse_slice("gpus=1::2")?;
    /// assert_eq!(odd.rank_of_base(Rank::new(5)), Some(Rank::new(2)));
    /// assert_eq!(odd.rank_of_base(Rank::new(4)), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn rank_of_base(&self, base: Rank) -> Option<Rank> {
        let mut view = 0;
        if self.is_in_order() {
            self.locate(base, |_, len, position| view = view * len + position)?;
        } else {
            let positions = self.positions(base)?;
            let lens = self.extent.sizes().iter();
            view = positions.iter().zip(lens).fold(0, |view, (at, len)| view * len + at);
        }
        Some(Rank::new(view))
    }

    /// The point in the view of a base rank. O(dims).
    ///
    /// # Shape
    ///
    /// The point is in [`Region::extent`]; its rank is the view rank.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// let even = all.parse_slice("gpus=::2")?;
    /// let point = even.point_of_base(Rank::new(10)).expect("10 is even");
    /// assert_eq!(point.to_string(), "hosts=1,gpus=1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn point_of_base(&self, base: Rank) -> Option<Point<'_>> {
        self.rank_of_base(base).map(|rank| Point::at(&self.extent, rank))
    }

    /// Whether the view holds a base rank. O(dims).
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// let even = all.parse_slice("gpus=::2")?;
    /// assert!(even.contains(Rank::new(10)) && !even.contains(Rank::new(11)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn contains(&self, base: Rank) -> bool {
        self.locate(base, |_, _, _| ()).is_some()
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
        if !self.has_base_of(to) {
            return None;
        }
        to.rank_of_base(self.base_rank(view)?)
    }

    /// The position of a base rank along each axis, if the view holds it.
    #[inline]
    pub(super) fn positions(&self, base: Rank) -> Option<InlineVec<usize>> {
        let mut positions = InlineVec::of_len(self.strides.len());
        self.locate(base, |axis, _, position| {
            if let Some(slot) = positions.get_mut(axis) {
                *slot = position;
            }
        })?;
        Some(positions)
    }

    /// Calls `found` with each axis, its length, and the position of a base rank along it, if the view
    /// holds that; else with some of them. The order is that of the axes if it [is](Self::is_in_order)
    /// that of strides.
    ///
    /// The largest stride is taken out first: what the smaller ones make up together is less than it
    /// (an invariant), so the quotient is the position.
    #[inline]
    fn locate(&self, base: Rank, mut found: impl FnMut(usize, usize, usize)) -> Option<()> {
        if self.is_empty() {
            return None;
        }
        let mut rest = base.index().checked_sub(self.lowest())?;
        let mut place = |axis: usize, Loop { len, stride }: Loop| {
            let distance = stride.unsigned_abs();
            let steps = match distance {
                0 => 0,
                1 => rest,
                _ => rest / distance,
            };
            if steps >= len {
                return None;
            }
            rest -= steps * distance;
            found(axis, len, if stride < 0 { len - 1 - steps } else { steps });
            Some(())
        };
        if self.is_in_order() {
            for (axis, each) in self.loops().enumerate() {
                place(axis, each)?;
            }
        } else {
            for axis in self.by_stride().iter() {
                place(*axis, self.loops().nth(*axis)?)?;
            }
        }
        (rest == 0).then_some(())
    }

    /// The lowest base rank. Not empty.
    #[inline]
    pub(super) fn lowest(&self) -> usize {
        self.loops().fold(self.offset, |low, Loop { len, stride }| {
            let way = stride.wrapping_mul(len.saturating_sub(1).cast_signed());
            low.wrapping_add_signed(way.min(0))
        })
    }

    /// Whether the strides of the axes fall from the outermost on, as they do unless permuted.
    #[inline]
    fn is_in_order(&self) -> bool {
        let mut last = usize::MAX;
        self.strides.iter().filter(|stride| **stride != 0).all(|stride| {
            let falls = stride.unsigned_abs() < last;
            last = stride.unsigned_abs();
            falls
        })
    }
}
