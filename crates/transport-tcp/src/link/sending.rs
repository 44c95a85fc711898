//! What is sent.

use std::task::{Context, Poll};

use mesh_core::{Envelope, Head, Lost, Outbound, PeerId, Returned, WhyReturned};

use super::{Link, State, lock};
use crate::metrics::SessionMetrics;
use crate::parked::Parked;
use crate::wire::Encoded;

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
        let mut state = self.state();
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
        let is_short = encoded.body.len() <= SHORT_MAX;
        let is_awaited = is_short && is_awaited(&taken.head);
        state.session.send(&taken.head, encoded);
        let is_written = is_awaited && state.write_now(&self.metrics);
        drop(state);
        if !is_written {
            self.freed.to_write.notify_one();
        }
        Poll::Ready(Ok(()))
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
