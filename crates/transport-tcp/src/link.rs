//! One session with what surrounds it: who sends, who receives, and which connection carries it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use mesh_core::{
    Credit, Envelope, Head, Inbound, Lane, Lost, Outbound, PeerId, Returned, WhyReturned,
};
use tokio::sync::Notify;

use crate::handshake::SessionId;
use crate::metrics::SessionMetrics;
use crate::parked::{Parked, Writer};
use crate::session::{Incoming, Outgoing, Session, Violation};
use crate::wire::{Ack, Encoded, Frame, put_close, put_ping};

/// One session. It lives on while connections come and go.
pub(crate) struct Link {
    pub(crate) id: SessionId,
    pub(crate) peer: PeerId,
    pub(crate) lane: Lane,
    into: Arc<dyn Inbound>,
    frame_max: usize,
    /// Senders one after the other, so that whoever found room still has it when it has encoded.
    sending: Mutex<()>,
    /// Who delivers, one after the other: what arrives on a new connection must not overtake what is being
    /// delivered from the old one, nor the end of the session what arrived before it.
    delivering: Mutex<()>,
    state: Mutex<State>,
    /// There is something to write, or the session has ended, or another connection carries it.
    to_write: Notify,
    /// The session has ended, or another connection carries it.
    changed: Notify,
    metrics: SessionMetrics,
}

struct State {
    session: Session,
    /// Senders that wait for room.
    waiting: Vec<Waker>,
    /// Which connection carries the session: the newest.
    connection: u64,
    /// The writing half of a connection, while its task waits.
    parked: Option<Parked>,
    /// The task of the connection will acknowledge by itself, if nobody does before.
    will_ack: bool,
    /// The peer has asked whether we are here, and was not answered.
    owes_ping: bool,
    ended: Option<Lost>,
}

