//! `Json`: reading JSON, as much as the answers of cargo need.

use std::collections::BTreeMap;
use std::fmt;

/// One JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A string, its escapes resolved.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object. The last of two equal keys wins.
    Object(BTreeMap<String, Self>),
}

/// Where a text stopped being JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// What should have stood there.
    expected: &'static str,
    /// The offset, in bytes.
    at: usize,
}

/// A text being read. Invariant: `at` is on a character boundary of `text`.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Json {
    /// Reads one value that fills the whole text.
    ///
    /// # Errors
    ///
    /// - [`JsonError`] if the text is not JSON, or nests deeper than [`DEPTH_MAX`].
    pub(crate) fn parse(text: &str) -> Result<Self, JsonError> {
        let mut reader = Reader { text, at: 0, depth: 0 };
        let value = reader.value()?;
        reader.skip_space();
        if reader.at == text.len() { Ok(value) } else { Err(reader.expected("the end")) }
    }

    /// The value of a key; none if this is no object.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(key),
            _ => None,
        }
    }

    /// The text of a key; none if this is no object or the value no string.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The items of the list at a key; none if this is no object or the value no list.
    pub(crate) fn list(&self, key: &str) -> Option<&[Self]> {
        match self.get(key) {
            Some(Self::List(items)) => Some(items),
            _ => None,
        }
    }
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Json, JsonError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Json, JsonError>,
    ) -> Result<Json, JsonError> {
        if self.depth == DEPTH_MAX {
            return Err(self.expected("less depth"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Json, JsonError> {
        let mut fields = BTreeMap::new();
        if self.takes(b'}') {
            return Ok(Json::Object(fields));
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            self.require(b':', "a colon")?;
            fields.insert(key, self.value()?);
            if !self.takes(b',') {
                self.require(b'}', "a comma or a closing brace")?;
                return Ok(Json::Object(fields));
            }
        }
    }

    fn array(&mut self) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        if self.takes(b']') {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value()?);
            if !self.takes(b',') {
                self.require(b']', "a comma or a closing bracket")?;
                return Ok(Json::List(items));
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let n_plain = rest.find(['"', '\\']).ok_or_else(|| self.expected("a closing quote"))?;
            out.push_str(rest.get(..n_plain).expect("find gives a character boundary"));
            self.at += n_plain + 1;
            if rest.as_bytes().get(n_plain) == Some(&b'"') {
                return Ok(out);
            }
            out.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let escape = self.peek().ok_or_else(|| self.expected("an escape"))?;
        let plain = match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// One character of UTF-16: four digits, or two times four when the first is half of a pair.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let mut units = vec![self.four_digits()?];
        if self.rest().starts_with("\\u") && matches!(units.first(), Some(0xD800..0xDC00)) {
            self.at += 2;
            units.push(self.four_digits()?);
        }
        let mut characters = char::decode_utf16(units);
        match (characters.next(), characters.next()) {
            (Some(Ok(character)), None) => Ok(character),
            _ => Err(self.expected("a whole character")),
        }
    }

    fn four_digits(&mut self) -> Result<u16, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| !d.starts_with('+'));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.expected("four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let rest = self.rest();
        let ends = |c: char| !(c.is_ascii_digit() || "+-.eE".contains(c));
        let digits = rest.get(..rest.find(ends).unwrap_or(rest.len())).unwrap_or_default();
        let number = digits.parse().map_err(|_not_a_number| self.expected("a value"))?;
        self.at += digits.len();
        Ok(Json::Number(number))
    }

    fn word(&mut self, word: &'static str, value: Json) -> Result<Json, JsonError> {
        if !self.rest().starts_with(word) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(value)
    }

    fn require(&mut self, byte: u8, name: &'static str) -> Result<(), JsonError> {
        if self.takes(byte) { Ok(()) } else { Err(self.expected(name)) }
    }

    /// Skips space and then `byte`, if it is there.
    fn takes(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> JsonError {
        JsonError { expected, at: self.at }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.at)
    }
}

/// How deep values may nest: cargo's answers need less than ten.
const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests;
