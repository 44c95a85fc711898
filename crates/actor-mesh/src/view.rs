//! What a ref knows of its mesh: where its ranks are, and what they are.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{
    ActorId, Change, Incarnation, Interest, MeshEvent, MeshId, MeshRequest, News, PeerId, Plane,
    PortRef, Progress, Status, Subscribe, Trouble,
};
use mesh_runtime::{Network, Port, Proc};
use mesh_shape::{Rank, RankSet, Region, ValueMesh};
use serde::{Deserialize, Serialize};
use supervise::{Clock, MeshEvents};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::wire::{GetMembers, GetSeats, Member, Members};

/// How many events of a mesh may wait here; a slower reader gets a snapshot (N7).
const EVENTS: usize = 256;

/// When it is tried again to reach the controller of a mesh.
const AGAIN: Duration = Duration::from_millis(100);

/// What a process knows of a mesh, kept up to date by a task on its control plane for as long as a ref there
/// uses it.
#[derive(Debug)]
pub(crate) struct View {
    table: watch::Receiver<Table>,
    follower: AbortHandle,
}

/// Who knows a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Homes {
    /// What its ranks are.
    pub(crate) controller: PortRef<MeshRequest>,
    /// Where they are.
    pub(crate) keeper: PortRef<GetMembers>,
}

/// What is known of a mesh.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// `None` until the controller has answered.
    pub(crate) known: Option<Known>,
    /// The controller is silent, or has ended (N10).
    pub(crate) is_lost: bool,
}

/// What is known of the ranks of a mesh.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The mesh of processes that the ranks live on, and which ranks of it; `None` until it was asked.
    procs: Option<(MeshId, Arc<Region>)>,
    ranks: ValueMesh<Seen>,
}

/// What is known of one rank.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    incarnation: Incarnation,
    pub(crate) status: Status,
    /// Where it is, once that is known of this life.
    member: Option<Member>,
}

impl Drop for View {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl View {
    /// Begins to follow a mesh of so many ranks.
    pub(crate) fn open(proc: &Proc, size: usize, homes: Homes) -> Self {
        let (tell, table) = watch::channel(Table { known: None, is_lost: false });
        let proc = proc.on(Plane::Control);
        let runtime = proc.runtime().clone();
        let follower = runtime.spawn(Follower { proc, size, homes, tell }.run()).abort_handle();
        Self { table, follower }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Table> {
        self.table.clone()
    }
}

impl Known {
    pub(crate) fn seen(&self, rank: Rank) -> Option<&Seen> {
        self.ranks.get(rank)
    }

    /// The actor of a rank, in the life that is known.
    pub(crate) fn actor(&self, rank: Rank) -> Option<ActorId> {
        let seen = self.ranks.get(rank)?;
        let member = seen.member.filter(|member| member.incarnation == seen.incarnation)?;
        let (procs, region) = self.procs.as_ref()?;
        let base = region.base_rank(rank)?;
        let PeerId { proc, life } = PeerId::of_rank(*procs, base, member.life);
        Some(ActorId { proc, life, index: member.index })
    }

    /// Which rank an actor is, or was in the life that is known.
    pub(crate) fn rank_of(&self, actor: ActorId) -> Option<Rank> {
        (0..self.ranks.size()).map(Rank::new).find(|rank| self.actor(*rank) == Some(actor))
    }

    /// Whether where a rank is that runs must be asked.
    fn is_incomplete(&self) -> bool {
        self.ranks.runs().any(|(_, seen)| {
            let is_here = seen.member.is_some_and(|member| member.incarnation == seen.incarnation);
            seen.status.has_reached(Progress::Running) && !seen.status.is_terminal() && !is_here
        })
    }

    fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            for rank in change.ranks.iter() {
                let Some(seen) = self.ranks.get(rank) else { continue };
                if seen.incarnation > change.incarnation {
                    continue;
                }
                let (incarnation, status) = (change.incarnation, change.status.clone());
                let seen = Seen { incarnation, status, member: seen.member };
                // It is there: it was found.
                _ = self.ranks.set(rank, seen).is_ok();
            }
        }
    }

