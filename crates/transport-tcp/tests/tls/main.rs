//! Sessions over TLS: who is let in, and who is not.

mod authority;
mod cards;
mod ports;
mod sessions;
mod stranger;
#[path = "../it/support.rs"]
mod support;
