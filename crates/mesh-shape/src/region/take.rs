//! Taking slices of the dims of a region, by name or by position.

use super::Region;
use crate::shape_error::ShapeError;
use crate::slice::Slice;

/// What is taken of one dim, and of which: an element of [`slice!`](crate::slice!).
///
/// # Examples
///
/// ```
/// use mesh_shape::{Region, Slice, Take, extent, slice};
///
/// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
/// let takes = [Take::Of("gpus", Slice::from(..4)), Take::Of("hosts", Slice::from(-1))];
/// assert_eq!(takes, slice!(gpus = ..4, hosts = -1));
/// assert_eq!(all.take(&takes)?.ranks().to_string(), "8..12");
/// # Ok::<(), mesh_shape::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take<'a> {
    /// Of the next dim by position.
    At(Slice),
    /// Of the dim of this name.
    Of(&'a str, Slice),
    /// Of as many dims as are left over, everything: NumPy's `...`.
    Rest,
}

/// What a slice comes to in a dim of a given size.
enum Taken {
    Index { at: usize },
    Range { start: usize, step: isize, len: usize },
}

/// Why a slice is refused; who asked knows the name of the dim.
enum Refusal {
    OutOfBounds(isize),
    ZeroStep,
}

impl Region {
    /// What `slice` takes of the dim `name`: an index drops the dim, a range keeps it.
    ///
    /// # Shape
    ///
    /// `name` is a dim of the view, and positions count within it: slices of slices compose.
    ///
    /// # Errors
    ///
    /// - [`ShapeError::UnknownDim`] if the view has no such dim.
    /// - [`ShapeError::IndexOutOfBounds`] if an index is not in `-size..size`. Ranges are clamped.
    /// - [`ShapeError::ZeroStep`] if the step of a range is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, Region, Slice, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// let last = all.slice("hosts", -1)?.slice("gpus", Slice::from(..).by(-3))?;
    /// assert_eq!(last.extent(), &extent!(gpus = 3)?);
    /// assert_eq!(last.iter().map(Rank::index).collect::<Vec<_>>(), [15, 12, 9]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn slice(&self, name: &str, slice: impl Into<Slice>) -> Result<Self, ShapeError> {
        self.taken(self.axis(name)?, slice.into())
    }

    /// What `slice` takes of the dim at `axis`, counted from the outermost.
    ///
    /// # Errors
    ///
    /// - [`ShapeError::AxisOutOfBounds`] if there is no such axis.
    /// - As [`Region::slice`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
    /// assert_eq!(all.slice_at(1, 2..)?, all.slice("gpus", 2..)?);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn slice_at(&self, axis: usize, slice: impl Into<Slice>) -> Result<Self, ShapeError> {
        let ndim = self.extent.ndim();
        if axis >= ndim {
            return Err(ShapeError::AxisOutOfBounds { axis, ndim });
        }
        self.taken(axis, slice.into())
    }

    /// What several slices take together, as [`slice!`](crate::slice!) writes them: all by name, or all
    /// by position.
    ///
    /// # Errors
    ///
    /// - [`ShapeError::MixedSlices`] if some are by name and some by position.
    /// - [`ShapeError::TooManySlices`] if there are more than dims.
    /// - [`ShapeError::TwoRests`] if `...` is there twice.
    /// - [`ShapeError::DuplicateDim`] if a dim is named twice.
    /// - As [`Region::slice`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent, slice};
    ///
    /// let all = Region::all(extent!(pods = 2, hosts = 4, gpus = 8)?);
    /// let by_name = all.take(&slice!(pods = 0, gpus = ..;2))?;
    /// let by_position = all.take(&slice!(0, ..., ..;2))?;
    /// assert_eq!(by_name, by_position);
    /// assert_eq!(by_name.extent(), &extent!(hosts = 4, gpus = 4)?);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn take(&self, takes: &[Take<'_>]) -> Result<Self, ShapeError> {
        let n_named = takes.iter().filter(|take| matches!(take, Take::Of(..))).count();
        match n_named {
            0 => self.take_by_position(takes),
            n if n == takes.len() => self.take_by_name(takes),
            _ => Err(ShapeError::MixedSlices),
        }
    }

    fn take_by_name(&self, takes: &[Take<'_>]) -> Result<Self, ShapeError> {
        let mut taken = self.clone();
        for (at, take) in takes.iter().enumerate() {
            let Take::Of(name, slice) = take else { continue };
            let is_same = |before: &Take<'_>| matches!(before, Take::Of(known, _) if known == name);
            if takes.iter().take(at).any(is_same) {
                return Err(ShapeError::DuplicateDim { name: (*name).to_owned() });
            }
            // A dim that was dropped by an index is one of this region still.
            self.axis(name)?;
            taken.cut(taken.axis(name)?, *slice)?;
        }
        Ok(taken)
    }

    fn take_by_position(&self, takes: &[Take<'_>]) -> Result<Self, ShapeError> {
        let ndim = self.extent.ndim();
        let n_rests = takes.iter().filter(|take| **take == Take::Rest).count();
        let found = takes.len() - n_rests;
        if n_rests > 1 {
            return Err(ShapeError::TwoRests);
        }
        if found > ndim {
            return Err(ShapeError::TooManySlices { found, ndim });
        }
        let mut taken = self.clone();
        let mut axis = 0;
        for take in takes {
            match take {
                Take::Rest => axis += ndim - found,
                Take::At(slice) | Take::Of(_, slice) => {
                    taken.cut(axis, *slice)?;
                    axis += usize::from(!matches!(slice, Slice::Index(_)));
                }
            }
        }
        Ok(taken)
    }

    /// What `slice` takes of the dim at `axis`, which is there.
    #[inline]
    fn taken(&self, axis: usize, slice: Slice) -> Result<Self, ShapeError> {
        // Cut where it is returned, and returned in one place: to move what was just written would take
        // a tenth of the time.
        let mut taken = Ok(self.clone());
        if let Ok(region) = &mut taken
            && let Err(refused) = region.cut(axis, slice)
        {
            taken = Err(refused);
        }
        taken
    }

    /// Keeps what `slice` takes of the dim at `axis`, which is there; a refusal changes nothing.
    #[inline]
    fn cut(&mut self, axis: usize, slice: Slice) -> Result<(), ShapeError> {
        let len = self.extent.sizes().get(axis).copied().unwrap_or_default();
        match resolve(len, slice) {
            Ok(Taken::Index { at }) => self.drop_axis(axis, at),
            Ok(Taken::Range { start, step, len }) => self.narrow(axis, (start, step, len)),
            Err(refusal) => return Err(self.refused(axis, &refusal)),
        }
        Ok(())
    }

    #[cold]
    fn refused(&self, axis: usize, refusal: &Refusal) -> ShapeError {
        let (dim, size) = self.extent.dims().nth(axis).unwrap_or_default();
        let dim = dim.to_owned();
        match *refusal {
            Refusal::ZeroStep => ShapeError::ZeroStep { dim },
            Refusal::OutOfBounds(index) => ShapeError::IndexOutOfBounds { dim, index, size },
        }
    }

    /// Keeps one position of an axis, and drops that.
    fn drop_axis(&mut self, axis: usize, at: usize) {
        self.offset = self.offset_at(axis, at);
        self.extent.remove(axis);
        self.strides.remove(axis);
    }

    /// Keeps `len` positions of an axis, `start`, `start + step`, and so on.
    #[inline]
    pub(super) fn narrow(&mut self, axis: usize, (start, step, len): (usize, isize, usize)) {
        self.offset = self.offset_at(axis, start);
        self.extent.resize(axis, len);
        if let Some(stride) = self.strides.get_mut(axis) {
            // With two positions or more, the product is smaller than the base.
            *stride = stride.wrapping_mul(step);
        }
        self.still(axis);
    }

    /// The base rank of the first view rank at a position of an axis.
    pub(super) fn offset_at(&self, axis: usize, at: usize) -> usize {
        let stride = self.strides.get(axis).copied().unwrap_or_default();
        self.offset.wrapping_add_signed(stride.wrapping_mul(at.cast_signed()))
    }
}

#[inline]
fn resolve(len: usize, slice: Slice) -> Result<Taken, Refusal> {
    match slice {
        Slice::Index(index) => {
            let found = if index < 0 {
                len.checked_sub(index.unsigned_abs())
            } else {
                Some(index.unsigned_abs()).filter(|at| *at < len)
            };
            found.map(|at| Taken::Index { at }).ok_or(Refusal::OutOfBounds(index))
        }
        Slice::Range { step: 0, .. } => Err(Refusal::ZeroStep),
        Slice::Range { start, end, step } => {
            let (start, len) = clamp(len, start, end, step);
            Ok(Taken::Range { start, step, len })
        }
    }
}

/// The first position and the number of positions of a range over `len`; `step` is not 0.
///
/// A range that takes nothing begins at 0.
#[inline]
fn clamp(len: usize, start: Option<isize>, end: Option<isize>, step: isize) -> (usize, usize) {
    let len = len.cast_signed();
    let (lower, upper) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let border = |bound: isize| {
        let bound = if bound < 0 { bound.saturating_add(len) } else { bound };
        bound.clamp(lower, upper.max(lower))
    };
    let (near, far) = if step > 0 { (lower, upper) } else { (upper, lower) };
    let (start, end) = (start.map_or(near, border), end.map_or(far, border));
    let distance = if step > 0 { end - start } else { start - end };
    if distance <= 0 {
        return (0, 0);
    }
    let (distance, step) = (distance.unsigned_abs(), step.unsigned_abs());
    // Most steps are powers of two; to divide by them too would be an eighth of the time of a slice.
    let taken = if step.is_power_of_two() {
        ((distance - 1) >> step.trailing_zeros()) + 1
    } else {
        distance.div_ceil(step)
    };
    (start.unsigned_abs(), taken)
}
