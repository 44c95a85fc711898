//! What every implementation of [`Procs`] must keep, checked from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{
    Change, Incarnation, Interest, MeshEvent, MeshRequest, News, PeerId, PortRef, Procs, Progress,
    Reply, Status, Subscribe, Unsubscribe,
};
use mesh_runtime::{CallError, Port, PortReceiver, Proc};
use mesh_shape::{Rank, RankSet, Region, ShapeError, extent};
use tokio::time::timeout;

/// How many events may wait for the suite: more than there are.
const EVENTS: usize = 1024;

/// What an implementation broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProcsBreach {
    /// The suite needs more ranks.
    #[error("the suite needs at least 3 ranks, and there are {0}")]
    TooFew(usize),
    /// A rank that runs has no seat, or one that is not its own.
    #[error("rank {0} has no seat, or that of another")]
    Seat(Rank),
    /// There is a seat where there is no rank.
    #[error("rank {0} has a seat and does not exist")]
    NoSuchRank(Rank),
    /// Whoever has a seat has no way there.
    #[error("there is no way to rank {0}")]
    NoWay(Rank),
    /// A slice is not what it was asked to be.
    #[error("a slice does not have the seats of its region")]
    Slice,
    /// A region of something else was taken for a slice.
    #[error("a region of something else was taken for a slice")]
    Foreign,
    /// The controller does not answer.
    #[error("the controller does not answer")]
    Home(#[from] CallError),
    /// It refuses a subscription.
    #[error("the controller refuses a subscription")]
    Refused,
    /// It counts its subscribers wrong (N5).
    #[error("there are {found} subscribers more than before, where {expected} were added")]
    Count {
        /// How many were added.
        expected: usize,
        /// How many are counted.
        found: usize,
    },
    /// A subscriber was not told something in time.
    #[error("{0} was not told in time")]
    TooLate(&'static str),
    /// A rank was told to have ended so many times (N2).
    #[error("rank {rank} of {of} was told to have ended {times} times")]
    Told {
        /// The rank.
        rank: Rank,
        /// Who was told: of which region.
        of: &'static str,
        /// How often.
        times: usize,
    },
    /// A rank failed that nobody had killed (H7, N9), or one that was killed did not.
    #[error("the ranks that failed are {found}, and {expected} were killed")]
    Failed {
        /// Which were killed.
        expected: RankSet,
        /// Which failed.
        found: RankSet,
    },
}

/// Checks the contract of [`Procs`] with a mesh that runs, of which nothing is started again. `kill` ends the
/// process of a rank abnormally, and need not wait for that; the mesh is stopped in the end.
///
/// Call it from a test of the implementation. `proc` is the process that has the mesh.
///
/// # Errors
///
/// The first [`ProcsBreach`] that is found.
pub async fn procs_suite(
    proc: &Proc,
    procs: &Arc<dyn Procs>,
    kill: impl AsyncFn(Rank),
    patience: Duration,
) -> Result<(), ProcsBreach> {
    let size = procs.region().size();
    if size < 3 {
        return Err(ProcsBreach::TooFew(size));
    }
    seats(proc, &**procs)?;
    let (upper, lower) = slices(&**procs)?;
    count(proc, &**procs).await?;

    let mut all = Told::subscribe(proc, &**procs, "the mesh", patience).await?;
    let mut upper = Told::subscribe(proc, &*upper, "the upper slice", patience).await?;
    let mut lower = Told::subscribe(proc, &*lower, "the lower slice", patience).await?;
    let victim = Rank::new(size - 1);
    kill(victim).await;
    all.until(|told| told.ended.contains_key(&victim), "the end of a rank").await?;
    all.check_failed(&RankSet::from_iter([victim]))?;
    // Its seat stays, for those who have not heard yet.
    seat_of(&**procs, victim)?;

    let stop = MeshRequest::Stop { grace: patience, reason: None };
    procs.home().call(proc, stop).await?;
    for told in [&mut all, &mut upper, &mut lower] {
        told.until(|told| told.is_closed, "the end of the mesh").await?;
        told.check_once()?;
    }
    all.check_failed(&RankSet::from_iter([victim]))?;
    upper.check_failed(&RankSet::from_iter([Rank::new(upper.size - 1)]))?;
    lower.check_failed(&RankSet::new())
}

fn seats(proc: &Proc, procs: &dyn Procs) -> Result<(), ProcsBreach> {
    let size = procs.region().size();
    for rank in (0..size).map(Rank::new) {
        let seat = seat_of(procs, rank)?;
        if !proc.has_way_to(seat.agent) {
            return Err(ProcsBreach::NoWay(rank));
        }
    }
    let beyond = Rank::new(size);
    procs.seat(beyond).map_or(Ok(()), |_| Err(ProcsBreach::NoSuchRank(beyond)))
}

/// The seat of a rank, if it is its own.
fn seat_of(procs: &dyn Procs, rank: Rank) -> Result<mesh_core::ProcSeat, ProcsBreach> {
    let base = procs.region().base_rank(rank).ok_or(ProcsBreach::Seat(rank))?;
    let peer = PeerId::of_rank(procs.label().id(), base, Incarnation::FIRST);
    let is_own = |seat: &mesh_core::ProcSeat| seat.peer == peer && seat.agent.peer() == peer;
    procs.seat(rank).filter(is_own).ok_or(ProcsBreach::Seat(rank))
}

type Slice = Arc<dyn Procs>;

/// All but the first rank, and the first.
fn slices(procs: &dyn Procs) -> Result<(Slice, Slice), ProcsBreach> {
    let foreign = extent!(elsewhere = 2).map(Region::all);
    if foreign.is_ok_and(|foreign| procs.slice(&foreign).is_ok()) {
        return Err(ProcsBreach::Foreign);
    }
    let broken = |_: ShapeError| ProcsBreach::Slice;
    let region = procs.region();
    let names: Vec<&str> = region.extent().dims().map(|(name, _)| name).collect();
    let flat = region.flatten(&names, "ranks").map_err(broken)?;
    let upper = procs.slice(&flat.slice("ranks", 1..).map_err(broken)?).map_err(broken)?;
    let lower = procs.slice(&flat.slice("ranks", ..1).map_err(broken)?).map_err(broken)?;
    for (slice, first) in [(&upper, 1), (&lower, 0)] {
        for rank in 0..slice.region().size() {
            let expected = procs.seat(Rank::new(rank + first));
            if slice.seat(Rank::new(rank)) != expected {
                return Err(ProcsBreach::Slice);
            }
        }
    }
    Ok((upper, lower))
}

/// N5: the same port twice counts once, and one that has gone does not count.
async fn count(proc: &Proc, procs: &dyn Procs) -> Result<(), ProcsBreach> {
    let before = n_subscribers(proc, procs).await?;
    let check = |expected: usize, now: usize| {
        let found = now.saturating_sub(before);
        (found == expected).then_some(()).ok_or(ProcsBreach::Count { expected, found })
    };
    let port = proc.open_port::<MeshEvent>(EVENTS);
    for _ in 0..2 {
        subscribe(proc, procs, port.port()).await?;
        check(1, n_subscribers(proc, procs).await?)?;
    }
    let door = PortRef::<Unsubscribe>::of(procs.home().actor());
    door.call(proc, Unsubscribe { to: port.port() }).await?;
    check(0, n_subscribers(proc, procs).await?)
}

async fn n_subscribers(proc: &Proc, procs: &dyn Procs) -> Result<usize, ProcsBreach> {
    match procs.home().call(proc, MeshRequest::GetSubscriberCount).await? {
        Reply::Subscribers(n) => Ok(n),
        _ => Err(ProcsBreach::Refused),
    }
}

async fn subscribe(
    proc: &Proc,
    procs: &dyn Procs,
    to: PortRef<MeshEvent>,
) -> Result<(), ProcsBreach> {
    let region = Some(Arc::clone(procs.region()));
    let door = PortRef::<Subscribe>::of(procs.home().actor());
    let taken =
        door.call(proc, Subscribe { to, interest: Interest::All, region, again: false }).await?;
    taken.or(Err(ProcsBreach::Refused))
}

/// What one subscriber was told.
struct Told {
    of: &'static str,
    size: usize,
    events: PortReceiver<MeshEvent>,
    patience: Duration,
    /// How often each rank was told to have ended, and how it did.
    ended: BTreeMap<Rank, (usize, Status)>,
    running: RankSet,
    is_closed: bool,
}

impl Told {
    /// Subscribes, and waits until all ranks are told to run.
    async fn subscribe(
        proc: &Proc,
        procs: &dyn Procs,
        of: &'static str,
        patience: Duration,
    ) -> Result<Self, ProcsBreach> {
        let events = proc.open_port::<MeshEvent>(EVENTS);
        subscribe(proc, procs, events.port()).await?;
        let size = procs.region().size();
        let (ended, running) = (BTreeMap::new(), RankSet::new());
        let mut told = Self { of, size, events, patience, ended, running, is_closed: false };
        told.until(|told| told.running.len() == told.size, "that all ranks run").await?;
        Ok(told)
    }

    async fn until(
        &mut self,
        is_so: impl Fn(&Self) -> bool,
        what: &'static str,
    ) -> Result<(), ProcsBreach> {
        while !is_so(self) {
            let event = timeout(self.patience, self.events.recv()).await;
            match event.or(Err(ProcsBreach::TooLate(what)))?.news {
                News::Snapshot(all) => {
                    [all.failed, all.stopped, all.alive].iter().for_each(|it| self.note(it));
                }
                News::Changed(changes) => self.note(&changes),
                News::Closed => self.is_closed = true,
                News::Heartbeat { .. }
                | News::Trouble(_)
                | News::Escalated(_)
                | News::Recalled { .. }
                | News::Withdrawn(_)
                | News::Stopping { .. } => {}
            }
        }
        Ok(())
    }

    fn note(&mut self, changes: &[Change]) {
        for change in changes {
            if change.status.is_terminal() {
                for rank in change.ranks.iter() {
                    let (times, status) =
                        self.ended.entry(rank).or_insert_with(|| (0, change.status.clone()));
                    (*times, *status) = (*times + 1, change.status.clone());
                }
            } else if change.status.has_reached(Progress::Running) {
                self.running = self.running.union(&change.ranks);
            }
        }
    }

    /// N2
    fn check_once(&self) -> Result<(), ProcsBreach> {
        for rank in (0..self.size).map(Rank::new) {
            let times = self.ended.get(&rank).map_or(0, |(times, _)| *times);
            if times != 1 {
                return Err(ProcsBreach::Told { rank, of: self.of, times });
            }
        }
        Ok(())
    }

    /// H7, N9
    fn check_failed(&self, expected: &RankSet) -> Result<(), ProcsBreach> {
        let failed = self.ended.iter().filter(|(_, (_, status))| status.is_failure());
        let found: RankSet = failed.map(|(rank, _)| *rank).collect();
        if found == *expected {
            return Ok(());
        }
        Err(ProcsBreach::Failed { expected: expected.clone(), found })
    }
}
