//! The published crate `ndslice`, the peer for rank arithmetic, where it was built in.
//!
//! It has unstable features; the feature `ndslice` of this crate says how it is built all the same.

use mesh_shape::Rank;

use crate::measure::Case;

#[cfg(feature = "ndslice")]
mod ndslice;

/// How the figures call it.
pub(super) const NAME: &str = "ndslice 0.0.0";

/// Whether it was built in.
pub(super) const IS_HERE: bool = cfg!(feature = "ndslice");

/// What it can do too. The number is the side of the cube; views are every second rank of one of twice
/// the side.
#[cfg_attr(not(feature = "ndslice"), expect(dead_code, reason = "nobody does it without the peer"))]
pub(super) enum Work {
    /// Ranks to coordinates.
    Coordinates(usize, Vec<Rank>),
    /// Coordinates to ranks.
    Location(usize, Vec<[usize; 3]>),
    /// Ranks of a view to ranks of the base.
    Get(usize, Vec<Rank>),
    /// And back.
    Index(usize, Vec<Rank>),
    /// A range with a step, of one dim.
    Slice(usize),
    /// Every rank of a view.
    Walk(usize),
    /// And its coordinates.
    WalkPoints(usize),
}

/// The case of the peer, if it was built in.
#[cfg(feature = "ndslice")]
pub(super) fn case(work: Work) -> Option<Case<'static>> {
    Some(ndslice::case(work))
}

/// The case of the peer, if it was built in.
#[cfg(not(feature = "ndslice"))]
pub(super) fn case(_: Work) -> Option<Case<'static>> {
    None
}
