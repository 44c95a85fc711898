//! What owners and subscribers are told of a mesh.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mesh_shape::{Rank, RankSet, Region, ValueMesh};
use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, Incarnation, MeshLabel};
use crate::status::{Status, StatusKind};
use crate::stop_reason::StopReason;

mod lines;

/// One status that some ranks reached together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The ranks, in the view of the one who is told (H5).
    pub ranks: RankSet,
    /// Which life of theirs it is about.
    pub incarnation: Incarnation,
    /// What they are now.
    pub status: Status,
    /// For a failure that will be restarted: after what delay (RS1). It is no end of the mesh then. Should it turn out that it
    /// cannot be, that is told as a [`Withdrawal`], or an [`Escalation`].
    pub restart_in: Option<Duration>,
    /// How long ago the evidence of it had been seen when this was said: an age, since clocks differ.
    /// What it [waited](MeshEvent::waited) on its way since then comes on top. For ranks that did not fail:
    /// zero in a snapshot, and where only the answer to a poll has told of them.
    pub age: Duration,
}

/// Every rank found failed in one step, told to the owner once (N1, H6). Only to an owner in another process failures that are
/// more than a message holds come in several, of which the last has the escalation.
///
/// # Examples
///
/// Its `Display` is the report that people read: mesh, rank, coordinates, cause, lifetime and the
/// last lines of standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// The mesh.
    pub mesh: MeshLabel,
    /// The view that the ranks of `changes` are of.
    pub region: Arc<Region>,
    /// Which controller reports.
    pub reporter: Epoch,
    /// The failures. Each status is a failure.
    pub changes: Vec<Change>,
    /// How long this was on its way when it was handed over, as [`MeshEvent::waited`].
    pub waited: Duration,
    /// Restarts that were promised before and are not to be.
    pub withdrawn: Vec<Withdrawal>,
    /// Set once, and once more after the rules of restarting were changed: when restarts cannot mend the
    /// mesh (RS3). Set again if ranks that were to start again together then cannot.
    pub escalation: Option<Escalation>,
}

impl Failures {
    /// Every failed rank with its failure, in the order told.
    pub fn each(&self) -> impl Iterator<Item = (Rank, &Change)> {
        self.changes.iter().flat_map(|change| change.ranks.iter().map(move |rank| (rank, change)))
    }

    /// Every rank that is not started again after all, in the order told.
    pub fn each_withdrawn(&self) -> impl Iterator<Item = (Rank, &Withdrawal)> {
        self.withdrawn.iter().flat_map(|it| it.ranks.iter().map(move |rank| (rank, it)))
    }

    /// The number of ranks that have failed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.iter().map(|change| change.ranks.len()).sum()
    }

    /// Whether it names no rank that has failed just now: then it only tells of restarts that are not to be, or of an
    /// escalation that was caused by ends that were no failures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The coordinates of `rank`, as text: `hosts=0,procs=3`. Empty for a mesh without dims.
    #[must_use]
    pub fn point(&self, rank: Rank) -> String {
        self.region.extent().unravel(rank).map(|point| point.to_string()).unwrap_or_default()
    }

    fn fmt_rank(&self, rank: Rank, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {rank}")?;
        let point = self.point(rank);
        if !point.is_empty() {
            write!(f, " ({point})")?;
        }
        write!(f, " of {}", self.mesh)
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (rank, change) in self.each() {
            self.fmt_rank(rank, f)?;
            write!(f, ", incarnation {}: {}", change.incarnation, change.status)?;
            fmt_details(change, f)?;
            writeln!(f)?;
        }
        for (rank, Withdrawal { incarnation, why, .. }) in self.each_withdrawn() {
            self.fmt_rank(rank, f)?;
            writeln!(f, ", incarnation {incarnation}: it is not started again after all: {why}")?;
        }
        if let Some(escalation) = &self.escalation {
            writeln!(f, "{} needed {escalation}", self.mesh)?;
        }
        write!(f, "reported by its controller, epoch {}", self.reporter)
    }
}

