//! One session with what surrounds it: who sends, who receives, and which connection carries it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::Waker;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use mesh_core::{Arrival, Envelope, Inbound, Lane, Lost, PeerId};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::chunks::Chunks;
use crate::freed::Freed;
use crate::handshake::SessionId;
use crate::metrics::SessionMetrics;
use crate::parked::{Parked, Writer};
use crate::round_trip::RoundTrip;
use crate::session::{Session, Violation};
use crate::wire::{Ack, put_close, put_ping};

use self::batch::Sending;

pub(crate) use self::receiving::Asked;

mod batch;
mod receiving;
mod sending;

/// One session. It lives on while connections come and go.
pub(crate) struct Link {
    pub(crate) id: SessionId,
    pub(crate) peer: PeerId,
    pub(crate) lane: Lane,
    into: Arc<dyn Inbound>,
    frame_max: usize,
    /// Senders one after the other, so that whoever found room still has it when it has encoded. Comes before the lock
    /// of the state.
    sending: Mutex<Sending>,
    /// Who delivers, one after the other: what arrives on a new connection must not overtake what is being
    /// delivered from the old one, nor the end of the session what arrived before it. What is delivered
    /// together, and the room that each takes of the window.
    delivering: Mutex<Vec<Arrival>>,
    /// How many of what arrived were handed to who receives. Read with the lock of the state, which need not be
    /// taken once more for each message that is delivered.
    handed: AtomicU64,
    state: Mutex<State>,
    /// The session has not ended: what is asked before each message, and needs no lock for that.
    is_open: AtomicBool,
    freed: Arc<Freed>,
    /// The session has ended, or another connection carries it.
    changed: Notify,
    pub(crate) metrics: SessionMetrics,
}

struct State {
    session: Session,
    /// The task of the connection is to look for something to write, and has been told so.
    is_told: bool,
    /// Senders that wait for room.
    waiting: Vec<Waker>,
    /// Who waits until so many envelopes are acknowledged.
    awaiting: Vec<(u64, Waker)>,
    /// Which connection carries the session: the newest.
    connection: u64,
    /// The writing half of a connection, while its task waits.
    parked: Option<Parked>,
    /// The task of the connection will acknowledge by itself, if nobody does before.
    will_ack: bool,
    /// The peer has asked whether we are here, and was not answered.
    owes_ping: bool,
    ended: Option<Lost>,
    /// What came back at the end, until whoever receives is told of that.
    untold: Option<Vec<Envelope>>,
    round_trip: RoundTrip,
    /// Where acknowledgements are encoded.
    small: BytesMut,
}

/// What a connection is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// Write these.
    Chunks(Chunks),
    /// Wait until there is something; where the peer is to be told what has arrived, for so long at most.
    Wait {
        /// How long.
        ack_within: Option<Duration>,
    },
    /// Say goodbye and close.
    Close,
    /// Another connection carries the session.
    Superseded,
}

impl Link {
    pub(crate) fn new(
        (id, peer, lane): (SessionId, PeerId, Lane),
        into: Arc<dyn Inbound>,
        (window, frame_max): (u64, usize),
    ) -> Self {
        let session = Session::new(window);
        let state = State {
            session,
            is_told: false,
            waiting: Vec::new(),
            awaiting: Vec::new(),
            connection: 0,
            parked: None,
            will_ack: false,
            owes_ping: false,
            ended: None,
            untold: None,
            round_trip: RoundTrip::default(),
            small: BytesMut::new(),
        };
        Self {
            id,
            peer,
            lane,
            into,
            frame_max,
            sending: Mutex::new(Sending::new(frame_max)),
            delivering: Mutex::default(),
            handed: AtomicU64::new(0),
            state: Mutex::new(state),
            is_open: AtomicBool::new(true),
            freed: Arc::new(Freed::new(window)),
            changed: Notify::new(),
            metrics: SessionMetrics::new(lane),
        }
    }

    /// How far we have received: what the peer is told first on a connection.
    pub(crate) fn ack(&self) -> Ack {
        self.state().session.ack()
    }

