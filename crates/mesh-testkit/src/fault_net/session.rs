//! One end of a session, pure: automatic repeat requests over links that lose, repeat and reorder.
//!
//! - Envelopes are numbered. Each is sent again, ever more seldom, until it is acknowledged.
//! - An acknowledgement is cumulative, and goes with every packet.
//! - What arrives early waits for what is before it; what arrives again is dropped.
//! - A sender has what the receiver has granted: it grants one envelope more for each that was taken.
//!
//! There is no clock and no I/O: times are arguments, since the network began.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{Body, Envelope, Head};

use super::faults::SessionConfig;
use super::packet::{Ack, Packet};

/// What one end keeps.
#[derive(Debug)]
pub(crate) struct Session {
    config: SessionConfig,

    /// Envelopes that were taken and not acknowledged, in order. The first has the number
    /// `first_unacked`. Bound: what the peer has granted, besides answers.
    unacked: VecDeque<Sent>,
    first_unacked: u64,
    /// The number of the first envelope that was not sent at all yet. At most [`IN_FLIGHT_MAX`] before it
    /// are not acknowledged.
    next_new: u64,
    /// How many envelopes were taken in the whole session that count.
    spent: u64,
    /// How many may be.
    granted: u64,
    /// When something was acknowledged last, or the first of what waits for that was sent.
    progressed: Duration,
    /// Somebody waits for acknowledgements.
    is_awaited: bool,

    /// The number of the next envelope that is expected.
    received: u64,
    /// What has arrived before its turn. Bound: [`IN_FLIGHT_MAX`].
    early: BTreeMap<u64, (Head, Bytes)>,
    /// How many envelopes that count were taken by who receives them.
    released: u64,
    /// What the peer was granted when it was told last.
    told: u64,
    is_ack_due: bool,
    /// When the peer was heard last.
    heard: Duration,
    /// When we have said something last.
    spoke: Duration,
}

/// An envelope that is sent until it is acknowledged.
#[derive(Debug)]
struct Sent {
    head: Head,
    body: Bytes,
    resend_at: Duration,
    n_times: u32,
}

/// An envelope whose turn it is.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) seq: u64,
    pub(crate) envelope: Envelope,
}

impl Session {
    pub(crate) const fn new(now: Duration, config: SessionConfig) -> Self {
        let window = config.window;
        Self {
            config,
            unacked: VecDeque::new(),
            first_unacked: 0,
            next_new: 0,
            spent: 0,
            granted: window,
            progressed: now,
            is_awaited: false,
            received: 0,
            early: BTreeMap::new(),
            released: 0,
            told: window,
            is_ack_due: false,
            heard: now,
            spoke: now,
        }
    }

    /// Whether an envelope may be taken that is no answer.
    pub(crate) const fn has_room(&self) -> bool {
        self.spent < self.granted
    }

    /// Takes an envelope: it is sent until it is acknowledged. Answers may be taken without room.
    pub(crate) fn send(&mut self, head: Head, body: Bytes) {
        self.spent += u64::from(!head.is_answer());
        self.unacked.push_back(Sent { head, body, resend_at: Duration::ZERO, n_times: 0 });
    }

    /// How many envelopes were taken.
    pub(crate) fn n_taken(&self) -> u64 {
        self.first_unacked + self.unacked.len() as u64
    }

    /// Whether the first `n_taken` of them were acknowledged; if not, somebody waits for that.
    pub(crate) const fn is_acknowledged(&mut self, n_taken: u64) -> bool {
        let is_so = self.first_unacked >= n_taken;
        self.is_awaited |= !is_so;
        is_so
    }

    /// The next packet to send now, if there is one, with the body that follows it.
    pub(crate) fn next_outgoing(&mut self, now: Duration) -> Option<(Packet, Bytes)> {
        let index = self.next_data(now);
        let is_quiet = now >= self.spoke + self.config.keepalive;
        if index.is_none() && !self.is_ack_due && !is_quiet {
            return None;
        }
        let ack = self.ack();
        self.told = ack.granted;
        self.is_ack_due = false;
        self.spoke = now;
        let Some((index, sent)) = index.and_then(|at| Some((at, self.unacked.get_mut(at)?))) else {
            return Some((Packet::Ack(ack), Bytes::new()));
        };
        let factor = 2_u32.saturating_pow(sent.n_times);
        let wait = self.config.resend.saturating_mul(factor).min(self.config.resend_max);
        sent.resend_at = now + wait;
        sent.n_times += 1;
        let seq = self.first_unacked + index as u64;
        if seq == self.next_new {
            self.next_new += 1;
        }
        Some((Packet::Data { seq, head: sent.head.clone(), ack }, sent.body.clone()))
    }

