//! What a program asks of the controller of a mesh, and what it is answered (L7, L8).

use std::sync::Arc;
use std::time::Duration;

use mesh_shape::{Extent, Rank, RankSet, Region};
use serde::{Deserialize, Serialize};

use crate::address::PortRef;
use crate::event::{Interest, MeshEvent, MeshState};
use crate::ids::Epoch;
use crate::message::Message;
use crate::restart::{RestartConfig, RestartError};
use crate::status::Progress;
use crate::stop_reason::StopReason;

/// A question or an order to a controller. Each is answered with one [`Reply`].
///
/// Subscriptions are messages of their own, [`Subscribe`] and [`Unsubscribe`]: who subscribes leaves an
/// address, and the machine that decides knows subscribers by number only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeshRequest {
    /// This is what the mesh is to be. The same as it is: nothing happens.
    CreateOrUpdate {
        /// Its ranks. Another region than the mesh has is refused.
        region: Arc<Region>,
        /// Its rules of restarting; they may change while it lives.
        restart: RestartConfig,
    },
    /// What every rank is (L7).
    GetState,
    /// End every rank. Answered when they have ended, or when no more can be done (C1). While the mesh is
    /// being stopped: nothing changes, and the answer is the same.
    Stop {
        /// How long the ranks may take to end by themselves before they are killed.
        grace: Duration,
        /// Why, for whoever watches the mesh. Of several stops the first says it.
        reason: Option<StopReason>,
    },
    /// Tell me when each of these ranks is at least so far in its life, or has ended (L7).
    WaitRankStatus {
        /// The ranks, of the whole mesh.
        ranks: RankSet,
        /// How far they are to be.
        until: Progress,
        /// How long to wait.
        within: Duration,
    },
    /// How many subscribers there are (N5).
    GetSubscriberCount,
    /// End every rank now: as [`Stop`](Self::Stop) without any grace, also while the mesh is being stopped
    /// with one.
    Kill,
}

/// What a controller answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The state of every rank: to `GetState`, and to `Stop` and `Kill` at their end.
    State(Arc<MeshState>),
    /// The mesh is as asked.
    Updated {
        /// Whether it was otherwise before.
        is_changed: bool,
    },
    /// To `WaitRankStatus`.
    Waited {
        /// The ranks that were not so far when the time was over. Empty if all were.
        missing: RankSet,
        /// What every rank is now: one that has ended is as far as it will get. Over a port causes have no words here,
        /// so that it fits into a message ([`MeshState::brief`]); `GetState` tells them.
        state: Arc<MeshState>,
    },
    /// The number of subscribers.
    Subscribers(usize),
    /// It has been taken up, and nobody waits for what comes of it: the request was a cast.
    Taken,
    /// It cannot be done. Nothing has changed.
    Refused(Refusal),
}

impl Message for MeshRequest {
    const NAME: &'static str = "meshwarden.MeshRequest";
    const VERSION: u32 = 3;
    type Reply = Reply;
}

/// Tell this port what happens in the mesh, first a snapshot (N5). The same port twice counts once, and
/// keeps what it asked for first.
///
/// Answered when it is taken, or with why it is not. The subscription ends with the
/// [last](crate::News::is_last) event, with [`Unsubscribe`], or when the port is gone (N7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// Who is to be told.
    pub to: PortRef<MeshEvent>,
    /// Which changes.
    pub interest: Interest,
    /// Only what meets this region, told in its ranks (H5, N6); all of the mesh if `None`.
    pub region: Option<Arc<Region>>,
    /// Whether it was subscribed before, and lost that with a session: then its snapshot is that of one that has
    /// [lagged](crate::Snapshot::lagged), by which it sees of what lives it has heard nothing (N7).
    pub again: bool,
}

impl Message for Subscribe {
    const NAME: &'static str = "meshwarden.Subscribe";
    const VERSION: u32 = 2;
    type Reply = Result<(), Refusal>;
}

/// Tell this port nothing any more. Of a port that is unknown this is a no-op (N5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// Who was told.
    pub to: PortRef<MeshEvent>,
}

impl Message for Unsubscribe {
    const NAME: &'static str = "meshwarden.Unsubscribe";
    type Reply = ();
}

impl Message for MeshEvent {
    const NAME: &'static str = "meshwarden.MeshEvent";
    const VERSION: u32 = 4;
    type Reply = ();
}

/// Why a controller does not do what it is asked. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A mesh keeps its ranks for life.
    #[error("the mesh has the ranks of {has}, not of {asked}: stop it and create another one")]
    OtherRegion {
        /// What it has.
        has: Arc<Region>,
        /// What was asked for.
        asked: Arc<Region>,
    },
    /// A region that is a view of something else.
    #[error("the region is a view of {asked}, and the mesh is one of {has}: slice the mesh's own")]
    OtherBase {
        /// What the ranks of the mesh are a view of.
        has: Box<Extent>,
        /// What the region is a view of.
        asked: Box<Extent>,
    },
    /// The rules of restarting do not hold together.
    #[error("the rules of restarting cannot hold")]
    Restart(#[from] RestartError),
    /// The mesh has no such rank.
    #[error("there is no rank {rank} in a mesh of {size}")]
    NoSuchRank {
        /// The rank.
        rank: Rank,
        /// The number of ranks.
        size: usize,
    },
    /// As many are told, or wait for an answer, as may.
    #[error("{limit} already do, which is the limit: try again when one has gone")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Every rank has ended.
    #[error("the mesh has ended: create another one")]
    Closed,
    /// This controller is not in charge any more.
    #[error("the controller of epoch {by} has taken the mesh over: ask that one")]
    Replaced {
        /// The epoch of the one that is.
        by: Epoch,
    },
}