    /// Grows with everything that gets through, either way.
    pub(crate) fn progress(&self) -> u64 {
        lock(&self.state).session.progress()
    }

    pub(crate) fn ended(&self) -> Option<Lost> {
        lock(&self.state).ended
    }

    /// A connection has been made, on which the peer has said `peer` and we have said `told`. Returns its
    /// number. The connection before it is done with.
    pub(crate) fn connected(&self, peer: Ack, told: Ack) -> Result<u64, Violation> {
        let mut state = self.state();
        let n_again = state.session.connected(peer, told)?;
        state.round_trip = RoundTrip::default();
        state.connection += 1;
        let number = state.connection;
        (state.owes_ping, state.is_told) = (false, false);
        let mut waiting = std::mem::take(&mut state.waiting);
        waiting.extend(state.take_acknowledged());
        let old = state.parked.take();
        drop(state);
        drop(old);
        waiting.into_iter().for_each(Waker::wake);
        self.freed.to_write.notify_waiters();
        self.changed.notify_waiters();
        if number > 1 {
            self.metrics.reconnected(n_again);
        }
        Ok(number)
    }

    /// Whether any connection has carried the session.
    pub(crate) fn was_connected(&self) -> bool {
        lock(&self.state).connection > 0
    }

    /// Waits until the session has ended, or another connection than this one carries it.
    pub(crate) async fn left(&self, connection: u64) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_left(connection) {
                return;
            }
            changed.await;
        }
    }

    /// Whether the session has ended, or another connection than this one carries it.
    pub(crate) fn is_left(&self, connection: u64) -> bool {
        let state = lock(&self.state);
        state.ended.is_some() || state.connection != connection
    }

    /// Ends when there may be something to write, or when another connection carries the session from now on.
    pub(crate) fn to_write(&self) -> Notified<'_> {
        self.freed.to_write.notified()
    }

    /// What the connection is to write next. What has arrived is acknowledged together with what is sent,
    /// unless much has, or it has waited for long enough.
    pub(crate) fn next_write(&self, connection: u64, has_waited: bool) -> Write {
        let sending = self.try_sending();
        let mut state = self.state();
        if state.connection != connection {
            // It may have been woken in the place of the one that carries the session now.
            drop(state);
            self.freed.to_write.notify_one();
            return Write::Superseded;
        }
        if state.ended.is_some() {
            return Write::Close;
        }
        state.is_told = sending.is_none();
        match sending {
            Some(mut sending) => sending.hand_over_all(&mut state),
            // Not waited for: to encode may take long, and the task reads, too. It comes again.
            None => self.freed.to_write.notify_one(),
        }
        if std::mem::take(&mut state.owes_ping) {
            self.metrics.wrote(1, PING_BYTES);
            return Write::Chunks(ping().into());
        }
        // Also if somebody has just answered, and taken the acknowledgement with him: more is to come.
        let begun = state.will_ack.then_some(has_waited);
        let ack_within = state.session.ack_later(begun);
        state.will_ack = ack_within.is_some();
        if state.will_ack {
            return Write::Wait { ack_within };
        }
        let chunks = state.next_chunks(&self.metrics);
        if chunks.has_remaining() {
            Write::Chunks(chunks)
        } else {
            Write::Wait { ack_within: None }
        }
    }

    /// The task of a connection waits: others may write meanwhile. `false` if another connection carries the session.
    pub(crate) fn park(&self, connection: u64, writer: Writer) -> bool {
        let mut state = lock(&self.state);
        let is_carried = state.connection == connection;
        if is_carried {
            state.parked = Some(Parked::new(connection, writer));
        }
        is_carried
    }

    /// The task of a connection goes on: gives it its writing half, and what is to be written first. `None`
    /// if another connection carries the session.
    pub(crate) fn unpark(&self, connection: u64) -> Option<(Writer, Chunks)> {
        let parked = lock(&self.state).parked.take_if(|parked| parked.connection == connection);
        if parked.is_none() {
            // It may have been woken in the place of the one that carries the session now.
            self.freed.to_write.notify_one();
        }
        parked.map(Parked::into_parts)
    }

    /// The session is over. The receiver is told, once, and given back what was not acknowledged: now, or when
    /// what is being delivered has been. That may be what ends it.
    pub(crate) fn end(&self, why: Lost) {
        let mut sending = lock(&self.sending);
        let mut state = lock(&self.state);
        if state.ended.is_some() {
            return;
        }
        sending.hand_over_all(&mut state);
        state.ended = Some(why);
        self.is_open.store(false, Ordering::Release);
        state.untold = Some(state.session.end());
        self.metrics.keeps(0);
        let mut waiting = std::mem::take(&mut state.waiting);
        waiting.extend(state.awaiting.drain(..).map(|(_, waker)| waker));
        drop(state);
        drop(sending);
        waiting.into_iter().for_each(Waker::wake);
        self.freed.to_write.notify_one();
        self.changed.notify_waiters();
        self.metrics.lost();
        self.tell_end();
    }

    /// Tells the receiver that the session is over, unless somebody delivers: then that one does, afterwards.
    fn tell_end(&self) {
        let _no_reader = match self.delivering.try_lock() {
            Ok(free) => free,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let mut state = lock(&self.state);
        let Some((why, back)) = state.ended.zip(state.untold.take()) else { return };
        drop(state);
        self.into.lost(self.peer, self.lane, why, back);
    }

    /// What senders share, unless one of them is at it.
    fn try_sending(&self) -> Option<MutexGuard<'_, Sending>> {
        match self.sending.try_lock() {
            Ok(sending) => Some(sending),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The state, in which what was given back and handed over has been counted.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let freed = self.freed.take();
        if freed > 0 {
            state.session.release(freed);
        }
        self.count_handed(&mut state);
        state
    }

    /// Counts what was handed over: before anything is acknowledged.
    fn count_handed(&self, state: &mut State) {
        state.session.handed_over(self.handed.load(Ordering::Acquire));
    }
}

