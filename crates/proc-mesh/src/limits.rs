//! The limits of this process.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the number of files this process may open as far as it may: a rank takes up to four.
///
/// Called after guards were started: they, and so the ranks, keep the limit that the caller had.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it may not be raised, the ranks that find no room say so.
    _ = setrlimit(Resource::Nofile, limit).is_ok();
}
