//! The part of the bench `cast` that is within one process, with another allocator than the system's: for the same
//! program with both.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    meshwarden_bench::measure_cast_within("mimalloc")
}
