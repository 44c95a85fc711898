//! Fakes, conformance suites and history checkers for Meshwarden's own tests and for implementors.
#![forbid(unsafe_code)]
