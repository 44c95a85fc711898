//! Where certificates are written: all of them, or none.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;

use super::file;

/// How long a file of an authority may be.
const FILE_MAX: u64 = 256 * 1024;

/// A directory, and what was written there. Unless it is [kept](Self::keep), it is removed again.
pub(super) struct Place {
    dir: PathBuf,
    written: Vec<PathBuf>,
    /// It was not there before.
    has_made_dir: bool,
}

impl Place {
    pub(super) fn new(dir: &Path) -> Result<Self> {
        let has_made_dir = match fs::DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error).context(format!("cannot make the directory {dir:?}")),
        };
        Ok(Self { dir: dir.to_owned(), written: Vec::new(), has_made_dir })
    }

    /// What is in a file, if it is there.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>> {
        Ok(self.open(name)?.map(|mut text| std::mem::take(&mut *text)))
    }

    /// The same, overwritten when it is dropped.
    pub(super) fn read_private(&self, name: &str) -> Result<Option<Zeroizing<String>>> {
        self.open(name)
    }

    fn open(&self, name: &str) -> Result<Option<Zeroizing<String>>> {
        let path = file(&self.dir, name);
        let unreadable = || format!("cannot read {path:?}");
        let opened = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.with_context(unreadable)?,
        };
        let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
        opened.take(FILE_MAX).read_to_string(&mut text).with_context(unreadable)?;
        Ok(Some(text))
    }

    /// Writes a file for everybody to read.
    pub(super) fn write(&mut self, name: &str, text: &str) -> Result<()> {
        self.create(name, 0o644, text)
    }

    /// Writes a file that nobody else can read, not even for a moment.
    pub(super) fn write_private(&mut self, name: &str, text: &str) -> Result<()> {
        self.create(name, 0o600, text)
    }

    fn create(&mut self, name: &str, mode: u32, text: &str) -> Result<()> {
        let path = file(&self.dir, name);
        let mut created =
            match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    bail!("{path:?} is there already: move it away, or name another --dir")
                }
                created => created.with_context(|| format!("cannot make {path:?}"))?,
            };
        self.written.push(path.clone());
        let written = created.write_all(text.as_bytes()).and_then(|()| created.sync_all());
        written.with_context(|| format!("cannot write {path:?}"))
    }

    /// All is well: what was written stays.
    pub(super) fn keep(mut self) -> Vec<PathBuf> {
        self.has_made_dir = false;
        std::mem::take(&mut self.written)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for path in &self.written {
            // It may have been removed by somebody else.
            _ = fs::remove_file(path).is_ok();
        }
        if self.has_made_dir {
            _ = fs::remove_dir(&self.dir).is_ok();
        }
    }
}
