//! `cargo xtask replay`: a recorded trace, replayed by the program built for release.

use std::process::ExitCode;

use crate::demo;

/// Builds the program for release and becomes `meshwarden replay ARGS`, where the caller stands.
pub(crate) fn run(args: &[String]) -> ExitCode {
    demo::become_program("replay", args)
}
