//! TCP with real sockets.

mod hostile;
mod proxy;
mod sessions;
mod support;
