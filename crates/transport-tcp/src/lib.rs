//! Sessions over TCP on loopback, and over Unix sockets: authenticated, resumable, bounded.
//!
//! [`TcpTransport`] implements [`mesh_core::Transport`]. Within it, two pure machines decide: the
//! handshake, whose types are the order of its messages, and the session, which numbers envelopes,
//! acknowledges them, and goes on where it was after a reconnect. Around them is a thin shell of
//! sockets.

#![forbid(unsafe_code)]

mod acceptor;
mod backoff;
mod config;
mod connection;
mod dialler;
mod handshake;
mod link;
mod meet;
pub mod metrics;
mod parked;
mod secret;
mod session;
mod stream;
mod transport;
mod wire;

pub use config::{ConfigError, TcpConfig};
pub use secret::{Secret, SecretError};
pub use transport::TcpTransport;