impl State {
    /// Who has waited for what is acknowledged now.
    fn take_acknowledged(&mut self) -> impl Iterator<Item = Waker> {
        let n_acknowledged = self.session.first_unacked();
        self.awaiting.extract_if(.., move |(n, _)| *n <= n_acknowledged).map(|(_, waker)| waker)
    }

    /// What is to be written next, up to some size. The acknowledgement, if one is owed, and frames as they
    /// are kept.
    fn next_chunks(&mut self, metrics: &SessionMetrics) -> Chunks {
        let (mut chunks, ack) = (Chunks::default(), self.session.take_ack());
        let n_envelopes = self.session.write(&mut chunks, WRITTEN_TOGETHER);
        if let Some(ack) = ack {
            ack.put(&mut self.small);
            chunks.put_behind(&mut self.small, JOINED_MAX);
        }
        let n_frames = u64::from(ack.is_some());
        if n_envelopes > 0 {
            self.round_trip.wrote(self.session.next_to_write());
        }
        if chunks.has_remaining() {
            metrics.wrote(n_frames + n_envelopes, chunks.remaining());
            metrics.keeps(self.session.unacked_bytes());
        }
        chunks
    }
}

/// The bytes of a ping, and of a goodbye.
pub(crate) fn ping() -> Bytes {
    let mut buffer = BytesMut::new();
    put_ping(&mut buffer);
    buffer.freeze()
}

pub(crate) fn goodbye(ack: Ack) -> Bytes {
    let mut buffer = BytesMut::new();
    // What has arrived is not to be taken as lost.
    ack.put(&mut buffer);
    put_close(&mut buffer);
    buffer.freeze()
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).field("lane", &self.lane).finish()
    }
}

/// A lock that is poisoned is as good as any: nothing that can panic runs under it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// About how many bytes go out in one write.
const WRITTEN_TOGETHER: usize = 256 * 1024;

/// So many bytes are rather copied than written as pieces of their own.
const JOINED_MAX: usize = 512;

/// A ping on the wire.
const PING_BYTES: usize = 5;

#[cfg(test)]
mod tests;
