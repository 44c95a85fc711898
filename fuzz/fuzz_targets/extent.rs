//! Fuzzes the text of an extent.
#![no_main]

#[path = "../../crates/mesh-shape/tests/corpus/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|text: &str| parsers::extent(text));
