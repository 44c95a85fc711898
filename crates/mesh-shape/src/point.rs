//! The coordinates of one rank in an extent.

use std::fmt;

use crate::extent::Extent;
use crate::inline_vec::InlineVec;
use crate::parse_error::{ParseReason, ParseShapeError};
use crate::rank::Rank;
use crate::shape_error::ShapeError;
use crate::text::{self, Cursor};

/// The coordinates of one rank in an extent.
///
/// A point is always inside its extent. Its text form is `hosts=0,gpus=3`, or `()` without dims.
///
/// # Examples
///
/// ```
/// use mesh_shape::{Point, Rank, extent};
///
/// let point = Point::parse("hosts=1,gpus=3", &extent!(hosts = 2, gpus = 8)?)?;
/// assert_eq!(point.rank(), Rank::new(11));
/// assert_eq!(point.coordinate("gpus"), Some(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Point {
    extent: Extent,
    // Invariant: `extent.ravel(coordinates) == rank`.
    rank: Rank,
    coordinates: InlineVec<usize>,
}

impl Point {
    #[inline]
    pub(crate) fn at(extent: Extent, rank: Rank, coordinates: InlineVec<usize>) -> Self {
        Self { extent, rank, coordinates }
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
    pub fn parse(text: &str, extent: &Extent) -> Result<Self, ParseShapeError> {
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
    #[must_use]
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// One coordinate for each axis, outermost first.
    #[must_use]
    #[inline]
    pub fn coordinates(&self) -> &[usize] {
        &self.coordinates
    }

    /// The coordinate along the dim `name`.
    #[must_use]
    pub fn coordinate(&self, name: &str) -> Option<usize> {
        self.extent.axis(name).and_then(|axis| self.coordinates.get(axis)).copied()
    }

    /// The rank at this point.
    #[must_use]
    #[inline]
    pub fn rank(&self) -> Rank {
        self.rank
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Point({self} in {})", self.extent)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.extent.names().zip(self.coordinates());
        text::write_entries(f, entries, |f, (name, coordinate)| {
            text::write_name(f, name)?;
            write!(f, "={coordinate}")
        })
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
