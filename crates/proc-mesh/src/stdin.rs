//! What a program reads as its standard input.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mesh_shape::Rank;

/// The standard input of one rank; the others read `/dev/null`.
#[derive(Clone, Debug)]
pub struct Stdin {
    /// The rank that gets it.
    pub rank: Rank,
    /// What it reads.
    pub source: Arc<OwnedFd>,
}

/// What `rank` is to read.
///
/// # Errors
///
/// If there are no file descriptors left.
pub(crate) fn open(stdin: Option<&Stdin>, rank: Rank) -> io::Result<OwnedFd> {
    match stdin.filter(|stdin| stdin.rank == rank) {
        Some(stdin) => stdin.source.try_clone(),
        None => Ok(File::open("/dev/null")?.into()),
    }
}
