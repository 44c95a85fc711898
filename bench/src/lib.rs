//! Measures the parts of Meshwarden beside floors and peers.
//!
//! A library, because it is eight programs: one that reads the clock, one that counts bytes, and six
//! that are the processes which they measure.
#![forbid(unsafe_code)]

mod actors;
mod cast;
mod controller;
mod heap;
mod measure;
mod path;
mod procs;
mod program;
mod report;
mod shape;
mod transport;

pub use program::{
    count, measure, measure_actors, measure_cast, measure_cast_within, measure_path, measure_procs,
    measure_transport,
};
