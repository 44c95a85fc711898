//! The coordinates of one rank in an extent.

use std::fmt;
use std::ops::Deref;

use crate::extent::Extent;
use crate::inline_vec::InlineVec;
use crate::parse_error::{ParseReason, ParseShapeError};
use crate::rank::Rank;
use crate::shape_error::ShapeError;
use crate::text::{self, Cursor};

/// One rank of an extent, by its coordinates.
///
/// It borrows the extent and holds the rank: two words, made in no time, and the coordinates are
/// computed when they are asked for. [`PointBuf`] is the one that owns its extent. A point is always
/// inside. Its text form is `hosts=0,gpus=3`, or `()` without dims.
///
/// # Examples
///
/// ```
/// use mesh_shape::{Point, Rank, extent};
///
/// let extent = extent!(hosts = 2, gpus = 8)?;
/// let point = Point::parse("hosts=1,gpus=3", &extent)?;
/// assert_eq!(point.rank(), Rank::new(11));
/// assert_eq!(point.coordinates(), [1, 3]);
/// assert_eq!(point.coordinate("gpus"), Some(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point<'a> {
    extent: &'a Extent,
    // Invariant: inside the extent.
    rank: Rank,
}

impl<'a> Point<'a> {
    #[inline]
    pub(crate) const fn at(extent: &'a Extent, rank: Rank) -> Self {
        Self { extent, rank }
    }

    /// Reads a point of `extent`: every dim once, in any order.
    ///
    /// # Errors
    ///
    /// A [`ParseShapeError`] at the byte where the text stops being a point of `extent`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Point, extent};
    ///
    /// let extent = extent!(hosts = 2, gpus = 8)?;
    /// assert_eq!(Point::parse("gpus=3,hosts=0", &extent)?.to_string(), "hosts=0,gpus=3");
    /// assert!(Point::parse("hosts=0", &extent).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(text: &str, extent: &'a Extent) -> Result<Self, ParseShapeError> {
        let mut cursor = Cursor::new(text, "a point such as hosts=0,gpus=3")?;
        let mut coordinates = vec![None; extent.ndim()];
        let mut goes_on = !cursor.take(text::NO_DIMS);
        while goes_on {
            let (at, name) = cursor.key()?;
            let slot = extent.axis(&name).and_then(|axis| Some((axis, coordinates.get_mut(axis)?)));
            let Some((axis, slot)) = slot else {
                return Err(cursor.error_at(at, extent.unknown_dim(&name)));
            };
            if slot.is_some() {
                return Err(cursor.error_at(at, ShapeError::DuplicateDim { name }));
            }
            let at = cursor.at();
            let coordinate = cursor.number()?;
            if extent.sizes().get(axis).is_none_or(|size| coordinate >= *size) {
                return Err(cursor.error_at(at, extent.out_of_bounds(axis, coordinate)));
            }
            *slot = Some(coordinate);
            goes_on = cursor.another()?;
        }
        if !cursor.at_end() {
            return Err(cursor.error(ParseReason::MissingComma));
        }
        let missing = coordinates.iter().position(Option::is_none);
        if let Some(name) = missing.and_then(|axis| extent.names().nth(axis)) {
            return Err(cursor.error(ParseReason::MissingDim { name: name.to_owned() }));
        }
        let coordinates: Vec<usize> = coordinates.into_iter().flatten().collect();
        extent.point(&coordinates).map_err(|refused| cursor.error_at(0, refused))
    }

    /// The extent this is a point of.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let extent = extent!(hosts = 2, gpus = 8)?;
    /// let point = extent.point(&[1, 3])?;
    /// assert_eq!(point.extent(), &extent);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn extent(&self) -> &'a Extent {
        self.extent
    }

    /// One coordinate for each axis, outermost first.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let extent = extent!(hosts = 2, gpus = 8)?;
    /// let point = extent.point(&[1, 3])?;
    /// assert_eq!(point.coordinates(), [1, 3]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn coordinates(&self) -> Coordinates {
        self.extent.coordinates_of(self.rank)
    }

    /// The coordinate along the dim `name`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let extent = extent!(hosts = 2, gpus = 8)?;
    /// let point = extent.point(&[1, 3])?;
    /// assert_eq!((point.coordinate("gpus"), point.coordinate("racks")), (Some(3), None));
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn coordinate(&self, name: &str) -> Option<usize> {
        self.extent.axis(name).and_then(|axis| self.coordinates().get(axis).copied())
    }

    /// The rank at this point.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let extent = extent!(hosts = 2, gpus = 8)?;
    /// let point = extent.point(&[1, 3])?;
    /// assert_eq!(point.rank().index(), 11);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    #[inline]
    pub const fn rank(&self) -> Rank {
        self.rank
    }

    /// The same point, with an extent of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let extent = extent!(hosts = 2, gpus = 8)?;
    /// let point = extent.point(&[1, 3])?;
    /// let kept = point.to_owned();
    /// drop(extent);
    /// assert_eq!(kept.to_string(), "hosts=1,gpus=3");
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub fn to_owned(&self) -> PointBuf {
        PointBuf { extent: self.extent.clone(), rank: self.rank }
    }
}

