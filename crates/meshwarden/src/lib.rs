//! Supervised n-dimensional meshes of processes and actors.
//!
#![cfg_attr(feature = "actors", doc = include_str!("../tutorial/begin.md"))]
#![cfg_attr(feature = "actors", doc = "\n```no_run")]
#![cfg_attr(feature = "actors", doc = include_str!("../examples/hello.rs"))]
#![cfg_attr(feature = "actors", doc = "```\n")]
#![cfg_attr(feature = "actors", doc = include_str!("../tutorial/rest.md"))]
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
pub use actors::{Homes, HomesSlice, NetworkError};
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
