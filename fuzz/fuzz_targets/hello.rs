//! Fuzzes what a stranger says first.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transport_tcp::fuzzing::hello(bytes));