/// What a connection is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// Write these.
    Chunks(Vec<Bytes>),
    /// Wait until there is something.
    Wait,
    /// The same, but not for long: then the peer is to be told what has arrived.
    WaitToAck,
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
            waiting: Vec::new(),
            connection: 0,
            parked: None,
            will_ack: false,
            owes_ping: false,
            ended: None,
        };
        Self {
            id,
            peer,
            lane,
            into,
            frame_max,
            sending: Mutex::default(),
            delivering: Mutex::default(),
            state: Mutex::new(state),
            to_write: Notify::new(),
            changed: Notify::new(),
            metrics: SessionMetrics::new(lane),
        }
    }

    /// How far we have received: what the peer is told first on a connection.
    pub(crate) fn ack(&self) -> Ack {
        lock(&self.state).session.ack()
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
        let mut state = lock(&self.state);
        state.session.connected(peer, told)?;
        state.connection += 1;
        let number = state.connection;
        state.owes_ping = false;
        let waiting = std::mem::take(&mut state.waiting);
        let old = state.parked.take();
        drop(state);
        drop(old);
        waiting.into_iter().for_each(Waker::wake);
        self.to_write.notify_waiters();
        self.changed.notify_waiters();
        if number > 1 {
            self.metrics.reconnected();
        }
        Ok(number)
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

    fn is_left(&self, connection: u64) -> bool {
        let state = lock(&self.state);
        state.ended.is_some() || state.connection != connection
    }

    /// Waits until there may be something to write.
    pub(crate) async fn to_write(&self) {
        self.to_write.notified().await;
    }

    /// What the connection is to write next. What has arrived is acknowledged together with what is sent,
    /// unless much has, or it has waited for long enough.
    pub(crate) fn next_write(&self, connection: u64, has_waited: bool) -> Write {
        let mut state = lock(&self.state);
        if state.connection != connection {
            // It may have been woken in the place of the one that carries the session now.
            drop(state);
            self.to_write.notify_one();
            return Write::Superseded;
        }
        if state.ended.is_some() {
            return Write::Close;
        }
        if std::mem::take(&mut state.owes_ping) {
            return Write::Chunks(vec![ping()]);
        }
        let session = &mut state.session;
        let may_wait = !has_waited && !session.has_unwritten() && !session.is_ack_urgent();
        if may_wait && session.owes_ack() {
            state.will_ack = true;
            return Write::WaitToAck;
        }
        let chunks = next_chunks(session);
        state.will_ack = false;
        if chunks.is_empty() { Write::Wait } else { Write::Chunks(chunks) }
    }

    /// The task of a connection waits: others may write meanwhile.
    pub(crate) fn park(&self, connection: u64, writer: Writer) {
        let mut state = lock(&self.state);
        if state.connection == connection {
            state.parked = Some(Parked::new(connection, writer));
        }
    }

    /// The task of a connection goes on: gives it its writing half, and what is to be written first. `None`
    /// if another connection carries the session.
    pub(crate) fn unpark(&self, connection: u64) -> Option<(Writer, Bytes)> {
        let parked = lock(&self.state).parked.take_if(|parked| parked.connection == connection);
        if parked.is_none() {
            // It may have been woken in the place of the one that carries the session now.
            self.to_write.notify_one();
        }
        parked.map(Parked::into_parts)
    }

    /// A frame has arrived on a connection. `Ok(false)` if the peer ends the session.
    pub(crate) fn receive(
        self: &Arc<Self>,
        connection: u64,
        frame: Frame,
    ) -> Result<bool, Violation> {
        let _one_reader = lock(&self.delivering);
        let mut state = lock(&self.state);
        if state.ended.is_some() || state.connection != connection {
            return Ok(true);
        }
        match state.session.receive(frame)? {
            Incoming::Nothing => (),
            Incoming::Closed => return Ok(false),
            Incoming::Room => {
                let waiting = std::mem::take(&mut state.waiting);
                drop(state);
                waiting.into_iter().for_each(Waker::wake);
            }
            Incoming::Envelope(envelope, cost) => {
                drop(state);
                // Without the lock of the state: whoever gets it may answer at once.
                self.into.deliver(self.peer, envelope, self.credit(cost));
            }
        }
        Ok(true)
    }

    /// The peer asks on a connection whether we are here.
    pub(crate) fn answer_ping(&self, connection: u64) {
        let mut state = lock(&self.state);
        if state.ended.is_some() || state.connection != connection {
            return;
        }
        match &mut state.parked {
            Some(parked) => {
                // What has not gone out yet answers as well, and a peer that does not read is owed no more.
                if parked.is_clear() {
                    parked.write(ping());
                }
                if parked.is_clear() {
                    return;
                }
            }
            // Its task is at it.
            None => state.owes_ping = true,
        }
        drop(state);
        self.to_write.notify_one();
    }

    /// Everything that has arrived was looked at: the peer is to be told, now or soon.
    pub(crate) fn wake_writer(&self) {
        let state = lock(&self.state);
        let session = &state.session;
        let is_asleep = session.owes_ack() && !state.will_ack;
        if is_asleep || session.has_unwritten() || session.is_ack_urgent() {
            self.to_write.notify_one();
        }
    }

    /// The session is over. Tells the receiver, once, and gives back what was not acknowledged.
    pub(crate) fn end(&self, why: Lost) {
        let mut state = lock(&self.state);
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(why);
        let back = state.session.end();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        self.to_write.notify_one();
        self.changed.notify_waiters();
        self.metrics.lost();
        let _no_reader = lock(&self.delivering);
        self.into.lost(self.peer, self.lane, why, back);
    }

    fn credit(self: &Arc<Self>, cost: u64) -> Credit {
        if cost == 0 {
            return Credit::NONE;
        }
        let link = Arc::downgrade(self);
        Credit::new(move || {
            if let Some(link) = link.upgrade() {
                lock(&link.state).session.release(cost);
                link.wake_writer();
            }
        })
    }
}

