//! Sessions over TCP and TLS.
//!
//! **Not written yet: this crate is empty.** It will have a pure session machine (hello, numbered
//! frames, acknowledgements, credits, resume) and a socket shell around it.
//!
//! No frame will be lost, repeated or reordered over a reconnect, and what a peer that is gone has
//! not acknowledged will come back with the reason. Off loopback it will need mutual TLS.
#![forbid(unsafe_code)]
