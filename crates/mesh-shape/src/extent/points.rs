//! The points of an extent, one after another.

use super::Extent;
use crate::point::Point;
use crate::rank::Rank;

/// Every point of an extent, in the order of ranks; made by [`Extent::points`].
///
/// # Examples
///
/// ```
/// use mesh_shape::extent;
///
/// let extent = extent!(hosts = 2, gpus = 8)?;
/// let mut points = extent.points();
/// assert_eq!(points.len(), 16);
/// assert_eq!(points.nth(11), extent.point(&[1, 3]).ok());
/// # Ok::<(), mesh_shape::ShapeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Points<'a> {
    extent: &'a Extent,
    next: usize,
}

impl<'a> Points<'a> {
    pub(super) const fn new(extent: &'a Extent) -> Self {
        Self { extent, next: 0 }
    }
}

impl<'a> Iterator for Points<'a> {
    type Item = Point<'a>;

    #[inline]
    fn next(&mut self) -> Option<Point<'a>> {
        if self.next >= self.extent.size() {
            return None;
        }
        let rank = Rank::new(self.next);
        self.next += 1;
        Some(Point::at(self.extent, rank))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n_left = self.extent.size() - self.next;
        (n_left, Some(n_left))
    }
}

impl ExactSizeIterator for Points<'_> {}
