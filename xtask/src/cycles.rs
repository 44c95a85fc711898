//! `cargo xtask cycles`: thousands of processes come and go, and nothing of them stays (O3).

use std::process::ExitCode;

use crate::cargo::Cargo;

/// How many come and go where nothing is said.
const N: &str = "10000";

/// Becomes the test that counts what is there before and after, built for release.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let n_cycles = args.first().map_or(N, String::as_str);
    let error =
        Cargo::new("test --release -p proc-mesh --test mesh -- cycles").args([n_cycles]).exec();
    eprintln!("cycles: cargo cannot be started: {error}");
    ExitCode::FAILURE
}
