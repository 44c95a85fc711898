//! `Downs`: legs of casts that follow each other closely go down in one message.
//!
//! The first goes at once. What follows within a moment waits until that has passed, for more: else every process below
//! is woken for each cast, and finds its caches cold. A leg of a call waits for nothing, and takes with it what waits
//! for the same process, so that the order is kept (R2).

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::PeerId;
use tokio::time::Instant;

use super::message::Payload;
use super::posts::Way;
use crate::wire::Leg;

/// For how long legs wait that follow another.
pub(super) const TOGETHER_WITHIN: Duration = Duration::from_millis(1);

/// How many legs go in one message, and how many bytes of theirs.
const LEGS: usize = 64;
const BYTES: usize = 32 << 10;

/// The legs that wait, by whom they are for.
#[derive(Debug, Default)]
pub(super) struct Downs(BTreeMap<PeerId, Waiting>);

#[derive(Debug)]
struct Waiting {
    way: Way,
    legs: Vec<Leg<Payload>>,
    n_bytes: usize,
    is_urgent: bool,
    sent: Option<Instant>,
}

/// Legs that are sent now.
pub(super) struct Due {
    pub(super) to: PeerId,
    pub(super) way: Way,
    pub(super) legs: Vec<Leg<Payload>>,
}

impl Downs {
    /// Takes a leg, behind all that wait for the same process.
    pub(super) fn add(&mut self, to: PeerId, way: Way, leg: Leg<Payload>) -> Option<Due> {
        let n_bytes = leg.payload.as_ref().map_or(0, |payload| payload.body.n_bytes());
        let new = || Waiting {
            way: way.clone(),
            legs: Vec::new(),
            n_bytes: 0,
            is_urgent: false,
            sent: None,
        };
        let waiting = self.0.entry(to).or_insert_with(new);
        // What goes together goes by one table; and a large one goes alone.
        let of = |way: &Way| (way.table.mesh, way.table.version);
        let is_other = of(&waiting.way) != of(&way);
        let is_full = waiting.legs.len() >= LEGS || waiting.n_bytes + n_bytes > BYTES;
        let due =
            (is_other || is_full).then(|| waiting.take(to)).filter(|due| !due.legs.is_empty());
        waiting.way = way;
        waiting.n_bytes += n_bytes;
        waiting.is_urgent |= leg.kind.wants_reply();
        waiting.legs.push(leg);
        due
    }

    /// What is to be sent now: what does not wait, and what follows nothing.
    pub(super) fn due(&mut self) -> Vec<Due> {
        if self.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        let is_due = |it: &Waiting| {
            it.is_urgent || it.sent.is_none_or(|sent| now.duration_since(sent) >= TOGETHER_WITHIN)
        };
        self.send(now, is_due)
    }

    /// All that waits.
    pub(super) fn all(&mut self) -> Vec<Due> {
        self.send(Instant::now(), |_| true)
    }

    fn send(&mut self, now: Instant, is_due: impl Fn(&Waiting) -> bool) -> Vec<Due> {
        let waiting = self.0.iter_mut().filter(|(_, it)| !it.legs.is_empty() && is_due(it));
        let due = waiting.map(|(to, it)| {
            it.sent = Some(now);
            it.take(*to)
        });
        due.collect()
    }

    /// Forgets those to whom nothing was sent for a while.
    pub(super) fn sweep(&mut self) {
        let is_new = |sent: Instant| sent.elapsed() < TOGETHER_WITHIN;
        self.0.retain(|_, waiting| !waiting.legs.is_empty() || waiting.sent.is_some_and(is_new));
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(|waiting| waiting.legs.is_empty())
    }

    /// The session with a process was lost: what was for it is sent to others.
    pub(super) fn lose(&mut self, peer: PeerId) {
        self.0.remove(&peer);
    }
}

impl Waiting {
    fn take(&mut self, to: PeerId) -> Due {
        (self.n_bytes, self.is_urgent) = (0, false);
        Due { to, way: self.way.clone(), legs: std::mem::take(&mut self.legs) }
    }
}

#[cfg(test)]
mod tests;
