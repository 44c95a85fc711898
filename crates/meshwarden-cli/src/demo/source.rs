//! One file to be counted, as it was found: how workers read it, and how they notice that it changed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// How many pieces a file is cut into, about: enough to be caught in mid-run.
const PIECES: u64 = 16;

/// What a file was when it was found. One that is no longer so has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// When it was last written, in seconds and nanoseconds.
    modified: (i64, i64),
}

/// A file that holds text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its absolute path, as bytes: a path need not be UTF-8.
    pub(crate) path: Vec<u8>,
    pub(crate) stamp: Stamp,
    /// Where its pieces end. Each ends a line, the last the file.
    pub(crate) cuts: Vec<u64>,
}

/// A stretch of a file, cut at the ends of lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    path: Vec<u8>,
    stamp: Stamp,
    range: Range<u64>,
}

/// Why a piece could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The file is not what it was when the driver read it.
    #[error("it was changed")]
    Changed,
    /// It cannot be read any more.
    #[error("it cannot be read any more: {0}")]
    Io(#[from] io::Error),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self { bytes: found.len(), modified: (found.mtime(), found.mtime_nsec()) })
    }
}

impl Source {
    /// Reads a file. `None` if it is empty, longer than `bytes_max`, or no text: valid UTF-8 without NUL.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Option<(Self, String)>> {
        let file = File::open(path)?;
        let stamp = Stamp::of(&file)?;
        if stamp.bytes > bytes_max {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        // One byte more shows that it grows.
        file.take(stamp.bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        let is_whole = bytes.len() as u64 == stamp.bytes;
        if bytes.is_empty() || !is_whole || bytes.contains(&0) {
            return Ok(None);
        }
        let Ok(text) = String::from_utf8(bytes) else { return Ok(None) };
        let path = path.as_os_str().as_bytes().to_vec();
        Ok(Some((Self { path, stamp, cuts: cut(&text) }, text)))
    }
}
