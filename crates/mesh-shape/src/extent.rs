//! The named dims of a mesh and their sizes.

mod dims;
mod points;
mod ravel;
mod table;
mod text;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::inline_vec::InlineVec;
use crate::rank::Rank;
use crate::rank_set::RankSet;
use crate::shape_error::ShapeError;

use dims::Dims;
pub use points::Points;
pub(crate) use ravel::split as ravel_split;
use table::Table;

/// The named dims of a mesh and their sizes, outermost first.
///
/// The order of ranks is row-major: the last dim varies fastest. A dim of size 0 is legal and makes
/// an extent without ranks; an extent without dims has one rank. A clone shares the names; up to six
/// dims take no room on the heap.
///
/// The text form is `hosts=2,gpus=8`. A name of other characters than letters, digits, `_`, `-`,
/// `.` and `/` is written in quotes; the extent without dims is written `()`.
///
/// # Examples
///
/// ```
/// use mesh_shape::{Extent, Rank};
///
/// let extent = Extent::new([("hosts", 2), ("gpus", 8)])?;
/// assert_eq!(extent.size(), 16);
/// assert_eq!(extent.ravel(&[1, 3])?, Rank::new(11));
/// assert_eq!("hosts=2,gpus=8".parse(), Ok(extent));
/// # Ok::<(), mesh_shape::ShapeError>(())
/// ```
///
/// # Source
///
/// NumPy's shape, with the named dims of xarray.
#[derive(Clone)]
pub struct Extent {
    // Invariants: names are unique and not empty; the product of the sizes other than 0 is at most
    // `isize::MAX`.
    /// What all that are made of this one share with it.
    table: Arc<Table>,
    /// The place of each dim's name in the table.
    names: InlineVec<u8>,
    sizes: InlineVec<usize>,
    size: usize,
}

impl Extent {
    /// The largest number of dims, as in NumPy.
    pub const NDIM_MAX: usize = 64;

    /// The largest number of ranks.
    pub const SIZE_MAX: usize = isize::MAX.unsigned_abs();

    /// The extent with these dims, outermost first.
    ///
    /// # Shape
    ///
    /// `dims`: the name and size of each dim; a size may be 0.
    ///
    /// # Errors
    ///
    /// - [`ShapeError::TooManyDims`] if there are more than [`Extent::NDIM_MAX`].
    /// - [`ShapeError::EmptyName`] or [`ShapeError::DuplicateDim`] if a name does not tell its dim.
    /// - [`ShapeError::TooLarge`] if the product of the sizes other than 0 is over
    ///   [`Extent::SIZE_MAX`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Extent, ShapeError};
    ///
    /// assert_eq!(Extent::new([("hosts", 2), ("gpus", 8)])?.ndim(), 2);
    /// let name = "gpus".to_owned();
    /// assert_eq!(Extent::new([("gpus", 2), ("gpus", 8)]), Err(ShapeError::DuplicateDim { name }));
    /// # Ok::<(), ShapeError>(())
    /// ```
    pub fn new(
        dims: impl IntoIterator<Item = (impl Into<String>, usize)>,
    ) -> Result<Self, ShapeError> {
        let mut checked = Dims::default();
        for (name, size) in dims {
            checked.push_name(name.into())?;
            checked.push_size(size)?;
        }
        Ok(checked.into_extent())
    }

