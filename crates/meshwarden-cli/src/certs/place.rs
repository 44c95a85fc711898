//! Where certificates are written: all of them, or none.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use zeroize::Zeroizing;

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
        let Some(opened) = self.open(name)? else { return Ok(None) };
        Ok(Some(std::mem::take(&mut *self.text(name, opened)?)))
    }

    /// The same of a file that must be ours, and nobody else's to read. Overwritten when it is dropped.
    pub(super) fn read_private(&self, name: &str) -> Result<Option<Zeroizing<String>>> {
        let Some(opened) = self.open(name)? else { return Ok(None) };
        let path = self.dir.join(name);
        // Of the file that was opened, so that it cannot be another one by now.
        let metadata = opened.metadata().with_context(|| format!("cannot read {path:?}"))?;
        let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
        ensure!(owner == us, "{path:?} belongs to user {owner}, and we are {us}");
        let mode = metadata.mode() & 0o7777;
        ensure!(
            mode & 0o077 == 0,
            "{path:?} can be read by others (mode {mode:o}): whoever has read it can be anybody in the mesh; make \
             a new authority, or chmod 600 it if nobody has"
        );
        self.text(name, opened).map(Some)
    }

    fn open(&self, name: &str) -> Result<Option<File>> {
        let path = self.dir.join(name);
        match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => Ok(Some(opened.with_context(|| format!("cannot read {path:?}"))?)),
        }
    }

    fn text(&self, name: &str, opened: File) -> Result<Zeroizing<String>> {
        let path = self.dir.join(name);
        let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
        let read = opened.take(FILE_MAX + 1).read_to_string(&mut text);
        let n_bytes = read.with_context(|| format!("cannot read {path:?}"))? as u64;
        ensure!(
            n_bytes <= FILE_MAX,
            "{path:?} has more than {FILE_MAX} bytes: is it the right one?"
        );
        Ok(text)
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
        let path = self.dir.join(name);
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

    /// Writes a file in the place of the one that is there, if one is: whoever reads it reads the one or the
    /// other.
    pub(super) fn replace(&mut self, name: &str, text: &str) -> Result<PathBuf> {
        let new = format!("{name}.new");
        self.write(&new, text)?;
        let (from, to) = (self.dir.join(&new), self.dir.join(name));
        fs::rename(&from, &to).with_context(|| format!("cannot write {to:?}"))?;
        self.written.retain(|path| *path != from);
        Ok(to)
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
