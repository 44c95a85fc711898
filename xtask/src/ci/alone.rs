//! The step `alone`: each crate builds by itself, with none and with all of its features.
//!
//! In the workspace a crate is built with the union of what everybody asks for, so one that forgot
//! to ask for a feature would not be noticed.

use crate::cargo::Cargo;
use crate::metadata::Metadata;
use crate::stop::Stop;

/// Checks every crate twice.
///
/// # Errors
///
/// - [`Stop::Command`] for the first that does not build.
pub(super) fn run() -> Result<(), Stop> {
    let metadata = Metadata::load()?;
    for crate_ in metadata.ours().filter(|package| package.name != "xtask") {
        for features in ["--no-default-features", "--all-features"] {
            Cargo::new("check --quiet -p").args([crate_.name.as_str(), features]).run()?;
        }
    }
    Ok(())
}