    /// An envelope has arrived; those whose turn it is now are returned.
    pub(crate) fn receive(&mut self, seq: u64, head: Head, body: Bytes) -> Vec<Arrived> {
        // Also if it was here before: our acknowledgement may be lost.
        self.is_ack_due = true;
        // Nobody who keeps the protocol has more than that in flight.
        if (self.received..self.received + IN_FLIGHT_MAX).contains(&seq) {
            self.early.entry(seq).or_insert((head, body));
        }
        let mut arrived = Vec::new();
        while let Some((head, body)) = self.early.remove(&self.received) {
            let envelope = Envelope { head, body: Body::Bytes(body) };
            arrived.push(Arrived { seq: self.received, envelope });
            self.received += 1;
        }
        arrived
    }

    /// The peer was heard, and is so far. Returns whether there is what somebody may have waited for: room that was
    /// not there before, or an acknowledgement.
    pub(crate) fn acknowledged(&mut self, now: Duration, ack: Ack) -> bool {
        self.heard = now;
        let (had_room, first_unacked) = (self.has_room(), self.first_unacked);
        while self.first_unacked < ack.received.min(self.next_new) {
            self.unacked.pop_front();
            self.first_unacked += 1;
            self.progressed = now;
        }
        self.granted = self.granted.max(ack.granted);
        let is_news = self.is_awaited && self.first_unacked > first_unacked;
        self.is_awaited &= !is_news;
        is_news || !had_room && self.has_room()
    }

    /// Somebody has taken an envelope that counts: the peer may send one more.
    pub(crate) const fn release(&mut self) {
        self.released += 1;
        // Not for each: the peer need only not wait for it.
        let untold = self.ack().granted - self.told;
        self.is_ack_due |= untold >= self.config.window.div_ceil(4);
    }

    /// Whether the peer is to be given up.
    pub(crate) fn is_overdue(&self, now: Duration) -> bool {
        now >= self.overdue()
    }

    /// When there is something to be done, if nothing happens before.
    pub(crate) fn next_deadline(&self) -> Duration {
        let resend = self.resendable().map(|sent| sent.resend_at).min();
        let quiet = self.spoke + self.config.keepalive;
        resend.map_or(quiet, |resend| resend.min(quiet)).min(self.overdue())
    }

    /// This end was paused for so long: it has no right to blame the peer for that.
    pub(crate) fn forgive(&mut self, gap: Duration) {
        self.heard += gap;
        self.progressed += gap;
    }

    /// The session is over: what was not acknowledged comes back, in order.
    pub(crate) fn end(self) -> Vec<Envelope> {
        let unacked = self.unacked.into_iter();
        unacked.map(|Sent { head, body, .. }| Envelope { head, body: Body::Bytes(body) }).collect()
    }

    /// What to send now: first what was sent too long ago, then what was not sent at all.
    fn next_data(&mut self, now: Duration) -> Option<usize> {
        if let Some(index) = self.resendable().position(|sent| sent.resend_at <= now) {
            return Some(index);
        }
        let n_in_flight = self.next_new - self.first_unacked;
        let index = usize::try_from(n_in_flight).ok()?;
        if n_in_flight >= IN_FLIGHT_MAX || index >= self.unacked.len() {
            return None;
        }
        if n_in_flight == 0 {
            self.progressed = now;
        }
        Some(index)
    }

    /// What may be sent again. While nothing gets through, the first asks for all: the rest would only be
    /// lost with it.
    fn resendable(&self) -> impl Iterator<Item = &Sent> {
        let is_stuck = self.unacked.front().is_some_and(|sent| sent.n_times >= STUCK_AFTER);
        let n_in_flight = self.next_new - self.first_unacked;
        let n = if is_stuck { n_in_flight.min(1) } else { n_in_flight };
        self.unacked.iter().take(usize::try_from(n).unwrap_or(usize::MAX))
    }

    fn overdue(&self) -> Duration {
        let is_idle = self.next_new == self.first_unacked;
        let since = if is_idle { self.heard } else { self.heard.min(self.progressed) };
        since + self.config.delivery
    }

    const fn ack(&self) -> Ack {
        Ack { received: self.received, granted: self.released + self.config.window }
    }
}

/// After how many times nothing is taken to get through.
const STUCK_AFTER: u32 = 4;

/// How many envelopes may be sent and not acknowledged, answers among them.
const IN_FLIGHT_MAX: u64 = 256;

#[cfg(test)]
mod tests;
