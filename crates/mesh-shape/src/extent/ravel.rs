//! Between coordinates and ranks.

use super::Extent;
use crate::inline_vec::InlineVec;
use crate::point::{Coordinates, Point};
use crate::rank::Rank;
use crate::shape_error::ShapeError;

impl Extent {
    /// How far apart, in ranks, two neighbours along each axis are; the last is 1.
    ///
    /// The stride of a dim takes the size 0 of a later one as 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// assert!(extent!(pods = 3, hosts = 2, gpus = 8)?.strides().eq([16, 8, 1]));
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn strides(&self) -> impl ExactSizeIterator<Item = usize> + DoubleEndedIterator {
        let strides = self.row_major();
        (0..self.ndim()).map(move |axis| strides.get(axis).copied().unwrap_or(1))
    }

    /// The strides, 1 taken for the size 0: never 0.
    pub(crate) fn row_major(&self) -> InlineVec<usize> {
        let mut strides = InlineVec::of_len(self.ndim());
        let mut stride = 1;
        for (slot, &size) in strides.iter_mut().zip(self.sizes.iter()).rev() {
            *slot = stride;
            stride *= size.max(1);
        }
        strides
    }

    /// The rank at `coordinates`.
    ///
    /// # Shape
    ///
    /// `coordinates`: one for each axis, outermost first; `coordinates[axis] < sizes[axis]`.
    ///
    /// # Errors
    ///
    /// - [`ShapeError::WrongDimensions`] if there are not [`Extent::ndim`] coordinates.
    /// - [`ShapeError::OutOfBounds`] if one is not smaller than the size of its dim.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, extent};
    ///
    /// assert_eq!(extent!(hosts = 2, gpus = 3)?.ravel(&[1, 2])?, Rank::new(5));
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    ///
    /// # Source
    ///
    /// `numpy.ravel_multi_index(coordinates, sizes, mode="raise", order="C")`.
    #[doc(alias = "ravel_multi_index")]
    pub fn ravel(&self, coordinates: &[usize]) -> Result<Rank, ShapeError> {
        if coordinates.len() != self.ndim() {
            let (expected, found) = (self.ndim(), coordinates.len());
            return Err(ShapeError::WrongDimensions { expected, found });
        }
        let mut index = 0;
        for (axis, (&coordinate, &size)) in coordinates.iter().zip(self.sizes()).enumerate() {
            if coordinate >= size {
                return Err(self.out_of_bounds(axis, coordinate));
            }
            index = index * size + coordinate;
        }
        Ok(Rank::new(index))
    }

    /// The point of `rank`: the inverse of [`Extent::ravel`].
    ///
    /// # Errors
    ///
    /// [`ShapeError::RankOutOfBounds`] if `rank` is not in `0..size`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, extent};
    ///
    /// let extent = extent!(hosts = 2, gpus = 3)?;
    /// assert_eq!(extent.unravel(Rank::new(5))?.coordinates(), [1, 2]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    ///
    /// # Source
    ///
    /// `numpy.unravel_index(rank, sizes, order="C")`.
    #[doc(alias = "unravel_index")]
    #[inline]
    pub fn unravel(&self, rank: Rank) -> Result<Point<'_>, ShapeError> {
        if self.contains(rank) {
            Ok(Point::at(self, rank))
        } else {
            Err(ShapeError::RankOutOfBounds { rank, size: self.size() })
        }
    }

    /// The coordinates of a rank that is inside.
    #[inline]
    pub(crate) fn coordinates_of(&self, rank: Rank) -> Coordinates {
        let mut rest = rank.index();
        let mut coordinates = InlineVec::of_len(self.ndim());
        for (slot, &size) in coordinates.iter_mut().zip(self.sizes()).rev() {
            (*slot, rest) = split(rest, size);
        }
        Coordinates::new(coordinates)
    }

    /// The point at `coordinates`.
    ///
    /// # Shape
    ///
    /// As for [`Extent::ravel`].
    ///
    /// # Errors
    ///
    /// As [`Extent::ravel`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let extent = extent!(hosts = 2, gpus = 3)?;
    /// assert_eq!(extent.point(&[1, 2])?.to_string(), "hosts=1,gpus=2");
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn point(&self, coordinates: &[usize]) -> Result<Point<'_>, ShapeError> {
        Ok(Point::at(self, self.ravel(coordinates)?))
    }
}

/// What is left of `rest` within a dim of `size`, and how often it holds the dim. Of the outermost dim
/// nothing is held, and that costs no division.
#[inline]
pub(crate) const fn split(rest: usize, size: usize) -> (usize, usize) {
    if rest < size { (rest, 0) } else { (rest % size, rest / size) }
}
