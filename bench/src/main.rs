//! The program behind `cargo xtask bench NAME`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    meshwarden_bench::measure()
}
