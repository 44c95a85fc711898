//! `RankLogs`: what each rank says, in a file of its own.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use meshwarden::mesh_core::Incarnation;
use meshwarden::mesh_shape::Rank;
use meshwarden::prelude::Output;

/// A directory with a file for each rank. No file is held open, so that a mesh may have more ranks than this
/// process may have files, and that whoever moves one away gets a new one.
#[derive(Debug)]
pub(crate) struct RankLogs {
    dir: PathBuf,
    n_digits: usize,
    /// In which life each rank was that has said something.
    lives: Mutex<BTreeMap<Rank, Incarnation>>,
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
        let logs = Self { dir: dir.to_owned(), n_digits, lives: Mutex::default() };
        for rank in 0..n_ranks {
            let path = logs.path(Rank::new(rank));
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(logs)
    }

    /// Adds lines to the file of their rank, of both streams as they come. A later life is told from the one
    /// before it by a line.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; then it is as it was before, as far as that can be.
    pub(crate) fn write(&self, output: &Output) -> io::Result<()> {
        let mut text = Vec::new();
        // Held while it is written, so that no line of an earlier life comes after that.
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let life = lives.entry(output.rank).or_insert(Incarnation::FIRST);
        if output.incarnation > *life {
            *life = output.incarnation;
            writeln!(text, "--- incarnation {life} ---")?;
        }
        for line in &output.lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(output.rank))?;
        let before = file.metadata()?.len();
        file.write_all(&text).inspect_err(|_| {
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
