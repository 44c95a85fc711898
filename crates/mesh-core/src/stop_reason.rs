//! `StopReason`: why somebody has asked for a stop, in words for people.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why somebody has asked for a stop, in words for people: it is told to whoever watches the mesh, and decides
/// nothing.
///
/// # Bounds
///
/// At most [`MAX`](Self::MAX) characters, of one line: what is longer is cut, also if it comes from another process,
/// and each control character is a `�`.
///
/// # Examples
///
/// ```
/// use mesh_core::StopReason;
///
/// let reason = StopReason::new("the job\nis done");
/// assert_eq!(reason.to_string(), "the job�is done");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct StopReason(Arc<str>);

impl StopReason {
    /// The most characters that one has.
    pub const MAX: usize = 256;

    /// The reason that these words are.
    #[must_use]
    pub fn new(words: &str) -> Self {
        let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        Self(words.chars().take(Self::MAX).map(printable).collect::<String>().into())
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for StopReason {
    fn from(words: String) -> Self {
        Self::new(&words)
    }
}

impl From<&str> for StopReason {
    fn from(words: &str) -> Self {
        Self::new(words)
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};

    use super::*;

    /// What comes from another process is bounded as well.
    #[test]
    fn a_reason_is_short_and_of_one_line_wherever_it_comes_from() {
        let long = "ü\u{1b}[2J".repeat(StopReason::MAX);
        let sent: StrDeserializer<'_, Error> = long.as_str().into_deserializer();
        let reason = StopReason::deserialize(sent).expect("it is text");
        assert_eq!(reason, StopReason::from(long));
        assert_eq!(reason.as_str().chars().count(), StopReason::MAX);
        assert!(!reason.to_string().contains(char::is_control), "{reason}");
    }
}
