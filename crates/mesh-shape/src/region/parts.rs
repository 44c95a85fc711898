//! A region in parts: by the coordinates of some dims, in chunks, in windows.

use super::Region;
use super::reshape::pick;
use crate::extent::Extent;
use crate::inline_vec::InlineVec;
use crate::rank::Rank;
use crate::shape_error::ShapeError;

/// The parts of a region, one after another; made by [`Region::group_by`], [`Region::chunks`] and
/// [`Region::windows`]. A part is a region of the same base.
///
/// # Examples
///
/// ```
/// use mesh_shape::{Region, extent};
///
/// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
/// let mut hosts = all.group_by(&["hosts"])?;
/// assert_eq!(hosts.len(), 2);
/// assert_eq!(hosts.next(), Some(all.slice("hosts", 0)?));
/// # Ok::<(), mesh_shape::ShapeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parts {
    region: Region,
    how: How,
    next: usize,
    count: usize,
}

#[derive(Clone, Debug)]
enum How {
    /// One part for each point of `by`, whose strides in the base these are.
    Groups { by: Extent, strides: InlineVec<isize> },
    /// `len` positions of an axis, `step` further each time.
    Ranges { axis: usize, len: usize, step: usize },
}

impl Region {
    /// The parts of equal coordinates along `names`, in the order of these; each part has the other
    /// dims.
    ///
    /// # Errors
    ///
    /// [`ShapeError::UnknownDim`] or [`ShapeError::DuplicateDim`] if a name is not one of the view's,
    /// or is there twice.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(pods = 2, hosts = 2, gpus = 4)?);
    /// let rows: Vec<String> = all.group_by(&["hosts"])?.map(|part| part.to_string()).collect();
    /// assert_eq!(rows, ["pods=0:2,hosts=0,gpus=0:4", "pods=0:2,hosts=1,gpus=0:4"]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn group_by(&self, names: &[&str]) -> Result<Parts, ShapeError> {
        let axes = self.axes_of(names)?;
        let rest: Vec<usize> =
            (0..self.extent.ndim()).filter(|axis| !axes.contains(axis)).collect();
        let part = |axes: &[usize]| self.extent.select(axes, pick(self.extent.sizes(), axes));
        let by = part(&axes);
        let region =
            Self { extent: part(&rest), offset: self.offset, strides: pick(&self.strides, &rest) };
        let count = by.size();
        let how = How::Groups { strides: pick(&self.strides, &axes), by };
        Ok(Parts { region, how, next: 0, count })
    }

    /// The parts of `len` positions along the dim `name`, one after the other; the last has what is
    /// left.
    ///
    /// # Errors
    ///
    /// - [`ShapeError::UnknownDim`] if the view has no such dim.
    /// - [`ShapeError::ZeroLength`] if `len` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(gpus = 8)?);
    /// let sizes: Vec<usize> = all.chunks("gpus", 3)?.map(|part| part.size()).collect();
    /// assert_eq!(sizes, [3, 3, 2]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn chunks(&self, name: &str, len: usize) -> Result<Parts, ShapeError> {
        let (axis, size) = self.axis_and_len(name, len)?;
        let (region, how) = (self.clone(), How::Ranges { axis, len, step: len });
        Ok(Parts { region, how, next: 0, count: size.div_ceil(len) })
    }

    /// The parts of `len` neighbouring positions along the dim `name`, each one position further than
    /// the one before; none if the dim is shorter.
    ///
    /// # Errors
    ///
    /// As [`Region::chunks`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let pipeline = Region::all(extent!(stages = 4)?);
    /// let pairs: Vec<String> = pipeline.windows("stages", 2)?.map(|part| part.to_string()).collect();
    /// assert_eq!(pairs, ["stages=0:2", "stages=1:3", "stages=2:4"]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    ///
    /// # Source
    ///
    /// `numpy.lib.stride_tricks.sliding_window_view` along one axis.
    pub fn windows(&self, name: &str, len: usize) -> Result<Parts, ShapeError> {
        let (axis, size) = self.axis_and_len(name, len)?;
        let count = (size + 1).saturating_sub(len);
        Ok(Parts { region: self.clone(), how: How::Ranges { axis, len, step: 1 }, next: 0, count })
    }

    fn axis_and_len(&self, name: &str, len: usize) -> Result<(usize, usize), ShapeError> {
        let axis = self.axis(name)?;
        if len == 0 {
            return Err(ShapeError::ZeroLength { dim: name.to_owned() });
        }
        Ok((axis, self.extent.sizes().get(axis).copied().unwrap_or_default()))
    }
}

impl Parts {
    fn part(&self, at: usize) -> Region {
        match &self.how {
            How::Groups { by, strides } => {
                let coordinates = by.coordinates_of(Rank::new(at));
                let ways = coordinates.iter().zip(strides.iter());
                let way = |(at, stride): (&usize, &isize)| stride.wrapping_mul(at.cast_signed());
                let offset = ways.map(way).fold(self.region.offset, usize::wrapping_add_signed);
                let Region { extent, strides, .. } = self.region.clone();
                Region::new(extent, (offset, strides))
            }
            How::Ranges { axis, len, step } => {
                let size = self.region.extent.sizes().get(*axis).copied().unwrap_or_default();
                let start = at * step;
                let mut part = self.region.clone();
                part.narrow(*axis, (start, 1, (*len).min(size - start)));
                part
            }
        }
    }
}

impl Iterator for Parts {
    type Item = Region;

    fn next(&mut self) -> Option<Region> {
        if self.next >= self.count {
            return None;
        }
        self.next += 1;
        Some(self.part(self.next - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n_left = self.count - self.next;
        (n_left, Some(n_left))
    }
}

impl ExactSizeIterator for Parts {}
