//! `cargo xtask fix`: what rustfmt and clippy can mend by themselves.

use std::process::ExitCode;

use crate::cargo::Cargo;

/// Mends what clippy can, and formats in any case: also what clippy wrote.
pub(crate) fn run(args: &[String]) -> ExitCode {
    if !args.is_empty() {
        return crate::usage_error("fix takes no arguments");
    }
    let clippy = Cargo::new("clippy --fix --allow-dirty --allow-staged")
        .args("--workspace --all-targets --all-features".split(' '));
    let stops = [clippy.run(), Cargo::new("fmt --all").run()].into_iter().filter_map(Result::err);
    let mut code = ExitCode::SUCCESS;
    for stop in stops {
        eprintln!("fix: {stop}");
        code = ExitCode::FAILURE;
    }
    code
}
