//! TCP with real sockets.

mod beats;
mod flood;
mod hostile;
mod proxy;
mod sessions;
mod squatter;
mod support;
mod unix;
