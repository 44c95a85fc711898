//! Measures the parts of Meshwarden beside floors and peers.
//!
//! A library, because it is three programs: one that reads the clock, one that counts bytes, and one that
//! is the processes which it measures.
#![forbid(unsafe_code)]

mod controller;
mod heap;
mod measure;
mod path;
mod program;
mod report;
mod shape;

pub use program::{count, measure, measure_path};
