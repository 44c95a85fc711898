//! `Posts`: what goes to other processes, each in a queue of its own.
//!
//! A machine never waits for a peer: two that waited for each other's room would wait for ever. So a queue has
//! no bound of its own. It holds no more than the windows of the casters that send by it, one answer for each
//! of their legs, and what is new of these; and it is dropped with the session, which every peer that does not
//! read loses.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{ActorId, MeshId, Message, PeerId, PortRef};
use mesh_runtime::{Actor, ActorRef, Context, Deputy, Handler, Network, Port, Sender};
use mesh_shape::{Rank, RankSet};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::message::{Down, GetSeats, Up, Word};
use super::table::Table;
use crate::wire::CastId;

/// How long it may take to find a process and to open a session with it.
const REACHED_WITHIN: Duration = Duration::from_secs(5);

/// One thing that is sent.
pub(super) enum Parcel {
    Leg(Way, Box<Down>),
    Answer(ActorId, Box<Up>),
    Word(Way, Word),
    /// The process does not know the table of a mesh, whatever it was told.
    TellAgain(MeshId),
}

/// The way to a relay.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) relay: ActorId,
    /// What it must know first, and who knows where it is.
    pub(super) table: Arc<Table>,
}

/// A leg could not be sent: there is no way to its process.
pub(super) struct NotSent {
    pub(super) cast: CastId,
    pub(super) leg: u64,
}

impl Message for NotSent {
    const NAME: &'static str = "meshwarden.CastLegNotSent";
    type Reply = ();
}

/// One queue for each process.
pub(super) struct Posts {
    posts: BTreeMap<PeerId, Post>,
}

struct Post {
    queue: mpsc::UnboundedSender<Parcel>,
    carrier: AbortHandle,
}

impl Drop for Post {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Posts {
    pub(super) const fn new() -> Self {
        Self { posts: BTreeMap::new() }
    }

    /// Sends something to a process, behind all that was sent there before.
    pub(super) fn send<A>(&mut self, to: PeerId, parcel: Parcel, cx: &Context<A>)
    where
        A: Handler<NotSent>,
    {
        let post = self.posts.entry(to).or_insert_with(|| {
            let (queue, parcels) = mpsc::unbounded_channel();
            let carrier =
                Carrier { me: cx.me().clone(), deputy: cx.deputy(), told: BTreeMap::new() };
            let carrier = cx.proc().runtime().spawn(carrier.run(parcels)).abort_handle();
            Post { queue, carrier }
        });
        // It ends with the queue.
        _ = post.queue.send(parcel).is_ok();
    }

    /// A process has forgotten the table of a mesh, as those do that hear nothing for long.
    pub(super) fn tell_again(&self, to: PeerId, mesh: MeshId) {
        if let Some(post) = self.posts.get(&to) {
            _ = post.queue.send(Parcel::TellAgain(mesh)).is_ok();
        }
    }

    /// The session with a process was lost. What was to be sent by it is not sent.
    pub(super) fn lose(&mut self, peer: PeerId) {
        self.posts.remove(&peer);
    }
}

/// Sends what is in one queue.
struct Carrier<A: Actor> {
    me: ActorRef<A>,
    deputy: Deputy,
    /// Which table of each mesh the process has been sent.
    told: BTreeMap<MeshId, u64>,
}

impl<A: Handler<NotSent>> Carrier<A> {
    async fn run(mut self, mut parcels: mpsc::UnboundedReceiver<Parcel>) {
        while let Some(parcel) = parcels.recv().await {
            let Err(refused) = self.carry(parcel).await else { continue };
            self.not_sent(refused).await;
            // There is no way for the others, either, and looking for one takes its time.
            while let Ok(parcel) = parcels.try_recv() {
                self.not_sent(parcel).await;
            }
        }
    }

    /// Sends a parcel; it comes back if there is no way.
    async fn carry(&mut self, parcel: Parcel) -> Result<(), Parcel> {
        let to = match &parcel {
            Parcel::Leg(way, _) | Parcel::Word(way, _) => {
                if !self.reach(way).await {
                    return Err(parcel);
                }
                self.tell(way).await;
                way.relay
            }
            Parcel::Answer(to, _) => *to,
            Parcel::TellAgain(mesh) => {
                self.told.remove(mesh);
                return Ok(());
            }
        };
        match parcel {
            Parcel::Leg(_, leg) => PortRef::of(to).cast(&self.deputy, *leg).await,
            Parcel::Answer(_, answer) => PortRef::of(to).cast(&self.deputy, *answer).await,
            Parcel::Word(_, word) => PortRef::of(to).cast(&self.deputy, word).await,
            Parcel::TellAgain(_) => (),
        }
        Ok(())
    }

    /// Sends the table, if it has not gone there yet.
    async fn tell(&mut self, Way { relay, table }: &Way) {
        if self.told.get(&table.mesh).is_none_or(|told| *told < table.version) {
            self.told.insert(table.mesh, table.version);
            PortRef::of(*relay).cast(&self.deputy, Table::clone(table)).await;
        }
    }

    /// Whether there is a way, or one could be opened.
    async fn reach(&mut self, way: &Way) -> bool {
        let proc = self.deputy.origin().proc().clone();
        if proc.has_way_to(way.relay) {
            return true;
        }
        // Another session knows nothing of what was told by one before it.
        self.told.clear();
        let peer = way.relay.peer();
        let Some(network) = Network::of(&proc).filter(|_| peer != proc.peer()) else {
            return false;
        };
        let size = way.table.seats.size();
        let at = (0..size).map(Rank::new).find(|rank| way.table.peer(*rank) == Some(peer));
        let ranks: RankSet = at.into_iter().collect();
        let found = async {
            let directory = PortRef::<GetSeats>::of(way.table.directory);
            let seats = directory.call(&proc, GetSeats { ranks }).await.ok()?;
            let doors = seats.into_iter().find(|(_, seat)| seat.peer == peer)?.1.doors?;
            network.dial(peer, &doors).await.ok()
        };
        matches!(timeout(REACHED_WITHIN, found).await, Ok(Some(())))
    }

    async fn not_sent(&self, parcel: Parcel) {
        if let Parcel::Leg(_, leg) = parcel {
            let word = NotSent { cast: leg.leg.cast, leg: leg.leg.id.number };
            // Whoever has ended waits for nothing.
            _ = self.me.cast(&self.deputy, word).await.is_ok();
        }
    }
}

impl fmt::Debug for Posts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.posts.keys()).finish()
    }
}
