//! What the guard knows of one mesh: its lease, and what was started for it.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::Lease;
use mesh_core::{Epoch, Incarnation, Timestamp};
use mesh_shape::Rank;

use super::wire::ProcKey;

/// One open mesh. Pure: it reads no clock and kills nobody.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) lease: Lease,
    pub(super) beat_every: Duration,
    /// Whether it is being closed: everything is killed, and nothing is started any more.
    pub(super) is_closing: bool,
    /// The newest incarnation of each rank that a start was asked for.
    newest: BTreeMap<Rank, Incarnation>,
}

/// What is to be done with a request to start a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Start it.
    Start,
    /// It was started before, or its mesh is being closed.
    Ignore,
    /// The lease has run out: it counts as culled (K2).
    Culled,
}

impl Ward {
    /// A mesh whose lease is armed now (K2).
    pub(super) fn open(now: Timestamp, epoch: Epoch, term: Duration, beat_every: Duration) -> Self {
        Self {
            lease: Lease::armed(now, term, epoch),
            beat_every: beat_every.max(BEAT_EVERY_MIN),
            is_closing: false,
            newest: BTreeMap::new(),
        }
    }

    /// Decides about a start, and remembers it, so that the same start is performed once.
    pub(super) fn admit(&mut self, key: &ProcKey) -> Admission {
        let newest = self.newest.get(&key.rank);
        if self.is_closing || newest.is_some_and(|newest| key.incarnation <= *newest) {
            return Admission::Ignore;
        }
        self.newest.insert(key.rank, key.incarnation);
        if self.lease.is_culled() { Admission::Culled } else { Admission::Start }
    }
}

/// Beats are not sent more often, whatever is asked for.
const BEAT_EVERY_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use mesh_core::MeshId;

    use super::*;

    fn key(incarnation: u64) -> ProcKey {
        ProcKey {
            mesh: MeshId::from_random(1),
            rank: Rank::new(0),
            incarnation: Incarnation::new(incarnation),
        }
    }

    fn ward() -> Ward {
        let second = Duration::from_secs(1);
        Ward::open(Timestamp::START, Epoch::FIRST, second, second)
    }

    #[test]
    fn an_incarnation_is_started_once_and_never_after_a_later_one() {
        let mut ward = ward();
        let admitted = [0, 0, 2, 1, 2, 3].map(|incarnation| ward.admit(&key(incarnation)));
        use Admission::{Ignore, Start};
        assert_eq!(admitted, [Start, Ignore, Start, Ignore, Ignore, Start]);
    }

    /// K2. After the lease has run out a start is a cull, told once.
    #[test]
    fn nothing_is_started_after_the_cull() {
        let mut ward = ward();
        assert!(ward.lease.expire(Timestamp::from_start(Duration::from_secs(1))));
        assert_eq!([0, 0].map(|n| ward.admit(&key(n))), [Admission::Culled, Admission::Ignore]);
    }

    #[test]
    fn nothing_is_started_while_the_mesh_is_closed() {
        let mut ward = ward();
        ward.is_closing = true;
        assert_eq!(ward.admit(&key(0)), Admission::Ignore);
    }
}
