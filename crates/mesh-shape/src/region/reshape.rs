//! The same ranks under other dims: permuted, flipped, flattened, split, squeezed.

use super::Region;
use crate::extent::Extent;
use crate::inline_vec::InlineVec;
use crate::shape_error::ShapeError;

impl Region {
    /// The same view with its dims in another order.
    ///
    /// # Shape
    ///
    /// `names`: every dim of the view, once.
    ///
    /// # Errors
    ///
    /// - [`ShapeError::UnknownDim`] or [`ShapeError::DuplicateDim`] if a name is not one of the
    ///   view's, or is there twice.
    /// - [`ShapeError::MissingDim`] if one is not named.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, Region, extent};
    ///
    /// let turned = Region::all(extent!(a = 2, b = 3)?).permute(&["b", "a"])?;
    /// assert_eq!(turned.iter().map(Rank::index).collect::<Vec<_>>(), [0, 3, 1, 4, 2, 5]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    ///
    /// # Source
    ///
    /// `numpy.transpose(view, axes)`.
    #[doc(alias = "transpose")]
    pub fn permute(&self, names: &[&str]) -> Result<Self, ShapeError> {
        let axes = self.axes_of(names)?;
        if let Some(missing) = (0..self.extent.ndim()).find(|axis| !axes.contains(axis)) {
            let name = self.extent.names().nth(missing).unwrap_or_default().to_owned();
            return Err(ShapeError::MissingDim { name });
        }
        let sizes = pick(self.extent.sizes(), &axes);
        let strides = pick(&self.strides, &axes);
        let extent = self.extent.select(&axes, sizes);
        Ok(Self::new(extent, (self.offset, strides)))
    }

    /// The same view with one dim backwards.
    ///
    /// # Errors
    ///
    /// [`ShapeError::UnknownDim`] if the view has no such dim.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.flip("gpus")?, all.parse_slice("gpus=::-1")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    ///
    /// `numpy.flip(view, axis)`.
    pub fn flip(&self, name: &str) -> Result<Self, ShapeError> {
        let axis = self.axis(name)?;
        let len = self.extent.sizes().get(axis).copied().unwrap_or_default();
        let mut flipped = self.clone();
        flipped.narrow(axis, (len.saturating_sub(1), -1, len));
        Ok(flipped)
    }

    /// The same view without the dims of one position.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(pods = 1, hosts = 2, gpus = 1)?);
    /// assert_eq!(all.squeeze().extent(), &extent!(hosts = 2)?);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    ///
    /// # Source
    ///
    /// `numpy.squeeze(view)`.
    #[must_use]
    pub fn squeeze(&self) -> Self {
        let is_kept = |axis: &usize| self.extent.sizes().get(*axis).is_some_and(|len| *len != 1);
        let kept: Vec<usize> = (0..self.extent.ndim()).filter(is_kept).collect();
        let extent = self.extent.select(&kept, pick(self.extent.sizes(), &kept));
        Self::new(extent, (self.offset, pick(&self.strides, &kept)))
    }

    /// The same view with some dims made one, named `into`, in the place of the first of them.
    ///
    /// # Shape
    ///
    /// `names`: dims of the view, outermost first: the last varies fastest in the new one. They must
    /// lie in the base so that one stride leads through all of them.
    ///
    /// # Errors
    ///
    /// - [`ShapeError::UnknownDim`], [`ShapeError::DuplicateDim`] or [`ShapeError::EmptyName`] if the
    ///   names are not such.
    /// - [`ShapeError::NotFlat`] if no one stride leads through them.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.flatten(&["hosts", "gpus"], "procs")?.extent(), &extent!(procs = 16)?);
    /// let some = all.parse_slice("gpus=0:4")?;
    /// assert_eq!(
    ///     some.flatten(&["hosts", "gpus"], "procs").expect_err("there are gaps").to_string(),
    ///     "hosts and gpus cannot be one dim: neighbours along hosts are 8 ranks apart, and 4 steps \
    ///      along gpus are 4",
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    ///
    /// `numpy.reshape` where it needs no copy.
    pub fn flatten(&self, names: &[&str], into: &str) -> Result<Self, ShapeError> {
        let axes = self.axes_of(names)?;
        let (mut len, mut stride) = (1_usize, 0_isize);
        let mut inner = None;
        for axis in axes.iter().rev() {
            let each = self.loops().nth(*axis).unwrap_or_default();
            if each.len == 1 {
                continue;
            }
            // No stride is as long as what an `isize` cannot count.
            let expected = stride.saturating_mul(len.cast_signed());
            if let Some(inner) = inner.filter(|_| each.stride != expected && !self.is_empty()) {
                return Err(self.not_flat(*axis, inner, (each.stride, len, expected)));
            }
            if inner.is_none() {
                stride = each.stride;
            }
            len *= each.len;
            inner = Some(*axis);
        }
        let first = axes.first().map_or_else(|| self.extent.ndim(), |axis| *axis);
        let mut dims = Vec::with_capacity(self.extent.ndim() + 1);
        let mut strides = Vec::with_capacity(self.extent.ndim() + 1);
        for (axis, (name, size)) in self.extent.dims().enumerate() {
            if axis == first {
                dims.push((into, len));
                strides.push(stride);
            }
            if !axes.contains(&axis) {
                dims.push((name, size));
                strides.push(self.strides.get(axis).copied().unwrap_or_default());
            }
        }
        if axes.is_empty() {
            dims.push((into, 1));
            strides.push(0);
        }
        let strides = InlineVec::from(&*strides);
        Ok(Self::new(Extent::new(dims)?.view_like(&self.extent), (self.offset, strides)))
    }

