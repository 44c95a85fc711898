//! What is taken of one dim: an index or a range with a step.

use std::fmt;
use std::ops::{Range, RangeFrom, RangeFull, RangeTo};
use std::str::FromStr;

use crate::parse_error::{ParseReason, ParseShapeError};
use crate::text::Cursor;

/// What is taken of one dim of a region: an index or a range with a step, exactly as in NumPy.
///
/// Rust ranges convert into it: `2..6`, `..-1`, `3..`, `..`; so does an `isize`. Ranges that
/// include their end do not: before which position `5..=2` stops depends on the step, which comes after.
/// The text form is `3`, `0:8`, `0:8:2`, `::-1`.
///
/// # Examples
///
/// ```
/// use mesh_shape::Slice;
///
/// assert_eq!(Slice::from(1..-1).to_string(), "1:-1");
/// assert_eq!(Slice::from(..).by(-1).to_string(), "::-1");
/// assert_eq!("0:8:2".parse(), Ok(Slice::from(0..8).by(2)));
/// ```
///
/// # Source
///
/// NumPy's basic indexing; Python's `slice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Slice {
    /// One position; the dim is dropped. A negative index counts from the end, `-1` is the last.
    Index(isize),
    /// Every `step`-th position from `start` to before `end`; the dim is kept.
    ///
    /// Negative bounds count from the end; bounds outside the dim are moved to its border.
    Range {
        /// The first position; the near border in the direction of `step` when absent.
        start: Option<isize>,
        /// The position before which to stop; past the far border when absent.
        end: Option<isize>,
        /// How far to go each time; negative to go backwards. Not 0.
        step: isize,
    },
}

impl Slice {
    /// The whole dim.
    pub const ALL: Self = Self::Range { start: None, end: None, step: 1 };

    /// The same bounds with another step; an index stays what it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::Slice;
    ///
    /// let every_other = Slice::Range { start: Some(0), end: Some(8), step: 2 };
    /// assert_eq!(Slice::from(0..8).by(2), every_other);
    /// ```
    #[must_use]
    pub fn by(self, step: isize) -> Self {
        match self {
            Self::Index(_) => self,
            Self::Range { start, end, .. } => Self::Range { start, end, step },
        }
    }

    /// Takes `3`, `0:8`, `0:8:2`; each bound and the step may be left out once there is a colon.
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseShapeError> {
        let start = if cursor.peek() == Some(':') { None } else { Some(cursor.signed()?) };
        if !cursor.take(":") {
            return start.map(Self::Index).ok_or_else(|| cursor.error(ParseReason::MissingNumber));
        }
        let end = bound(cursor)?;
        let step = if cursor.take(":") { bound(cursor)?.unwrap_or(1) } else { 1 };
        Ok(Self::Range { start, end, step })
    }
}

impl FromStr for Slice {
    type Err = ParseShapeError;

    fn from_str(text: &str) -> Result<Self, ParseShapeError> {
        let mut cursor = Cursor::new(text, "an index or a range such as 3 or 0:8:2")?;
        let slice = Self::read(&mut cursor)?;
        if cursor.at_end() { Ok(slice) } else { Err(cursor.error(ParseReason::MissingEnd)) }
    }
}

fn bound(cursor: &mut Cursor<'_>) -> Result<Option<isize>, ParseShapeError> {
    match cursor.peek() {
        None | Some(':' | ',') => Ok(None),
        Some(_) => cursor.signed().map(Some),
    }
}

impl From<isize> for Slice {
    fn from(index: isize) -> Self {
        Self::Index(index)
    }
}

impl From<Range<isize>> for Slice {
    fn from(range: Range<isize>) -> Self {
        Self::Range { start: Some(range.start), end: Some(range.end), step: 1 }
    }
}

impl From<RangeFrom<isize>> for Slice {
    fn from(range: RangeFrom<isize>) -> Self {
        Self::Range { start: Some(range.start), end: None, step: 1 }
    }
}

impl From<RangeTo<isize>> for Slice {
    fn from(range: RangeTo<isize>) -> Self {
        Self::Range { start: None, end: Some(range.end), step: 1 }
    }
}

