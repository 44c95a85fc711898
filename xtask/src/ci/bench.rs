//! The step `bench`: the benches build without a warning, and run. Nothing is judged by their figures.

use crate::bench;
use crate::cargo::Cargo;
use crate::stop::Stop;

/// Checks the crate of the benches, which is no member of the workspace, and runs each bench shortly.
///
/// # Errors
///
/// - [`Stop::Skipped`] if rustfmt or clippy is missing.
/// - [`Stop::Command`] if a check fails, or a bench does.
pub(super) fn run() -> Result<(), Stop> {
    for tool in ["fmt", "clippy"] {
        if !Cargo::new(tool).args(["--version"]).works() {
            return Err(Stop::Skipped(format!("cargo {tool} is not installed")));
        }
    }
    let (built, figures) = bench::folders()?;
    let (built, figures) = (built.to_string_lossy(), figures.to_string_lossy());
    let cargo = |line| {
        Cargo::new(line).args(["--manifest-path", "bench/Cargo.toml", "--target-dir", &*built])
    };
    Cargo::new("fmt --manifest-path bench/Cargo.toml --check").run()?;
    // Their peers are not built here: that takes minutes.
    for manifest in ["bench/player/Cargo.toml", "bench/peers/Cargo.toml"] {
        Cargo::new("fmt --check --manifest-path").args([manifest]).run()?;
    }
    cargo("clippy").args(["--all-targets", "--", "-D", "warnings"]).run()?;
    cargo("test --lib").run()?;
    cargo("build").run()?;
    cargo("run").args(["--", "all", "--quick", "--out", &*figures]).run()
}
