//! `RankLogs`: what each rank says, in a file of its own.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use meshwarden::mesh_core::Incarnation;
use meshwarden::mesh_shape::{Rank, RankSet};
use meshwarden::prelude::Output;

/// A directory with a file for each rank. No file is held open, so that a mesh may have more ranks than this
/// process may have files, and that whoever moves one away gets a new one.
#[derive(Debug)]
pub(crate) struct RankLogs {
    dir: PathBuf,
    n_digits: usize,
    books: Mutex<Books>,
}

/// What is known of the files.
#[derive(Debug, Default)]
struct Books {
    /// Of each rank that has said something.
    of: BTreeMap<Rank, Book>,
    has_lost: bool,
}

/// What is known of the file of a rank.
#[derive(Debug, Default)]
struct Book {
    /// The newest life that the file has lines of.
    life: Incarnation,
    /// Bytes that could not be written since something was.
    n_missing: u64,
    n_lost: u64,
}

/// Lines that are not in the file of their rank.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) error: io::Error,
    /// No rank has lost any before.
    pub(crate) is_first: bool,
}

/// All that is not in the files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) ranks: RankSet,
    pub(crate) n_bytes: u64,
}

impl RankLogs {
    /// Makes the directory, and an empty file for each rank: what an earlier run has left there for one is gone.
    ///
    /// # Errors
    ///
    /// If one of them cannot be made.
    pub(crate) fn create(dir: &Path, n_ranks: usize) -> Result<Self> {
        fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the directory of logs {}", dir.display()))?;
        let n_digits = n_ranks.saturating_sub(1).to_string().len();
        let logs = Self { dir: dir.to_owned(), n_digits, books: Mutex::default() };
        for rank in 0..n_ranks {
            let path = logs.path(Rank::new(rank));
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(logs)
    }

    /// Adds lines to the file of their rank, of both streams as they come. A later life is told from the one
    /// before it by a line, and in the place of lines that could not be written is one that says so.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; then it is as it was before, as far as that can be.
    pub(crate) fn write(&self, output: &Output) -> Result<(), Loss> {
        let mut text = Vec::new();
        for line in &output.lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        // Held while it is written, so that no line of an earlier life comes after that.
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.of.entry(output.rank).or_default();
        let life = output.incarnation.max(book.life);
        let mut before = gap(book.n_missing);
        if life > book.life {
            before += &format!("--- incarnation {life} ---\n");
        }
        let Err(error) = self.append(output.rank, &[before.as_bytes(), &text].concat()) else {
            (book.life, book.n_missing) = (life, 0);
            return Ok(());
        };
        let n_bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        book.n_missing += n_bytes;
        book.n_lost += n_bytes;
        let is_first = !std::mem::replace(&mut books.has_lost, true);
        Err(Loss { error, is_first })
    }

    /// Ends the files that miss something with a line that says so, where there is room for that. Returns all
    /// that was lost, if anything was.
    pub(crate) fn finish(&self) -> Option<Losses> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        for (rank, book) in books.of.iter_mut().filter(|(_, book)| book.n_missing > 0) {
            if self.append(*rank, gap(book.n_missing).as_bytes()).is_ok() {
                book.n_missing = 0;
            }
        }
        let lost = || books.of.iter().filter(|(_, book)| book.n_lost > 0);
        books.has_lost.then(|| Losses {
            ranks: lost().map(|(rank, _)| *rank).collect(),
            n_bytes: lost().map(|(_, book)| book.n_lost).sum(),
        })
    }

    /// Adds all of a text to the file of a rank, or nothing.
    fn append(&self, rank: Rank, text: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(rank))?;
        let before = file.metadata()?.len();
        file.write_all(text).inspect_err(|_| {
            // A full disk takes a part. What is said once there is room again begins a line.
            _ = file.set_len(before).is_ok();
        })
    }

    /// `rank-007.log`: so many digits that the names sort as the ranks do.
    fn path(&self, rank: Rank) -> PathBuf {
        let (index, width) = (rank.index(), self.n_digits);
        self.dir.join(format!("rank-{index:0width$}.log"))
    }
}

/// A line in the place of what could not be written, if that is anything.
fn gap(n_bytes: u64) -> String {
    if n_bytes == 0 { String::new() } else { format!("--- {n_bytes} bytes are missing here ---\n") }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process;

    use super::*;

    fn said(rank: usize, life: u64, line: &str) -> Output {
        let (rank, incarnation) = (Rank::new(rank), Incarnation::new(life));
        Output { rank, incarnation, lines: vec![line.as_bytes().to_vec().into()] }
    }

    #[test]
    fn what_is_missing_is_said_in_the_file_and_at_the_end() {
        let dir = env::temp_dir().join(format!("meshwarden-logs-{}", process::id()));
        let logs = RankLogs::create(&dir, 3).unwrap();
        let mut firsts = Vec::new();
        let mut write = |rank, life, line| {
            firsts.extend(logs.write(&said(rank, life, line)).err().map(|loss| loss.is_first));
        };
        write(0, 0, "one");
        fs::remove_dir_all(&dir).unwrap();
        write(1, 0, "two");
        write(2, 0, "three");
        write(2, 1, "four");
        fs::create_dir(&dir).unwrap();
        write(0, 0, "five");
        write(2, 1, "six");
        assert_eq!(firsts, [true, false, false]);
        let losses = Losses { ranks: RankSet::from(1..3), n_bytes: 4 + 6 + 5 };
        assert_eq!(logs.finish(), Some(losses));
        let log = |rank| fs::read_to_string(logs.path(Rank::new(rank))).unwrap();
        assert_eq!(log(0), "five\n");
        assert_eq!(log(1), "--- 4 bytes are missing here ---\n");
        let expected = "--- 11 bytes are missing here ---\n--- incarnation 1 ---\nsix\n";
        assert_eq!(log(2), expected);
        fs::remove_dir_all(&dir).unwrap();
    }
}
