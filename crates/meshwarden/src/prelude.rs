//! What most programs name.

pub use std::process::ExitCode;

#[cfg(feature = "actors")]
pub use actor_mesh::{
    ActorMesh, ActorMeshRef, ActorSpec, All, Any, Choice, FanOut, Incomplete, LocalProcs, Max, Min,
    Missing, NotSent, OneError, OwnedMesh, RankError, Reduced, Reducer, Sum, Unsent,
};
pub use controller::{RestartConfig, RestartPolicy, Times};
pub use mesh_core::{
    Blob, Change, Escalation, Failures, Interest, MeshEvent, MeshPhase, MeshState, Message, News,
    OwnerNews, Procs, Progress, Status, Strategy,
};
pub use mesh_runtime::{
    Actor, ActorRef, CallError, Context, Failure, Handler, Handlers, Sender, Verdict,
};
pub use mesh_shape::{Extent, Point, Rank, RankSet, Region, ValueMesh, extent};
pub use proc_mesh::{
    HostMesh, Output, OutputSinks, ProcMesh, ProcNews, SpawnError, Worker, WorkerNews,
};

#[cfg(feature = "actors")]
pub use crate::Homes;
pub use crate::{ClientError, ProcMeshBuilder, Registry, Root};
