//! Fuzzes what two sessions do, what the link between them does, and what a peer sends.
#![no_main]

mod cost;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cost::bounded(bytes, transport_tcp::fuzzing::session));
