//! The position of one resource in a mesh.

use std::fmt;

/// The position of one resource in a mesh: the row-major index of its coordinates.
///
/// A rank is dense: a mesh of `size` ranks has exactly the ranks `0..size`. It is an index,
/// not a count, so `Rank` has no arithmetic.
///
/// # Examples
///
/// ```
/// use mesh_shape::Rank;
///
/// assert_eq!(Rank::new(7).index(), 7);
/// assert_eq!(Rank::new(7).to_string(), "7");
/// ```
///
/// # Source
///
/// MPI's rank; the flat index of `numpy.unravel_index`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Rank(usize);

impl Rank {
    /// The rank with this index.
    ///
    /// Any number is a rank of some mesh or of none: whether it is one of yours is answered by the
    /// extent. `usize::MAX` is a rank of no mesh and is held by no [`RankSet`](crate::RankSet).
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Rank;
    ///
    /// const FIRST: Rank = Rank::new(0);
    /// assert!(FIRST < Rank::new(1));
    /// ```
    #[must_use]
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// The index of this rank, counted from 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Rank;
    ///
    /// assert_eq!(Rank::new(7).index() + 1, 8);
    /// ```
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
