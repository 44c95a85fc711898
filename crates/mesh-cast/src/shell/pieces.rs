//! `Pieces`: a message that is larger than a frame of the control lane may be travels in pieces.
//!
//! Whoever sends by a queue sends one message after the other, and a session keeps the order. So the pieces of
//! a message are neighbours, and a receiver has at most one message of each queue that is not whole. But where a session
//! is lost, what answers is still sent by the queue that it had, while the next one begins: they have different numbers.
//! What a lost session has cut off is dropped with it, or by the next message of that queue; of legs that were not whole
//! then their sender is told, since it may have sent them after it had heard of that loss.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use mesh_core::{ActorId, PeerId, PortId};
use mesh_shape::Overlay;
use serde::{Deserialize, Serialize};

use super::message::{Down, LegName};
use crate::wire::{Answer, Outcome, Progress};

/// How many bytes a message or a reply may have that goes by the tree: as many as a transport usually lets it have that
/// goes directly.
pub const MESSAGE_MAX: usize = 16 << 20;

/// How many bytes travel at once: less than the smallest frame that a transport may be told to take.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// How many bytes of replies are merged into one answer, if there are several.
const ANSWER_BYTES: usize = 1 << 20;

/// How large a message of relays may be: a message of a program, and what surrounds it.
const WHOLE_MAX: usize = MESSAGE_MAX + (4 << 20);

/// What surrounds a reply, about.
const RUN_BYTES: usize = 64;

/// Which of its queues to a process somebody sends by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Queue {
    /// What goes down and up the tree.
    Tree,
    /// What goes back.
    Backs,
}

/// A queue, and how many there were before it.
pub(super) type QueueId = (Queue, u64);

/// A part of a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Piece {
    /// Which relay or caster sends it.
    pub(super) from: ActorId,
    /// By which of its queues.
    pub(super) queue: QueueId,
    /// For which port the message is.
    pub(super) port: PortId,
    /// Which legs it is, or answers.
    pub(super) legs: Vec<LegName>,
    /// How many bytes the message has.
    pub(super) total: usize,
    /// Which of them is the first here.
    pub(super) start: usize,
    pub(super) bytes: Bytes,
}

impl Piece {
    /// Cuts a message; `None` if it is too large.
    pub(super) fn cut(
        (from, queue, port): (ActorId, QueueId, PortId),
        legs: &[LegName],
        whole: &Bytes,
    ) -> Option<impl Iterator<Item = Self> + use<>> {
        let (total, whole, legs) = (whole.len(), whole.clone(), legs.to_vec());
        let pieces = (0..total).step_by(PIECE_BYTES).map(move |start| {
            let bytes = whole.slice(start..total.min(start + PIECE_BYTES));
            Self { from, queue, port, legs: legs.clone(), total, start, bytes }
        });
        (total <= WHOLE_MAX).then_some(pieces)
    }
}

/// The messages that are not whole yet.
#[derive(Debug, Default)]
pub(super) struct Pieces(BTreeMap<(ActorId, QueueId), Begun>);

/// The beginning of a message.
#[derive(Debug)]
struct Begun {
    bytes: BytesMut,
    port: PortId,
    legs: Vec<LegName>,
}

impl Begun {
    /// Which legs it is, if it is some.
    fn into_legs(self) -> Option<Vec<LegName>> {
        (self.port == PortId::of::<Down>()).then_some(self.legs)
    }
}

/// So many queues of one kind may have sent somebody a part of a message: one, but for those of lost sessions.
const BEGUN_MAX: usize = 4;

impl Pieces {
    /// Takes a piece. Returns the message when it is whole, and for which port it is.
    pub(super) fn add(&mut self, piece: Piece) -> Option<(PortId, Bytes)> {
        let Piece { from, queue, port, legs, total, start, bytes } = piece;
        let begun = self.0.remove(&(from, queue)).filter(|_| start > 0);
        let mut message = begun.map(|begun| begun.bytes).unwrap_or_default();
        let end = start.checked_add(bytes.len())?;
        // One that has lost its beginning is dropped, and one that is larger than anybody sends.
        if start != message.len() || bytes.is_empty() || end > total || total > WHOLE_MAX {
            return None;
        }
        // Grows with what arrives, and not with what a piece says of the whole.
        message.extend_from_slice(&bytes);
        if end == total {
            return Some((port, message.freeze()));
        }
        self.0.insert((from, queue), Begun { bytes: message, port, legs });
        None
    }

    /// Before a piece is added: forgets what the oldest queue of its sender has begun, if there are many others. Returns
    /// which legs that was, if it was some.
    pub(super) fn make_room(&mut self, Piece { from, queue, .. }: &Piece) -> Vec<LegName> {
        let (kind, _) = *queue;
        let begun = || self.0.range((*from, (kind, 0))..=(*from, (kind, u64::MAX)));
        if self.0.contains_key(&(*from, *queue)) || begun().count() < BEGUN_MAX {
            return Vec::new();
        }
        let oldest = begun().map(|(key, _)| *key).next();
        let forgotten = oldest.and_then(|oldest| self.0.remove(&oldest));
        forgotten.and_then(Begun::into_legs).unwrap_or_default()
    }

    /// A session with a process was lost. Returns whose legs are not whole, and which.
    pub(super) fn lose(&mut self, peer: PeerId) -> Vec<(ActorId, Vec<LegName>)> {
        let is_lost = |(from, _): &(ActorId, QueueId)| from.peer() == peer;
        let lost: Vec<_> = self.0.keys().copied().filter(is_lost).collect();
        let begun = lost.into_iter().filter_map(|key| Some((key.0, self.0.remove(&key)?)));
        begun.filter_map(|(from, begun)| Some((from, begun.into_legs()?))).collect()
    }
}

/// Cuts an answer between replies: whoever gets it can merge and pass on a part, and need not keep all of it.
/// Only the last part says how far the leg is.
pub(super) fn parts(answer: Answer<Bytes>) -> Vec<Answer<Bytes>> {
    let size = |outcome: &Outcome<Bytes>| match outcome {
        Outcome::Replied(bytes) => bytes.len() + RUN_BYTES,
        Outcome::Arrived | Outcome::Taken | Outcome::Merged | Outcome::Failed(_) => RUN_BYTES,
    };
    let n_bytes: usize = answer.outcomes.runs().map(|(_, outcome)| size(outcome)).sum();
    // What is merged belongs to all that it says with it.
    if n_bytes <= ANSWER_BYTES || answer.merged.is_some() {
        return vec![answer];
    }
    let Answer { cast, leg, progress, outcomes, unreached, merged } = answer;
    let part = |outcomes| {
        let (progress, unreached) = (Progress::Open, Overlay::new());
        Answer { cast, leg, progress, outcomes, unreached, merged: None }
    };
    let (mut parts, mut some, mut n_bytes) = (Vec::new(), Overlay::new(), 0);
    for (range, outcome) in outcomes.into_runs() {
        let more = size(&outcome);
        if n_bytes > 0 && n_bytes + more > ANSWER_BYTES {
            parts.push(part(std::mem::take(&mut some)));
            n_bytes = 0;
        }
        some.insert(range, outcome);
        n_bytes += more;
    }
    parts.push(Answer { cast, leg, progress, outcomes: some, unreached, merged });
    parts
}

#[cfg(test)]
mod tests;