impl fmt::Debug for Point<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Point({self} in {})", self.extent)
    }
}

impl fmt::Display for Point<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coordinates = self.coordinates();
        let entries = self.extent.names().zip(coordinates.iter());
        text::write_entries(f, entries, |f, (name, coordinate)| {
            text::write_name(f, name)?;
            write!(f, "={coordinate}")
        })
    }
}

/// A [`Point`] that owns its extent: to be kept and sent.
///
/// # Examples
///
/// ```
/// use mesh_shape::{PointBuf, Rank, extent};
///
/// let point: PointBuf = extent!(hosts = 2, gpus = 8)?.unravel(Rank::new(11))?.to_owned();
/// assert_eq!(point.as_point().to_string(), "hosts=1,gpus=3");
/// # Ok::<(), mesh_shape::ShapeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PointBuf {
    extent: Extent,
    rank: Rank,
}

impl PointBuf {
    /// The point, as what looks at it takes it.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::extent;
    ///
    /// let extent = extent!(hosts = 2, gpus = 8)?;
    /// let point = extent.point(&[1, 3])?;
    /// assert_eq!(point.to_owned().as_point(), point);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn as_point(&self) -> Point<'_> {
        Point::at(&self.extent, self.rank)
    }
}

impl fmt::Debug for PointBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_point().fmt(f)
    }
}

impl fmt::Display for PointBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_point())
    }
}

/// One coordinate for each axis of an extent, outermost first: a slice that owns its numbers, on the
/// stack while there are at most six.
///
/// # Examples
///
/// ```
/// use mesh_shape::extent;
///
/// let extent = extent!(hosts = 2, gpus = 8)?;
/// let point = extent.point(&[1, 3])?;
/// let coordinates = point.coordinates();
/// assert_eq!((coordinates.len(), coordinates[1]), (2, 3));
/// assert_eq!(extent.ravel(&coordinates)?, point.rank());
/// # Ok::<(), mesh_shape::ShapeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Coordinates(InlineVec<usize>);

impl Coordinates {
    #[inline]
    pub(crate) const fn new(coordinates: InlineVec<usize>) -> Self {
        Self(coordinates)
    }
}

impl Deref for Coordinates {
    type Target = [usize];

    #[inline]
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Debug for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Coordinates {
    fn eq(&self, other: &[usize; N]) -> bool {
        **self == *other
    }
}

impl PartialEq<[usize]> for Coordinates {
    fn eq(&self, other: &[usize]) -> bool {
        **self == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> (usize, ParseReason) {
        let extent = Extent::new([("hosts", 2), ("gpus", 8)]).expect("it is an extent");
        let error = Point::parse(text, &extent).expect_err("the text is wrong");
        (error.at, error.reason)
    }

    #[test]
    fn every_wrong_text_is_refused_at_its_byte() {
        let name = "gpus".to_owned();
        let known = vec!["hosts".to_owned(), "gpus".to_owned()];
        let unknown = ShapeError::UnknownDim { name: "racks".to_owned(), known };
        let outside = ShapeError::OutOfBounds { dim: name.clone(), coordinate: 8, size: 8 };
        let duplicate = ShapeError::DuplicateDim { name: "hosts".to_owned() };
        let cases = [
            ("", 0, ParseReason::Empty { example: "a point such as hosts=0,gpus=3" }),
            ("()", 2, ParseReason::MissingDim { name: "hosts".to_owned() }),
            ("hosts=1", 7, ParseReason::MissingDim { name }),
            ("hosts=1,gpus=8", 13, outside.into()),
            ("hosts=1,hosts=1", 8, duplicate.into()),
            ("hosts=1,racks=1", 8, unknown.into()),
            ("hosts=1,gpus=-1", 13, ParseReason::Negative),
        ];
        for (text, at, reason) in cases {
            assert_eq!(refusal(text), (at, reason), "{text}");
        }
    }
}
