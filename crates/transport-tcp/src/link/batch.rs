//! What senders share, and what they have taken that the session does not know of yet: [`Sending`].

use bytes::BytesMut;
use mesh_core::Head;

use super::State;
use crate::session::cost;
use crate::wire::Encoded;

/// What senders share. Short casts that follow each other wait here, as the frames that they are: so most of them need
/// no other lock.
#[derive(Default)]
pub(super) struct Sending {
    /// Where they encode.
    pub(super) encoded: Encoded,
    /// How much room there was when the last of them had sent: there is no less.
    pub(super) room: u64,
    /// How many envelopes were taken.
    pub(super) n_taken: u64,
    /// The task of the connection has been told, and will take what is here.
    pub(super) is_told: bool,
    /// The last of those that were taken. Bound: [`BATCH_MAX`].
    frames: BytesMut,
    n_envelopes: u64,
    cost: u64,
}

impl Sending {
    pub(super) fn new(frame_max: usize) -> Self {
        Self { encoded: Encoded::at_most(frame_max), ..Self::default() }
    }

    /// Keeps what was encoded, whose head this is, if somebody will ask for it and it may wait until then.
    pub(super) fn keep(&mut self, head: &Head) -> bool {
        let is_cast = matches!(head, Head::Cast { .. });
        if !is_cast || !self.is_told || self.frames.len() + self.encoded.len() > BATCH_MAX {
            return false;
        }
        let cost = cost(head, self.encoded.body.len());
        self.encoded.put(self.n_taken, &mut self.frames);
        self.encoded.body.clear();
        self.n_taken += 1;
        self.n_envelopes += 1;
        self.cost += cost;
        self.room = self.room.saturating_sub(cost);
        true
    }

    /// Gives the session what waits here.
    pub(super) fn hand_over(&mut self, state: &mut State) {
        if self.n_envelopes > 0 {
            state.session.send_frames(&self.frames, self.n_envelopes, self.cost);
            self.frames.clear();
            (self.n_envelopes, self.cost) = (0, 0);
        }
    }

    /// The same, for whoever was told. Memory that little needs is not kept.
    pub(super) fn hand_over_all(&mut self, state: &mut State) {
        let is_little = self.frames.len() <= self.frames.capacity() / 4;
        self.hand_over(state);
        self.is_told = false;
        if is_little {
            self.frames = BytesMut::new();
        }
    }
}

/// How many bytes of frames wait together.
const BATCH_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests;
