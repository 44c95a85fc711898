//! Measures meshes of actors for `meshwarden-bench`, in a program of its own: it is started again as its own guards
//! and workers.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    meshwarden_bench::measure_cast()
}
