//! The text forms: names, numbers and commas, read with the byte where each stands.

use std::fmt;

use crate::parse_error::{ParseReason, ParseShapeError};

/// The text of an extent without dims, and of everything that lives in it.
pub(crate) const NO_DIMS: &str = "()";

/// Reads a text from left to right; spaces between tokens do not count.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor before the first token, unless there is none.
    pub(crate) fn new(text: &'a str, example: &'static str) -> Result<Self, ParseShapeError> {
        let mut cursor = Self { text, at: 0 };
        if cursor.at_end() {
            return Err(cursor.error_at(0, ParseReason::Empty { example }));
        }
        Ok(cursor)
    }

    /// Whether only spaces are left.
    pub(crate) fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// The byte of the next token.
    pub(crate) fn at(&mut self) -> usize {
        self.peek();
        self.at
    }

    /// The first character of the next token.
    pub(crate) fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t']);
        self.at += rest.len() - trimmed.len();
        trimmed.chars().next()
    }

    /// Takes `token` if it is next.
    pub(crate) fn take(&mut self, token: &str) -> bool {
        self.peek();
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    /// Takes the comma before another entry; `false` at the end.
    pub(crate) fn another(&mut self) -> Result<bool, ParseShapeError> {
        if self.at_end() {
            return Ok(false);
        }
        if !self.take(",") {
            return Err(self.error(ParseReason::MissingComma));
        }
        if self.at_end() {
            return Err(self.error(ParseReason::TrailingComma));
        }
        Ok(true)
    }

    /// Takes `name=`, bare or quoted; answers with the byte where it began.
    pub(crate) fn key(&mut self) -> Result<(usize, String), ParseShapeError> {
        let at = self.at();
        let name = if self.take("\"") { self.quoted_name(at)? } else { self.bare_name()? };
        if !self.take("=") {
            return Err(self.error(ParseReason::MissingEquals));
        }
        Ok((at, name))
    }

    /// Takes a number that is not negative.
    pub(crate) fn number(&mut self) -> Result<usize, ParseShapeError> {
        let at = self.at();
        let is_negative = self.take("-");
        let digits = self.digits()?;
        if is_negative {
            return Err(self.error_at(at, ParseReason::Negative));
        }
        // Only digits: the one way to fail is to be too large.
        let too_large = ParseReason::NumberTooLarge { limit: usize::MAX };
        digits.parse().ok().ok_or_else(|| self.error_at(at, too_large))
    }

    /// Takes a number that may be negative.
    pub(crate) fn signed(&mut self) -> Result<isize, ParseShapeError> {
        let at = self.at();
        let sign = if self.take("-") { "-" } else { "" };
        let digits = self.digits()?;
        let too_large = ParseReason::NumberTooLarge { limit: isize::MAX.unsigned_abs() };
        format!("{sign}{digits}").parse().ok().ok_or_else(|| self.error_at(at, too_large))
    }

    /// The refusal of the next token.
    pub(crate) fn error(&mut self, reason: impl Into<ParseReason>) -> ParseShapeError {
        let at = self.at();
        self.error_at(at, reason)
    }

    /// The refusal of what stands at byte `at`.
    pub(crate) fn error_at(&self, at: usize, reason: impl Into<ParseReason>) -> ParseShapeError {
        ParseShapeError { input: self.text.to_owned(), at, reason: reason.into() }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn digits(&mut self) -> Result<&'a str, ParseShapeError> {
        // No space between a sign and its digits.
        let rest = self.rest();
        let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if n_digits == 0 {
            return Err(self.error(ParseReason::MissingNumber));
        }
        self.at += n_digits;
        Ok(rest.get(..n_digits).unwrap_or(""))
    }

    fn bare_name(&mut self) -> Result<String, ParseShapeError> {
        let rest = self.rest();
        let end = rest.find(|c| !is_bare(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error(ParseReason::MissingName));
        }
        self.at += end;
        Ok(rest.get(..end).unwrap_or("").to_owned())
    }

    /// The rest of a name whose opening quote, at `opened`, was taken.
    fn quoted_name(&mut self, opened: usize) -> Result<String, ParseShapeError> {
        let mut name = String::new();
        loop {
            let at = self.at;
            let Some(c) = self.rest().chars().next() else {
                return Err(self.error_at(opened, ParseReason::UnclosedQuote));
            };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(name),
                '\\' => name.push(self.escape(at)?),
                _ => name.push(c),
            }
        }
    }

    /// The rest of an escape whose backslash, at `began`, was taken.
    fn escape(&mut self, began: usize) -> Result<char, ParseShapeError> {
        let rest = self.rest();
        let found = if rest.starts_with('"') {
            Some(('"', 1))
        } else if rest.starts_with('\\') {
            Some(('\\', 1))
        } else {
            let hex = rest.strip_prefix("u{").and_then(|hex| hex.split_once('}'));
            hex.and_then(|(hex, _)| {
                // A sign would be read as part of the number.
                let digits = Some(hex).filter(|hex| !hex.starts_with('+'))?;
                let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?;
                Some((c, hex.len() + 3))
            })
        };
        let Some((c, n_bytes)) = found else {
            return Err(self.error_at(began, ParseReason::UnknownEscape));
        };
        self.at += n_bytes;
        Ok(c)
    }
}

/// Writes entries with commas between them, or `()` when there are none.
pub(crate) fn write_entries<T>(
    f: &mut fmt::Formatter<'_>,
    entries: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    let mut is_first = true;
    for entry in entries {
        if !is_first {
            f.write_str(",")?;
        }
        is_first = false;
        write(f, entry)?;
    }
    if is_first { f.write_str(NO_DIMS) } else { Ok(()) }
}

/// Writes the name of a dim, quoted when it would not be read back otherwise.
pub(crate) fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if !name.is_empty() && name.chars().all(is_bare) {
        return f.write_str(name);
    }
    f.write_str("\"")?;
    for c in name.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            _ if c.is_control() => write!(f, "{}", c.escape_unicode())?,
            _ => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')
}
