//! Between the ranks of a base and those of a view.

use super::{Axis, Region};
use crate::inline_vec::InlineVec;
use crate::point::Point;
use crate::rank::Rank;

impl Region {
    /// The base rank of a view rank.
    #[must_use]
    #[inline]
    pub fn base_rank(&self, view: Rank) -> Option<Rank> {
        if !self.extent.contains(view) {
            return None;
        }
        let mut rest = view.index();
        let mut base = 0;
        let mut view_strides = self.extent.strides().iter();
        for (axis, base_stride) in self.axes.iter().zip(self.base.strides()) {
            let position = match axis.kept.then(|| view_strides.next()).flatten() {
                None => 0,
                Some(1) => std::mem::take(&mut rest),
                Some(stride) => {
                    let position = rest / stride;
                    rest -= position * stride;
                    position
                }
            };
            base += axis.coordinate(position) * base_stride;
        }
        Some(Rank::new(base))
    }

    /// The view rank of a base rank: the inverse of [`Region::base_rank`].
    #[must_use]
    #[inline]
    pub fn rank_of_base(&self, base: Rank) -> Option<Rank> {
        let mut view = 0;
        self.each_position(base, |axis, position| view = view * axis.len + position)?;
        Some(Rank::new(view))
    }

    /// The point in the view of a base rank.
    ///
    /// # Shape
    ///
    /// The point is in [`Region::extent`]; its rank is the view rank.
    #[must_use]
    #[inline]
    pub fn point_of_base(&self, base: Rank) -> Option<Point> {
        let mut view = 0;
        let mut coordinates = InlineVec::of_len(self.extent.ndim());
        let mut slots = coordinates.iter_mut();
        self.each_position(base, |axis, position| {
            view = view * axis.len + position;
            if let Some(slot) = slots.next() {
                *slot = position;
            }
        })?;
        Some(Point::at(self.extent.clone(), Rank::new(view), coordinates))
    }

    /// Whether the view holds a base rank.
    #[must_use]
    #[inline]
    pub fn contains(&self, base: Rank) -> bool {
        self.each_position(base, |_, _| ()).is_some()
    }

    /// Whether `other` is a view of an equal base and holds every rank of this one.
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
        self.base == other.base
            && (self.is_empty()
                || self
                    .axes
                    .iter()
                    .zip(other.axes.iter())
                    .all(|(axis, other)| axis.is_subset(*other)))
    }

    /// Hands every kept axis and the position of `base` along it to `each`, outermost first.
    #[inline]
    fn each_position(&self, base: Rank, mut each: impl FnMut(Axis, usize)) -> Option<()> {
        if !self.base.contains(base) {
            return None;
        }
        let mut rest = base.index();
        for (axis, &stride) in self.axes.iter().zip(self.base.strides()) {
            let coordinate = if stride == 1 { rest } else { rest / stride };
            rest -= coordinate * stride;
            let position = axis.position(coordinate)?;
            if axis.kept {
                each(*axis, position);
            }
        }
        Some(())
    }
}
