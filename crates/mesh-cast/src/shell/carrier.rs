//! `Carrier`: sends what is in the queue of one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mesh_core::{ActorId, MeshId, Message, PortRef};
use mesh_runtime::{Actor, ActorRef, Broadcast, Deputy, Handler, Network, Port, Proc};
use mesh_shape::{Rank, RankSet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::message::{Back, Down, Forgot, GetSeats, LegName, Word};
use super::pieces::{PIECE_BYTES, Piece, QueueId};
use super::posts::{NotSent, Parcel, Posted, Way};
use super::table::Table;
use crate::wire::Leg;

/// How long it may take to find a process and to open a session with it.
const REACHED_WITHIN: Duration = Duration::from_secs(5);

/// Sends what is in one queue.
pub(super) struct Carrier<A: Actor> {
    me: ActorRef<A>,
    deputy: Deputy,
    queue: QueueId,
    /// Which table of each mesh the process has been sent.
    told: BTreeMap<MeshId, u64>,
}

impl<A: Handler<NotSent>> Carrier<A> {
    pub(super) const fn new(me: ActorRef<A>, deputy: Deputy, queue: QueueId) -> Self {
        Self { me, deputy, queue, told: BTreeMap::new() }
    }

    /// Until the queue is dropped, or all is sent that answers, once it `is_lost`.
    pub(super) async fn run(
        mut self,
        mut parcels: mpsc::UnboundedReceiver<Posted>,
        is_lost: Arc<AtomicBool>,
    ) {
        let is_wanted = |parcel: &Parcel| parcel.is_answer() || !is_lost.load(Ordering::Acquire);
        while let Some(Posted { parcel, _busy }) = parcels.recv().await {
            if !is_wanted(&parcel) {
                continue;
            }
            let Err(refused) = self.carry(parcel).await else { continue };
            // For what has come meanwhile and needs the same way there is none, either, and looking for one takes
            // its time. An answer goes by the session of whoever waits for it, if there is one.
            let n_queued = parcels.len();
            self.not_sent(refused).await;
            for _ in 0..n_queued {
                let Ok(Posted { parcel, _busy }) = parcels.try_recv() else { break };
                if !is_wanted(&parcel) {
                    continue;
                }
                let is_away = parcel.way().is_some_and(|way| !self.proc().has_way_to(way.relay));
                let carried = if is_away { Err(parcel) } else { self.carry(parcel).await };
                if let Err(refused) = carried {
                    self.not_sent(refused).await;
                }
            }
        }
    }

    fn proc(&self) -> &Proc {
        self.me.proc()
    }

    /// Sends a parcel; it comes back if there is no way.
    async fn carry(&mut self, parcel: Parcel) -> Result<(), Parcel> {
        if let Some(way) = parcel.way() {
            if !self.reach(way).await {
                return Err(parcel);
            }
            let way = way.clone();
            self.tell_table(&way).await;
        }
        match parcel {
            Parcel::Legs(way, legs) => {
                let names: Vec<LegName> = legs.iter().map(Leg::name).collect();
                let from = self.me.id();
                if !self.send(way.relay, Down { from, legs }, &names).await {
                    self.tell(NotSent::Legs(names)).await;
                }
            }
            Parcel::Answer(to, answer) => {
                let legs = answer.legs();
                _ = self.send(to, *answer, &legs).await;
            }
            Parcel::Word(way, word) => {
                let from = self.me.id();
                _ = self.send(way.relay, Word { from, settlement: *word }, &[]).await;
            }
            Parcel::Forgot(to, mesh) => {
                _ = self.send(to, Forgot { mesh }, &[]).await;
            }
            Parcel::Back(to, None, back) if !self.proc().has_way_to(to) => {
                return Err(Parcel::Back(to, None, back));
            }
            Parcel::Back(to, way, back) => {
                if !self.send(to, Back::clone(&back), &[]).await {
                    return Err(Parcel::Back(to, way, back));
                }
            }
            // Where there is no way, whoever has passed it on has lost us, and passes it on again.
            Parcel::BackIsOver(to, over) => {
                if self.proc().has_way_to(to) {
                    _ = self.send(to, over, &[]).await;
                }
            }
            Parcel::TellAgain(mesh) => _ = self.told.remove(&mesh),
        }
        Ok(())
    }

    /// Sends a message, in pieces if it is larger than one; `false` if it is too large.
    async fn send<M>(&self, to: ActorId, message: M, legs: &[LegName]) -> bool
    where
        M: Message<Reply = ()> + Clone + Serialize + DeserializeOwned + Sync,
    {
        if to.peer() == self.proc().peer() {
            PortRef::of(to).cast(&self.deputy, message).await;
            return true;
        }
        let message = Broadcast::new(message);
        let Some(whole) = message.bytes().filter(|bytes| bytes.len() > PIECE_BYTES) else {
            message.cast(&self.deputy, PortRef::of(to)).await;
            return true;
        };
        let of = (self.me.id(), self.queue, PortRef::<M>::of(to).port());
        let Some(pieces) = Piece::cut(of, legs, &whole) else {
            // Messages of programs have bounds. Left is the table of a mesh without any order in it.
            tracing::error!(name = M::NAME, bytes = whole.len(), "a message is too large");
            return false;
        };
        for piece in pieces {
            PortRef::of(to).cast(&self.deputy, piece).await;
        }
        true
    }

    /// Sends the table, if it has not gone there yet.
    async fn tell_table(&mut self, Way { relay, table }: &Way) {
        if self.told.get(&table.mesh).is_none_or(|told| *told < table.version) {
            self.told.insert(table.mesh, table.version);
            _ = self.send(*relay, Table::clone(table), &[]).await;
        }
    }

    /// Whether there is a way, or one could be opened.
    async fn reach(&mut self, way: &Way) -> bool {
        let proc = self.proc().clone();
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
        let word = match parcel {
            Parcel::Legs(_, legs) => NotSent::Legs(legs.iter().map(Leg::name).collect()),
            Parcel::Word(_, word) => NotSent::Word(word),
            Parcel::Back(to, _, back) => NotSent::Back(to, back.number),
            Parcel::Answer(..)
            | Parcel::Forgot(..)
            | Parcel::BackIsOver(..)
            | Parcel::TellAgain(_) => return,
        };
        self.tell(word).await;
    }

    async fn tell(&self, word: NotSent) {
        // Whoever has ended waits for nothing.
        _ = self.me.cast(&self.deputy, word).await.is_ok();
    }
}
