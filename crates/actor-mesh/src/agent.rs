//! What anybody may ask the agent of a process about the actors in it.
//!
//! The agent is the truth about them, and the controller of their mesh only keeps what it says (L7). So who asks
//! the agent needs no controller: neither one that lives, nor one that can be reached from there.
//! [`ProcSeat::agent`](mesh_core::ProcSeat) is its address.
//!
//! | message | answer |
//! |---|---|
//! | [`GetState`] | what the actors of a mesh are now |
//! | [`WaitRankStatus`] | [`Waited`], when one of them is so far in its life |
//! | [`StreamState`] | [`Streamed`] to a port, with each change, until [`StopStream`] |
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

use mesh_core::{MeshId, Message, PortRef, Progress, RankState, Refusal, Status, Update};
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

/// Tell this port what the actors of a mesh in this process are: at once what they are now, and then each change (L1).
/// The mesh need not exist yet.
///
/// Answered when it is taken, or with why it is not: so many ports are told, and no more. The same port twice for one
/// mesh counts once, and begins anew with what the actors are then. The stream ends with [`StateNews::Closed`], with
/// [`StopStream`], or with the first message that comes back from the port (N7). If the process ends, so does the
/// stream, without a word: that is told by whoever supervises the processes, and another life of it has another agent.
///
/// A port without room is told what is new when it has some, within a second: what each rank is then, and how each of
/// its last lives has ended. Of a rank that has ended more than eight lives meanwhile, the ends before those are left
/// out, and [`StateNews::Lagged`] says so (N7).
///
/// # Examples
///
/// ```
/// use std::error::Error;
///
/// use actor_mesh::agent::{StateNews, StreamState, Streamed};
/// use mesh_core::{MeshId, PortRef, ProcSeat, Status};
/// use mesh_runtime::{Port, Proc};
/// use mesh_shape::Rank;
///
/// /// How the actors of a mesh in one process end, each life of each of them.
/// async fn ends(
///     proc: &Proc,
///     mesh: MeshId,
///     seat: &ProcSeat,
/// ) -> Result<Vec<(Rank, Status)>, Box<dyn Error>> {
///     let mut told = proc.open_port::<Streamed>(16);
///     let stream = StreamState { mesh, to: told.port() };
///     PortRef::of(seat.agent).call(proc, stream).await??;
///     let mut ends = Vec::new();
///     loop {
///         match told.recv().await.news {
///             StateNews::States(states) => {
///                 let states = states.into_iter().map(|(rank, update)| (rank, update.report));
///                 ends.extend(states.filter(|(_, status)| status.is_terminal()));
///             }
///             StateNews::Closed => return Ok(ends),
///             StateNews::NotExist | StateNews::Lagged | StateNews::Unchanged => (),
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// The mesh of the actors.
    pub mesh: MeshId,
    /// Who is to be told.
    pub to: PortRef<Streamed>,
}

impl StreamState {
    /// How long a port is told nothing at most: then it is told [`StateNews::Unchanged`].
    pub const PERIOD: Duration = Duration::from_secs(10);
}

/// Tell this port nothing of a mesh any more. Of a port that is unknown this is a no-op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopStream {
    /// The mesh of the actors.
    pub mesh: MeshId,
    /// Who was told.
    pub to: PortRef<Streamed>,
}

/// What a stream tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streamed {
    /// The mesh of the actors.
    pub mesh: MeshId,
    /// Which stream of the agent: one that is asked for later has a greater number.
    pub stream: u64,
    /// What it tells.
    pub news: StateNews,
}

/// What is new of the actors of a mesh in a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateNews {
    /// Nothing is known of the mesh here: it is not there yet, or has been over for long. Only the first that is told.
    NotExist,
    /// What some ranks are, in the order of the ranks; a few at once. What is told of a rank has a greater pair of
    /// incarnation and generation each time (H1), and nothing is told of a life after its end (H2).
    ///
    /// With one exception: a life that another one has replaced before it had ended is killed, and its end is told when
    /// it has, with the incarnation that it is of. So each life has one end in the stream, also where what the rank is
    /// has gone on.
    States(Vec<(Rank, Update<Status>)>),
    /// How some lives have ended is not told: more of one rank than are kept were over before there was room to tell it
    /// (N7). What is told next is what the ranks are.
    Lagged,
    /// Nothing has changed for a [period](StreamState::PERIOD).
    Unchanged,
    /// Whatever of the mesh was here has ended, lives that were replaced among it, and no other life follows, by the rules
    /// of restarting that the mesh was made with: where ranks may be started again, that is known when their mesh is
    /// over. No other rank follows either: each has a process of its own, with an agent of its own
    /// ([`ProcId::of_rank`](mesh_core::ProcId::of_rank)), which `mesh_testkit::procs_suite` checks. The last that is told.
    Closed,
}

impl Message for GetState {
    const NAME: &'static str = "meshwarden.agent.GetState";
    type Reply = Vec<(Rank, RankState)>;
}

impl Message for WaitRankStatus {
    const NAME: &'static str = "meshwarden.agent.WaitRankStatus";
    type Reply = Result<Waited, Refusal>;
}

impl Message for StreamState {
    const NAME: &'static str = "meshwarden.agent.StreamState";
    type Reply = Result<(), Refusal>;
}

impl Message for StopStream {
    const NAME: &'static str = "meshwarden.agent.StopStream";
    type Reply = ();
}

impl Message for Streamed {
    const NAME: &'static str = "meshwarden.agent.Streamed";
    type Reply = ();
}
