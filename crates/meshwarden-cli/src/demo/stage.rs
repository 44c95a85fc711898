//! What both ways of counting stand on, and what comes out of them.

use std::sync::Arc;

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};
use meshwarden::Root;
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::prelude::{HostMesh, SpawnError};

use crate::cli::complain;
use crate::demo::shard::Shard;
use crate::demo::tally::Tally;
use crate::demo::verdict::Expected;

/// What a count stands on.
pub(crate) struct Stage<'a> {
    pub(crate) root: &'a Root,
    pub(crate) hosts: &'a HostMesh,
    pub(crate) extent: &'a Extent,
    /// One for each rank.
    pub(crate) shards: Arc<[Shard]>,
    /// The rank that is killed: it has at least two batches.
    pub(crate) victim: Rank,
    /// What one thread counts.
    pub(crate) serial: &'a Tally,
}

/// What comes out of a count.
pub(crate) struct Outcome {
    /// Who has counted, in words.
    pub(crate) heading: String,
    /// The words that each rank has counted.
    pub(crate) words: Vec<u64>,
    /// What must have been told.
    pub(crate) expected: Expected,
}

/// Shows how far it is, if a person is looking.
pub(crate) fn bar(is_json: bool, n_batches: usize) -> ProgressBar {
    if is_json {
        return ProgressBar::hidden();
    }
    // It draws on standard error, and only if that is a terminal.
    let bar = ProgressBar::new(n_batches as u64);
    match ProgressStyle::with_template("counting {wide_bar} {pos}/{len} batches") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The error of a mesh of processes that could not be spawned, once each failed rank has been named.
pub(crate) fn procs_not_spawned(error: SpawnError) -> anyhow::Error {
    if let SpawnError::Ranks { failures } = &error {
        for failed in failures {
            complain(format_args!("{failed}"));
        }
    }
    anyhow!(error).context("the workers cannot be started")
}
