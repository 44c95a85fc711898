//! Supervised n-dimensional meshes of processes and actors.
//!
//! Say "4 processes on each of 2 hosts", and be told at once, exactly and only once who died and why,
//! with nothing hanging and nothing left over.
//!
//! # A first program
//!
//! ```no_run
#![doc = include_str!("../examples/first.rs")]
//! ```
//!
//! [`main()`] comes before anything else in a program: the program is re-executed as its own guards
//! (the processes that leave nothing behind) and workers. [`Root::hosts`] gives hosts in this process,
//! [`Root::procs`] describes a mesh, and [`ProcMesh::next`](proc_mesh::ProcMesh::next) tells what
//! happens to it.
//!
//! The parts can be had alone: [`mesh_shape`] for rank arithmetic, [`controller`] and [`supervise`]
//! for resources of your own, [`mesh_runtime`] for actors in one process and, with the feature `tcp`,
//! between processes.

#![forbid(unsafe_code)]

#[cfg(feature = "actors")]
mod actors;
mod builder;
#[cfg(feature = "prometheus")]
pub mod exporter;
mod registry;
mod root;
#[cfg(feature = "trace")]
pub mod trace;

pub mod prelude;

#[cfg(feature = "actors")]
pub use actors::{Homes, NetworkError};
#[cfg(feature = "actors")]
pub use builder::SpawnableHomes;
pub use builder::{ProcMeshBuilder, Spawnable};
pub use registry::Registry;
pub use root::{ClientError, Root, main};

#[cfg(feature = "actors")]
pub use actor_mesh;
pub use controller;
pub use mesh_core;
pub use mesh_runtime;
pub use mesh_shape;
pub use proc_mesh;
pub use supervise;
#[cfg(feature = "tcp")]
pub use transport_tcp;

/// The programs of the project's front page compile, as all others in the docs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod front_page {}
