//! Fuzzes the text of a region, after a line with its base.
#![no_main]

#[path = "../../crates/mesh-shape/tests/corpus/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|text: &str| parsers::region(text));
