//! Where the actors of a mesh of processes can be reached.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_core::{
    Change, DialError, Incarnation, MeshLabel, MeshRequest, News, PeerId, PortRef, ProcSeat, Procs,
};
use mesh_runtime::Network;
use mesh_shape::{Rank, Region, ShapeError};
use supervise::MeshEvents;
use tokio::time::sleep;

/// How long after its end the sessions with a process are kept: what it had sent is still to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The seats of all processes of a mesh, and the sessions with them.
pub(crate) struct Roster {
    label: MeshLabel,
    network: Network,
    /// The newest life of each rank that has been ready.
    seats: Mutex<BTreeMap<Rank, Met>>,
}

#[derive(Clone, Debug)]
struct Met {
    incarnation: Incarnation,
    seat: ProcSeat,
    /// Its end was told.
    is_over: bool,
    /// Its sessions are being opened again.
    is_dialled: bool,
}

impl Roster {
    pub(crate) fn new(label: MeshLabel, network: Network) -> Self {
        Self { label, network, seats: Mutex::default() }
    }

    pub(crate) const fn network(&self) -> &Network {
        &self.network
    }

    /// A worker is ready for actors: opens the sessions with it.
    pub(crate) async fn meet(
        &self,
        rank: Rank,
        incarnation: Incarnation,
        seat: ProcSeat,
    ) -> Result<(), DialError> {
        if let Some(doors) = &seat.doors {
            self.network.dial(seat.peer, doors).await?;
        }
        let mut seats = self.seats();
        if seats.get(&rank).is_none_or(|met| met.incarnation < incarnation) {
            seats.insert(rank, Met { incarnation, seat, is_over: false, is_dialled: false });
        }
        Ok(())
    }

    /// Ends the sessions with processes that have ended, until the last has, and opens those again that were
    /// lost with one that has not: one that was suspended for longer than a session lives goes on.
    pub(crate) async fn follow(self: Arc<Self>, mut events: MeshEvents) {
        while let Some(event) = events.next().await {
            let ended: Vec<PeerId> = match &event.news {
                News::Changed(changes) => self.ended(changes),
                News::Snapshot(all) => [self.ended(&all.failed), self.ended(&all.stopped)].concat(),
                News::Heartbeat { .. }
                | News::Trouble(_)
                | News::Escalated(_)
                | News::Recalled { .. }
                | News::Withdrawn(_)
                | News::Stopping { .. }
                | News::Closed => Vec::new(),
            };
            self.meet_again();
            if !ended.is_empty() {
                let network = self.network.clone();
                drop(tokio::spawn(async move {
                    sleep(LAST_WORDS).await;
                    ended.into_iter().for_each(|peer| network.hang_up(peer));
                }));
            }
        }
    }

    /// Opens the sessions again that were lost.
    fn meet_again(self: &Arc<Self>) {
        for (rank, met) in self.seats().iter_mut() {
            if met.is_over || met.is_dialled || self.network.is_open(met.seat.peer) {
                continue;
            }
            let Some(doors) = met.seat.doors.clone() else { continue };
            met.is_dialled = true;
            let (roster, rank, peer) = (Arc::clone(self), *rank, met.seat.peer);
            drop(tokio::spawn(async move {
                if let Err(error) = roster.network.dial(peer, &doors).await {
                    tracing::debug!(%rank, %error, "a process still takes no session");
                }
                let mut seats = roster.seats();
                let is_over = seats.get_mut(&rank).is_none_or(|met| {
                    met.is_dialled &= met.seat.peer != peer;
                    met.is_over || met.seat.peer != peer
                });
                drop(seats);
                if is_over {
                    roster.network.hang_up(peer);
                }
            }));
        }
    }

    /// The processes whose end is told, also where the next life of one has been met by now.
    fn ended(&self, changes: &[Change]) -> Vec<PeerId> {
        let mut seats = self.seats();
        let mut ended = Vec::new();
        for change in changes.iter().filter(|change| change.status.is_terminal()) {
            for rank in change.ranks.iter() {
                let Some(met) = seats.get_mut(&rank) else { continue };
                met.is_over |= met.incarnation <= change.incarnation;
                ended.push(PeerId { life: change.incarnation, ..met.seat.peer });
            }
        }
        ended
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<Rank, Met>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").field("mesh", &self.label).finish_non_exhaustive()
    }
}

/// A mesh of processes as meshes of actors see it, or a slice of it.
#[derive(Clone, Debug)]
pub(crate) struct Homes {
    pub(crate) roster: Arc<Roster>,
    pub(crate) region: Arc<Region>,
    pub(crate) home: PortRef<MeshRequest>,
    pub(crate) lease: Duration,
}

impl Procs for Homes {
    fn label(&self) -> &MeshLabel {
        &self.roster.label
    }

    fn region(&self) -> &Arc<Region> {
        &self.region
    }

    fn seat(&self, rank: Rank) -> Option<ProcSeat> {
        let base = self.region.base_rank(rank)?;
        self.roster.seats().get(&base).map(|met| met.seat.clone())
    }

    fn home(&self) -> PortRef<MeshRequest> {
        self.home
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    fn slice(&self, to: &Region) -> Result<Arc<dyn Procs>, ShapeError> {
        if !to.is_subset(&self.region) {
            return Err(ShapeError::NotSubset);
        }
        Ok(Arc::new(Self { region: Arc::new(to.clone()), ..self.clone() }))
    }
}
