//! The step `mutants`: every planted bug still fits the code. Whether the tests find them is asked by
//! `cargo xtask mutants`, which takes longer.

use crate::mutants;
use crate::stop::Stop;

/// Tries every mutant on the files as they are, in memory.
///
/// # Errors
///
/// - [`Stop::Problems`] with one line for each that does not fit.
pub(super) fn run() -> Result<(), Stop> {
    mutants::check()
}
