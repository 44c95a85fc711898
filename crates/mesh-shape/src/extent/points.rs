//! The points of an extent, one after another.

use super::Extent;
use crate::inline_vec::InlineVec;
use crate::point::Point;
use crate::rank::Rank;

/// Every point of an extent, in the order of ranks; made by [`Extent::points`].
#[derive(Clone, Debug)]
pub struct Points {
    extent: Extent,
    next: usize,
    coordinates: InlineVec<usize>,
}

impl Points {
    pub(super) fn new(extent: Extent) -> Self {
        Self { next: 0, coordinates: InlineVec::of_len(extent.ndim()), extent }
    }
}

impl Iterator for Points {
    type Item = Point;

    #[inline]
    fn next(&mut self) -> Option<Point> {
        let rank = Rank::new(self.next);
        if !self.extent.contains(rank) {
            return None;
        }
        let coordinates = self.coordinates.clone();
        self.next += 1;
        for (coordinate, &size) in self.coordinates.iter_mut().zip(self.extent.sizes()).rev() {
            *coordinate += 1;
            if *coordinate < size {
                break;
            }
            *coordinate = 0;
        }
        Some(Point::at(self.extent.clone(), rank, coordinates))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n_left = self.extent.size() - self.next;
        (n_left, Some(n_left))
    }
}

impl ExactSizeIterator for Points {}
