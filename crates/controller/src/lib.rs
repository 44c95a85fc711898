//! Supervision of one mesh as a pure state machine: events in, effects out.
//!
//! [`Controller::step`] takes the time and one [`Event`] and returns the [`Effect`]s to perform, in
//! order; [`Controller::next_deadline`] says when to come back with [`Event::Tick`] if nothing else
//! happens. There is no clock, I/O, randomness, logging or runtime in this crate: a recorded list of
//! `(time, event)` replays a run. The crate `supervise` is the loop around it.
//!
//! # Invariants
//!
//! - `step` is total: every event in every state has an answer, and none panics.
//! - The same events at the same times give the same effects in the same order.
//! - Health is kept as runs of equal ranks: a healthy mesh of any size is one run (H8).
//! - What cannot be known is not said: silence is [`Suspect`](mesh_core::Status::Suspect), only exit
//!   evidence ends a rank, and only lease arithmetic times it out (H4).
//!
//! The agent's side is as pure, and is here too: [`Lease`], how long ranks may live without word of
//! their controller, and [`Reporter`], which numbers what is seen of them. So is the subscriber's:
//! [`Watchdog`], which notices that nobody speaks any more.
//!
//! What codes such as (N1) stand for is said in [`mesh_core::sentences`].

#![forbid(unsafe_code)]
#![warn(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants,
    clippy::iter_over_hash_type
)]

mod agents;
mod cells;
mod changes;
mod config;
mod controller;
mod doubts;
mod event;
mod health;
mod kind;
mod lease;
mod lives;
mod pool;
mod reporter;
mod restarts;
mod runs;
mod silence;
mod spread;
mod subscribers;
mod waits;
mod watchdog;

pub use config::{Config, ConfigError, Limits, Times};
pub use controller::{Controller, Spec, SpecError};
pub use event::{AskId, Effect, Event, Subscription};
pub use kind::Controlled;
pub use lease::{Lease, RefusedEpoch};
pub use mesh_core::{RestartConfig, RestartError, RestartPolicy, Strategy};
pub use reporter::{Reporter, Waited, Waiting};
pub use watchdog::Watchdog;
// Its words, so that one dependency is enough for whoever takes this part alone.
pub use {mesh_core, mesh_shape};

/// The examples of the README are compiled and run as the others are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
