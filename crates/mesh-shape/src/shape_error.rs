//! Why a shape, or an index into one, was refused.

use crate::rank::Rank;

/// Why a shape, or an index into one, was refused.
///
/// Every variant is the caller's to mend, and none leaves anything changed.
///
/// # Examples
///
/// ```
/// use mesh_shape::{ShapeError, extent};
///
/// let error = extent!(hosts = 2)?.ravel(&[5]).expect_err("there are two");
/// assert_eq!(error, ShapeError::OutOfBounds { dim: "hosts".to_owned(), coordinate: 5, size: 2 });
/// assert_eq!(error.to_string(), "coordinate 5 is outside the dim hosts of size 2");
/// # Ok::<(), ShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A dim has an empty name.
    #[error("the dim at axis {axis} has an empty name")]
    EmptyName {
        /// The axis, counted from the outermost.
        axis: usize,
    },
    /// Two dims have one name.
    #[error("the dim {name} is there twice")]
    DuplicateDim {
        /// The name.
        name: String,
    },
    /// There are more dims than an extent may have.
    #[error("expected at most {limit} dims, found more")]
    TooManyDims {
        /// The largest number of dims.
        limit: usize,
    },
    /// The product of the sizes is too large. Sizes of zero are left out of the product, as NumPy
    /// leaves them out.
    #[error("expected at most {limit} ranks, found more")]
    TooLarge {
        /// The largest number of ranks: `isize::MAX`.
        limit: usize,
    },
    /// The coordinates have the wrong number of axes.
    #[error("expected {expected} coordinates, found {found}")]
    WrongDimensions {
        /// The number of axes of the extent.
        expected: usize,
        /// The number of coordinates given.
        found: usize,
    },
    /// A coordinate is at or past the end of its dim.
    #[error("coordinate {coordinate} is outside the dim {dim} of size {size}")]
    OutOfBounds {
        /// The name of the dim.
        dim: String,
        /// The coordinate given.
        coordinate: usize,
        /// The size of that dim: coordinates are `0..size`.
        size: usize,
    },
    /// A signed index is outside its dim, counted from either end.
    #[error("index {index} is outside the dim {dim} of size {size}")]
    IndexOutOfBounds {
        /// The name of the dim.
        dim: String,
        /// The index given.
        index: isize,
        /// The size of that dim: indexes are `-size..size`.
        size: usize,
    },
    /// A rank is at or past the end of its mesh.
    #[error("rank {rank} is outside a mesh of size {size}")]
    RankOutOfBounds {
        /// The rank given.
        rank: Rank,
        /// The size of the mesh: ranks are `0..size`.
        size: usize,
    },
    /// A range of ranks does not end within its mesh.
    #[error("ranks {start}..{end} are outside a mesh of size {size}")]
    RangeOutOfBounds {
        /// The first rank given.
        start: usize,
        /// The rank after the last one given.
        end: usize,
        /// The size of the mesh: ranks are `0..size`.
        size: usize,
    },
    /// No dim has this name.
    #[error("unknown dim {name}: {}", known_dims(.known))]
    UnknownDim {
        /// The name given.
        name: String,
        /// The names there are, outermost first.
        known: Vec<String>,
    },
    /// A slice has the step zero.
    #[error("expected a step other than 0 in the slice of dim {dim}")]
    ZeroStep {
        /// The name of the dim.
        dim: String,
    },
    /// A dim is not named that must be.
    #[error("expected every dim, found none of the name {name}")]
    MissingDim {
        /// Its name.
        name: String,
    },
    /// There is no such axis.
    #[error("axis {axis} is outside a view of {ndim} dims")]
    AxisOutOfBounds {
        /// The axis given, counted from the outermost.
        axis: usize,
        /// The number of dims: axes are `0..ndim`.
        ndim: usize,
    },
    /// There are more slices than dims.
    #[error("expected at most {ndim} slices, one for each dim, found {found}")]
    TooManySlices {
        /// The number of slices.
        found: usize,
        /// The number of dims.
        ndim: usize,
    },
    /// The dims that are left over are named twice.
    #[error("expected ... at most once")]
    TwoRests,
    /// Some slices are by name and some by position.
    #[error("expected slices all by name, or all by position")]
    MixedSlices,
    /// Parts of no length.
    #[error("expected parts of at least one position of the dim {dim}")]
    ZeroLength {
        /// The name of the dim.
        dim: String,
    },
    /// The sizes do not make up the dim that is split.
    #[error("the sizes {into:?} do not make up the {size} of the dim {dim}")]
    WrongSplit {
        /// The name of the dim.
        dim: String,
        /// Its size.
        size: usize,
        /// The sizes given.
        into: Vec<usize>,
    },
    /// No one stride leads through several dims.
    #[error(
        "{outer} and {inner} cannot be one dim: neighbours along {outer} are {stride} ranks apart, \
         and {steps} steps along {inner} are {way}"
    )]
    NotFlat {
        /// The outer dim.
        outer: String,
        /// The inner one.
        inner: String,
        /// How far apart neighbours along the outer one are.
        stride: isize,
        /// The length of the inner one.
        steps: usize,
        /// How far its length goes; as far as an `isize` counts, if it is further.
        way: isize,
    },
    /// Two regions are views of different extents.
    #[error("the regions are views of different extents")]
    OtherBase,
    /// A region is no part of the one that it is to be a part of.
    #[error("the region has ranks that the other does not have: slice that one")]
    NotSubset,
    /// What two regions share cannot be said dim by dim: one has a dim that was flattened across dims of
    /// the base, or split, and that lies across dims of the other.
    #[error("a dim was flattened across dims of the base, or split: intersect the sets of ranks")]
    NotAligned,
    /// An offset and strides that lead outside of the base, or to a rank twice.
    #[error("expected a view that stays inside its base and shows no rank twice")]
    NotAView,
    /// An array has another shape than the extent that it is to be over.
    #[error("expected an array of the shape {expected:?}, found {found:?}")]
    WrongArray {
        /// The sizes of the extent.
        expected: Vec<usize>,
        /// The shape of the array.
        found: Vec<usize>,
    },
    /// An array does not lie row-major in one piece.
    #[error("expected an array in row-major order without gaps: see `as_standard_layout`")]
    NotRowMajor,
    /// There is not one value for each rank.
    #[error("expected {expected} values, found {found}")]
    WrongLength {
        /// The number of ranks.
        expected: usize,
        /// The number of values; where they are counted as they come, at least this many.
        found: usize,
    },
}

fn known_dims(known: &[String]) -> String {
    if known.is_empty() {
        "there are no dims".to_owned()
    } else {
        format!("the dims are {}", known.join(", "))
    }
}
