//! To and from `ndarray`: values as arrays of the shape of an extent, and arrays seen by a region.

use ndarray::{ArrayBase, ArrayD, ArrayViewD, Axis, Data, Dimension, IxDyn, ShapeBuilder};

use crate::extent::Extent;
use crate::region::Region;
use crate::shape_error::ShapeError;
use crate::value_mesh::ValueMesh;

impl<T: Clone> ValueMesh<T> {
    /// The values as an array of the shape of `extent`, row-major: one element for each rank.
    ///
    /// # Errors
    ///
    /// [`ShapeError::WrongLength`] if `extent` has another size.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{ValueMesh, extent};
    ///
    /// let extent = extent!(hosts = 2, gpus = 3)?;
    /// let array = ValueMesh::from_fn(6, |rank| rank.index()).to_array(&extent)?;
    /// assert_eq!(array[[1, 2]], 5);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn to_array(&self, extent: &Extent) -> Result<ArrayD<T>, ShapeError> {
        let wrong = || ShapeError::WrongLength { expected: extent.size(), found: self.size() };
        if extent.size() != self.size() {
            return Err(wrong());
        }
        let values = self.iter().cloned().collect();
        ArrayD::from_shape_vec(IxDyn(extent.sizes()), values).ok().ok_or_else(wrong)
    }
}

impl<T: Clone + PartialEq> ValueMesh<T> {
    /// The elements of an array, in row-major order whatever its layout: one rank for each.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    /// use ndarray::arr2;
    ///
    /// let turned = arr2(&[[1, 2], [3, 4]]).reversed_axes();
    /// let values = ValueMesh::from_array(&turned);
    /// assert_eq!(values.iter().copied().collect::<Vec<_>>(), [1, 3, 2, 4]);
    /// ```
    pub fn from_array<S: Data<Elem = T>, D: Dimension>(array: &ArrayBase<S, D>) -> Self {
        array.iter().cloned().collect()
    }
}

impl Region {
    /// What the region shows of an array over its base, without copying: the element of a view rank is
    /// that of its base rank.
    ///
    /// # Shape
    ///
    /// `array` has the shape of [`Region::base`], the result that of [`Region::extent`].
    ///
    /// # Errors
    ///
    /// - [`ShapeError::WrongArray`] if the array has another shape.
    /// - [`ShapeError::NotRowMajor`] if it does not lie row-major in one piece.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    /// use ndarray::ArrayD;
    ///
    /// let base = extent!(hosts = 2, gpus = 3)?;
    /// let array = ArrayD::from_shape_vec(base.sizes(), vec![0, 1, 2, 3, 4, 5])?;
    /// let turned = Region::all(base).permute(&["gpus", "hosts"])?.flip("gpus")?;
    /// let view = turned.view_array(&array.view())?;
    /// assert_eq!(view.shape(), [3, 2]);
    /// assert_eq!(view.iter().copied().collect::<Vec<_>>(), [2, 5, 1, 4, 0, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn view_array<'a, T>(
        &self,
        array: &ArrayViewD<'a, T>,
    ) -> Result<ArrayViewD<'a, T>, ShapeError> {
        if array.shape() != self.base().sizes() {
            let (expected, found) = (self.base().sizes().to_vec(), array.shape().to_vec());
            return Err(ShapeError::WrongArray { expected, found });
        }
        let elements = array.to_slice().ok_or(ShapeError::NotRowMajor)?;
        let shown = elements.get(self.bounds().unwrap_or(0..0)).ok_or(ShapeError::NotRowMajor)?;
        let strides: Vec<usize> = self.strides().iter().map(|way| way.unsigned_abs()).collect();
        let shape = IxDyn(self.extent().sizes()).strides(IxDyn(&strides));
        // The strides lead to no element twice and to none outside: an invariant of regions.
        let view = ArrayViewD::from_shape(shape, shown);
        let mut view = view.or(Err(ShapeError::NotRowMajor))?;
        for (axis, _) in self.strides().iter().enumerate().filter(|(_, way)| **way < 0) {
            view.invert_axis(Axis(axis));
        }
        Ok(view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::Rank;

    #[test]
    fn an_array_of_another_shape_or_layout_is_refused() {
        let base: Extent = "a=2,b=3".parse().expect("it is an extent");
        let region = Region::all(base);
        let turned = ArrayD::from_shape_vec(IxDyn(&[3, 2]), vec![0; 6]).expect("it has six");
        let (expected, found) = (vec![2, 3], vec![3, 2]);
        let wrong = ShapeError::WrongArray { expected, found };
        assert_eq!(region.view_array(&turned.view()), Err(wrong));
        let columns = turned.reversed_axes();
        assert_eq!(region.view_array(&columns.view()), Err(ShapeError::NotRowMajor));
    }

    #[test]
    fn an_empty_view_and_one_without_dims_are_arrays_too() {
        let all = Region::all("a=2,b=3".parse().expect("it is an extent"));
        let array = ArrayD::from_shape_vec(IxDyn(&[2, 3]), (0..6).collect()).expect("it has six");
        for text in ["b=1:1", "a=1,b=2", "a=1:2,b=::-2"] {
            let region = all.parse_slice(text).expect("it is a slice");
            let view = region.view_array(&array.view()).expect("it fits");
            assert_eq!(view.shape(), region.extent().sizes(), "{text}");
            let shown: Vec<usize> = region.iter().map(Rank::index).collect();
            assert_eq!(view.iter().copied().collect::<Vec<_>>(), shown, "{text}");
        }
    }
}
