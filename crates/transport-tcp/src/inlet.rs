//! What is read from a connection, until it is frames: [`Inlet`].

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::wire::{Frame, KnownHead, Malformed, frame_len, take_alike, take_frame};

/// Buffers that are read into. Frames are split off them, and their bodies are not copied; when those are
/// dropped, the buffer is used again.
///
/// It grows with what arrives, and never with what a frame says of itself; and shrinks when little does.
#[derive(Debug, Default)]
pub(crate) struct Inlet {
    buffer: BytesMut,
    /// How large it is, with what was split off.
    capacity: usize,
    /// How large the next buffer is, by what was read at once.
    size: usize,
    /// How long the longest frame was that has come, all of it, since there was little. Bound: [`LONGEST_MAX`].
    longest: usize,
    /// How many reads in a row have found little.
    n_small: usize,
    /// Buffers that bodies are in which somebody keeps, and how large they are. Bound: [`KEPT_MAX`].
    kept: VecDeque<(BytesMut, usize)>,
    /// There are too many of those: short bodies are copied, so that none of them keeps a whole buffer.
    copies: bool,
    known: KnownHead,
}

impl Inlet {
    /// The buffer, with room for what is read next.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        let (length, spare) = (self.buffer.len(), self.buffer.capacity() - self.buffer.len());
        self.size = self.size.max(SIZE_MIN);
        // Room for all of a frame that is larger than the buffer, or for three times what has arrived of it, if none
        // of its length has come before.
        let frame = frame_len(&self.buffer);
        let most = if frame <= self.longest { frame } else { 3 * length };
        let missing = frame.saturating_sub(length).min(most).max(1);
        let size = self.size();
        let is_shrinking = length == 0 && self.capacity > 2 * size;
        if is_shrinking || spare < missing.max(size / 4) {
            self.renew(missing.max(size / 2));
        }
        &mut self.buffer
    }

    /// How large the next buffer is: there is room for a frame as long as the longest.
    fn size(&self) -> usize {
        self.size.max(self.longest)
    }

    /// So much was read into it.
    pub(crate) fn has_read(&mut self, n_read: usize) {
        if n_read >= self.size / 2 {
            (self.size, self.n_small) = ((self.size * 2).min(SIZE_MAX), 0);
        } else if n_read < self.size / 8 {
            self.n_small += 1;
            if self.n_small >= SMALL_MAX {
                (self.size, self.n_small) = ((self.size / 2).max(SIZE_MIN), 0);
                self.longest /= 2;
            }
        } else {
            self.n_small = 0;
        }
    }

    /// Whether it takes more memory than one that is idle should.
    pub(crate) const fn is_large(&self) -> bool {
        self.capacity > 16 * SIZE_MIN
    }

    /// Nothing has arrived for some time.
    pub(crate) fn rest(&mut self) {
        (self.size, self.n_small, self.longest) = (SIZE_MIN, 0, 0);
        self.kept.clear();
        self.copies = false;
        self.renew(1);
    }

    /// Moves the next frames to `frames`, until those are [`TOGETHER`], or no whole one is left. `max` is how long one
    /// may be.
    pub(crate) fn take_frames(
        &mut self,
        frames: &mut Vec<Frame>,
        max: usize,
    ) -> Result<(), Malformed> {
        let mut n = 0;
        while n < TOGETHER {
            let before = self.buffer.len();
            // What is copied is copied by itself.
            if !self.copies
                && let Some(run) = take_alike(&mut self.buffer, (max, TOGETHER - n), &self.known)
            {
                n += run.bodies.len();
                frames.push(Frame::Casts(run));
                continue;
            }
            match take_frame(&mut self.buffer, max, &mut self.known)? {
                None => break,
                Some(Frame::Data { seq, head, body })
                    if self.copies && body.len() <= COPIED_MAX =>
                {
                    frames.push(Frame::Data { seq, head, body: Bytes::copy_from_slice(&body) });
                }
                Some(frame) => frames.push(frame),
            }
            n += 1;
            self.longest = self.longest.max((before - self.buffer.len()).min(LONGEST_MAX));
        }
        Ok(())
    }

    /// Room for so many bytes behind those that are no frame yet: in this buffer if nobody keeps anything of
    /// it, in an older one, or in a new one.
    fn renew(&mut self, missing: usize) {
        let length = self.buffer.len();
        let size = self.size().max(length + missing);
        let fits = self.capacity <= 2 * size;
        if fits && self.buffer.try_reclaim(size - length) {
            self.copies &= !self.kept.iter_mut().any(|(kept, all)| kept.try_reclaim(*all));
            return;
        }
        let is_free = |(kept, all): &mut (BytesMut, usize)| *all >= size && kept.try_reclaim(*all);
        let free = self.kept.iter_mut().position(is_free);
        let (mut next, capacity) = match free.and_then(|index| self.kept.remove(index)) {
            Some(free) => free,
            None => (BytesMut::with_capacity(size), size),
        };
        next.extend_from_slice(&self.buffer);
        let mut old = std::mem::replace(&mut self.buffer, next);
        let old_capacity = std::mem::replace(&mut self.capacity, capacity);
        old.clear();
        if old_capacity > 0 && !old.try_reclaim(old_capacity) {
            self.kept.push_back((old, old_capacity));
        }
        self.copies = self.kept.len() > KEPT_MAX;
        if self.copies {
            self.kept.pop_front();
        }
    }
}

/// How large a buffer is.
const SIZE_MIN: usize = 4 * 1024;
const SIZE_MAX: usize = 256 * 1024;

/// Frames up to this length are read into one piece of memory, if one as long has come before.
const LONGEST_MAX: usize = 2 * 1024 * 1024;

/// After so many reads that find little, it becomes smaller.
const SMALL_MAX: usize = 16;

/// So many buffers are looked at for one that nobody keeps anything of.
const KEPT_MAX: usize = 4;

/// Bodies up to this length are copied where they would keep too much.
const COPIED_MAX: usize = 16 * 1024;

/// How many frames are received together.
pub(crate) const TOGETHER: usize = 256;

#[cfg(test)]
mod tests;
