//! What arrives.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use bytes::Bytes;
use mesh_core::{ActorId, Arrival, Body, Casts, Credit, Envelope, Head};

use super::{Link, PING_BYTES, lock, ping};
use crate::connection::Side;
use crate::freed::Freed;
use crate::session::{Session, Violation};
use crate::wire::{Frame, Run};

impl Link {
    /// Frames have arrived on a connection; none is left. `Ok(false)` if the peer ends the session.
    pub(crate) fn receive(
        &self,
        (connection, side): (u64, Side),
        frames: &mut Vec<Frame>,
    ) -> Result<bool, Violation> {
        self.metrics.received(frames.iter().map(Frame::n_frames).sum());
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
                        Ok(Some(cost)) => shares.push(head, body, cost, &mut delivering),
                        Err(violation) => outcome = Err(violation),
                    }
                }
                Frame::Casts(run) => {
                    outcome =
                        shares.push_run(run, &mut state.session, &mut delivering).map(|()| true);
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

    /// Everything that has arrived was looked at: the peer is to be told, now or soon. `true` if this is to be asked
    /// again when those have run for whom it was: most of them answer, and with that it is told.
    pub(crate) fn tell_of_arrivals(&self, asked: Asked) -> bool {
        let mut state = self.state();
        let session = &state.session;
        let is_asleep = session.owes_ack() && !state.will_ack;
        let is_to_tell = match asked {
            Asked::First => session.has_unwritten() || session.is_ack_urgent(),
            // Whoever is to write already says this as well.
            Asked::Again => is_asleep && !state.is_told,
        };
        if is_to_tell {
            state.will_ack = true;
            self.freed.to_write.notify_one();
        }
        is_asleep && !is_to_tell
    }
}

/// Whether those for whom something has arrived have had their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    First,
    Again,
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
    fn push(&mut self, head: Head, body: Bytes, cost: u64, delivering: &mut Vec<Arrival>) {
        let to = match &head {
            Head::Cast { to, .. } => Some(*to),
            _ => None,
        };
        self.add(to, cost, delivering);
        let envelope = Envelope { head, body: Body::Bytes(body) };
        delivering.push(Arrival::One(envelope, Credit::NONE));
    }

    /// Some more, but for those that had arrived before. What breaks the protocol, and what is behind it, is not
    /// delivered.
    fn push_run(
        &mut self,
        Run { seq, head, mut bodies }: Run,
        session: &mut Session,
        delivering: &mut Vec<Arrival>,
    ) -> Result<(), Violation> {
        let Head::Cast { to, port, from } = head else {
            // Not reached: nothing else is put together.
            return Ok(());
        };
        let casts = |bodies| Arrival::Casts(Casts { to, port, from, bodies, credit: Credit::NONE });
        let (mut n, mut next, mut outcome) = (0, seq, Ok(()));
        while let Some(length) = bodies.length(n) {
            let seq = next;
            next = seq.wrapping_add(1);
            match session.arrived(seq, &head, length) {
                Ok(Some(cost)) => {
                    if n > 0 && !self.is_like_last(Some(to), cost) {
                        delivering.push(casts(bodies.split_to(n)));
                        n = 0;
                    }
                    self.add(Some(to), cost, delivering);
                    n += 1;
                }
                Ok(None) => bodies.skip(),
                Err(violation) => {
                    outcome = Err(violation);
                    break;
                }
            }
        }
        if n > 0 {
            delivering.push(casts(bodies.split_to(n)));
        }
        outcome
    }

    /// One more for `to`, if it is a cast, which costs so much: it shares with those before it, or not.
    fn add(&mut self, to: Option<ActorId>, cost: u64, delivering: &mut [Arrival]) {
        if !self.is_like_last(to, cost) {
            self.give_to_last(delivering);
            self.to = to;
        }
        self.of += cost;
    }

    fn is_like_last(&self, to: Option<ActorId>, cost: u64) -> bool {
        to.is_some() && to == self.to && self.of + cost <= self.most
    }

    /// Those that were seen last are all that share.
    fn give_to_last(&mut self, delivering: &mut [Arrival]) {
        if let Some(last) = delivering.last_mut().filter(|_| self.of > 0) {
            let (Arrival::One(_, room) | Arrival::Casts(Casts { credit: room, .. })) = last;
            *room = credit(self.freed, self.of);
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

#[cfg(test)]
mod tests;