    /// The same view with one dim made several.
    ///
    /// # Shape
    ///
    /// `into`: the new dims, outermost first; the product of their sizes is that of the old one.
    ///
    /// # Errors
    ///
    /// - [`ShapeError::UnknownDim`], [`ShapeError::DuplicateDim`] or [`ShapeError::EmptyName`] if the
    ///   names are not such.
    /// - [`ShapeError::WrongSplit`] if the sizes do not make up the old one.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(procs = 16)?);
    /// let split = all.split("procs", &[("hosts", 2), ("gpus", 8)])?;
    /// assert_eq!(split.extent(), &extent!(hosts = 2, gpus = 8)?);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn split(&self, name: &str, into: &[(&str, usize)]) -> Result<Self, ShapeError> {
        let old = self.axis(name)?;
        let size = self.extent.sizes().get(old).copied().unwrap_or_default();
        let product = into.iter().try_fold(1, |all: usize, (_, size)| all.checked_mul(*size));
        if product != Some(size) {
            let into = into.iter().map(|(_, size)| *size).collect();
            return Err(ShapeError::WrongSplit { dim: name.to_owned(), size, into });
        }
        let mut dims = Vec::with_capacity(self.extent.ndim() + into.len());
        let mut strides = Vec::with_capacity(dims.capacity());
        for (axis, (name, size)) in self.extent.dims().enumerate() {
            let stride = self.strides.get(axis).copied().unwrap_or_default();
            if axis != old {
                dims.push((name, size));
                strides.push(stride);
                continue;
            }
            let mut inside = size;
            for (name, size) in into {
                // Of an empty dim the strides do not matter.
                inside = inside.checked_div(*size).unwrap_or_default();
                dims.push((name, *size));
                strides.push(stride.wrapping_mul(inside.cast_signed()));
            }
        }
        let strides = InlineVec::from(&*strides);
        Ok(Self::new(Extent::new(dims)?.view_like(&self.extent), (self.offset, strides)))
    }

    /// The axes of these dims, each named once.
    pub(super) fn axes_of(&self, names: &[&str]) -> Result<Vec<usize>, ShapeError> {
        let mut axes = Vec::with_capacity(names.len());
        for name in names {
            let axis = self.axis(name)?;
            if axes.contains(&axis) {
                return Err(ShapeError::DuplicateDim { name: (*name).to_owned() });
            }
            axes.push(axis);
        }
        Ok(axes)
    }

    fn not_flat(
        &self,
        outer: usize,
        inner: usize,
        (stride, steps, way): (isize, usize, isize),
    ) -> ShapeError {
        let name = |axis| self.extent.names().nth(axis).unwrap_or_default().to_owned();
        ShapeError::NotFlat { outer: name(outer), inner: name(inner), stride, steps, way }
    }
}

/// The items at these places.
pub(super) fn pick<T: Copy + Default>(items: &[T], places: &[usize]) -> InlineVec<T> {
    let item = |place: &usize| items.get(*place).copied().unwrap_or_default();
    InlineVec::from_fn(places.len(), |at| places.get(at).map(item).unwrap_or_default())
}
