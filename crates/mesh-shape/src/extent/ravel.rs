//! Between coordinates and ranks.

use super::Extent;
use crate::inline_vec::InlineVec;
use crate::point::Point;
use crate::rank::Rank;
use crate::shape_error::ShapeError;

impl Extent {
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
    /// let point = extent!(hosts = 2, gpus = 3)?.unravel(Rank::new(5))?;
    /// assert_eq!(point.coordinates(), [1, 2]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    ///
    /// # Source
    ///
    /// `numpy.unravel_index(rank, sizes, order="C")`.
    #[doc(alias = "unravel_index")]
    #[inline]
    pub fn unravel(&self, rank: Rank) -> Result<Point, ShapeError> {
        let Some(coordinates) = self.coordinates(rank) else {
            return Err(ShapeError::RankOutOfBounds { rank, size: self.size() });
        };
        let mut kept = InlineVec::of_len(self.ndim());
        for (slot, coordinate) in kept.iter_mut().zip(coordinates) {
            *slot = coordinate;
        }
        Ok(Point::at(self.clone(), rank, kept))
    }

    /// The coordinates of `rank`, outermost first, one by one: cheaper than a [`Point`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, extent};
    ///
    /// let extent = extent!(hosts = 2, gpus = 3)?;
    /// let coordinates = extent.coordinates(Rank::new(5)).map(Vec::from_iter);
    /// assert_eq!(coordinates, Some(vec![1, 2]));
    /// assert!(extent.coordinates(Rank::new(6)).is_none());
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn coordinates(&self, rank: Rank) -> Option<impl Iterator<Item = usize>> {
        let mut rest = rank.index();
        let coordinates = self.strides().iter().map(move |&stride| {
            // A division costs more than the rest of the loop, and the last stride is 1.
            let coordinate = if stride == 1 { rest } else { rest / stride };
            rest -= coordinate * stride;
            coordinate
        });
        self.contains(rank).then_some(coordinates)
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
    /// let point = extent!(hosts = 2, gpus = 3)?.point(&[1, 2])?;
    /// assert_eq!(point.to_string(), "hosts=1,gpus=2");
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn point(&self, coordinates: &[usize]) -> Result<Point, ShapeError> {
        let rank = self.ravel(coordinates)?;
        Ok(Point::at(self.clone(), rank, coordinates.into()))
    }
}
