//! The ways from a process to the ranks of a mesh: opened when something is to be sent there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use mesh_core::{ActorId, Doors, PeerId, ProcSeat};
use mesh_runtime::{Network, Proc, WayTo};
use mesh_shape::{Rank, RankSet};
use tokio::time::timeout;

use crate::members;

/// Opens sessions with the processes of a mesh that there is no way to, or not any more. Those that nothing is
/// sent to are left alone, and one that takes no session holds up only what is sent there.
pub(crate) struct Ways {
    /// The control plane of the process.
    proc: Proc,
    /// Who knows where the processes are.
    keeper: ActorId,
    /// Those that are being opened, each once, however many wait for it.
    dials: Mutex<BTreeMap<PeerId, Dial>>,
    /// A process whose session had ended has another one.
    has_met_again: AtomicBool,
}

type Dial = Shared<BoxFuture<'static, ()>>;

/// Where the processes of some ranks are: asked once, by whoever waits first.
pub(crate) type Seats = Shared<BoxFuture<'static, Arc<[(Rank, ProcSeat)]>>>;

impl Ways {
    pub(crate) const fn new(proc: Proc, keeper: ActorId) -> Self {
        let dials = Mutex::new(BTreeMap::new());
        Self { proc, keeper, dials, has_met_again: AtomicBool::new(false) }
    }

    /// The way to an actor. To one of this process there is always one: whether it is there shows when it is sent
    /// something.
    pub(crate) fn to(&self, actor: ActorId) -> WayTo {
        match actor.peer() == self.proc.peer() {
            true => WayTo::Open,
            false => self.proc.way_to(actor),
        }
    }

    /// The way to who knows where the processes are, which is in the process of the controller, too.
    pub(crate) fn to_keeper(&self) -> WayTo {
        self.to(self.keeper)
    }

    /// Whether there is no way to it, and none may be there in a moment.
    pub(crate) fn is_apart(&self) -> bool {
        let peer = self.keeper.peer();
        let may_meet = || Network::of(&self.proc).is_some_and(|network| network.may_meet(peer));
        matches!(self.to_keeper(), WayTo::Missing) && !may_meet()
    }

    /// A process has another session than is known of it.
    pub(crate) fn met_again(&self) {
        self.has_met_again.store(true, Ordering::Relaxed);
    }

    /// Whether one has since this was asked last.
    pub(crate) fn take_met_again(&self) -> bool {
        self.has_met_again.load(Ordering::Relaxed)
            && self.has_met_again.swap(false, Ordering::Relaxed)
    }

    /// Where the processes of these ranks are.
    pub(crate) fn seats(&self, ranks: RankSet) -> Seats {
        members::seats(self.proc.clone(), self.keeper, ranks).boxed().shared()
    }

    /// Opens the way to an actor, if its process is in its seat and takes a session in time. If not, whatever
    /// is sent there comes back.
    pub(crate) async fn open(&self, rank: Rank, actor: ActorId, seats: Seats) {
        let seats = seats.await;
        let found = seats.binary_search_by_key(&rank, |(rank, _)| *rank).ok();
        let seat = found.and_then(|index| seats.get(index)).map(|(_, seat)| seat);
        let Some(seat) = seat.filter(|seat| seat.peer == actor.peer()) else { return };
        if let Some(dial) = seat.doors.as_ref().and_then(|doors| self.dial(seat.peer, doors)) {
            _ = timeout(self.proc.call_within(), dial).await.is_ok();
        }
    }

    fn dial(&self, peer: PeerId, doors: &Doors) -> Option<Dial> {
        let network = Network::of(&self.proc)?;
        let mut dials = self.dials();
        // One that nobody waits for any more has not been looked at since: what it says is old.
        dials.retain(|_, dial| {
            dial.peek().is_none() && dial.strong_count().is_some_and(|waiting| waiting > 1)
        });
        let dial = dials.entry(peer).or_insert_with(|| {
            let doors = doors.clone();
            let work = async move {
                if let Err(error) = network.dial(peer, &doors).await {
                    tracing::debug!(%peer, %error, "a rank cannot be reached from here");
                }
            };
            work.boxed().shared()
        });
        Some(dial.clone())
    }

    fn dials(&self) -> MutexGuard<'_, BTreeMap<PeerId, Dial>> {
        self.dials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ways").field("proc", &self.proc).finish_non_exhaustive()
    }
}
