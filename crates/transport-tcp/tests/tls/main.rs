//! Sessions over TLS: who is let in, and who is not.

mod authority;
mod cards;
mod own;
mod ports;
mod renewal;
mod sessions;
mod stranger;
#[path = "../it/support.rs"]
mod support;