impl From<RangeFull> for Slice {
    fn from(_: RangeFull) -> Self {
        Self::ALL
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end, step) = match self {
            Self::Index(index) => return write!(f, "{index}"),
            Self::Range { start, end, step } => (start, end, step),
        };
        start.map_or(Ok(()), |start| write!(f, "{start}"))?;
        f.write_str(":")?;
        end.map_or(Ok(()), |end| write!(f, "{end}"))?;
        if *step == 1 { Ok(()) } else { write!(f, ":{step}") }
    }
}

/// Writes what is taken of several dims, for [`Region::take`](crate::Region::take): by name,
/// `slice!(hosts = 0, gpus = 0..8;2)`, or by position, `slice!(0, ..., ..;-1)`.
///
/// An index, a range, and after a semicolon its step; any of them may be an expression of type `isize`.
///
/// # Examples
///
/// ```
/// use mesh_shape::{Rank, Region, extent, slice};
///
/// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
/// let some = all.take(&slice!(hosts = -1, gpus = 1..;3))?;
/// assert_eq!(some.iter().map(Rank::index).collect::<Vec<_>>(), [9, 12, 15]);
/// assert_eq!(all.take(&slice!(-1, 1..;3))?, some);
/// assert_eq!(all.take(&slice!(..., 0))?.extent(), &extent!(hosts = 2)?);
/// # Ok::<(), mesh_shape::ShapeError>(())
/// ```
#[macro_export]
macro_rules! slice {
    (@take $($done:expr,)* ;) => { [$($done),*] };
    (@take $($done:expr,)* ; ... $(, $($rest:tt)*)?) => {
        $crate::slice!(@take $($done,)* $crate::Take::Rest, ; $($($rest)*)?)
    };
    (@take $($done:expr,)* ; $name:ident = $what:expr; $step:expr $(, $($rest:tt)*)?) => {
        $crate::slice!(@take $($done,)* $crate::Take::Of(
            ::core::stringify!($name), $crate::Slice::from($what).by($step)), ; $($($rest)*)?)
    };
    (@take $($done:expr,)* ; $name:ident = $what:expr $(, $($rest:tt)*)?) => {
        $crate::slice!(@take $($done,)* $crate::Take::Of(
            ::core::stringify!($name), $crate::Slice::from($what)), ; $($($rest)*)?)
    };
    (@take $($done:expr,)* ; $what:expr; $step:expr $(, $($rest:tt)*)?) => {
        $crate::slice!(@take $($done,)*
            $crate::Take::At($crate::Slice::from($what).by($step)), ; $($($rest)*)?)
    };
    (@take $($done:expr,)* ; $what:expr $(, $($rest:tt)*)?) => {
        $crate::slice!(@take $($done,)* $crate::Take::At($crate::Slice::from($what)), ; $($($rest)*)?)
    };
    ($($slices:tt)*) => { $crate::slice!(@take ; $($slices)*) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slice_is_read_as_it_is_written() {
        let bounds = [None, Some(0), Some(-1), Some(isize::MIN), Some(isize::MAX)];
        let steps = [1, -1, 0, 2, isize::MIN, isize::MAX];
        for start in bounds {
            for end in bounds {
                for step in steps {
                    let slice = Slice::Range { start, end, step };
                    assert_eq!(slice.to_string().parse(), Ok(slice));
                }
            }
            let index = Slice::Index(start.unwrap_or(7));
            assert_eq!(index.to_string().parse(), Ok(index));
        }
        assert_eq!(" 0 : 8 : 2 ".parse(), Ok(Slice::from(0..8).by(2)));
    }

    #[test]
    fn every_wrong_text_is_refused_at_its_byte() {
        let example = "an index or a range such as 3 or 0:8:2";
        let cases = [
            ("", 0, ParseReason::Empty { example }),
            ("a", 0, ParseReason::MissingNumber),
            ("1:b", 2, ParseReason::MissingNumber),
            ("1,2", 1, ParseReason::MissingEnd),
            ("1:2:3:4", 5, ParseReason::MissingEnd),
        ];
        for (text, at, reason) in cases {
            let error = text.parse::<Slice>().expect_err("the text is wrong");
            assert_eq!((error.at, error.reason), (at, reason), "{text}");
        }
    }
}
