//! What most programs name.

pub use std::process::ExitCode;

pub use mesh_core::{Change, Failures, Interest, MeshEvent, MeshPhase, News, Status};
pub use mesh_shape::{Extent, Point, Rank, RankSet, Region, extent};
pub use proc_mesh::{
    HostMesh, Output, OutputSinks, ProcMesh, ProcNews, Registry, SpawnError, Worker, WorkerNews,
};

pub use crate::{ClientError, ProcMeshBuilder, Root};
