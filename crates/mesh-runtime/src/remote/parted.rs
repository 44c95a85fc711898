//! `Parted`: the peers with whom the last session was lost a short while ago.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_core::PeerId;
use tokio::time::Instant;

/// For how long a session that was lost may be opened again: whoever was suspended, or cut off, is met by then.
const MET_AGAIN_WITHIN: Duration = Duration::from_secs(5);

/// With whom, and when, the oldest first. Bound: what is lost within [`MET_AGAIN_WITHIN`].
#[derive(Default)]
pub(crate) struct Parted(Mutex<VecDeque<(PeerId, Instant, Parting)>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    ForNow,
    /// The life of the peer is known to be over.
    ForGood,
}

impl Parted {
    /// There is no session with the peer any more.
    pub(crate) fn note(&self, peer: PeerId) {
        self.add(peer, Parting::ForNow);
    }

    /// There will be no session with the peer.
    pub(crate) fn note_for_good(&self, peer: PeerId) {
        self.add(peer, Parting::ForGood);
    }

    fn add(&self, peer: PeerId, parting: Parting) {
        let (mut parted, now) = (self.lock(), Instant::now());
        while parted.front().is_some_and(|(_, at, _)| is_past(*at, now)) {
            parted.pop_front();
        }
        parted.push_back((peer, now, parting));
    }

    /// Whether one with the peer was lost so short a while ago that it may be opened again.
    pub(crate) fn is_recent(&self, peer: PeerId) -> bool {
        let now = Instant::now();
        let parted = self.lock();
        let of_peer = parted.iter().filter(|(it, at, _)| *it == peer && !is_past(*at, now));
        let mut partings = of_peer.map(|(.., parting)| *parting).peekable();
        partings.peek().is_some() && partings.all(|parting| parting == Parting::ForNow)
    }

    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(PeerId, Instant, Parting)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_past(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) >= MET_AGAIN_WITHIN
}

#[cfg(test)]
mod tests {
    use mesh_core::{Incarnation, ProcId};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_was_lost_a_short_while_ago_may_be_met_unless_its_life_is_over() {
        let peer = |number| PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST };
        let (parted, recent) = (Parted::default(), [peer(1), peer(2), peer(3)]);
        parted.note_for_good(peer(2));
        parted.note(peer(1));
        parted.note(peer(2));
        assert_eq!(recent.map(|peer| parted.is_recent(peer)), [true, false, false]);
        tokio::time::advance(MET_AGAIN_WITHIN).await;
        assert_eq!(recent.map(|peer| parted.is_recent(peer)), [false; 3]);
        parted.note(peer(3));
        assert_eq!(parted.lock().len(), 1, "nothing is kept of what is past");
    }
}
