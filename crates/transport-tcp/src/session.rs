//! One session, pure: what is sent and not acknowledged, what was received, and how much may be sent.
//!
//! It outlives its connections. Envelopes are numbered; an acknowledgement is cumulative; after a
//! reconnect both sides say how far they have received, and go on from there, so that nothing is lost,
//! repeated or reordered. Bytes come in as frames and go out as frames; there is no clock and no I/O.

use std::time::Duration;

use mesh_core::{Envelope, Head};

use crate::chunks::Chunks;
use crate::outbox::Outbox;
use crate::wire::{Ack, Encoded};

/// What both sides keep of their session.
#[derive(Debug)]
pub(crate) struct Session {
    /// How many bytes the peer may have sent that nobody here has taken.
    window: u64,

    /// What was taken and is not acknowledged.
    outbox: Outbox,
    /// How many bytes were taken in the whole session that count.
    spent: u64,
    /// How many bytes may be taken in the whole session.
    granted: u64,

    /// The number of the next envelope that is expected.
    received: u64,
    /// How many were handed to who receives: the peer is told of no others, since it may go over to another session
    /// once it is.
    handed: u64,
    /// How many bytes were received in the whole session that count.
    arrived: u64,
    /// How many of them were taken.
    released: u64,
    /// How much the peer was told at most that it may send.
    promised: u64,
    /// What the peer was told last on this connection.
    told: Option<Ack>,
    /// How many envelopes it had been told of when whoever writes began to wait with others.
    told_before: u64,
}

/// The peer does what no peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("envelope {found} where {expected} was expected")]
    Gap { expected: u64, found: u64 },
    #[error("{acknowledged} envelopes acknowledged, of {sent}")]
    NeverSent { acknowledged: u64, sent: u64 },
    #[error("more than the window of {window} bytes was sent")]
    OverWindow { window: u64 },
}

impl Session {
    /// A session that gives its peer a window of so many bytes.
    pub(crate) fn new(window: u64) -> Self {
        Self {
            window,
            outbox: Outbox::default(),
            spent: 0,
            granted: 0,
            received: 0,
            handed: 0,
            arrived: 0,
            released: 0,
            promised: 0,
            told: None,
            told_before: 0,
        }
    }

    /// How far we have received, and how much we may be sent: what the peer is told first. No more than before
    /// while it owes us word of too much: answers never wait, and so it could make us keep any number of them.
    pub(crate) const fn ack(&self) -> Ack {
        let granted = self.released.saturating_add(self.window);
        let is_held_back = self.is_full() || granted < self.promised;
        Ack { received: self.handed, granted: if is_held_back { self.promised } else { granted } }
    }

    /// Whether more is kept than the peer may make us keep, whatever it grants and whatever it asks.
    const fn is_full(&self) -> bool {
        self.outbox.n_bytes() as u64 >= self.window.saturating_mul(KEPT_WINDOWS)
    }

    /// Grows with everything that gets through, either way.
    pub(crate) const fn progress(&self) -> u64 {
        self.outbox.first() + self.received
    }

    /// A connection has been made, on which the peer has said `peer`, and we have said `told`: what has
    /// arrived and was taken since is still to be told. What the peer has not received is written again:
    /// returns how many envelopes.
    pub(crate) fn connected(&mut self, peer: Ack, told: Ack) -> Result<u64, Violation> {
        self.acknowledged(peer)?;
        self.tell(told);
        Ok(self.outbox.rewind())
    }

    /// How many bytes the peer may have sent that nobody here has taken.
    pub(crate) const fn window(&self) -> u64 {
        self.window
    }

    /// How many bytes may be taken now, and one envelope more.
    pub(crate) const fn room(&self) -> u64 {
        if self.is_full() { 0 } else { self.granted.saturating_sub(self.spent) }
    }

    /// Whether an envelope may be taken. One more than what is granted may, so that none is too large
    /// for the window.
    pub(crate) const fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Takes an envelope: it is sent until it is acknowledged. Answers may be taken without room. A long body is
    /// taken out of `encoded`.
    pub(crate) fn send(&mut self, head: &Head, encoded: &mut Encoded) {
        self.spent += cost(head, encoded.body.len());
        self.outbox.push(encoded);
    }

    /// Takes short envelopes together, as many as these frames are, which cost so much together.
    pub(crate) fn send_frames(&mut self, frames: &[u8], n_envelopes: u64, cost: u64) {
        self.spent += cost;
        self.outbox.push_frames(frames, n_envelopes);
    }

    /// The acknowledgement that is to be written on this connection before anything else, if one is owed.
    pub(crate) fn take_ack(&mut self) -> Option<Ack> {
        let ack = self.owes_ack().then(|| self.ack())?;
        self.tell(ack);
        Some(ack)
    }

    fn tell(&mut self, ack: Ack) {
        self.promised = self.promised.max(ack.granted);
        self.told = Some(ack);
    }

    /// Adds to `chunks` the frames that are to be written next on this connection, until those are so many
    /// bytes. Returns how many envelopes they are.
    pub(crate) fn write(&mut self, chunks: &mut Chunks, max: usize) -> u64 {
        self.outbox.write(chunks, max)
    }

    /// The number of the first envelope that the peer has not acknowledged.
    pub(crate) const fn first_unacked(&self) -> u64 {
        self.outbox.first()
    }

    /// The number of the next envelope to be written.
    pub(crate) const fn next_to_write(&self) -> u64 {
        self.outbox.next_to_write()
    }

    /// How many bytes are kept until they are acknowledged.
    pub(crate) const fn unacked_bytes(&self) -> usize {
        self.outbox.n_bytes()
    }

