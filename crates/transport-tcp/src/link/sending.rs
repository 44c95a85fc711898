//! What is sent.

use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use mesh_core::{Body, Envelope, Head, Lost, Outbound, Payload, PeerId, Returned, WhyReturned};

use super::{Link, Sending, State, lock};
use crate::metrics::SessionMetrics;
use crate::parked::Parked;
use crate::wire::Encoded;

impl Outbound for Link {
    fn peer(&self) -> PeerId {
        self.peer
    }

    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.end(Lost::Closed);
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let mut sending = lock(&self.sending);
        let Some(taken) = envelope.take() else { return Poll::Ready(Ok(())) };
        if !self.is_open() {
            return returned(taken, WhyReturned::Ended(self.peer));
        }
        if sending.room == 0 && !taken.head.is_answer() {
            let mut state = self.state();
            sending.hand_over(&mut state);
            self.tell_room(&state);
            sending.room = state.session.room();
            if sending.room == 0 {
                if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    state.waiting.push(cx.waker().clone());
                }
                *envelope = Some(taken);
                return Poll::Pending;
            }
        }
        // Without the lock of the state: a large message takes its time, and the reader goes on.
        let Envelope { head, body } = taken;
        let encoded = &mut sending.encoded;
        encoded.body.clear();
        match &body {
            // A short copy costs less than what keeps it apart.
            Body::Bytes(bytes) if bytes.len() <= COPIED_MAX => {
                encoded.body.extend_from_slice(bytes);
            }
            Body::Bytes(bytes) => encoded.body.share(bytes.clone()),
            Body::Value(value) => {
                if let Err(error) = value.encode_into(&mut encoded.body) {
                    return returned(Envelope { head, body }, WhyReturned::Encode(error));
                }
            }
        }
        if !self.fits(&head, encoded) {
            let why = WhyReturned::TooLarge { bytes: encoded.body.len(), max: self.frame_max };
            encoded.body.clear();
            return returned(Envelope { head, body }, why);
        }
        drop(body);
        self.push(&head, &mut sending);
        Poll::Ready(Ok(()))
    }

    fn send_now(&self, head: &Head, value: &dyn Payload) -> bool {
        let mut sending = lock(&self.sending);
        if sending.room == 0 || !self.is_open() {
            return false;
        }
        let encoded = &mut sending.encoded;
        encoded.body.clear();
        let is_encoded = value.encode_into(&mut encoded.body).is_ok();
        let is_good = is_encoded && self.fits(head, encoded);
        if is_good {
            self.push(head, &mut sending);
        }
        is_good
    }

    fn n_taken(&self) -> u64 {
        lock(&self.sending).n_taken
    }

    fn poll_acknowledged(&self, cx: &mut Context<'_>, n_taken: u64) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.ended.is_some() || state.session.first_unacked() >= n_taken {
            return Poll::Ready(());
        }
        let is_known = |(n, waker): &(u64, Waker)| *n == n_taken && waker.will_wake(cx.waker());
        if !state.awaiting.iter().any(is_known) {
            state.awaiting.push((n_taken, cx.waker().clone()));
        }
        Poll::Pending
    }
}

impl Link {
    /// Encodes the head. `false` if the frame were too long.
    fn fits(&self, head: &Head, encoded: &mut Encoded) -> bool {
        encoded.set_head(head) && encoded.len() <= self.frame_max
    }

    /// Takes what was encoded, whose head this is. The session has not ended: that it does so needs the same lock.
    fn push(&self, head: &Head, sending: &mut Sending) {
        if sending.keep(head) {
            return;
        }
        let mut state = lock(&self.state);
        sending.hand_over(&mut state);
        let Sending { encoded, room, n_taken, is_told, .. } = sending;
        let is_short = encoded.body.len() <= SHORT_MAX;
        state.session.send(head, encoded);
        *n_taken += 1;
        debug_assert_eq!(*n_taken, state.session.n_taken(), "what waited was handed over before");
        *room = state.session.room();
        // Who sends many may let nobody else run until there is no room: the peer is not to be idle until then.
        let is_much = state.session.n_unwritten_bytes() >= MUCH;
        let is_to_write = is_short && (is_much || is_awaited(head) && state.session.is_quiet());
        if is_to_write {
            self.count_handed(&mut state);
        }
        let is_written = is_to_write && state.write_now(&self.metrics);
        // Most often it has been told already, of what was sent just before.
        let is_to_tell = !is_written && !std::mem::replace(&mut state.is_told, true);
        *is_told = state.is_told;
        drop(state);
        // What others have of it is theirs again.
        encoded.body.clear();
        if is_to_tell {
            self.freed.to_write.notify_one();
        }
    }

    /// What was given back may have been counted by whoever has nothing to write: the task is woken for it.
    fn tell_room(&self, state: &State) {
        if state.session.is_ack_urgent() {
            self.freed.to_write.notify_one();
        }
    }
}

impl State {
    /// Writes what there is to write, if nobody else writes. The task would have to be woken first, most often on
    /// another thread. `false` if the task is to do it, or the rest of it.
    fn write_now(&mut self, metrics: &SessionMetrics) -> bool {
        if !self.parked.as_ref().is_some_and(Parked::is_clear) {
            return false;
        }
        let chunks = self.next_chunks(metrics);
        self.parked.as_mut().is_some_and(|parked| {
            parked.write(chunks);
            parked.is_clear()
        })
    }
}

/// Whether somebody waits for it.
const fn is_awaited(head: &Head) -> bool {
    matches!(head, Head::Call { .. } | Head::Answer { .. } | Head::Fault { .. })
}

fn returned(envelope: Envelope, why: WhyReturned) -> Poll<Result<(), Box<Returned>>> {
    Poll::Ready(Err(Box::new(Returned { envelope, why })))
}

/// Bodies up to this length are written by their senders, where somebody waits for them.
const SHORT_MAX: usize = 16 * 1024;

/// Bodies up to this length are copied once more.
const COPIED_MAX: usize = 512;

/// So much is written by whoever has sent the last of it.
const MUCH: usize = 32 * 1024;
