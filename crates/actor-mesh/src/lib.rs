//! Supervised meshes of actors on processes.
//!
//! **Only the meaning of reports is written yet:** [`ActorKind`] says what an [`ActorReport`] means, so
//! that a controller can supervise actors. There will be an agent in each process that spawns
//! registered actors by name and answers for them, an n-dimensional mesh of actors that can be
//! sliced, cast to, called and supervised, and an in-process home for both.
//!
//! An actor never shows as healthier than the process it lives in: a report cannot be made without
//! saying what that process is. A call to a mesh will never hang on a dead rank.
#![forbid(unsafe_code)]

mod report;

pub use report::{ActorEnd, ActorKind, ActorReport, ActorState, HowActorEnded};

/// The example of the README is compiled and run as the others are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
