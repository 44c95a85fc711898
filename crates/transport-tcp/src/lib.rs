//! Sessions over TCP, and over Unix sockets: authenticated, resumable, bounded.
//!
//! [`TcpTransport`] implements [`mesh_core::Transport`]. Within it, two pure machines decide: the
//! handshake, whose types are the order of its messages, and the session, which numbers envelopes,
//! acknowledges them, and goes on where it was after a reconnect. Around them is a thin shell of
//! sockets.
//!
//! What codes such as (N1) stand for is said in [`mesh_core::sentences`].

#![forbid(unsafe_code)]

mod acceptor;
mod arrivals;
mod backoff;
mod budget;
mod chunks;
mod complaints;
mod config;
mod connection;
mod dialler;
mod freed;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod inlet;
mod link;
mod meet;
pub mod metrics;
mod outbox;
mod own_time;
mod parked;
mod private_file;
mod rhythm;
mod round_trip;
mod secret;
mod session;
mod several;
mod stream;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod transport;
mod turned_away;
mod unix;
mod wire;

pub use config::{ConfigError, TcpConfig};
pub use private_file::FileError;
pub use secret::{Secret, SecretError};
pub use tls::Tls;
#[cfg(feature = "tls")]
pub use tls::{CertName, CertNameError, Peers, TlsError, TlsFiles, TlsPem};
pub use transport::TcpTransport;
