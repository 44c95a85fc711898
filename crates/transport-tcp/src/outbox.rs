//! What is sent and not acknowledged, as the bytes that it is on the wire: [`Outbox`].

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use mesh_core::Envelope;

use crate::chunks::Chunks;
use crate::wire::{self, Encoded};

/// Envelopes from the first that is not acknowledged to the last that was taken.
///
/// Each is encoded once, when it is taken, behind the one before it: many short ones are one piece, which is
/// written as it is, and written again as it is. A long body is a piece by itself, and never copied.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Bound, together: what the peer has granted, or some of our own windows, and one envelope; besides answers
    /// to what it was granted.
    pieces: VecDeque<Piece>,
    /// How many pieces are written on this connection.
    n_written: usize,
    /// The piece that grows.
    open: BytesMut,
    n_open: u64,
    /// How large the next piece may grow.
    room: usize,
    /// The number of the first envelope that is not acknowledged.
    first: u64,
    /// How many are not.
    n_envelopes: u64,
    n_bytes: usize,
    /// How many bytes are not written on this connection, at most.
    n_unwritten_bytes: usize,
    /// The number of the next one to be written, or to be written again.
    next_to_write: u64,
}

/// Whole frames. Many short ones; or one long one, whose body is in `rest`, but for a short beginning.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    rest: Vec<Bytes>,
    n_envelopes: u64,
}

impl Outbox {
    /// The number of the first envelope that is not acknowledged.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next envelope will have.
    pub(crate) const fn next(&self) -> u64 {
        self.first + self.n_envelopes
    }

    /// The number of the next one to be written, or to be written again.
    pub(crate) const fn next_to_write(&self) -> u64 {
        self.next_to_write
    }

    /// How many bytes are kept until they are acknowledged.
    pub(crate) const fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// How many envelopes are.
    pub(crate) const fn n_envelopes(&self) -> u64 {
        self.n_envelopes
    }

    /// Whether there are envelopes to write.
    pub(crate) const fn has_unwritten(&self) -> bool {
        self.next_to_write < self.next()
    }

    /// About how many bytes there are to write.
    pub(crate) const fn n_unwritten_bytes(&self) -> usize {
        self.n_unwritten_bytes
    }

    /// Takes an envelope. A long body is taken out of `encoded`.
    pub(crate) fn push(&mut self, encoded: &mut Encoded) {
        let (seq, n_bytes) = (self.next(), encoded.len());
        self.n_envelopes += 1;
        self.n_bytes += n_bytes;
        self.n_unwritten_bytes += n_bytes;
        if encoded.body.len() <= COPIED_MAX {
            self.make_room(n_bytes);
            encoded.put(seq, &mut self.open);
            self.n_open += 1;
            return;
        }
        self.make_room(n_bytes - encoded.body.len() + BEGINNING_MAX);
        self.close();
        encoded.put_head(seq, &mut self.open);
        let mut rest = encoded.body.take_pieces();
        if let Some(beginning) = rest.first().filter(|first| first.len() <= BEGINNING_MAX) {
            self.open.extend_from_slice(beginning);
            rest.remove(0);
        }
        let bytes = self.open.split().freeze();
        self.pieces.push_back(Piece { bytes, rest, n_envelopes: 1 });
    }

    /// Takes short envelopes, as many as these frames are.
    pub(crate) fn push_frames(&mut self, frames: &[u8], n_envelopes: u64) {
        self.n_envelopes += n_envelopes;
        self.n_bytes += frames.len();
        self.n_unwritten_bytes += frames.len();
        self.make_room(frames.len());
        self.open.extend_from_slice(frames);
        self.n_open += n_envelopes;
    }

