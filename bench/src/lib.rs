//! Measures the parts of Meshwarden beside floors and peers.
//!
//! A library, because it is two programs: one that reads the clock, and one that counts bytes.
#![forbid(unsafe_code)]

mod controller;
mod heap;
mod measure;
mod program;
mod report;
mod shape;

pub use program::{count, measure};
