//! `Table`: where the ranks of a mesh live, as it travels; and the plans that follow from it.

use std::sync::Arc;

use mesh_core::{ActorId, Incarnation, MeshId, PeerId, Plane};
use mesh_shape::{Overlay, Rank, Region, ValueMesh};
use serde::{Deserialize, Serialize};

use crate::members::{Member, Members};
use crate::plan::{FanOut, Plan};

/// How many plans of regions a process keeps for one mesh.
const PLANS: usize = 16;

/// How many ranks a mesh may have that is cast to by a tree. A table of one run says of any number where they are,
/// and each takes memory here.
const RANKS_MAX: usize = 1 << 20;

/// Where the ranks of a mesh of actors live: one on each process, so positions are ranks.
///
/// Run-coded: its size does not depend on how many ranks are alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Which mesh.
    pub mesh: MeshId,
    /// Higher than that of every table of the mesh before it.
    pub version: u64,
    /// How many processes each one sends to.
    pub fan_out: FanOut,
    /// The mesh of processes that the ranks live on.
    pub procs: MeshId,
    /// Which ranks of that, in the order of the ranks of the actors.
    pub region: Arc<Region>,
    /// One for each rank.
    pub seats: ValueMesh<Seat>,
    /// Who answers [`GetSeats`](super::GetSeats).
    pub directory: ActorId,
}

/// Where one rank lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Which life of its process.
    pub life: Incarnation,
    /// Which actor of the process relays, once that is known.
    pub relay: Option<u64>,
    /// Which actor of the process is the rank, if it is there.
    pub actor: Option<u64>,
    /// If there was another life of the process in tables before: which version was the first with this one; else 0.
    pub since: u64,
}

impl Table {
    /// The process of a rank.
    #[must_use]
    pub fn peer(&self, rank: Rank) -> Option<PeerId> {
        let (seat, base) = (self.seats.get(rank)?, self.region.base_rank(rank)?);
        Some(PeerId::of_rank(self.procs, base, seat.life))
    }

    /// The actor that a rank is.
    #[must_use]
    pub fn actor(&self, rank: Rank) -> Option<ActorId> {
        self.at(rank, self.seats.get(rank)?.actor?)
    }

    /// Who relays in the process of a rank.
    #[must_use]
    pub fn relay(&self, rank: Rank) -> Option<ActorId> {
        self.at(rank, self.seats.get(rank)?.relay?)
    }

    /// Whether what another table says may be so after what this one says: processes are started again, and the relay of
    /// each is known once and for all.
    pub(super) fn is_before(&self, later: &Self) -> bool {
        let is_same = (self.procs, &self.region, self.seats.size())
            == (later.procs, &later.region, later.seats.size());
        let may_follow = |(before, after): (&Seat, &Seat)| {
            let is_kept = before.relay.is_none() || after.relay == before.relay;
            after.life > before.life || (after.life == before.life && is_kept)
        };
        is_same && self.seats.iter().zip(later.seats.iter()).all(may_follow)
    }

    fn at(&self, rank: Rank, index: u64) -> Option<ActorId> {
        let PeerId { proc, life } = self.peer(rank)?;
        Some(ActorId { proc, life, index })
    }
}

/// A table, and the plans that were made of it.
#[derive(Debug)]
pub(super) struct Book {
    table: Arc<Table>,
    whole: Arc<Plan<PeerId>>,
    /// The newest last.
    slices: Vec<Arc<Plan<PeerId>>>,
}

impl Book {
    /// `None` if the table does not hold together.
    pub(super) fn new(table: Arc<Table>) -> Option<Self> {
        let size = table.seats.size();
        if size > RANKS_MAX {
            return None;
        }
        let member = |rank: usize| {
            let node = table.peer(Rank::new(rank))?;
            // Nobody says yet which processes share a host.
            Some(Member { node, host: 0, ranks: (rank..rank + 1).into() })
        };
        let mut members = Vec::with_capacity(size);
        for rank in 0..size {
            members.push(member(rank)?);
        }
        let members =
            Members::new(table.version, members).ok()?.with_successors(successors(&table));
        let whole = Arc::new(Plan::new(Arc::new(members), table.fan_out));
        Some(Self { table, whole, slices: Vec::new() })
    }

