//! One file to be counted: what it was when it was found, and the pieces it is read in.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::demo::cuts::cuts;

/// A file that holds text, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its absolute path, as bytes: a path need not be UTF-8.
    path: Vec<u8>,
    stamp: Stamp,
    /// Where its pieces end. Each ends a line, the last one the file.
    ends: Vec<u64>,
}

/// What a file was. One of which this no longer holds has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

/// A stretch of a file, cut at the ends of lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    path: Vec<u8>,
    stamp: Stamp,
    range: Range<u64>,
}

/// What was read of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Text(Source, String),
    /// It is empty, or no valid UTF-8 without NUL.
    NoText,
    /// It is longer than was asked for.
    TooLong,
}

impl Source {
    /// Reads a file of at most `bytes_max`.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Found> {
        let file = File::open(path)?;
        let stamp = Stamp::of(&file)?;
        if stamp.bytes > bytes_max {
            return Ok(Found::TooLong);
        }
        let mut bytes = Vec::new();
        file.take(stamp.bytes).read_to_end(&mut bytes)?;
        // One that shrinks just now is taken to be what it said; its worker will see that it changed.
        match String::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && !text.contains('\0') => {
                let path = path.as_os_str().as_bytes().to_vec();
                Ok(Found::Text(Self { path, stamp, ends: line_ends(&text) }, text))
            }
            Ok(_) | Err(_) => Ok(Found::NoText),
        }
    }

    /// Its length.
    pub(crate) const fn bytes(&self) -> u64 {
        self.stamp.bytes
    }

    /// Its pieces, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| Piece {
            path: self.path.clone(),
            stamp: self.stamp,
            range: start..*end,
        })
    }

    #[cfg(test)]
    pub(crate) fn fake(path: &str, text: &str) -> Self {
        let stamp = Stamp { bytes: text.len() as u64, modified: (0, 0) };
        Self { path: path.into(), stamp, ends: line_ends(text) }
    }
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self { bytes: found.len(), modified: (found.mtime(), found.mtime_nsec()) })
    }
}

impl Piece {
    /// Its length.
    pub(crate) const fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The file it is of.
    pub(crate) fn path(&self) -> PathBuf {
        std::ffi::OsStr::from_bytes(&self.path).into()
    }

    /// Takes `next` into this piece if it follows in the same file; else gives it back.
    pub(crate) fn join(&mut self, next: Self) -> Option<Self> {
        if self.path != next.path || self.range.end != next.range.start {
            return Some(next);
        }
        self.range.end = next.range.end;
        None
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not what it was.
    pub(crate) fn read(&self) -> Result<String> {
        let mut file = File::open(self.path())?;
        let changed = "it has changed since the count began";
        ensure!(Stamp::of(&file)? == self.stamp, changed);
        file.seek(SeekFrom::Start(self.range.start))?;
        let mut bytes = Vec::new();
        file.take(self.bytes()).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 == self.bytes(), changed);
        String::from_utf8(bytes).or_else(|_| anyhow::bail!(changed))
    }
}

/// Where to cut a text: at the ends of lines, so that no word is cut.
fn line_ends(text: &str) -> Vec<u64> {
    let lines = text.split_inclusive('\n').map(|line| line.len() as u64);
    cuts(lines, text.len() as u64, PIECES).into_iter().map(|cut| cut.bytes).collect()
}

/// The pieces that a file is cut into, about: enough to be caught in mid-run.
const PIECES: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Vec<Range<u64>> {
        Source::fake("a", text).pieces().map(|piece| piece.range).collect()
    }

    #[test]
    fn a_file_is_cut_at_the_ends_of_lines_only() {
        assert_eq!(ranges("one\ntwo\n"), [0..4, 4..8]);
        assert_eq!(ranges("x\na very long line without an end"), [0..2, 2..33]);
        assert_eq!(ranges("one line\n").first(), Some(&(0..9)));
        let pieces = ranges(&"a line\n".repeat(160));
        assert_eq!(pieces.len(), 16);
        assert!(pieces.iter().all(|piece| piece.end % 7 == 0));
    }

    #[test]
    fn pieces_that_follow_each_other_are_joined() {
        let pieces: Vec<Piece> = Source::fake("a", "1\n2\n3\n").pieces().collect();
        let mut joined = pieces[0].clone();
        assert_eq!(joined.join(pieces[2].clone()), Some(pieces[2].clone()));
        assert_eq!(joined.join(pieces[1].clone()), None);
        assert_eq!(joined.range, 0..4);
    }
}
