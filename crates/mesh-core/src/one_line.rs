//! `OneLine`: text of programs in a line for people.

use std::fmt::{self, Write as _};

/// The text, without what would break its line or do something to a terminal: control characters are escaped.
///
/// # Examples
///
/// ```
/// use mesh_core::OneLine;
///
/// assert_eq!(OneLine("left: 1\nright: 2").to_string(), r"left: 1\nright: 2");
/// assert_eq!(OneLine("\u{1b}[2Jfine").to_string(), r"\u{1b}[2Jfine");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OneLine<'a>(pub &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) }
        })
    }
}
