//! The step `fuzz`: the fuzz targets compile without a warning. They are not linked, and not run: that
//! needs libFuzzer, and time. What they found is replayed by ordinary tests.

use crate::cargo::Cargo;
use crate::metadata::Metadata;
use crate::stop::Stop;

/// Checks the crate of the fuzz targets, which is no member of the workspace.
///
/// # Errors
///
/// - [`Stop::Skipped`] if clippy is missing.
/// - [`Stop::Command`] if a check fails.
pub(super) fn run() -> Result<(), Stop> {
    if !Cargo::new("clippy --version").works() {
        return Err(Stop::Skipped("cargo clippy is not installed".to_owned()));
    }
    let target = Metadata::load()?.target_directory.join("fuzz-check");
    Cargo::new("fmt --manifest-path fuzz/Cargo.toml --check").run()?;
    Cargo::new("clippy --manifest-path fuzz/Cargo.toml --no-default-features --target-dir")
        .args([target.to_string_lossy()])
        .args(["--all-targets", "--", "-D", "warnings"])
        .run()
}
