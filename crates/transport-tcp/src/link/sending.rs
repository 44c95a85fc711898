//! What is sent.

use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use mesh_core::{Body, Envelope, Head, Lost, Outbound, PeerId, Returned, WhyReturned};

use super::{Link, Sending, State, lock};
use crate::metrics::SessionMetrics;
use crate::parked::Parked;

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
        let Sending { encoded, room } = &mut *sending;
        let Some(taken) = envelope.take() else { return Poll::Ready(Ok(())) };
        if !self.is_open() {
            return returned(taken, WhyReturned::Ended(self.peer));
        }
        if *room == 0 && !taken.head.is_answer() {
            let mut state = self.state();
            if state.ended.is_some() {
                return returned(taken, WhyReturned::Ended(self.peer));
            }
            self.tell_room(&state);
            *room = state.session.room();
            if *room == 0 {
                if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    state.waiting.push(cx.waker().clone());
                }
                *envelope = Some(taken);
                return Poll::Pending;
            }
        }
        // Without the lock of the state: a large message takes its time, and the reader goes on.
        let Envelope { head, body } = taken;
        encoded.body.clear();
        match body {
            Body::Bytes(bytes) => encoded.body.share(bytes),
            Body::Value(value) => {
                if let Err(error) = value.encode_into(&mut encoded.body) {
                    let envelope = Envelope { head, body: Body::Value(value) };
                    return returned(envelope, WhyReturned::Encode(error));
                }
            }
        }
        if !encoded.set_head(&head) || encoded.len() > self.frame_max {
            let why = WhyReturned::TooLarge { bytes: encoded.body.len(), max: self.frame_max };
            return returned(Envelope { head, body: Body::Bytes(encoded.body.take()) }, why);
        }
        let mut state = lock(&self.state);
        if state.ended.is_some() {
            let body = Body::Bytes(encoded.body.take());
            return returned(Envelope { head, body }, WhyReturned::Ended(self.peer));
        }
        let is_awaited = encoded.body.len() <= SHORT_MAX && is_awaited(&head);
        state.session.send(&head, encoded);
        *room = state.session.room();
        if is_awaited {
            self.count_handed(&mut state);
        }
        let is_written = is_awaited && state.write_now(&self.metrics);
        // Most often it has been told already, of what was sent just before.
        let is_to_tell = !is_written && !std::mem::replace(&mut state.is_told, true);
        drop(state);
        // What others have of it is theirs again.
        encoded.body.clear();
        if is_to_tell {
            self.freed.to_write.notify_one();
        }
        Poll::Ready(Ok(()))
    }

    fn n_taken(&self) -> u64 {
        lock(&self.state).session.n_taken()
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
    /// What was given back may have been counted by whoever has nothing to write: the task is woken for it.
    fn tell_room(&self, state: &State) {
        if state.session.is_ack_urgent() {
            self.freed.to_write.notify_one();
        }
    }
}

impl State {
    /// Writes what there is to write, if it is one short envelope and nobody else writes. The task would have
    /// to be woken first, most often on another thread. `false` if the task is to do it, or the rest of it.
    fn write_now(&mut self, metrics: &SessionMetrics) -> bool {
        // Where much is on its way, the task writes many together.
        let is_clear = self.parked.as_ref().is_some_and(Parked::is_clear);
        if !is_clear || !self.session.is_quiet() {
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
