//! Fuzzes what a peer sends on a connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transport_tcp::fuzzing::frames(bytes));
