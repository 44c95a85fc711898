//! Sessions over TCP and TLS for Meshwarden.
#![forbid(unsafe_code)]
