//! `OneOf`: one rank of a mesh, whichever it is, or a given one.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mesh_core::{Message, Refusal};
use mesh_runtime::{Actor, Handler, Sender};
use mesh_shape::{Rank, RankSet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::call::{Content, MeshCall, MeshCast, Target};
use crate::mesh_ref::ActorMeshRef;
use crate::no_controller::NoController;
use crate::rank_error::RankError;

/// How one of many is chosen: among those that run, or, if none does, among those that hang or are silent. What is
/// known of them here may differ for a moment from what is known elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choice {
    /// Any of them, each as likely as the others, as the process that sends [draws](mesh_runtime::Proc::draw).
    Random,
    /// One after the other, in turn: of all that is sent in this process by this ref and its clones.
    RoundRobin,
    /// For the same key the same one in every process, for as long as it lives, whether or not it hangs. When it has
    /// ended, only what was for it goes to others: the weights of rendezvous hashing (Thaler and Ravishankar, 1998).
    Key(u64),
    /// This one of the mesh or slice, whatever it is: where it has ended, or does not exist, what is sent says so.
    /// [`ActorMeshRef::at`] is short for it.
    Rank(Rank),
}

impl Choice {
    /// By a key that is text or bytes, by the FNV-1a hash of these.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_mesh::Choice;
    ///
    /// assert_eq!(Choice::by_key("ada"), Choice::by_key(b"ada"));
    /// assert_ne!(Choice::by_key("ada"), Choice::by_key("bob"));
    /// ```
    #[must_use]
    pub fn by_key(key: impl AsRef<[u8]>) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self::Key(key.as_ref().iter().fold(0xcbf2_9ce4_8422_2325, step))
    }
}

/// Why one of many has not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OneError {
    /// There are no ranks at all. Nothing was sent, and a wait for them ends at once.
    #[error("there is no rank to choose: the mesh or slice is empty")]
    Empty,
    /// There is none that anything could be sent to now: all have ended, or are not there yet. Those may begin that are not
    /// there yet, or are started again: that is [waited](ActorMeshRef::wait) for, and ends at once where all have ended for
    /// good, as where the others of the mesh live on without those of a slice. Nothing was sent.
    #[error("none of the ranks runs now: wait until one does, if one is to begin again")]
    NoneRuns,
    /// The mesh is over: every rank has ended, and none is started again. Nothing was sent.
    #[error("all ranks of the mesh have ended, and none begins again")]
    AllEnded,
    /// Nobody says where the ranks are, for this reason. Nothing was sent.
    #[error(transparent)]
    NoController(NoController),
    /// The controller of the mesh refuses to say what its ranks are: more follow it than may.
    #[error("the controller of the mesh refuses to say what its ranks are: {0}")]
    Refused(Refusal),
    /// There is no such rank. Nothing was sent.
    #[error("there is no rank {rank}: the mesh or slice has {}", ranks_of(*size))]
    NoSuchRank {
        /// The one that was given.
        rank: Rank,
        /// How many there are.
        size: usize,
    },
    /// The one that was chosen has not.
    #[error("rank {rank} was not sent it, or has not answered")]
    Rank {
        /// Which one.
        rank: Rank,
        /// Why.
        #[source]
        why: RankError,
    },
}

/// One of the ranks of a mesh, chosen anew for whatever is sent.
///
/// What is sent goes to that rank directly, so between it and what is cast to all no order is promised (R2).
pub struct OneOf<A> {
    mesh: ActorMeshRef<A>,
    choice: Choice,
    within: Option<Duration>,
}

impl<A: Actor> OneOf<A> {
    pub(crate) const fn new(mesh: ActorMeshRef<A>, choice: Choice) -> Self {
        Self { mesh, choice, within: None }
    }

    /// How long to wait for an answer, or for room, instead of
    /// [`ProcConfig::call_within`](mesh_runtime::ProcConfig::call_within). In it is the time for word of where the ranks
    /// are, if nothing is known of the mesh yet.
    #[must_use]
    pub const fn within(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }

    /// Chooses one, as it would for what is sent now. One that is given is chosen also if it does not run.
    ///
    /// # Cancellation
    ///
    /// Dropped while it waits, nobody is chosen, and nobody has lost a turn.
    ///
    /// # Errors
    ///
    /// [`OneError`] if there is none.
    pub async fn rank(&self, from: &(impl Sender + Sync)) -> Result<Rank, OneError> {
        let target = self.mesh.target_of(from, None);
        self.choose(&target, self.patience(&target)).await
    }

    /// Sends a message to one of them, waits for the answer, and says which one it was. Nothing is sent twice.
    ///
    /// # Cancellation
    ///
    /// Dropped, the actor need not handle the message if it has not begun to.
    ///
    /// # Errors
    ///
    /// [`OneError`]; whether another one is to be asked then is for the caller to say.
    pub async fn call<M>(
        &self,
        from: &(impl Sender + Sync),
        message: M,
    ) -> Result<(Rank, M::Reply), OneError>
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
    {
        let (begun, target) = (Instant::now(), self.mesh.target_of(from, None));
        let within = self.patience(&target);
        let rank = self.choose(&target, within).await?;
        let target = self.mesh.target_of(from, Some(rank));
        let call = MeshCall::new(target, Content::same::<A>(message));
        let call = call.within(within.saturating_sub(begun.elapsed()));
        let answer = call.replies().next().await;
        let (_, answer) = answer.ok_or(OneError::NoneRuns)?;
        answer.map(|reply| (rank, reply)).map_err(|why| OneError::of_rank(rank, why, within))
    }