impl Outbound for Link {
    fn peer(&self) -> PeerId {
        self.peer
    }

    fn is_open(&self) -> bool {
        self.ended().is_none()
    }

    fn close(&self) {
        self.end(Lost::Closed);
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let _one_sender = lock(&self.sending);
        let Some(mut taken) = envelope.take() else { return Poll::Ready(Ok(())) };
        let mut state = lock(&self.state);
        if state.ended.is_some() {
            return returned(taken, WhyReturned::Ended(self.peer));
        }
        if !taken.head.is_answer() && !state.session.has_room() {
            if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiting.push(cx.waker().clone());
            }
            *envelope = Some(taken);
            return Poll::Pending;
        }
        drop(state);
        // Without the lock of the state: a large message takes its time, and the reader goes on.
        let body = match taken.body.bytes() {
            Ok(body) => body,
            Err(error) => return returned(taken, WhyReturned::Encode(error)),
        };
        let Some(encoded) =
            Encoded::new(&taken.head, body).filter(|encoded| encoded.len() <= self.frame_max)
        else {
            let bytes = taken.body.bytes().map_or(0, |body| body.len());
            return returned(taken, WhyReturned::TooLarge { bytes, max: self.frame_max });
        };
        let mut state = lock(&self.state);
        if state.ended.is_some() {
            return returned(taken, WhyReturned::Ended(self.peer));
        }
        let is_short = encoded.body.len() <= COPIED_MAX;
        let is_awaited = is_short && is_awaited(&taken.head);
        state.session.send(taken.head, encoded);
        let is_written = is_awaited && state.write_now();
        drop(state);
        if !is_written {
            self.to_write.notify_one();
        }
        Poll::Ready(Ok(()))
    }
}

impl State {
    /// Writes what there is to write, if it is one short envelope and nobody else writes. The task would have
    /// to be woken first, most often on another thread. `false` if the task is to do it, or the rest of it.
    fn write_now(&mut self) -> bool {
        // Where much is on its way, the task writes many together.
        let Some(parked) = self.parked.as_mut().filter(|_| self.session.is_quiet()) else {
            return false;
        };
        if !parked.is_clear() {
            return false;
        }
        for chunk in next_chunks(&mut self.session) {
            parked.write(chunk);
        }
        parked.is_clear()
    }
}

/// Whether somebody waits for it.
const fn is_awaited(head: &Head) -> bool {
    matches!(head, Head::Call { .. } | Head::Answer { .. } | Head::Fault { .. })
}

/// What is to be written next, up to some size: small envelopes are put together.
fn next_chunks(session: &mut Session) -> Vec<Bytes> {
    let (mut chunks, mut buffer, mut n_bytes) = (Vec::new(), BytesMut::new(), 0);
    while n_bytes < WRITTEN_TOGETHER {
        match session.next_outgoing() {
            None => break,
            Some(Outgoing::Ack(ack)) => {
                ack.put(&mut buffer);
                n_bytes += ACK_BYTES;
            }
            Some(Outgoing::Data { seq, encoded }) => {
                n_bytes += encoded.len();
                encoded.put_head(seq, &mut buffer);
                if encoded.body.len() <= COPIED_MAX {
                    buffer.extend_from_slice(&encoded.body);
                } else {
                    chunks.push(buffer.split().freeze());
                    chunks.push(encoded.body);
                }
            }
        }
    }
    if !buffer.is_empty() {
        chunks.push(buffer.freeze());
    }
    chunks
}

fn returned(envelope: Envelope, why: WhyReturned) -> Poll<Result<(), Box<Returned>>> {
    Poll::Ready(Err(Box::new(Returned { envelope, why })))
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

/// Bodies up to this length are copied, so that many go out in one write; larger ones are written as
/// they are.
const COPIED_MAX: usize = 16 * 1024;

/// An acknowledgement on the wire.
const ACK_BYTES: usize = 21;

#[cfg(test)]
mod tests;
