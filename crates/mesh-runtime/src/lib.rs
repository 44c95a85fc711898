//! The runtime of a Meshwarden process.
//!
//! Today it holds the [`ControlThread`]: supervision runs on an OS thread of its own, so that a user
//! program that blocks or is busy neither looks dead nor stops being supervised.
//!
//! To come here: typed actors with bounded two-lane mailboxes, ports, routing in one process, timers
//! and the in-memory transport.

#![forbid(unsafe_code)]

mod control_thread;

pub use control_thread::{ControlThread, ThreadError};
