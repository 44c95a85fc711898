//! `cargo xtask chaos`: the chaos driver, built for release.

use std::process::ExitCode;

use crate::cargo::Cargo;

/// Becomes the chaos driver with `args`, where the caller stands.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let error = Cargo::new("run --release -p meshwarden --example chaos --all-features --")
        .args(args)
        .exec();
    eprintln!("chaos: cargo cannot be started: {error}");
    ExitCode::FAILURE
}