    fn learn(&mut self, members: &Members) {
        self.procs = Some((members.procs, Arc::clone(&members.region)));
        let ranks = self.ranks.zip(&members.ranks, |seen, member| Seen {
            incarnation: seen.incarnation,
            status: seen.status.clone(),
            member: *member,
        });
        if let Ok(ranks) = ranks {
            self.ranks = ranks;
        }
    }
}

/// Keeps a [`Table`] up to date.
struct Follower {
    /// The control plane of the process.
    proc: Proc,
    size: usize,
    homes: Homes,
    tell: watch::Sender<Table>,
}

impl Follower {
    async fn run(self) {
        loop {
            if let Some(()) = self.follow().await {
                return;
            }
            self.tell.send_modify(|table| table.is_lost = true);
            sleep(AGAIN).await;
        }
    }

    /// Follows the mesh to its end; `None` if its controller cannot be reached, or not any more.
    async fn follow(&self) -> Option<()> {
        let port = self.proc.open_port::<MeshEvent>(EVENTS);
        let subscribe = Subscribe { to: port.port(), interest: Interest::All, region: None };
        let door = PortRef::<Subscribe>::of(self.homes.controller.actor());
        door.call(&self.proc, subscribe).await.ok()?.ok()?;
        let mut events = MeshEvents::of_port(port, Clock::start());
        let roll = self.homes.keeper;
        while let Some(event) = events.next().await {
            let is_closed = event.news == News::Closed;
            let is_lost = event.news == News::Trouble(Trouble::ControllerLost);
            // Where ranks are is asked before it is told that they run: whoever sees that can reach them.
            let mut known = self.after(&event.news);
            if known.is_incomplete() {
                let members = roll.call(&self.proc, GetMembers).await.ok()?;
                self.reach(&known, &members).await;
                known.learn(&members);
            }
            self.tell.send_replace(Table { known: Some(known), is_lost });
            if is_closed {
                return Some(());
            }
        }
        None
    }

    /// What is known after some news.
    fn after(&self, news: &News) -> Known {
        let before = self.tell.borrow().known.clone();
        let mut known = before.unwrap_or_else(|| {
            let (incarnation, status) = (Incarnation::FIRST, Status::Initializing);
            let unknown = Seen { incarnation, status, member: None };
            Known { procs: None, ranks: ValueMesh::uniform(self.size, unknown) }
        });
        match news {
            News::Snapshot(all) => {
                [&all.failed, &all.stopped, &all.alive].into_iter().for_each(|it| known.apply(it));
            }
            News::Changed(changes) => known.apply(changes),
            News::Heartbeat { .. }
            | News::Trouble(_)
            | News::Escalated(_)
            | News::Stopping
            | News::Closed => (),
        }
        known
    }

    /// Opens sessions with the processes that there is no way to yet.
    async fn reach(&self, known: &Known, members: &Members) {
        let Some(network) = Network::of(&self.proc) else { return };
        let mut learned = known.clone();
        learned.learn(members);
        let without_way = (0..self.size)
            .map(Rank::new)
            .filter(|rank| learned.actor(*rank).is_some_and(|actor| !self.proc.has_way_to(actor)));
        let ranks: RankSet = without_way.collect();
        if ranks.is_empty() {
            return;
        }
        let seats = PortRef::<GetSeats>::of(self.homes.keeper.actor());
        let Ok(seats) = seats.call(&self.proc, GetSeats { ranks }).await else { return };
        for (rank, seat) in seats {
            let Some(doors) = seat.doors else { continue };
            if let Err(error) = network.dial(seat.peer, &doors).await {
                // A call to it says so, or its controller does.
                tracing::debug!(%rank, %error, "a rank cannot be reached from here");
            }
        }
    }
}
