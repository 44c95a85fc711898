//! Fakes, conformance suites and history checkers for Meshwarden's own tests and for implementors.
//!
//! | item | what it does |
//! |---|---|
//! | [`history`] | judges what everybody saw of a run against the faults that were injected |
//! | [`agents_suite`] | checks the contract of [`mesh_core::Agents`] |
//! | [`fault_net`] | a network in memory that loses, delays, repeats and reorders by a seed; a [`mesh_core::Transport`] over it |
//! | [`Gated`] | any [`mesh_core::Transport`] with a gate before it, which may be closed, slow or narrow, and counts |
//! | [`procs_suite`] | checks the contract of [`mesh_core::Procs`] |
//! | [`transport_suite`] | checks the contract of [`mesh_core::Transport`] |
//!
//! Whatever is in here is used from tests only.
//!
//! What codes such as (N1) stand for is said in [`mesh_core::sentences`].

#![forbid(unsafe_code)]

mod agents_suite;
pub mod fault_net;
mod gated;
pub mod history;
mod procs_suite;
mod transport_suite;

pub use agents_suite::{AgentsSuite, Breach, agents_suite};
pub use gated::{Gate, Gated};
pub use procs_suite::{ProcsBreach, procs_suite};
pub use transport_suite::{TransportBreach, TransportSuite, transport_suite};
