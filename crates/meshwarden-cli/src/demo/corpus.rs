//! The files to be counted: every text file of a folder, read once, and counted by one thread.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::demo::source::{Found, Source};
use crate::demo::tally::Tally;

/// A folder of text.
#[derive(Debug, Default)]
pub(crate) struct Corpus {
    /// The files, sorted by path.
    pub(crate) sources: Vec<Source>,
    /// Their words, as one thread counts them.
    pub(crate) serial: Tally,
    /// What was left out, in words.
    pub(crate) left_out: Vec<String>,
}

/// How much is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Files.
    pub(crate) files: usize,
    /// Bytes of one file. Its words must fit into one message to the driver.
    pub(crate) file_bytes: u64,
    /// Bytes of all files.
    pub(crate) bytes: u64,
}

impl Limits {
    /// Plenty for a demonstration.
    pub(crate) const DEMO: Self =
        Self { files: 50_000, file_bytes: 8 * 1024 * 1024, bytes: 256 * 1024 * 1024 };
}

/// A walk through a folder, depth first.
struct Walk {
    limits: Limits,
    corpus: Corpus,
    bytes: u64,
    n_too_long: usize,
    n_unreadable: usize,
    is_full: bool,
}

impl Corpus {
    /// Reads the text files of `dir` and of the folders in it, except hidden folders and `target`.
    /// Symbolic links in it are not followed.
    ///
    /// # Errors
    ///
    /// If `dir` is no folder, cannot be read, or has no text in it.
    pub(crate) fn read(dir: &Path, limits: Limits) -> Result<Self> {
        let shown = dir.display();
        let found = fs::metadata(dir).with_context(|| format!("cannot count {shown}"))?;
        ensure!(found.is_dir(), "{shown} is not a folder: --dir takes one, and counts its files");
        // A worker may have another working directory.
        let dir = dir.canonicalize().with_context(|| format!("cannot count {shown}"))?;
        let mut walk = Walk {
            limits,
            corpus: Self::default(),
            bytes: 0,
            n_too_long: 0,
            n_unreadable: 0,
            is_full: false,
        };
        walk.folder(&dir).with_context(|| format!("cannot read {shown}"))?;
        let corpus = walk.finish();
        if corpus.sources.is_empty() {
            bail!("{shown} has no text file in it: choose another folder with --dir");
        }
        Ok(corpus)
    }

    /// The length of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.sources.iter().map(Source::bytes).sum()
    }
}

impl Walk {
    fn folder(&mut self, path: &Path) -> io::Result<()> {
        let mut entries: Vec<DirEntry> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            if self.is_full {
                break;
            }
            let Ok(kind) = entry.file_type() else { continue };
            let result = if kind.is_dir() && !is_skipped(&entry) {
                self.folder(&entry.path())
            } else if kind.is_file() {
                self.file(entry.path())
            } else {
                Ok(())
            };
            self.n_unreadable += usize::from(result.is_err());
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf) -> io::Result<()> {
        match Source::read(&path, self.limits.file_bytes)? {
            Found::Text(source, text) => {
                let bytes = self.bytes + source.bytes();
                if self.corpus.sources.len() == self.limits.files || bytes > self.limits.bytes {
                    self.is_full = true;
                    return Ok(());
                }
                self.bytes = bytes;
                self.corpus.serial.count(&text);
                self.corpus.sources.push(source);
            }
            Found::TooLong => self.n_too_long += 1,
            Found::NoText => (),
        }
        Ok(())
    }

    fn finish(self) -> Corpus {
        let Self { limits, mut corpus, n_too_long, n_unreadable, is_full, .. } = self;
        let mib = |bytes: u64| bytes / (1024 * 1024);
        if is_full {
            corpus.left_out.push(format!(
                "only the first {} files are counted: the limits are {} files and {} MiB",
                corpus.sources.len(),
                limits.files,
                mib(limits.bytes)
            ));
        }
        if n_too_long > 0 {
            let mib = mib(limits.file_bytes);
            corpus.left_out.push(format!("not counted, since over {mib} MiB: {n_too_long} files"));
        }
        if n_unreadable > 0 {
            corpus
                .left_out
                .push(format!("not counted, since unreadable: {n_unreadable} files or folders"));
        }
        corpus
    }
}

/// Whether a folder is hidden, or is where builds go.
fn is_skipped(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    name == "target" || name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder of its own, gone after the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("meshwarden-corpus-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("the folder of temporary files can be written");
            Self(path)
        }

        fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
            let path = self.0.join(path);
            let folder = path.parent().expect("it is in a folder");
            fs::create_dir_all(folder).expect("the folder is ours");
            fs::write(path, bytes).expect("the folder is ours");
        }

        fn files(&self, limits: Limits) -> Vec<PathBuf> {
            let corpus = Corpus::read(&self.0, limits).expect("there is text");
            let root = self.0.canonicalize().expect("it exists");
            let paths = corpus.sources.iter().filter_map(|source| source.pieces().next());
            paths.map(|piece| piece.path().strip_prefix(&root).unwrap().to_owned()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0).is_ok();
        }
    }

    #[test]
    fn text_is_found_sorted_without_links_hidden_folders_and_build_output() {
        let folder = Folder::new("walk");
        for path in ["b/z.txt", "a.txt", ".hidden", "b/a.txt", "target/x", ".git/x"] {
            folder.write(path, "text\n");
        }
        folder.write("empty", "");
        folder.write("nul", b"a\0b");
        folder.write("latin", b"caf\xe9");
        symlink(folder.0.join("a.txt"), folder.0.join("link")).unwrap();
        symlink(&folder.0, folder.0.join("loop")).unwrap();
        let expected = [".hidden", "a.txt", "b/a.txt", "b/z.txt"];
        assert_eq!(folder.files(Limits::DEMO), expected.map(PathBuf::from));
    }

    #[test]
    fn what_is_over_a_limit_is_left_out_and_said() {
        let folder = Folder::new("limits");
        for path in ["a", "b", "c"] {
            folder.write(path, "four");
        }
        folder.write("aa", "five!");
        let limits = Limits { files: 2, file_bytes: 4, bytes: 100 };
        assert_eq!(folder.files(limits), ["a", "b"].map(PathBuf::from));
        let corpus = Corpus::read(&folder.0, Limits { bytes: 11, ..limits }).unwrap();
        assert_eq!((corpus.sources.len(), corpus.left_out.len()), (2, 2), "{:?}", corpus.left_out);
    }

    #[test]
    fn a_file_that_changes_is_noticed_by_who_reads_it() {
        let folder = Folder::new("change");
        folder.write("a", "one\ntwo\n");
        let corpus = Corpus::read(&folder.0, Limits::DEMO).unwrap();
        let pieces: Vec<_> = corpus.sources[0].pieces().collect();
        assert_eq!(pieces[1].read().unwrap(), "two\n");
        folder.write("a", "one\ntwo\nthree\n");
        assert!(pieces[0].read().is_err());
        fs::remove_file(folder.0.join("a")).unwrap();
        assert!(pieces[1].read().is_err());
    }

    #[test]
    fn a_folder_without_text_is_refused() {
        let folder = Folder::new("empty");
        assert!(Corpus::read(&folder.0, Limits::DEMO).is_err());
        assert!(Corpus::read(&folder.0.join("none"), Limits::DEMO).is_err());
        folder.write("file", "text");
        assert!(Corpus::read(&folder.0.join("file"), Limits::DEMO).is_err());
    }
}