fn fmt_details(change: &Change, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    fmt_times(change, f)?;
    let stderr = change.status.cause().map_or(&[][..], |cause| &cause.stderr);
    if !stderr.is_empty() {
        write!(f, "\n  its last lines on standard error:")?;
        for line in stderr {
            write!(f, "\n  | {line}")?;
        }
    }
    Ok(())
}

/// How long they lived, and when they do again.
fn fmt_times(change: &Change, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(alive) = change.status.cause().and_then(|cause| cause.alive) {
        write!(f, ", after {:.1} s", alive.as_secs_f64())?;
    }
    if let Some(delay) = change.restart_in {
        write!(f, "; it will be started again in {:.1} s", delay.as_secs_f64())?;
    }
    Ok(())
}

/// Restarts cannot mend the mesh: no more are granted, and what has ended stays so, but for the ranks whose restart was
/// granted before (RS3). A subscriber of a region is told of the ranks of that, as it counts them (N6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// What was too much.
    pub reason: EscalationReason,
    /// Every rank that has failed, those that will still be restarted too.
    pub failed: RankSet,
    /// Every rank that has ended by then and begins again all the same, also those that ended well: what was promised is
    /// kept. No other rank that has ended will.
    pub starting: RankSet,
    /// The restarts allowed (OTP: intensity).
    pub max_restarts: u32,
    /// In what time; `None` for the whole life of the mesh.
    pub period: Option<Duration>,
}

/// Why restarts cannot mend a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EscalationReason {
    /// More were needed than are allowed.
    Intensity,
    /// Ranks are started again together, and one of them cannot be: its agent is gone, what is to be
    /// started is not there, or there is nowhere to start it.
    CannotStart,
}

impl fmt::Display for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            EscalationReason::Intensity => {
                let restarts = if self.max_restarts == 1 { "restart" } else { "restarts" };
                write!(f, "more than {} {restarts}", self.max_restarts)?;
                if let Some(period) = self.period {
                    write!(f, " within {} s", period.as_secs_f64())?;
                }
            }
            EscalationReason::CannotStart => {
                f.write_str("a rank that cannot be started again")?;
            }
        }
        write!(f, ": no more are granted; failed ranks: {}", self.failed)?;
        let starting = self.starting.intersection(&self.failed);
        if !starting.is_empty() {
            write!(f, ", of which start again: {starting}")?;
        }
        Ok(())
    }
}

/// Ranks that have ended and were to be started again, each by itself ([`Change::restart_in`]), are not: where they were
/// nothing can begin any more (RS1). How they have ended was told when they did, and stays so (N1, N2, H2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The ranks, in the view of the one who is told (H5).
    pub ranks: RankSet,
    /// The life of theirs that has ended, and that no other one follows.
    pub incarnation: Incarnation,
    /// Why: how a life that had begun there would have ended.
    pub why: Status,
}

/// One message of a controller to one subscriber.
///
/// Its `Display` is for people: the mesh and its news, in one line for each [`Change`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshEvent {
    /// The mesh.
    pub mesh: MeshLabel,
    /// Which controller says it: another one numbers its messages from the start (N8).
    pub reporter: Epoch,
    /// Its number: one more than that of the message before it to this subscriber (N5). After a subscription that was lost
    /// with a session the snapshot of the next one begins anew.
    pub seq: u64,
    /// How long this was on its way when it was handed over. A controller says zero; each queue and each
    /// wire adds what it has held it back, on its own clock. What is said of ages counts from the saying,
    /// so this comes on top of them.
    pub waited: Duration,
    /// Which part of the event this message is: to another process what tells of many ranks travels in parts, since a message
    /// has a greatest size. All have its number. Whoever reads them by `supervise::MeshEvents` has it whole.
    pub part: Part,
    /// What is new.
    pub news: News,
}

/// Which part of an event a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    /// How many come before it.
    pub index: u32,
    /// Whether none comes after it.
    pub is_last: bool,
}

impl Part {
    /// The event is one message.
    pub const WHOLE: Self = Self { index: 0, is_last: true };
}

