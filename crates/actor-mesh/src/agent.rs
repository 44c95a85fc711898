//! What anybody may ask the agent of a process about the actors in it.
//!
//! The agent is the truth about them, and the controller of their mesh only keeps what it says (L7). So who asks
//! the agent needs no controller: neither one that lives, nor one that can be reached from there.
//! [`ProcSeat::agent`](mesh_core::ProcSeat) is its address.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//!
//! use actor_mesh::agent::WaitRankStatus;
//! use mesh_core::{MeshId, PortRef, ProcSeat, Progress};
//! use mesh_runtime::{CallError, Port, Proc};
//! use mesh_shape::RankSet;
//!
//! /// Waits until the actor of rank 3 of a mesh has been created, or has ended.
//! async fn is_created(proc: &Proc, mesh: MeshId, seat: &ProcSeat) -> Result<bool, CallError> {
//!     let (until, within) = (Progress::Running, Duration::from_secs(1));
//!     let wait = WaitRankStatus { mesh, ranks: RankSet::from(3..4), until, within };
//!     let answer = PortRef::of(seat.agent).call(proc, wait).await?;
//!     Ok(answer.is_ok_and(|states| states.missing.is_empty()))
//! }
//! ```

use std::time::Duration;

use mesh_core::{MeshId, Message, Progress, RankState, Refusal};
use mesh_shape::{Rank, RankSet};
use serde::{Deserialize, Serialize};

/// What are the actors of a mesh in this process?
///
/// Answered with those that the agent knows: of a mesh that it has never heard of, with none. What has become of
/// a mesh is known for a while after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetState {
    /// The mesh of the actors.
    pub mesh: MeshId,
}

/// Tell me when each of these ranks is at least so far in its life, or has ended (L7): at once if it is, and later
/// if not; also if none of them exists yet.
///
/// Of the agent only those ranks may be asked for that live in its process, or will: it waits for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitRankStatus {
    /// The mesh of the actors.
    pub mesh: MeshId,
    /// The ranks of it.
    pub ranks: RankSet,
    /// How far they are to be.
    pub until: Progress,
    /// How long to wait.
    pub within: Duration,
}

/// What an agent knows of the actors of a mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankStates {
    /// The ranks that were waited for and were not so far when the time was over: none if all were, or if nobody
    /// waited for any.
    pub missing: RankSet,
    /// What each of its ranks is now, in their order: those that it knows.
    pub ranks: Vec<(Rank, RankState)>,
}

impl Message for GetState {
    const NAME: &'static str = "meshwarden.agent.GetState";
    type Reply = RankStates;
}

impl Message for WaitRankStatus {
    const NAME: &'static str = "meshwarden.agent.WaitRankStatus";
    type Reply = Result<RankStates, Refusal>;
}