    /// Whether there are envelopes to write.
    pub(crate) const fn has_unwritten(&self) -> bool {
        self.outbox.has_unwritten()
    }

    /// About how many bytes there are to write.
    pub(crate) const fn n_unwritten_bytes(&self) -> usize {
        self.outbox.n_unwritten_bytes()
    }

    /// Whether the peer is to be told how far we are: it waits for nothing less than that, or has used
    /// up much of what it was given. That may wait for an envelope to go with.
    pub(crate) fn owes_ack(&self) -> bool {
        let handed = self.handed;
        self.is_ack_urgent() || self.told.is_some_and(|told| handed > told.received)
    }

    /// How long whoever writes is to wait before it tells what is owed; `None` if it is to be told now, or nothing is. For
    /// who waits for that already, `begun` is whether it has waited for so long.
    ///
    /// If the peer was told of others meanwhile, what is owed has come since, and waits anew: twice as long at most.
    pub(crate) fn ack_later(&mut self, begun: Option<bool>) -> Option<Duration> {
        let told = self.told.map_or(0, |told| told.received);
        let will_tell = match begun {
            Some(true) => self.owes_ack() && told > self.told_before,
            Some(false) => true,
            None => self.owes_ack(),
        };
        if !will_tell || self.has_unwritten() || self.is_ack_urgent() {
            return None;
        }
        self.told_before = told;
        Some(self.ack_within())
    }

    /// How long that is. Less while a session is young: a peer that says something before it has the session for that waits
    /// for the last acknowledgement by this one, so that nothing overtakes. One that goes over later, since it has lost the
    /// other session, waits longer, once.
    const fn ack_within(&self) -> Duration {
        if self.received < YOUNG { ACK_SOON } else { ACK_WITHIN }
    }

    /// Whether it waits no longer: the peer keeps what is not acknowledged, and needs room.
    pub(crate) fn is_ack_urgent(&self) -> bool {
        let now = self.ack();
        self.told.is_none_or(|told| {
            now.received - told.received >= ACKED_TOGETHER
                || now.granted - told.granted >= self.window.div_ceil(4)
        })
    }

    /// Whether what was taken last is all that the peer has not acknowledged.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.outbox.n_envelopes() <= 1
    }

    /// The peer has said how far it is. Whether there is room that was not there before.
    pub(crate) fn heard(&mut self, ack: Ack) -> Result<bool, Violation> {
        let had_room = self.has_room();
        self.acknowledged(ack)?;
        Ok(!had_room && self.has_room())
    }

    /// How many envelopes have arrived.
    pub(crate) const fn n_received(&self) -> u64 {
        self.received
    }

    /// So many of those that have arrived were handed to who receives: the peer may be told.
    pub(crate) fn handed_over(&mut self, n_received: u64) {
        self.handed = self.handed.max(n_received);
    }

    /// How many envelopes were taken.
    pub(crate) const fn n_taken(&self) -> u64 {
        self.outbox.next()
    }

    /// Somebody has taken what was received: the peer may send so much more.
    pub(crate) const fn release(&mut self, bytes: u64) {
        self.released += bytes;
    }

    /// The session is over: what was not acknowledged comes back, in order.
    pub(crate) fn end(&mut self) -> Vec<Envelope> {
        self.outbox.take_all()
    }

    /// An envelope has arrived, with a body of so many bytes: how many it counts until [`release`](Self::release).
    /// `None` if it had arrived before.
    pub(crate) fn arrived(
        &mut self,
        seq: u64,
        head: &Head,
        body: usize,
    ) -> Result<Option<u64>, Violation> {
        // Written again, since our acknowledgement was lost with the last connection.
        if seq < self.received {
            return Ok(None);
        }
        if seq > self.received {
            return Err(Violation::Gap { expected: self.received, found: seq });
        }
        let cost = cost(head, body);
        if cost > 0 && self.arrived >= self.released.saturating_add(self.window) {
            return Err(Violation::OverWindow { window: self.window });
        }
        self.received += 1;
        self.arrived += cost;
        Ok(Some(cost))
    }

    fn acknowledged(&mut self, Ack { received, granted }: Ack) -> Result<(), Violation> {
        let sent = self.outbox.next();
        if received > sent {
            return Err(Violation::NeverSent { acknowledged: received, sent });
        }
        self.outbox.acknowledge(received);
        self.granted = self.granted.max(granted);
        Ok(())
    }
}

/// How many bytes of the window an envelope takes. Answers take none: they never wait.
pub(crate) fn cost(head: &Head, body: usize) -> u64 {
    if head.is_answer() { 0 } else { (ENVELOPE + body) as u64 }
}

/// So many times our own window may be kept until the peer acknowledges it, and one envelope and the answers to
/// what it may still ask.
const KEPT_WINDOWS: u64 = 8;

/// How long an acknowledgement may wait: as long as Linux lets one of TCP. Whoever calls many processes in turn says
/// something to each of them within that time, and they are not woken for less.
const ACK_WITHIN: Duration = Duration::from_millis(40);

/// The same of a session by which fewer than [`YOUNG`] envelopes have come.
const ACK_SOON: Duration = Duration::from_millis(5);
const YOUNG: u64 = 64;

/// How many envelopes are acknowledged together at most.
const ACKED_TOGETHER: u64 = 32;

/// What an envelope counts besides its body: about what it takes in memory.
const ENVELOPE: usize = 256;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod world;

#[cfg(test)]
mod paths;

#[cfg(test)]
mod tests;
