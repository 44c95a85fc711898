//! Counts bytes for `meshwarden-bench`, in a process of its own: a counter in the allocator makes
//! whoever allocates much up to 1.4 times as slow, and nothing is timed here.
#![forbid(unsafe_code)]

use std::alloc::System;
use std::process::ExitCode;

use cap::Cap;

/// The system's allocator with a counter.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> ExitCode {
    meshwarden_bench::count(|| HEAP.allocated())
}
