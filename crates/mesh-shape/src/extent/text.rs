//! The text form of an extent: `hosts=2,gpus=8`.

use std::fmt;
use std::str::FromStr;

use super::{Dims, Extent};
use crate::parse_error::{ParseReason, ParseShapeError};
use crate::text::{self, Cursor};

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_entries(f, self.dims(), |f, (name, size)| {
            text::write_name(f, name)?;
            write!(f, "={size}")
        })
    }
}

impl FromStr for Extent {
    type Err = ParseShapeError;

    fn from_str(text: &str) -> Result<Self, ParseShapeError> {
        let mut cursor = Cursor::new(text, "an extent such as hosts=2,gpus=8")?;
        let mut dims = Dims::default();
        if cursor.take(text::NO_DIMS) {
            return if cursor.at_end() {
                Ok(dims.into_extent())
            } else {
                Err(cursor.error(ParseReason::MissingComma))
            };
        }
        loop {
            let (at, name) = cursor.key()?;
            dims.push_name(name).map_err(|refused| cursor.error_at(at, refused))?;
            let at = cursor.at();
            let size = cursor.number()?;
            dims.push_size(size).map_err(|refused| cursor.error_at(at, refused))?;
            if !cursor.another()? {
                return Ok(dims.into_extent());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape_error::ShapeError;

    fn refusal(text: &str) -> (usize, ParseReason) {
        let error = text.parse::<Extent>().expect_err("the text is wrong");
        assert_eq!(error.input, text);
        (error.at, error.reason)
    }

    #[test]
    fn text_is_read_back_with_any_names() {
        let dims = [("hosts", 2), ("größe", 0), ("a b", 1), ("a\"\\=,\n\u{7f}", 3), ("()", 1)];
        let extent = Extent::new(dims).expect("the names differ");
        let text = r#"hosts=2,größe=0,"a b"=1,"a\"\\=,\u{a}\u{7f}"=3,"()"=1"#;
        assert_eq!(extent.to_string(), text);
        assert_eq!(text.parse(), Ok(extent));
    }

    #[test]
    fn an_extent_without_dims_has_a_text_too() {
        let extent: Extent = "()".parse().expect("it is an extent");
        assert_eq!((extent.size(), extent.ndim(), extent.to_string()), (1, 0, "()".to_owned()));
    }

    #[test]
    fn spaces_between_tokens_do_not_count() {
        assert_eq!(" hosts = 2 ,\tgpus=8 ".parse::<Extent>(), "hosts=2,gpus=8".parse());
    }

    #[test]
    fn every_wrong_text_is_refused_at_its_byte() {
        let example = "an extent such as hosts=2,gpus=8";
        let duplicate = ShapeError::DuplicateDim { name: "gpus".to_owned() };
        let too_large = ShapeError::TooLarge { limit: isize::MAX.unsigned_abs() };
        let number_too_large = ParseReason::NumberTooLarge { limit: usize::MAX };
        let cases = [
            ("", 0, ParseReason::Empty { example }),
            ("  ", 0, ParseReason::Empty { example }),
            ("4", 1, ParseReason::MissingEquals),
            ("gpus", 4, ParseReason::MissingEquals),
            ("=4", 0, ParseReason::MissingName),
            ("gpus=", 5, ParseReason::MissingNumber),
            ("gpus=,hosts=2", 5, ParseReason::MissingNumber),
            ("gpus=-1", 5, ParseReason::Negative),
            ("gpus=-", 6, ParseReason::MissingNumber),
            ("gpus=+1", 5, ParseReason::MissingNumber),
            ("gpus=4x", 6, ParseReason::MissingComma),
            ("gpus=1.5", 6, ParseReason::MissingComma),
            ("() x=1", 3, ParseReason::MissingComma),
            ("gpus=4,", 7, ParseReason::TrailingComma),
            ("gpus=4,,hosts=2", 7, ParseReason::MissingName),
            ("gpus=4,gpus=4", 7, duplicate.into()),
            ("gpus=18446744073709551616", 5, number_too_large),
            ("a=4294967296,b=4294967296", 15, too_large.into()),
            ("\"gpus=4", 0, ParseReason::UnclosedQuote),
            ("\"g\\x\"=4", 2, ParseReason::UnknownEscape),
            ("\"\\u{d800}\"=4", 1, ParseReason::UnknownEscape),
            ("\"\\u{+41}\"=4", 1, ParseReason::UnknownEscape),
            ("\"\"=4", 0, ShapeError::EmptyName { axis: 0 }.into()),
        ];
        for (text, at, reason) in cases {
            assert_eq!(refusal(text), (at, reason), "{text}");
        }
    }

    #[test]
    fn a_refusal_shows_the_text_and_the_place() {
        let shown = "gpus=4,gpus=4".parse::<Extent>().expect_err("twice").to_string();
        assert_eq!(shown, "the dim gpus is there twice\n  gpus=4,gpus=4\n         ^");
    }
}
