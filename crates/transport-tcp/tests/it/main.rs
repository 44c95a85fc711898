//! TCP with real sockets.

mod beats;
mod flood;
mod hostile;
mod owners;
mod pauses;
mod proxy;
mod sessions;
mod squatter;
mod support;
mod unix;
