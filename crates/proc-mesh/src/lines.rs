//! Bytes of a stream into whole lines, and the last lines of it: pure.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A line longer than this is given out in pieces, so that a program that never ends its line cannot
/// fill the memory.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// Splits a stream into lines, without their line feeds.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// How much of the buffer has been searched for a line feed.
    searched: usize,
}

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let feed = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        match feed.map(|at| self.searched + at) {
            Some(at) => {
                let mut line = self.buffer.split_to(at + 1);
                line.truncate(at);
                self.searched = 0;
                Some(line.freeze())
            }
            None if self.buffer.len() >= LINE_BYTES_MAX => {
                self.searched = 0;
                Some(self.buffer.split_to(LINE_BYTES_MAX).freeze())
            }
            None => {
                self.searched = self.buffer.len();
                None
            }
        }
    }

    /// The unfinished last line, at the end of the stream.
    pub(crate) fn rest(&mut self) -> Option<Bytes> {
        self.searched = 0;
        let rest = self.buffer.split().freeze();
        (!rest.is_empty()).then_some(rest)
    }
}

/// The last lines of a stream, within a bound.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    /// As many lines are kept.
    pub(crate) const LINES_MAX: usize = 50;
    /// As many bytes are kept, after escaping.
    pub(crate) const BYTES_MAX: usize = 8 * 1024;

    /// Control characters are escaped: what a process writes is not trusted.
    pub(crate) fn push(&mut self, line: &[u8]) {
        let cut = &line[line.len().saturating_sub(Self::BYTES_MAX)..];
        let mut text = escape(cut);
        if text.len() > Self::BYTES_MAX {
            let mut start = text.len() - Self::BYTES_MAX;
            while !text.is_char_boundary(start) {
                start += 1;
            }
            text.drain(..start);
        }
        self.bytes += text.len();
        self.lines.push_back(text);
        while self.lines.len() > Self::LINES_MAX || self.bytes > Self::BYTES_MAX {
            let Some(first) = self.lines.pop_front() else { break };
            self.bytes -= first.len();
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// The text of untrusted bytes: what is not UTF-8 is replaced, control characters are escaped, tabs
/// are kept.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        if character.is_control() && character != '\t' {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<Bytes> {
        std::iter::from_fn(|| lines.next()).collect()
    }

    #[test]
    fn lines_are_whole_however_the_stream_is_cut() {
        let text = b"one\n\ntwo\r\nthree";
        for cut in 1..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in text.chunks(cut) {
                lines.push(piece);
                found.extend(all(&mut lines));
            }
            assert_eq!(found, ["one", "", "two\r"], "pieces of {cut}");
            assert_eq!(lines.rest(), Some(Bytes::from("three")));
            assert_eq!(lines.rest(), None);
        }
    }

    #[test]
    fn a_line_without_end_is_given_out_in_pieces() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LINE_BYTES_MAX + 3]);
        assert_eq!(lines.next().map(|line| line.len()), Some(LINE_BYTES_MAX));
        assert_eq!(lines.next(), None);
        assert_eq!(lines.rest(), Some(Bytes::from("xxx")));
    }

    #[test]
    fn the_tail_keeps_the_last_lines_within_its_bounds() {
        let mut tail = Tail::default();
        for number in 0..200 {
            tail.push(format!("line {number}").as_bytes());
        }
        let lines = tail.into_lines();
        assert_eq!(lines.len(), Tail::LINES_MAX);
        assert_eq!(lines.last().map(String::as_str), Some("line 199"));

        let mut tail = Tail::default();
        tail.push(b"before");
        tail.push(&[0xe2; 3 * Tail::BYTES_MAX]);
        let lines = tail.into_lines();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].len() <= Tail::BYTES_MAX && lines[0].len() > Tail::BYTES_MAX - 4);
    }

    #[test]
    fn control_characters_are_escaped() {
        let mut tail = Tail::default();
        tail.push(b"\x1b[31mred\x07\tok");
        assert_eq!(tail.into_lines(), ["\\u{1b}[31mred\\u{7}\tok"]);
    }
}
