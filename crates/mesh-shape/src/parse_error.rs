//! Why a text was refused, and where.

use std::fmt;

use crate::shape_error::ShapeError;

/// Why the text of an extent, point, slice or rank set was refused, and at which byte.
///
/// `Display` says what was expected, shows the text, and puts a caret under the place.
///
/// # Examples
///
/// ```
/// use mesh_shape::Extent;
///
/// let error = "hosts=2,gpus=-1".parse::<Extent>().expect_err("a size is not negative");
/// assert_eq!(error.at, 13);
/// assert_eq!(
///     error.to_string(),
///     "expected a number of at least 0, found a negative one\n  \
///        hosts=2,gpus=-1\n               \
///                     ^"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseShapeError {
    /// The whole text that was refused.
    pub input: String,
    /// The byte of `input` where reading stopped; its length when something is missing at the end.
    pub at: usize,
    /// What was expected there.
    pub reason: ParseReason,
}

/// What a parser expected and did not find.
///
/// # Examples
///
/// ```
/// use mesh_shape::{Extent, ParseReason};
///
/// let error = "hosts".parse::<Extent>().expect_err("it has no size");
/// assert_eq!((error.at, error.reason), (5, ParseReason::MissingEquals));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseReason {
    /// There is no text, or only spaces.
    #[error("expected {example}, found an empty text")]
    Empty {
        /// A text that would do.
        example: &'static str,
    },
    /// An entry does not begin with the name of a dim.
    #[error("expected the name of a dim")]
    MissingName,
    /// The name of a dim is not followed by `=`.
    #[error("expected = and a value after the name of the dim")]
    MissingEquals,
    /// There is no number where one must be.
    #[error("expected a number")]
    MissingNumber,
    /// A size, coordinate or rank is negative.
    #[error("expected a number of at least 0, found a negative one")]
    Negative,
    /// A number is too large, or too small, for its kind.
    #[error("expected a number of at most {limit} in absolute value, found a larger one")]
    NumberTooLarge {
        /// The largest number.
        limit: usize,
    },
    /// The size of a dim is not followed by `@`.
    #[error("expected @ and a stride after the size")]
    MissingStride,
    /// An entry is followed by something that is neither a comma nor the end.
    #[error("expected a comma or the end")]
    MissingComma,
    /// A single slice is followed by something.
    #[error("expected the end")]
    MissingEnd,
    /// The last comma is followed by nothing.
    #[error("expected another entry after the comma")]
    TrailingComma,
    /// A quoted name has no closing quote.
    #[error("expected a closing quote")]
    UnclosedQuote,
    /// A backslash in a quoted name begins no escape.
    #[error(r#"expected \", \\ or \u{{…}}"#)]
    UnknownEscape,
    /// A dim of the extent has no coordinate.
    #[error("expected a coordinate for the dim {name}")]
    MissingDim {
        /// The name of the dim.
        name: String,
    },
    /// The end of a range of ranks is not past its start.
    #[error("expected an end greater than the start")]
    BackwardRange,
    /// The text reads well, but what it says is refused.
    #[error(transparent)]
    Refused(#[from] ShapeError),
}

/// A text longer than this is shown in part: this many characters before and after the caret.
const SHOWN: usize = 60;

impl fmt::Display for ParseShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.input.split_at_checked(self.at).unwrap_or((&self.input, ""));
        let n_before = before.chars().count();
        let n_hidden = n_before.saturating_sub(SHOWN);
        let cut_left = if n_hidden == 0 { "" } else { "…" };
        let cut_right = if after.chars().nth(SHOWN).is_none() { "" } else { "…" };
        let shown: String =
            before.chars().skip(n_hidden).chain(after.chars().take(SHOWN)).collect();
        // One column for each character, so that the caret stands where it should.
        let shown = shown.replace(char::is_control, "�");
        let column = n_before - n_hidden + cut_left.chars().count();
        // A reason may name a dim, and any character may be in its name.
        let reason = self.reason.to_string().replace(char::is_control, "�");
        write!(f, "{reason}\n  {cut_left}{shown}{cut_right}\n  {:column$}^", "")
    }
}

impl std::error::Error for ParseShapeError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(input: &str, at: usize) -> String {
        let reason = ParseReason::MissingNumber;
        ParseShapeError { input: input.to_owned(), at, reason }.to_string()
    }

    #[test]
    fn the_caret_counts_characters_and_not_bytes() {
        assert_eq!(shown("größe=", 8), "expected a number\n  größe=\n        ^");
    }

    #[test]
    fn a_line_break_in_the_text_does_not_break_the_caret_line() {
        assert_eq!(shown("a\nb=", 4), "expected a number\n  a�b=\n      ^");
    }

    #[test]
    fn nor_does_one_in_the_name_of_a_dim() {
        let error = "a=1,\"\\u{a}\"=1,\"\\u{a}\"=2".parse::<crate::Extent>().expect_err("twice");
        assert_eq!(error.to_string().lines().next(), Some("the dim � is there twice"));
        assert_eq!(error.to_string().lines().count(), 3);
    }

    #[test]
    fn a_long_text_is_cut_on_both_sides() {
        let lines = shown(&"x".repeat(1000), 500);
        let widths: Vec<usize> = lines.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths, [17, 2 + 1 + 60 + 60 + 1, 2 + 1 + 60 + 1]);
    }

    #[test]
    fn an_offset_inside_a_character_is_shown_at_the_end() {
        assert_eq!(shown("ö", 1), "expected a number\n  ö\n   ^");
    }
}
