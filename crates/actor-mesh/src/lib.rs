//! Supervised meshes of actors on processes.
//!
//! | item | what it is |
//! |---|---|
//! | [`ActorMesh`] | a mesh in the hands of its owner: spawned, told of every failure, stopped |
//! | [`OwnedMesh`] | the same, in the hands of an actor, which is asked about every failure |
//! | [`ActorMeshRef`] | its address, or that of a slice: cast to, called, sent in messages |
//! | [`ActorSpec`] | what a mesh is to be |
//! | [`FanOut`] | how large a mesh may be to be cast to directly; a larger one is by a tree |
//! | [`ActorRegistry`], [`ProcAgent`] | what each process can spawn, and who does it there |
//! | [`agent`] | what anybody may ask the agent of a process |
//! | [`LocalProcs`] | a mesh of processes within this one: for tests, and for programs that need no other |
//! | [`MeshCast`], [`MeshCall`], [`MeshReplies`], [`MeshReduce`], [`OneOf`] | what is sent, each with a deadline |
//! | [`Reducer`], [`Sum`], [`Min`], [`Max`], [`All`], [`Any`] | how the replies of many become one |
//! | [`NotSent`], [`Missing`] | who was not sent a cast, or is not so far as was waited for: to be looked at |
//! | [`RankError`], [`NoController`] | why a rank has not answered, or nobody says where it is |
//! | [`ActorKind`], [`ActorReport`] | what a report about an actor means |
//!
//! An actor never shows as healthier than the process it lives in: a report cannot be made without
//! saying what that process is. A call of a mesh never hangs on a dead rank: the rank's entry becomes its
//! failure as soon as that is known (R1).
//!
//! It knows where its actors live only through [`Procs`](mesh_core::Procs).
//!
//! What codes such as (N1) stand for is said in [`mesh_core::sentences`].
#![forbid(unsafe_code)]

pub mod agent;
pub mod metrics;

mod call;
mod keeper;
mod local_procs;
mod members;
mod mesh;
mod mesh_ref;
mod no_controller;
mod one_of;
mod owned;
mod proc_agent;
mod rank_error;
mod reducer;
mod registry;
mod report;
mod view;
mod ways;
mod wire;

pub use call::{Incomplete, MeshCall, MeshCast, MeshReduce, MeshReplies, NotSent, Reduced, Unsent};
pub use local_procs::{LocalError, LocalProcs, LocalSpec};
pub use mesh::{ActorMesh, ActorSpec, SpawnError};
/// How a mesh is cast to: see [`ActorSpec::fan_out`].
pub use mesh_cast::FanOut;
pub use mesh_ref::{ActorMeshRef, Missing, NotSoFar, WatchError};
pub use no_controller::NoController;
pub use one_of::{Choice, OneError, OneOf};
pub use owned::OwnedMesh;
pub use proc_agent::ProcAgent;
pub use rank_error::{Ended, RankError};
pub use reducer::{All, Any, Max, Min, Reducer, Sum};
pub use registry::{ActorRegistry, RegistryError};
pub use report::{ActorEnd, ActorKind, ActorReport, ActorState, HowActorEnded};

/// The example of the README is compiled and run as the others are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
