//! `Tree`: a copy of the workspace in which bugs are planted, so that nobody's files are touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::told;
use crate::cargo;
use crate::stop::Stop;

/// A copy of the workspace.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

/// What it took to bring a copy up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Synced {
    pub(super) files: usize,
    /// Written or removed.
    pub(super) changed: usize,
}

impl Tree {
    /// Makes the copy at `root` equal to the workspace as it is now, uncommitted work included.
    ///
    /// Only what differs is written, so that cargo builds again only what changed. What a run that was
    /// ended has left planted differs, and so is mended.
    ///
    /// # Errors
    ///
    /// [`Stop::Problems`] if a file cannot be read or written, or git does not know the workspace.
    pub(super) fn synced(root: PathBuf) -> Result<(Self, Synced), Stop> {
        let paths = tracked()?;
        let mut changed = 0;
        for path in &paths {
            let (source, target) = (cargo::root().join(path), root.join(path));
            changed += usize::from(copy(&source, &target).map_err(|error| told(&source, &error))?);
        }
        let tree = Self { root };
        for path in tree.files()? {
            if !paths.contains(&path) {
                let path = tree.root.join(path);
                fs::remove_file(&path).map_err(|error| told(&path, &error))?;
                changed += 1;
            }
        }
        Ok((tree, Synced { files: paths.len(), changed }))
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The text of a file of the copy.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub(super) fn read(&self, path: &str) -> Result<String, String> {
        fs::read_to_string(self.root.join(path)).map_err(|error| format!("{path}: {error}"))
    }

    /// Plants these texts, does the work, and puts back what was there before.
    ///
    /// # Errors
    ///
    /// [`Stop::Problems`] if a file cannot be read or written; else what `work` gives.
    pub(super) fn with<T>(
        &self,
        planted: &BTreeMap<String, String>,
        work: impl FnOnce() -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let mut before = BTreeMap::new();
        for path in planted.keys() {
            before.insert(path.clone(), self.read(path).map_err(Stop::problem)?);
        }
        let worked = self.write(planted).and_then(|()| work());
        self.write(&before)?;
        worked
    }

    fn write(&self, texts: &BTreeMap<String, String>) -> Result<(), Stop> {
        for (path, text) in texts {
            let path = self.root.join(path);
            fs::write(&path, text).map_err(|error| told(&path, &error))?;
        }
        Ok(())
    }

    /// Every file of the copy, as a path from its root.
    fn files(&self) -> Result<Vec<String>, Stop> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(|error| told(&folder, &error))? {
                let path = entry.map_err(|error| told(&folder, &error))?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(inner) = path.strip_prefix(&self.root) {
                    files.push(inner.to_string_lossy().into_owned());
                }
            }
        }
        Ok(files)
    }
}

/// Copies a file unless the copy is the same already. Returns whether it did.
fn copy(source: &Path, target: &Path) -> io::Result<bool> {
    if fs::read(target).is_ok_and(|known| fs::read(source).is_ok_and(|new| new == known)) {
        return Ok(false);
    }
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(source, target)?;
    Ok(true)
}

/// The files that git tracks, or would track, without those that were deleted.
fn tracked() -> Result<BTreeSet<String>, Stop> {
    let list = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(cargo::root())
        .output()
        .map_err(|error| Stop::problem(format!("git cannot be started: {error}")))?;
    if !list.status.success() {
        let why = String::from_utf8_lossy(&list.stderr);
        return Err(Stop::problem(format!("git does not know this folder: {}", why.trim())));
    }
    let paths = String::from_utf8_lossy(&list.stdout);
    let exists = |path: &&str| !path.is_empty() && cargo::root().join(path).is_file();
    Ok(paths.split('\0').filter(exists).map(str::to_owned).collect())
}
