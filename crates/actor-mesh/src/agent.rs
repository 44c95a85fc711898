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
//! use mesh_shape::Rank;
//!
//! /// Waits until the actor of a rank of a mesh has been created, or has ended.
//! async fn is_created(
//!     proc: &Proc,
//!     (mesh, rank): (MeshId, Rank),
//!     seat: &ProcSeat,
//! ) -> Result<bool, CallError> {
//!     let (until, within) = (Progress::Running, Duration::from_secs(1));
//!     let wait = WaitRankStatus { mesh, rank, until, within };
//!     let answer = PortRef::of(seat.agent).call(proc, wait).await?;
//!     Ok(answer.is_ok_and(|waited| waited.is_reached))
//! }
//! ```

use std::time::Duration;

use mesh_core::{MeshId, Message, Progress, RankState, Refusal};
use mesh_shape::Rank;
use serde::{Deserialize, Serialize};

/// What are the actors of a mesh in this process?
///
/// Answered with the ranks of the mesh that live here, or have lived, in their order; with none for a mesh that the
/// agent has never heard of. What has become of a mesh is known for a while after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetState {
    /// The mesh of the actors.
    pub mesh: MeshId,
}

/// Tell me when a rank is at least so far in its life, or when that life has ended (L7): at once if it is, and later
/// if not; also if it does not exist yet.
///
/// Of the agent only a rank may be asked for that lives in its process, or will: of another one it never hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitRankStatus {
    /// The mesh of the actors.
    pub mesh: MeshId,
    /// Which of its ranks.
    pub rank: Rank,
    /// How far it is to be.
    pub until: Progress,
    /// How long to wait.
    pub within: Duration,
}

/// What has come of a wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// Whether the rank is so far, or its life has ended; if not, the time was over.
    pub is_reached: bool,
    /// What it is now; `None` if it has never existed here.
    pub state: Option<RankState>,
    /// Whether a rank that has ended may be started again, in this process or another life of it: whether it is, its
    /// controller says.
    pub may_restart: bool,
}

impl Message for GetState {
    const NAME: &'static str = "meshwarden.agent.GetState";
    type Reply = Vec<(Rank, RankState)>;
}

impl Message for WaitRankStatus {
    const NAME: &'static str = "meshwarden.agent.WaitRankStatus";
    type Reply = Result<Waited, Refusal>;
}
