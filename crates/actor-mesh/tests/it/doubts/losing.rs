//! `Losing`: a transport whose session is lost with an order to spawn.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use mesh_core::{
    Addr, Body, Credit, DialError, Envelope, Head, Identity, Inbound, Lane, ListenError, Lost,
    Outbound, PeerId, PortId, ProcId, Returned, Transport,
};
use mesh_runtime::LocalTransport;
use tokio::sync::watch;

/// What becomes of an order whose session is lost. It comes back in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    Vanishes,
}

/// What there is to say of the sessions of a transport.
#[derive(Default)]
pub(super) struct Session {
    armed: Mutex<Option<Fate>>,
    /// What comes back.
    back: Mutex<Vec<Envelope>>,
    lost: watch::Sender<bool>,
    /// How many orders to spawn were sent since it was armed.
    n_spawns: AtomicU64,
    /// Orders to end arrive nowhere, and do not come back either.
    swallows_ends: AtomicBool,
    swallowed: watch::Sender<bool>,
}

impl Session {
    pub(super) fn lose_with_the_next_spawn(&self, fate: Fate) {
        self.n_spawns.store(0, Ordering::Relaxed);
        *lock(&self.armed) = Some(fate);
    }

    pub(super) async fn is_lost(&self) {
        self.lost.subscribe().wait_for(|is_lost| *is_lost).await.expect("it is kept");
    }

    /// From now on orders to end are on their way for ever, as to a process that hangs.
    pub(super) fn swallow_ends(&self) {
        self.swallows_ends.store(true, Ordering::Relaxed);
    }

    pub(super) async fn has_swallowed(&self) {
        self.swallowed.subscribe().wait_for(|has_one| *has_one).await.expect("it is kept");
    }

    fn swallows(&self, envelope: &Envelope) -> bool {
        let swallows =
            self.swallows_ends.load(Ordering::Relaxed) && is_for(envelope, "meshwarden.EndActor");
        if swallows {
            self.swallowed.send_replace(true);
        }
        swallows
    }

    pub(super) fn n_spawns(&self) -> u64 {
        self.n_spawns.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_for(envelope: &Envelope, name: &'static str) -> bool {
    matches!(&envelope.head, Head::Cast { port, .. } if *port == PortId::named(name))
}

/// A transport that dials.
pub(super) struct Losing {
    inner: Arc<LocalTransport>,
    session: Arc<Session>,
}

impl Losing {
    pub(super) fn new(inner: LocalTransport, session: Arc<Session>) -> Self {
        Self { inner: Arc::new(inner), session }
    }
}

#[async_trait]
impl Transport for Losing {
    async fn listen(
        &self,
        at: &Addr,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Addr, ListenError> {
        self.inner.listen(at, lane, into).await
    }

    async fn dial(
        &self,
        to: &Addr,
        peer: ProcId,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Arc<dyn Outbound>, DialError> {
        let session = Arc::clone(&self.session);
        let into = Arc::new(In { inner: into, session: Arc::clone(&session) });
        let inner = self.inner.dial(to, peer, lane, into).await?;
        Ok(Arc::new(Out { inner, board: Arc::clone(&self.inner), session }))
    }
}

struct In {
    inner: Arc<dyn Inbound>,
    session: Arc<Session>,
}

impl Inbound for In {
    fn identity(&self) -> Identity {
        self.inner.identity()
    }

    fn joined(&self, lane: Lane, back: Arc<dyn Outbound>) {
        self.inner.joined(lane, back);
    }

    fn deliver(&self, from: PeerId, envelope: Envelope, credit: Credit) {
        self.inner.deliver(from, envelope, credit);
    }

    fn lost(&self, peer: PeerId, lane: Lane, why: Lost, mut back: Vec<Envelope>) {
        if lane == Lane::Control {
            back.append(&mut lock(&self.session.back));
            self.session.lost.send_replace(true);
        }
        self.inner.lost(peer, lane, why, back);
    }
}

struct Out {
    inner: Arc<dyn Outbound>,
    board: Arc<LocalTransport>,
    session: Arc<Session>,
}

impl Out {
    /// What becomes of it, if it is the order to be lost.
    fn fate(&self, envelope: &Envelope) -> Option<Fate> {
        if !is_for(envelope, "meshwarden.SpawnActor") {
            return None;
        }
        self.session.n_spawns.fetch_add(1, Ordering::Relaxed);
        lock(&self.session.armed).take()
    }
}

impl Outbound for Out {
    fn peer(&self) -> PeerId {
        self.inner.peer()
    }

    fn is_open(&self) -> bool {
        self.inner.is_open()
    }

    fn close(&self) {
        self.inner.close();
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let Some(sent) = envelope else { return self.inner.poll_send(cx, envelope) };
        if self.session.swallows(sent) {
            drop(envelope.take());
            return Poll::Ready(Ok(()));
        }
        let Some(fate) = self.fate(sent) else { return self.inner.poll_send(cx, envelope) };
        let bytes = sent.body.bytes().expect("it can be encoded");
        let copy = Envelope { head: sent.head.clone(), body: Body::Bytes(bytes) };
        lock(&self.session.back).push(copy);
        let (board, peer) = (Arc::clone(&self.board), self.peer().proc);
        drop(tokio::spawn(async move { board.cut(peer) }));
        match fate {
            Fate::Arrives => self.inner.poll_send(cx, envelope),
            Fate::Vanishes => {
                drop(envelope.take());
                Poll::Ready(Ok(()))
            }
        }
    }
}
