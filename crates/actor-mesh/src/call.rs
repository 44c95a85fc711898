//! Casting to many and calling many: one message, one answer for each rank, and nothing that hangs.

use std::sync::Arc;
use std::time::Duration;

use mesh_cast::shell::CasterRef;
use mesh_core::{ActorId, Incarnation, Progress};
use mesh_runtime::{Deputy, Sender};
use mesh_shape::{Rank, RankSet, Region};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

mod asking;
mod calling;
mod casting;
mod down;
mod gathering;
mod letters;
mod not_sent;
mod pauses;
mod reducing;

pub use calling::{MeshCall, MeshReplies};
pub use casting::MeshCast;
pub(crate) use letters::Content;
pub use not_sent::{NotSent, Unsent};
pub use reducing::{Incomplete, MeshReduce, Reduced};

use crate::no_controller::NoController;
use crate::rank_error::{Ended, RankError};
use crate::view::{Known, Pair, Place, Roster, Seated, Table, View, Way};
use crate::ways::Seats;

/// Who sends, and to whom.
pub(crate) struct Target {
    pub(crate) from: Deputy,
    pub(crate) view: Arc<View>,
    pub(crate) region: Arc<Region>,
    /// Of the region only this rank.
    pub(crate) only: Option<Rank>,
    /// Who casts down the tree, if the mesh is large enough for one.
    pub(crate) caster: Option<Arc<CasterRef>>,
}

impl Target {
    /// The ranks of the target, and those of the mesh that they are.
    pub(crate) fn ranks(&self) -> impl Iterator<Item = (Rank, Rank)> {
        let all = self.region.iter().enumerate().map(|(index, base)| (Rank::new(index), base));
        let only = self.only.map(|rank| self.region.base_rank(rank).map(|base| (rank, base)));
        let one = only.into_iter().flatten();
        all.filter(|_| self.only.is_none()).chain(one)
    }

    /// How long to wait if nothing else is said.
    pub(crate) fn call_within(&self) -> Duration {
        self.from.origin().proc().call_within()
    }

    /// What is random in the process that sends.
    pub(crate) fn draw(&self) -> u64 {
        self.from.origin().proc().draw()
    }

    /// Who sends, and to whom, if that is known.
    fn pair(&self, to: Option<&Seated>) -> Pair {
        (self.from.origin().actor(), to.map(|to| to.actor))
    }

    /// What is known of the mesh, as [`View::known`] says, for a cast; and its place, if it had to wait, which it keeps until it
    /// has begun with each rank.
    async fn known_in_line(
        &self,
        table: &mut watch::Receiver<Table>,
        until: Instant,
    ) -> (Option<Arc<Known>>, Option<Place>) {
        let (lines, pair) = (&self.view.lines, self.pair(None));
        if !lines.has(pair)
            && let Some(known) = table.borrow().now()
        {
            return (Some(known), None);
        }
        let mut place = lines.stand(pair, until);
        place.first().await;
        (self.view.known(table).await, Some(place))
    }

    /// Why nothing was sent to any rank: nobody says where they are, or all the time went by in a line.
    fn unsent(&self, table: &watch::Receiver<Table>, within: Duration) -> RankError {
        let table = table.borrow();
        match (table.now(), &table.refusal) {
            (Some(_), _) => RankError::NoTurn { within },
            (None, Some(why)) => RankError::Refused(why.clone()),
            (None, None) => RankError::NoController(self.view.no_controller(&table, within)),
        }
    }

    /// How many of its ranks are meant.
    fn n_ranks(&self) -> usize {
        if self.only.is_some() { 1 } else { self.size() }
    }

    /// How many ranks the region has.
    fn size(&self) -> usize {
        self.region.size()
    }
}

/// When so much time has passed; what is past the end of time is a year away.
pub(crate) fn deadline_after(within: Duration) -> Instant {
    Instant::now() + within.min(Duration::from_secs(365 * 24 * 60 * 60))
}

/// Where a rank is, in which life, or why nothing can be sent there.
pub(crate) fn find(known: &Known, base: Rank) -> Result<(ActorId, Incarnation), RankError> {
    let Some(seen) = known.seen(base) else {
        return Err(RankError::NoController(NoController::Ended));
    };
    if let Some(ended) = Ended::of(&seen.status) {
        return Err(RankError::Ended(ended));
    }
    let actor = known.actor(base).filter(|_| {
        // One that is silent, or suspended, may still answer.
        seen.status.progress().is_none_or(|progress| progress >= Progress::Running)
    });
    let actor = actor.ok_or_else(|| RankError::NotRunning(seen.status.clone()))?;
    Ok((actor, seen.incarnation()))
}

/// Waits for news of a mesh, and for no longer than this; also where there will be none any more. Whether there are some.
pub(crate) async fn news(table: &mut watch::Receiver<Table>, within: Duration) -> bool {
    let news = async {
        if table.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    timeout(within, news).await.is_ok()
}

/// A rank that something can be sent to.
#[derive(Clone, Copy)]
struct Found<'a> {
    rank: Rank,
    base: Rank,
    seated: &'a Seated,
}

/// Whom to send to by a session, with what opens the way there if there is none.
struct Opening {
    base: Rank,
    actor: ActorId,
    seats: Option<Seats>,
}

impl Opening {
    fn new(to: Found<'_>, way: Way<'_>, seats: Option<&Seats>) -> Self {
        let seats = seats.filter(|_| matches!(way, Way::Missing)).cloned();
        Self { base: to.base, actor: to.seated.actor, seats }
    }
}

impl Target {
    /// The ranks that something can be sent to, in their order, and why not to the others.
    fn find<'a>(&self, roster: &'a Roster) -> (Vec<Found<'a>>, Vec<(Rank, RankError)>) {
        let (mut found, mut missing) = (Vec::with_capacity(self.n_ranks()), Vec::new());
        for (rank, base) in self.ranks() {
            match roster.find(base) {
                Ok(seated) => found.push(Found { rank, base, seated }),
                Err(error) => missing.push((rank, error.clone())),
            }
        }
        (found, missing)
    }

    /// How each of them is reached directly, and where those are to whom there is no way.
    fn ways<'a>(&self, found: &[Found<'a>]) -> (Vec<Way<'a>>, Option<Seats>) {
        let waited_for = self.view.lines.to(self.from.origin().actor());
        let way = |it: &Found<'a>| match it.seated.way(&self.view.ways) {
            Way::Near(_) if waited_for.binary_search(&it.seated.actor).is_ok() => Way::Behind,
            way => way,
        };
        let ways: Vec<_> = found.iter().map(way).collect();
        let is_missing =
            |(it, way): (&Found<'_>, &Way<'_>)| matches!(way, Way::Missing).then_some(it.base);
        let missing: RankSet = found.iter().zip(&ways).filter_map(is_missing).collect();
        let seats = (!missing.is_empty()).then(|| self.view.ways.seats(missing));
        (ways, seats)
    }

    /// Opens the way to one of them, if there is none.
    async fn open(&self, Opening { base, actor, seats }: &Opening) {
        if let Some(seats) = seats {
            self.view.ways.open(*base, *actor, seats.clone()).await;
        }
    }
}
