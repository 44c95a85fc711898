//! Sessions over TLS: who is let in, and who is not.

mod authority;
mod cards;
#[path = "../it/flood.rs"]
mod flood;
mod later;
mod lists;
mod own;
mod ports;
mod renewal;
mod sessions;
mod stranger;
#[path = "../it/support.rs"]
mod support;
