//! What the guard knows of one mesh: its lease, and what was started for it.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::Lease;
use mesh_core::{Epoch, Incarnation, Timestamp};
use mesh_shape::Rank;

use super::spawn::CommandLine;
use super::wire::ProcKey;

/// One open mesh. Pure: it reads no clock and kills nobody.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) lease: Lease,
    term: Duration,
    pub(super) beat_every: Duration,
    /// The command lines that starts may name. They go when the mesh does.
    pub(super) commands: BTreeMap<u32, CommandLine>,
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
    /// The lease ran out while it was on its way: it counts as culled (K2).
    Culled,
}

impl Ward {
    /// A mesh whose lease is armed now (K2).
    pub(super) fn open(now: Timestamp, epoch: Epoch, term: Duration, beat_every: Duration) -> Self {
        Self {
            lease: Lease::armed(now, term, epoch),
            term,
            beat_every: beat_every.max(BEAT_EVERY_MIN),
            commands: BTreeMap::new(),
            is_closing: false,
            newest: BTreeMap::new(),
        }
    }

    /// Decides about a start, and remembers it, so that the same start is performed once.
    ///
    /// After the cull a first life is culled too: it was asked for before. A later life is asked for
    /// by an agent that lives, so it arms the lease anew (K2).
    pub(super) fn admit(&mut self, now: Timestamp, key: &ProcKey) -> Admission {
        let newest = self.newest.get(&key.rank);
        if self.is_closing || newest.is_some_and(|newest| key.incarnation <= *newest) {
            return Admission::Ignore;
        }
        self.newest.insert(key.rank, key.incarnation);
        if self.lease.is_culled() {
            if key.incarnation == Incarnation::FIRST {
                return Admission::Culled;
            }
            self.lease = Lease::armed(now, self.term, self.lease.epoch());
        }
        Admission::Start
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

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(seconds))
    }

    /// A ward that was culled after a second, with rank 0 in its first life.
    fn culled_ward() -> Ward {
        let mut ward = ward();
        assert_eq!(ward.admit(at(0), &key(0)), Admission::Start);
        assert!(ward.lease.expire(at(1)));
        ward
    }

    #[test]
    fn an_incarnation_is_started_once_and_never_after_a_later_one() {
        let mut ward = ward();
        let admitted = [0, 0, 2, 1, 2, 3].map(|incarnation| ward.admit(at(0), &key(incarnation)));
        use Admission::{Ignore, Start};
        assert_eq!(admitted, [Start, Ignore, Start, Ignore, Ignore, Start]);
    }

    /// K2. What was on its way when the lease ran out is a cull, told once.
    #[test]
    fn no_first_life_begins_after_the_cull() {
        let mut ward = culled_ward();
        let late = ProcKey { rank: Rank::new(1), ..key(0) };
        let admitted = [key(0), late, late].map(|key| ward.admit(at(2), &key));
        assert_eq!(admitted, [Admission::Ignore, Admission::Culled, Admission::Ignore]);
        assert!(ward.lease.is_culled());
    }

    /// K2. Its lease is a new one, of the same controller and as long, and runs out like the first.
    #[test]
    fn a_restart_after_the_cull_arms_the_lease_anew() {
        let mut ward = culled_ward();
        assert_eq!(ward.admit(at(5), &key(1)), Admission::Start);
        assert_eq!(ward.lease, Lease::armed(at(5), Duration::from_secs(1), Epoch::FIRST));
        assert_eq!(ward.admit(at(5), &key(1)), Admission::Ignore);
        assert!(ward.lease.expire(at(6)));
    }

    /// K2. Also of a rank whose first life was culled before it began.
    #[test]
    fn a_culled_start_can_be_started_again() {
        let mut ward = ward();
        assert!(ward.lease.expire(at(1)));
        let admitted = [0, 1].map(|incarnation| ward.admit(at(2), &key(incarnation)));
        assert_eq!(admitted, [Admission::Culled, Admission::Start]);
    }

    #[test]
    fn nothing_is_started_while_the_mesh_is_closed() {
        let mut ward = ward();
        ward.is_closing = true;
        assert_eq!(ward.admit(at(0), &key(0)), Admission::Ignore);
    }
}