    /// The dims of this extent with those of `inner` inside them: `hosts=2` and `gpus=8` make
    /// `hosts=2,gpus=8`.
    ///
    /// # Errors
    ///
    /// As [`Extent::new`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let both = extent!(hosts = 2)?.concat(&extent!(gpus = 8)?)?;
    /// assert_eq!(both, extent!(hosts = 2, gpus = 8)?);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn concat(&self, inner: &Self) -> Result<Self, ShapeError> {
        Self::new(self.dims().chain(inner.dims()))
    }

    /// The number of ranks: the product of the sizes, 1 without dims.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// assert_eq!(extent!(hosts = 2, gpus = 8)?.size(), 16);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether there are no ranks, because a dim has size 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// assert!(extent!(hosts = 0, gpus = 8)?.is_empty());
    /// assert!(!extent!()?.is_empty(), "one rank");
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// The number of dims.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// assert_eq!(extent!(hosts = 2, gpus = 8)?.ndim(), 2);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn ndim(&self) -> usize {
        self.sizes.len()
    }

    /// The names of the dims, outermost first.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// assert!(extent!(hosts = 2, gpus = 8)?.names().eq(["hosts", "gpus"]));
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator + Clone {
        self.names.iter().map(|at| self.table.name(*at))
    }

    /// The sizes of the dims, outermost first.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// assert_eq!(extent!(hosts = 2, gpus = 8)?.sizes(), [2, 8]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    #[doc(alias = "shape")]
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The name and size of each dim, outermost first.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// assert!(extent!(hosts = 2, gpus = 8)?.dims().eq([("hosts", 2), ("gpus", 8)]));
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn dims(&self) -> impl ExactSizeIterator<Item = (&str, usize)> + DoubleEndedIterator {
        self.names().zip(self.sizes().iter().copied())
    }

    /// The axis of the dim `name`, counted from the outermost.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let extent = extent!(hosts = 2, gpus = 8)?;
    /// assert_eq!((extent.axis("gpus"), extent.axis("racks")), (Some(1), None));
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn axis(&self, name: &str) -> Option<usize> {
        self.names().position(|known| known == name)
    }

    /// The size of the dim `name`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let extent = extent!(hosts = 2, gpus = 8)?;
    /// assert_eq!((extent.size_of("gpus"), extent.size_of("racks")), (Some(8), None));
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn size_of(&self, name: &str) -> Option<usize> {
        self.axis(name).and_then(|axis| self.sizes().get(axis)).copied()
    }

    /// Whether `rank` is in `0..size`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, extent};
    ///
    /// let extent = extent!(hosts = 2, gpus = 8)?;
    /// assert!(extent.contains(Rank::new(15)) && !extent.contains(Rank::new(16)));
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn contains(&self, rank: Rank) -> bool {
        rank.index() < self.size()
    }

    /// Every point, in the order of ranks.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let points: Vec<String> = extent!(a = 2, b = 2)?.points().map(|p| p.to_string()).collect();
    /// assert_eq!(points, ["a=0,b=0", "a=0,b=1", "a=1,b=0", "a=1,b=1"]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn points(&self) -> Points<'_> {
        Points::new(self)
    }

    /// Every rank: `0..size`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// assert_eq!(extent!(hosts = 2, gpus = 8)?.ranks().to_string(), "0..16");
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn ranks(&self) -> RankSet {
        RankSet::from(0..self.size())
    }

    /// The extent whose dims are these axes of this one, each no larger than it was.
    pub(crate) fn select(&self, axes: &[usize], sizes: InlineVec<usize>) -> Self {
        let name = |axis: &usize| self.names.get(*axis).copied().unwrap_or_default();
        let names = InlineVec::from_fn(axes.len(), |at| axes.get(at).map(name).unwrap_or_default());
        Self::from_parts(Arc::clone(&self.table), names, sizes)
    }

    /// Takes out the dim at an axis.
    #[inline]
    pub(crate) fn remove(&mut self, axis: usize) {
        self.names.remove(axis);
        self.sizes.remove(axis);
        self.size = self.sizes.iter().product();
    }

    /// Gives the dim at an axis another size, no larger than it was.
    #[inline]
    pub(crate) fn resize(&mut self, axis: usize, size: usize) {
        if let Some(slot) = self.sizes.get_mut(axis) {
            *slot = size;
        }
        self.size = self.sizes.iter().product();
    }

    pub(crate) fn out_of_bounds(&self, axis: usize, coordinate: usize) -> ShapeError {
        let (dim, size) = self.dims().nth(axis).unwrap_or_default();
        ShapeError::OutOfBounds { dim: dim.to_owned(), coordinate, size }
    }

    pub(crate) fn unknown_dim(&self, name: &str) -> ShapeError {
        let known = self.names().map(str::to_owned).collect();
        ShapeError::UnknownDim { name: name.to_owned(), known }
    }

    // The product of the sizes other than 0 must be known not to overflow.
    fn from_parts(table: Arc<Table>, names: InlineVec<u8>, sizes: InlineVec<usize>) -> Self {
        let size = sizes.iter().product();
        Self { table, names, sizes, size }
    }

    fn has_names_of(&self, other: &Self) -> bool {
        (Arc::ptr_eq(&self.table, &other.table) && self.names == other.names)
            || self.names().eq(other.names())
    }
}

impl PartialEq for Extent {
    fn eq(&self, other: &Self) -> bool {
        self.sizes == other.sizes && self.has_names_of(other)
    }
}

impl Eq for Extent {}

impl Hash for Extent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.names().for_each(|name| name.hash(state));
        self.sizes.hash(state);
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extent({self})")
    }
}

/// Makes an [`Extent`] of dims written as `name = size`; a `Result`, as [`Extent::new`].
///
/// A name is an identifier, a size any expression of type `usize`.
///
/// # Errors
///
/// As [`Extent::new`].
///
/// # Examples
///
/// ```
/// use mesh_shape::{Extent, extent};
///
/// let n_hosts = 2;
/// let extent = extent!(hosts = n_hosts, gpus = 8)?;
/// assert_eq!(extent, Extent::new([("hosts", 2), ("gpus", 8)])?);
/// assert_eq!(extent!()?.size(), 1);
/// # Ok::<(), mesh_shape::ShapeError>(())
/// ```
#[macro_export]
macro_rules! extent {
    () => { $crate::Extent::new([("", 0); 0]) };
    ($($name:ident = $size:expr),+ $(,)?) => {
        $crate::Extent::new([$((::core::stringify!($name), $size)),+])
    };
}

#[cfg(test)]
mod tests;