    /// Sends a message to one of them, waits while there is no room for it, and says which one it was.
    ///
    /// # Cancellation
    ///
    /// Dropped while it waits, nothing is sent.
    ///
    /// # Errors
    ///
    /// [`OneError`]
    pub async fn cast<M>(&self, from: &(impl Sender + Sync), message: M) -> Result<Rank, OneError>
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
    {
        let (begun, target) = (Instant::now(), self.mesh.target_of(from, None));
        let within = self.patience(&target);
        let rank = self.choose(&target, within).await?;
        let target = self.mesh.target_of(from, Some(rank));
        let cast = MeshCast::new(target, Content::same::<A>(message));
        let not_sent = cast.within(within.saturating_sub(begun.elapsed())).await;
        match not_sent.iter().next() {
            Some((_, why)) => Err(OneError::of_rank(rank, why.clone(), within)),
            None => Ok(rank),
        }
    }

    /// How long all of it may take.
    fn patience(&self, target: &Target) -> Duration {
        self.within.unwrap_or_else(|| target.call_within())
    }

    async fn choose(&self, target: &Target, within: Duration) -> Result<Rank, OneError> {
        // That there is no such rank, or none, is certain, whoever can be asked.
        match self.choice {
            Choice::Rank(rank) => self.given(rank)?,
            _ if self.mesh.region().is_empty() => return Err(OneError::Empty),
            _ => (),
        }
        let mut table = target.view.watch();
        let known = timeout(within, target.view.known(&mut table)).await;
        let Some(known) = known.ok().flatten() else {
            let table = table.borrow();
            let unknown = || OneError::NoController(target.view.no_controller(&table, within));
            return Err(table.refusal.clone().map_or_else(unknown, OneError::Refused));
        };
        if let Choice::Rank(rank) = self.choice {
            return Ok(rank);
        }
        let open = target.view.roster(&known).open(&target.region);
        let is_by_key = matches!(self.choice, Choice::Key(_));
        // One that hangs for a while keeps its keys.
        let some = if is_by_key || open.running.is_empty() { &open.all } else { &open.running };
        let chosen = match self.choice {
            Choice::Random => nth(some, target.draw()),
            Choice::RoundRobin => self.mesh.turns.next(some),
            Choice::Rank(rank) => Some(rank),
            Choice::Key(key) => {
                // By the rank in the whole mesh, so that a slice agrees with others.
                let base = |rank: &Rank| self.mesh.region().base_rank(*rank).unwrap_or(*rank);
                some.iter().max_by_key(|rank| mix(key ^ mix(base(rank).index() as u64)))
            }
        };
        // Nothing more is told of a mesh that is over.
        let is_over = || table.has_changed().is_err();
        chosen.ok_or_else(|| if is_over() { OneError::AllEnded } else { OneError::NoneRuns })
    }

    /// Whether there is such a rank; whether it runs is found out where it is sent to.
    fn given(&self, rank: Rank) -> Result<(), OneError> {
        let size = self.mesh.region().size();
        if rank.index() < size { Ok(()) } else { Err(OneError::NoSuchRank { rank, size }) }
    }
}

impl OneError {
    /// Says how long all of it was to take, and not what of that was left for the rank.
    fn of_rank(rank: Rank, why: RankError, within: Duration) -> Self {
        let why = match why {
            RankError::Deadline { .. } => RankError::Deadline { within },
            RankError::Stalled { status, .. } => RankError::Stalled { within, status },
            RankError::NoRoom { ranks, .. } => RankError::NoRoom { ranks, within },
            RankError::NoTurn { .. } => RankError::NoTurn { within },
            why => why,
        };
        Self::Rank { rank, why }
    }
}

/// The ranks of a mesh of so many.
fn ranks_of(size: usize) -> String {
    if size == 0 { "no ranks".to_owned() } else { format!("ranks 0..{size}") }
}

fn nth(some: &RankSet, number: u64) -> Option<Rank> {
    let size = u64::try_from(some.len()).ok().filter(|size| *size > 0)?;
    let mut left = (number % size) as usize;
    // Over the runs, of which there are few.
    let run = some.runs().find(|run| match left.checked_sub(run.len()) {
        Some(after) => {
            left = after;
            false
        }
        None => true,
    });
    run.map(|run| Rank::new(run.start + left))
}

/// Whose turn it is among those that a ref and its clones send to.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// One more than the rank that had it last.
    next: AtomicU64,
}

impl Turns {
    /// The first of `some` that comes after the one before it, around the end.
    fn next(&self, some: &RankSet) -> Option<Rank> {
        let mut chosen = None;
        let pick = |last: u64| {
            let from = usize::try_from(last).unwrap_or(0);
            let mut after = some.runs_within(from..usize::MAX).flatten();
            chosen = after.next().map(Rank::new).or_else(|| some.first());
            chosen.map(|rank| rank.index() as u64 + 1)
        };
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pick).ok()?;
        chosen
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014).
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl<A> fmt::Debug for OneOf<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneOf")
            .field("mesh", &self.mesh)
            .field("choice", &self.choice)
            .finish_non_exhaustive()
    }
}
