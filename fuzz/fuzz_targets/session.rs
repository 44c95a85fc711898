//! Fuzzes what two sessions do, what the link between them does, and what a peer sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transport_tcp::fuzzing::session(bytes));
