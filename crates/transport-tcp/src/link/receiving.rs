//! What arrives.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use mesh_core::{ActorId, Body, Credit, Envelope, Head};

use super::{Link, PING_BYTES, lock, ping};
use crate::connection::Side;
use crate::freed::Freed;
use crate::session::Violation;
use crate::wire::Frame;

impl Link {
    /// Frames have arrived on a connection; none is left. `Ok(false)` if the peer ends the session.
    pub(crate) fn receive(
        &self,
        (connection, side): (u64, Side),
        frames: &mut Vec<Frame>,
    ) -> Result<bool, Violation> {
        self.metrics.received(frames.len());
        // Dropped last: the lock is free by then.
        let _told = Told(self);
        let mut delivering = lock(&self.delivering);
        let mut state = self.state();
        if state.ended.is_some() || state.connection != connection {
            frames.clear();
            return Ok(true);
        }
        let (mut outcome, mut has_room, mut is_asked) = (Ok(true), false, false);
        let mut shares = Shares::new(&self.freed, state.session.window() / SHARES_MIN);
        for frame in frames.drain(..) {
            match frame {
                Frame::Data { seq, head, body } => {
                    match state.session.arrived(seq, &head, body.len()) {
                        Ok(None) => (),
                        Ok(Some(cost)) => {
                            let envelope = Envelope { head, body: Body::Bytes(body) };
                            shares.push(envelope, cost, &mut delivering);
                        }
                        Err(violation) => outcome = Err(violation),
                    }
                }
                Frame::Ping => {
                    is_asked |= side == Side::Accepted;
                    state.round_trip.answered(&self.metrics);
                }
                Frame::Ack(ack) => match state.session.heard(ack) {
                    Ok(is_new) => has_room |= is_new,
                    Err(violation) => outcome = Err(violation),
                },
                Frame::Close => outcome = Ok(false),
            }
            if outcome != Ok(true) {
                break;
            }
        }
        shares.give_to_last(&mut delivering);
        let first_unacked = state.session.first_unacked();
        state.round_trip.acknowledged(first_unacked, &self.metrics);
        self.metrics.keeps(state.session.unacked_bytes());
        let mut waiting = if has_room { std::mem::take(&mut state.waiting) } else { Vec::new() };
        if !state.awaiting.is_empty() {
            waiting.extend(state.take_acknowledged());
        }
        let n_received = state.session.n_received();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        if is_asked {
            self.answer_ping(connection);
        }
        // Without the lock of the state: whoever gets it may answer at once.
        self.into.deliver_all(self.peer, &mut delivering);
        self.handed.store(n_received, Ordering::Release);
        outcome
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
                    parked.write(ping().into());
                    self.metrics.wrote(1, PING_BYTES);
                }
                if parked.is_clear() {
                    return;
                }
            }
            // Its task is at it.
            None => state.owes_ping = true,
        }
        drop(state);
        self.freed.to_write.notify_one();
    }

    /// We ask on a connection whether the peer is there.
    pub(crate) fn asks(&self) {
        lock(&self.state).round_trip.asked();
        self.metrics.wrote(1, PING_BYTES);
    }

    /// Everything that has arrived was looked at: the peer is to be told, now or soon.
    pub(crate) fn wake_writer(&self) {
        let mut state = self.state();
        let session = &state.session;
        let is_asleep = session.owes_ack() && !state.will_ack;
        if is_asleep || session.has_unwritten() || session.is_ack_urgent() {
            state.will_ack = true;
            self.freed.to_write.notify_one();
        }
    }
}

/// When it is dropped, also by a panic, the receiver is told of an end that came while it was busy.
struct Told<'a>(&'a Link);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        // Under that lock, so that one of both sees it: whoever ends the session, or who was busy until now.
        let is_untold = lock(&self.0.state).untold.is_some();
        if is_untold {
            self.0.tell_end();
        }
    }
}

/// Casts to one actor that have come one after the other are given room for together: the last of them has it. It
/// is the last that is taken.
struct Shares<'a> {
    freed: &'a Arc<Freed>,
    /// How much may be given together.
    most: u64,
    to: Option<ActorId>,
    /// What those have that were seen last.
    of: u64,
}

impl<'a> Shares<'a> {
    const fn new(freed: &'a Arc<Freed>, most: u64) -> Self {
        Self { freed, most, to: None, of: 0 }
    }

    /// One more is to be delivered, which costs so much.
    fn push(&mut self, envelope: Envelope, cost: u64, delivering: &mut Vec<(Envelope, Credit)>) {
        let to = match &envelope.head {
            Head::Cast { to, .. } => Some(*to),
            _ => None,
        };
        let is_like_last = to.is_some() && to == self.to && self.of + cost <= self.most;
        if !is_like_last {
            self.give_to_last(delivering);
            self.to = to;
        }
        self.of += cost;
        delivering.push((envelope, Credit::NONE));
    }

    /// Those that were seen last are all that share.
    fn give_to_last(&mut self, delivering: &mut [(Envelope, Credit)]) {
        if let Some((_, last)) = delivering.last_mut().filter(|_| self.of > 0) {
            *last = credit(self.freed, self.of);
        }
        self.of = 0;
    }
}

fn credit(freed: &Arc<Freed>, cost: u64) -> Credit {
    match cost {
        0 => Credit::NONE,
        _ => Credit::shared(Arc::clone(freed) as Arc<_>, cost),
    }
}

/// Room for at least so many envelopes, or groups of them, is given back one after the other.
const SHARES_MIN: u64 = 64;