impl MeshEvent {
    /// It was held back for so long on its way.
    pub fn hold(&mut self, by: Duration) {
        self.waited = self.waited.saturating_add(by);
    }
}

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// The answer to a subscription, and to having lagged behind: all that is (N5, N7).
    Snapshot(Snapshot),
    /// Ranks that changed, in one step. An end is told so once, or not at all to whoever lags as it comes: then it is in
    /// the snapshot that follows (N2, N7). Shared by all who are told the same.
    Changed(Arc<[Change]>),
    /// Nothing else happened: the controller is alive (N3).
    Heartbeat {
        /// At least so often something is sent while any rank is alive.
        period: Duration,
    },
    /// Something is wrong that is no rank's failure (H5).
    Trouble(Trouble),
    /// No more restarts are granted: what has ended stays so, but for the ranks that it names as starting (RS3).
    Escalated(Escalation),
    /// Ranks that had ended before begin again together with one that has failed (RS1), though they were not to, or were to by
    /// themselves. Comes before that failure. Their ends are not told again (N2).
    Recalled {
        /// The ranks.
        ranks: RankSet,
        /// In what time, unless others take longer to end.
        restart_in: Duration,
    },
    /// Ranks that had ended before, and were to begin again, do not, and why. Their ends are not told again (N2).
    Withdrawn(Arc<[Withdrawal]>),
    /// The mesh is being stopped. Comes before any rank is touched (C1).
    Stopping {
        /// Why, if whoever asked for it has said so.
        reason: Option<StopReason>,
    },
    /// Every rank has ended; the last message (N4).
    Closed,
}

impl News {
    /// Whether nothing comes after it: every rank has ended (N4), another controller has taken over, or the owner has let go
    /// of the mesh.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Closed | Self::Trouble(Trouble::Replaced { .. } | Trouble::Abandoned))
    }
}

/// All that a new subscriber must know, and one that was too slow.
///
/// It tells what each rank is in its newest life. An end that another life has followed is not in it: it
/// was told when it came, and a failure that a restart has mended is told once (RS1).
///
/// A subscriber that has no room is told nothing, no heartbeat either, until it has read half of what waits for it.
/// Then it is told that it has [lagged](Self::lagged) (N7), and this is all that it hears of what came meanwhile:
///
/// - Each rank that has ended is here, with its cause; those too of whose ends it had heard before. Whoever counts ends
///   counts a rank and an incarnation once.
/// - That a life has ended which another one has followed is seen by that: whoever sees a rank in a later life than it
///   knows has missed the ends of the lives between. How they ended is not told any more. The owner knows, who loses
///   nothing (N1).
/// - What was no rank's state is not told again: a [`Trouble`], an [`Escalation`]. That no more restarts are granted
///   shows in ranks that have ended and have no [`restart_in`](Change::restart_in); and so does a [`Withdrawal`], without
///   its reason.
/// - The last word is told again: [`News::Closed`], or who says nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// At least so often something is sent while any rank is alive.
    pub period: Duration,
    /// The failed ranks with their causes.
    pub failed: Vec<Change>,
    /// The ranks that ended well.
    pub stopped: Vec<Change>,
    /// The ranks that are alive, for a subscriber with [`Interest::All`]; for another one those that are in
    /// a later life than the first, if it has lagged, and else none.
    pub alive: Vec<Change>,
    /// Whether the mesh is being stopped: [`News::Stopping`] will not come again.
    pub is_stopping: bool,
    /// Why it is being stopped, if whoever asked for it has said so.
    pub stop_reason: Option<StopReason>,
    /// Whether messages were lost before this, because the subscriber was too slow, or was cut off (N7).
    pub lagged: bool,
}

/// Which changes a subscriber wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Interest {
    /// The ends of ranks only.
    Terminal,
    /// Every change of status.
    All,
}