    pub(super) const fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub(super) const fn whole(&self) -> &Arc<Plan<PeerId>> {
        &self.whole
    }

    pub(super) fn members(&self) -> &Arc<Members<PeerId>> {
        self.whole.members()
    }

    /// Whether somebody may say what becomes of messages to an actor: the relays of a mesh may, of what lives in its
    /// processes. Not only of the ranks: there may be another table by now, with their successors. And whoever is in a later
    /// life of a process what its relay was, since the table that has that one may not be known here yet.
    pub(super) fn vouches(&self, from: ActorId, of: ActorId) -> bool {
        let may_say = self.has_relay(from) || self.succeeds_relay(from);
        may_say && of.plane() == Plane::User && self.is_home(of)
    }

    /// Processes begin alike in all their lives, and so do their relays.
    fn succeeds_relay(&self, actor: ActorId) -> bool {
        let is_before =
            |it: &ActorId| (it.proc, it.index) == (actor.proc, actor.index) && it.life < actor.life;
        self.relays().any(|it| is_before(&it))
    }

    /// Whether somebody relays for the mesh.
    pub(super) fn has_relay(&self, actor: ActorId) -> bool {
        self.relay(actor.peer()) == Some(actor)
    }

    /// Whether an actor lives, or has lived, in a process of the mesh.
    fn is_home(&self, actor: ActorId) -> bool {
        let peer = |rank: usize| self.table.peer(Rank::new(rank));
        let is_now = self.members().position(&actor.peer()).is_some();
        let mut peers = (0..self.members().len()).filter_map(peer);
        is_now || peers.any(|peer| peer.proc == actor.proc)
    }

    /// Whether a process of the mesh is over: a later life of it has begun.
    pub(super) fn is_over(&self, peer: PeerId) -> bool {
        if self.members().position(&peer).is_some() {
            return false;
        }
        let mut peers =
            (0..self.members().len()).filter_map(|rank| self.table.peer(Rank::new(rank)));
        peers.any(|it| it.proc == peer.proc && it.life > peer.life)
    }

    /// All who relay.
    pub(super) fn relays(&self) -> impl Iterator<Item = ActorId> {
        (0..self.table.seats.size()).filter_map(|rank| self.table.relay(Rank::new(rank)))
    }

    /// The same without the plans of regions.
    pub(super) fn bare(&self) -> Self {
        let (table, whole) = (Arc::clone(&self.table), Arc::clone(&self.whole));
        Self { table, whole, slices: Vec::new() }
    }

    /// The plan of a region; `None` if it is one of another mesh.
    pub(super) fn plan(&mut self, region: Option<&Arc<Region>>) -> Option<Arc<Plan<PeerId>>> {
        let Some(region) = region else { return Some(Arc::clone(&self.whole)) };
        if region.base().size() != self.table.seats.size() {
            return None;
        }
        let known = self.slices.iter().find(|plan| plan.region() == Some(region));
        if let Some(plan) = known {
            return Some(Arc::clone(plan));
        }
        let plan = Arc::new(self.whole.to(Arc::clone(region)));
        if self.slices.len() >= PLANS {
            self.slices.remove(0);
        }
        self.slices.push(Arc::clone(&plan));
        Some(plan)
    }

    /// Who relays in a process of the mesh.
    pub(super) fn relay(&self, peer: PeerId) -> Option<ActorId> {
        self.table.relay(Rank::new(self.members().position(&peer)?))
    }
}

/// Who has followed another life of its process, and since which version.
fn successors(table: &Table) -> Overlay<u64> {
    let mut successors = Overlay::new();
    let runs = table.seats.runs().filter(|(_, seat)| seat.since > 0);
    runs.for_each(|(run, seat)| successors.insert(run, seat.since));
    successors
}
