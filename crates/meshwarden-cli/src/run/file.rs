//! The files that a run writes: opened before anything starts, and emptied only when there is something
//! to write.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{OFlags, fcntl_setfl};

/// Opens a file for `what`, and leaves what is in it.
///
/// # Errors
///
/// If it cannot be written; a pipe, if nobody reads it.
pub(crate) fn open(what: &str, path: &Path) -> Result<File> {
    // Without `NONBLOCK` a pipe that nobody reads would be waited for.
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .and_then(|file| Ok(fcntl_setfl(&file, OFlags::empty()).map(|()| file)?))
        .with_context(|| format!("cannot write {what} to {}", path.display()))
}

/// Takes out what is in a file.
///
/// # Errors
///
/// If the system refuses.
pub(crate) fn empty(file: &File) -> io::Result<()> {
    // Only a file has something in it.
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

/// A file that is emptied when it is first written.
#[derive(Debug)]
pub(crate) struct Fresh {
    file: File,
    is_empty: bool,
}

impl Fresh {
    pub(crate) const fn new(file: File) -> Self {
        Self { file, is_empty: false }
    }
}

impl Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_empty {
            empty(&self.file)?;
            self.is_empty = true;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
