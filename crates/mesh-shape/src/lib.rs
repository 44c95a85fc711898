//! Rank arithmetic for n-dimensional meshes: extents, points, rank sets, one value per rank.
//!
//! A mesh of `hosts=2,gpus=4` has eight ranks, numbered in row-major order (the last dim varies
//! fastest), as NumPy numbers the elements of an array:
//!
//! ```text
//!            gpus=0  gpus=1  gpus=2  gpus=3
//! hosts=0       0       1       2       3
//! hosts=1       4       5       6       7
//! ```
//!
//! | type | is |
//! |---|---|
//! | [`Rank`] | the row-major index of one resource |
//! | [`Extent`] | the named dims of a mesh and their sizes |
//! | [`Point`] | the coordinates of one rank in an extent |
//! | [`Region`] | a strided view of a base extent, sliced as in NumPy |
//! | [`RankSet`] | a set of ranks, as runs |
//! | [`ValueMesh`] | one value for each rank, as runs |
//! | [`Overlay`] | values for some ranks, as runs; the right one wins |
//!
//! The crate is pure arithmetic: no input or output, no clock, no thread, no logging.
//! It does not panic on any argument; what cannot be done is refused with a [`ShapeError`], what
//! cannot be read with a [`ParseShapeError`] that points at the byte.
//!
//! # Examples
//!
//! ```
//! use mesh_shape::{Rank, Region, extent};
//!
//! let all = Region::all(extent!(hosts = 2, gpus = 4)?);
//! let even = all.parse_slice("hosts=1,gpus=::2")?;
//! assert_eq!(even.extent().to_string(), "gpus=2");
//! assert_eq!(even.base_rank(Rank::new(1)), Some(Rank::new(6)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "ndarray")]
mod array;
pub mod coming_from;
mod extent;
mod inline_vec;
mod overlay;
mod parse_error;
mod point;
mod rank;
mod rank_set;
mod region;
mod runs;
mod shape_error;
mod slice;
mod text;
mod value_mesh;
#[cfg(feature = "serde")]
mod wire;

pub use extent::{Extent, Points};
pub use overlay::Overlay;
pub use parse_error::{ParseReason, ParseShapeError};
pub use point::{Coordinates, Point, PointBuf};
pub use rank::Rank;
pub use rank_set::{RankSet, RankSetIter};
pub use region::{BaseRanks, Parts, Region, Take};
pub use shape_error::ShapeError;
pub use slice::Slice;
pub use value_mesh::{CollectMesh, ValueMesh};

/// The example of the README is compiled and run as the others are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
