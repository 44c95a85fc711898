//! The text form of a set of ranks: `0..4,7,9..12`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::RankSet;
use crate::parse_error::{ParseReason, ParseShapeError};
use crate::text::{self, Cursor};

impl fmt::Debug for RankSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RankSet({self})")
    }
}

impl fmt::Display for RankSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_entries(f, self.runs(), |f, run| match run.len() {
            1 => write!(f, "{}", run.start),
            _ => write!(f, "{}..{}", run.start, run.end),
        })
    }
}

impl RankSet {
    /// The ranks with their word, as a sentence names them.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::RankSet;
    ///
    /// assert_eq!(RankSet::from(3..4).in_words(), "rank 3");
    /// assert_eq!(RankSet::from(0..4).in_words(), "ranks 0..4");
    /// assert_eq!(RankSet::new().in_words(), "no ranks");
    /// ```
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.len() {
            0 => "no ranks".to_owned(),
            1 => format!("rank {self}"),
            _ => format!("ranks {self}"),
        }
    }
}

/// Reads runs and single ranks in any order; they may overlap.
impl FromStr for RankSet {
    type Err = ParseShapeError;

    fn from_str(text: &str) -> Result<Self, ParseShapeError> {
        let mut cursor = Cursor::new(text, "ranks such as 0..4,7 or ()")?;
        let mut runs = Vec::new();
        let mut goes_on = !cursor.take(text::NO_DIMS);
        while goes_on {
            runs.push(parse_run(&mut cursor)?);
            goes_on = cursor.another()?;
        }
        if !cursor.at_end() {
            return Err(cursor.error(ParseReason::MissingComma));
        }
        // In rising order each is an append.
        runs.sort_by_key(|run| run.start);
        let mut ranks = Self::new();
        runs.into_iter().for_each(|run| ranks.insert_range(run));
        Ok(ranks)
    }
}

fn parse_run(cursor: &mut Cursor<'_>) -> Result<Range<usize>, ParseShapeError> {
    let at = cursor.at();
    let start = cursor.number()?;
    if !cursor.take("..") {
        let too_large = ParseReason::NumberTooLarge { limit: usize::MAX - 1 };
        let end = start.checked_add(1).ok_or_else(|| cursor.error_at(at, too_large))?;
        return Ok(start..end);
    }
    let at = cursor.at();
    let end = cursor.number()?;
    if end > start { Ok(start..end) } else { Err(cursor.error_at(at, ParseReason::BackwardRange)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_text_is_refused_at_its_byte() {
        let cases = [
            ("", 0, ParseReason::Empty { example: "ranks such as 0..4,7 or ()" }),
            ("4..4", 3, ParseReason::BackwardRange),
            ("1,4..2", 5, ParseReason::BackwardRange),
            ("4..", 3, ParseReason::MissingNumber),
            ("..4", 0, ParseReason::MissingNumber),
            ("-4", 0, ParseReason::Negative),
            ("4;5", 1, ParseReason::MissingComma),
            ("4,", 2, ParseReason::TrailingComma),
            ("(),4", 2, ParseReason::MissingComma),
            ("18446744073709551615", 0, ParseReason::NumberTooLarge { limit: usize::MAX - 1 }),
            ("18446744073709551616", 0, ParseReason::NumberTooLarge { limit: usize::MAX }),
        ];
        for (text, at, reason) in cases {
            let error = text.parse::<RankSet>().expect_err("the text is wrong");
            assert_eq!((error.at, error.reason), (at, reason), "{text}");
        }
    }

    #[test]
    fn any_order_and_overlap_is_read() {
        let ranks: RankSet = "9..12, 0..4,2..5,7".parse().expect("the text is right");
        assert_eq!(ranks.to_string(), "0..5,7,9..12");
    }

    #[test]
    fn the_empty_set_has_a_text_too() {
        assert_eq!(RankSet::new().to_string().parse(), Ok(RankSet::new()));
    }
}
