//! Fuzzes what a stranger says first.
#![no_main]

mod cost;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cost::bounded(bytes, transport_tcp::fuzzing::hello));
