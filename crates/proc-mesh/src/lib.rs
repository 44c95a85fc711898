//! Supervised meshes of processes: launching, guarding, and the truth about every end.
//!
//! A [`HostMesh`] is a row of hosts; today they live in this process. Each has an agent on the
//! control thread and a [`guard`]: a small process that is the parent of everything the host runs, and
//! kills what is left when the agent is gone, however it went. On hosts one spawns a [`ProcMesh`]: any
//! program, unmodified, or this program again as a registered [`Worker`].
//!
//! What an end means is decided in one pure place, [`ProcKind`] ([`HostKind`] for hosts); who is told
//! is decided by the controller.
//!
//! What codes such as (N1) stand for is said in [`mesh_core::sentences`].

#![forbid(unsafe_code)]

mod agents;
mod bootstrap;
mod census;
pub mod guard;
pub mod guard_link;
mod host;
mod host_agent;
mod host_report;
mod launcher;
mod limits;
mod lines;
mod link;
mod mesh;
pub mod metrics;
mod notify;
mod output;
mod report;
mod roster;
mod stdin;
mod unkillable;
mod vigil;
mod wire;
mod worker;

pub use bootstrap::{Bootstrap, bootstrap};
pub use census::Census;
pub use host::{HostMesh, ProcSeat};
pub use host_report::{HostEnd, HostKind, HostReport};
pub use launcher::Program;
pub use mesh::{NoWorker, PROCS_MAX, ProcMesh, ProcNews, ProcSpec, Run, SpawnError, WorkerNews};
pub use notify::Notify;
pub use output::{Output, OutputSinks};
pub use report::{HowEnded, ProcEnd, ProcKind, ProcReport, SentSignals};
pub use stdin::Stdin;
pub use unkillable::{Unkillable, WhyUnkillable};
pub use worker::{AgentGone, Announce, Registry, Worker, WorkerError};
