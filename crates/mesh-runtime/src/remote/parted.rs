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
pub(crate) struct Parted(Mutex<VecDeque<(PeerId, Instant)>>);

impl Parted {
    /// There is no session with the peer any more.
    pub(crate) fn note(&self, peer: PeerId) {
        let (mut parted, now) = (self.lock(), Instant::now());
        while parted.front().is_some_and(|(_, at)| is_past(*at, now)) {
            parted.pop_front();
        }
        parted.push_back((peer, now));
    }

    /// Whether one with the peer was lost so short a while ago that it may be opened again.
    pub(crate) fn is_recent(&self, peer: PeerId) -> bool {
        let now = Instant::now();
        self.lock().iter().any(|(parted, at)| *parted == peer && !is_past(*at, now))
    }

    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(PeerId, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_past(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) >= MET_AGAIN_WITHIN
}
