//! Fuzzes the text of a point, after a line with its extent.
#![no_main]

#[path = "../../crates/mesh-shape/tests/corpus/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|text: &str| parsers::point(text));
