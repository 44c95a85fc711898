//! Lets everybody play in turn for `meshwarden-bench`, in a program of its own: it is started again as ours
//! and as the floor.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    meshwarden_bench::measure_actors()
}
