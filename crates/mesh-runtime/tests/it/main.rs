//! The runtime through its public interface.

mod calls;
mod failures;
mod life;
mod mailboxes;
mod ports;
mod remote;
mod script;
mod transport;
mod work;