    /// Adds to `chunks` what is to be written next, until that is so many bytes or nothing is left. Returns
    /// how many envelopes that is.
    pub(crate) fn write(&mut self, chunks: &mut Chunks, max: usize) -> u64 {
        let (before, first) = (chunks.remaining(), self.next_to_write);
        while chunks.remaining() - before < max {
            let Some(piece) = self.pieces.get(self.n_written) else {
                if self.n_open == 0 {
                    break;
                }
                self.close();
                continue;
            };
            chunks.push(piece.bytes.clone());
            piece.rest.iter().for_each(|part| chunks.push(part.clone()));
            self.next_to_write += piece.n_envelopes;
            self.n_written += 1;
        }
        self.n_unwritten_bytes = match self.has_unwritten() {
            true => self.n_unwritten_bytes.saturating_sub(chunks.remaining() - before),
            false => 0,
        };
        self.next_to_write - first
    }

    /// Everything that is not acknowledged is to be written again. Returns how many envelopes were written.
    pub(crate) fn rewind(&mut self) -> u64 {
        let n_again = self.next_to_write - self.first;
        self.n_unwritten_bytes = self.n_bytes;
        self.next_to_write = self.first;
        self.n_written = 0;
        n_again
    }

    /// All before the envelope with this number have arrived. It is not after the next one.
    pub(crate) fn acknowledge(&mut self, received: u64) {
        let mut left = received.saturating_sub(self.first);
        self.first += left;
        self.n_envelopes -= left;
        while left > 0 {
            let Some(piece) = self.pieces.front_mut() else {
                // By another connection than this one, on which they are not written yet.
                self.close();
                continue;
            };
            if piece.n_envelopes > left {
                let before = piece.bytes.len();
                (0..left).for_each(|_| piece.bytes.advance(wire::frame_len(&piece.bytes)));
                piece.n_envelopes -= left;
                self.n_bytes -= before - piece.bytes.len();
                break;
            }
            left -= piece.n_envelopes;
            self.n_bytes -= piece.len();
            self.pieces.pop_front();
            self.n_written = self.n_written.saturating_sub(1);
        }
        self.next_to_write = self.next_to_write.max(self.first);
        self.n_unwritten_bytes = self.n_unwritten_bytes.min(self.n_bytes);
        if self.n_envelopes == 0 && self.room > ROOM_MIN {
            // Memory of a burst is not kept.
            (self.open, self.room) = (BytesMut::new(), 0);
        }
    }

    /// Gives back what was not acknowledged, in order. Nothing is left.
    pub(crate) fn take_all(&mut self) -> Vec<Envelope> {
        self.close();
        let pieces = std::mem::take(self).pieces;
        pieces.into_iter().flat_map(Piece::into_envelopes).collect()
    }

    /// What comes next goes to another piece.
    fn close(&mut self) {
        if self.n_open > 0 {
            let (bytes, n_envelopes) = (self.open.split().freeze(), self.n_open);
            self.pieces.push_back(Piece { bytes, rest: Vec::new(), n_envelopes });
            self.n_open = 0;
        }
    }

    /// Room for so many more bytes: in the piece that is open, where a piece was that is acknowledged, or in
    /// a new one, the larger the more often that happens.
    fn make_room(&mut self, n_bytes: usize) {
        if self.open.capacity() - self.open.len() >= n_bytes {
            return;
        }
        self.close();
        let room = self.room.max(n_bytes);
        if room == 0 || !self.open.try_reclaim(room) {
            self.room = (self.room * 2).clamp(ROOM_MIN, ROOM_MAX);
            self.open = BytesMut::with_capacity(self.room.max(n_bytes));
        }
    }
}

impl Piece {
    fn len(&self) -> usize {
        self.bytes.len() + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    fn into_envelopes(self) -> impl Iterator<Item = Envelope> {
        let Self { mut bytes, mut rest, .. } = self;
        std::iter::from_fn(move || {
            if bytes.is_empty() {
                return None;
            }
            let length = wire::frame_len(&bytes).min(bytes.len());
            let frame = bytes.split_to(length);
            wire::own_envelope(frame, std::mem::take(&mut rest))
        })
    }
}

/// Bodies up to this length are copied, so that many go out in one piece; larger ones are written as they are.
const COPIED_MAX: usize = 16 * 1024;

/// What comes before the long part of a body goes with the head, if it is so short.
const BEGINNING_MAX: usize = 64;

/// How large a piece of short frames is.
const ROOM_MIN: usize = 1024;
const ROOM_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
