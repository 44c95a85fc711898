//! Fuzzes the text of a slice, after a line with the extent that is sliced.
#![no_main]

#[path = "../../crates/mesh-shape/tests/corpus/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|text: &str| parsers::slice(text));
