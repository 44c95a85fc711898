//! The loop around the pure [`controller`]: timers, queues, metrics and logging, on tokio.
//!
//! [`supervise`] runs a [`Controller`](controller::Controller) until its mesh has ended. It owns the
//! timers and performs effects without awaiting any of them, so that a slow agent, a slow owner or a
//! slow subscriber delays nobody else. [`ControllerRef`] is how the rest of the program talks to it;
//! [`Owner`] is where the failures arrive, each exactly once.
//!
//! [`Setup::local`] is the short way for ranks that this process starts and ends by itself: all that
//! is left to say is how one life of one rank is lived ([`LocalRanks`]).
//!
//! With the feature `actor` the controller is an actor too ([`ControllerActor`]): it answers over ports,
//! and subscribers and owner are ports.
//!
//! The loop decides nothing: every decision is in the controller, where it can be tested without
//! time.
//!
//! What codes such as (N1) stand for is said in [`mesh_core::sentences`].

#![forbid(unsafe_code)]

#[cfg(feature = "actor")]
mod actor;
mod backlog;
mod clock;
#[cfg(feature = "actor")]
mod desk;
#[cfg(feature = "actor")]
mod forwarder;
mod handle;
mod local;
pub mod metrics;
mod outlets;
mod owner;
mod parts;
mod shell;
mod subscription;

#[cfg(feature = "actor")]
pub use actor::{ControllerActor, ControllerParams};
pub use clock::Clock;
#[cfg(feature = "actor")]
pub use desk::Desk;
pub use handle::{AskError, ControllerRef};
pub use local::{Life, Local, LocalAgent, LocalRanks, RankOrder, panic_reason};
pub use mesh_core::OwnerNews;
pub use owner::Owner;
pub use shell::{Opening, Setup, Supervision, Trace, supervise};
pub use subscription::MeshEvents;

/// The example of the README is compiled and run as the others are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
