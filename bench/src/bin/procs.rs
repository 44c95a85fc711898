//! Measures how processes come, go and are missed for `meshwarden-bench`, in a program of its own: it is
//! started again as its own guards, and as what everybody starts.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    meshwarden_bench::measure_procs()
}