/// Something that is wrong with a mesh and is no failure of a rank (H5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// A question or an order could not be given to an agent.
    QueryFailed {
        /// The index of the agent.
        agent: usize,
    },
    /// Most agents are silent at once: the controller takes itself for isolated and holds back.
    Isolated {
        /// The number of silent agents.
        silent: usize,
        /// The number of agents whose ranks have not been given up.
        agents: usize,
    },
    /// An agent has been started again and has forgotten what it knew.
    AgentRestarted {
        /// The index of the agent.
        agent: usize,
        /// Which life of it speaks now.
        life: Incarnation,
    },
    /// Another controller has taken the mesh over: this one says nothing any more (K3).
    Replaced {
        /// Its epoch.
        by: Epoch,
    },
    /// A ref has heard nothing of its controller for three stated periods (N10).
    ControllerLost,
    /// Its owner has let go of the mesh, and with that its controller has ended: what is left of it ends (C2), and nobody
    /// says how. Nothing comes after it.
    Abandoned,
    /// Ranks have been killed and do not end. They are what they were; a stop does not wait for them.
    Unkillable {
        /// How many.
        ranks: usize,
        /// Why, in the words of their agent.
        why: String,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueryFailed { agent } => write!(f, "agent {agent} could not be asked"),
            Self::Isolated { silent, agents } => {
                write!(
                    f,
                    "{silent} of {agents} agents are silent at once: this side may be isolated"
                )
            }
            Self::AgentRestarted { agent, life } => {
                write!(
                    f,
                    "agent {agent} was started again (life {life}) and has forgotten its ranks"
                )
            }
            Self::Replaced { by } => {
                write!(f, "the controller of epoch {by} has taken the mesh over")
            }
            Self::ControllerLost => f.write_str("its controller has been silent for three periods"),
            Self::Abandoned => f.write_str("its owner has let go of it: what is left of it ends"),
            Self::Unkillable { ranks, why } => {
                let ranks_do = if *ranks == 1 { "rank does" } else { "ranks do" };
                write!(f, "{ranks} {ranks_do} not end although killed: {why}")
            }
        }
    }
}

/// The state of a mesh, as its controller knows it (L7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshState {
    /// The mesh.
    pub mesh: MeshLabel,
    /// The mesh as one.
    pub phase: MeshPhase,
    /// One state per rank.
    pub ranks: ValueMesh<RankState>,
}

impl MeshState {
    /// The same without what ranks have died of in words: ranks that are alike but for that are one run.
    #[must_use]
    pub fn brief(&self) -> Self {
        let ranks = self
            .ranks
            .map(|rank| RankState { incarnation: rank.incarnation, status: rank.status.brief() });
        Self { mesh: self.mesh.clone(), phase: self.phase, ranks }
    }
}

/// The state of one rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankState {
    /// Which life of it.
    pub incarnation: Incarnation,
    /// What it is.
    pub status: Status,
}

/// What a mesh is as one: failed if any rank failed, else stopped if all ended, else the least
/// advanced of its living ranks (L7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MeshPhase {
    /// A rank is being created.
    Initializing,
    /// A rank is running, none is being created.
    Running,
    /// All ranks that live are being stopped.
    Stopping,
    /// All ended, none failed. The empty mesh is stopped.
    Stopped,
    /// A rank failed.
    Failed,
}

impl MeshPhase {
    /// The phase of a mesh with so many ranks of each kind of status; index `kind as usize`.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_core::MeshPhase;
    ///
    /// assert_eq!(MeshPhase::of(&[0; 10]), MeshPhase::Stopped, "the empty mesh");
    /// ```
    #[must_use]
    pub fn of(counts: &[usize; StatusKind::ALL.len()]) -> Self {
        let any = |kinds: &[StatusKind]| kinds.iter().any(|kind| counts[*kind as usize] > 0);
        if any(&[StatusKind::Failed, StatusKind::Timeout]) {
            Self::Failed
        } else if any(&[StatusKind::NotExist, StatusKind::Initializing]) {
            Self::Initializing
        } else if any(&[
            StatusKind::Running,
            StatusKind::Stalled,
            StatusKind::Suspect,
            StatusKind::Unreachable,
        ]) {
            Self::Running
        } else if any(&[StatusKind::Stopping]) {
            Self::Stopping
        } else {
            Self::Stopped
        }
    }
}
