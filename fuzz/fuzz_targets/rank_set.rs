//! Fuzzes the text of a set of ranks.
#![no_main]

#[path = "../../crates/mesh-shape/tests/corpus/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|text: &str| parsers::rank_set(text));
