//! What the guard knows of one mesh: its lease, and what was started for it.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::Lease;
use mesh_core::{BeatSeq, Epoch, Incarnation, Timestamp};
use mesh_shape::Rank;

use super::spawn::CommandLine;
use super::wire::ProcKey;

/// One open mesh. Pure: it reads no clock and kills nobody.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) lease: Lease,
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
    /// It was started before, its mesh is being closed, or its controller was replaced.
    Ignore,
    /// The lease ran out while it was on its way: it counts as culled (K2).
    Culled,
}

impl Ward {
    /// A mesh whose lease is armed as of `since` (K2).
    pub(super) fn open(
        since: Timestamp,
        epoch: Epoch,
        term: Duration,
        beat_every: Duration,
    ) -> Self {
        Self {
            lease: Lease::armed(since, term, epoch),
            beat_every: beat_every.max(BEAT_EVERY_MIN),
            commands: BTreeMap::new(),
            is_closing: false,
            newest: BTreeMap::new(),
        }
    }

    /// Decides about a start, and remembers it, so that the same start is performed once.
    ///
    /// What it may live by is the beat that the order echoes, however late it arrives (K1).
    pub(super) fn admit(
        &mut self,
        now: Timestamp,
        key: &ProcKey,
        (epoch, echoed): (Epoch, Option<BeatSeq>),
    ) -> Admission {
        let newest = self.newest.get(&key.rank);
        if self.is_closing || newest.is_some_and(|newest| key.incarnation <= *newest) {
            return Admission::Ignore;
        }
        let Ok(may_start) = self.lease.admit(now, epoch, echoed) else { return Admission::Ignore };
        self.newest.insert(key.rank, key.incarnation);
        if may_start { Admission::Start } else { Admission::Culled }
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
        assert_eq!(ward.admit(at(0), &key(0), echoing(None)), Admission::Start);
        assert!(ward.lease.expire(at(1)));
        ward
    }

    /// An order of the first controller, which had heard this beat.
    fn echoing(beat: Option<u64>) -> (Epoch, Option<BeatSeq>) {
        (Epoch::FIRST, beat.map(BeatSeq::new))
    }

    #[test]
    fn an_incarnation_is_started_once_and_never_after_a_later_one() {
        let mut ward = ward();
        let admitted = [0, 0, 2, 1, 2, 3].map(|life| ward.admit(at(0), &key(life), echoing(None)));
        use Admission::{Ignore, Start};
        assert_eq!(admitted, [Start, Ignore, Start, Ignore, Ignore, Start]);
    }

    /// K2. What was on its way when the lease ran out is a cull, told once, whatever life it is.
    #[test]
    fn nothing_begins_after_the_cull_without_an_echo() {
        let mut ward = culled_ward();
        let late = ProcKey { rank: Rank::new(1), ..key(0) };
        let admitted =
            [key(0), late, late, key(1)].map(|key| ward.admit(at(2), &key, echoing(None)));
        use Admission::{Culled, Ignore};
        assert_eq!(admitted, [Ignore, Culled, Ignore, Culled]);
        assert!(ward.lease.is_culled());
    }

    /// K1, K2. A start that was long on its way arms no lease where it arrives: it lives by the beat that
    /// its controller had heard.
    #[test]
    fn a_restart_after_the_cull_lives_by_the_beat_that_it_echoes() {
        let mut ward = culled_ward();
        (2..=5).for_each(|second| ward.lease.beat_sent(at(second), BeatSeq::new(second)));
        let now = at(5) + Duration::from_millis(900);
        assert_eq!(ward.admit(now, &key(1), echoing(Some(4))), Admission::Culled, "too old");
        assert_eq!(ward.admit(now, &key(2), echoing(Some(5))), Admission::Start);
        assert_eq!(ward.admit(now, &key(2), echoing(Some(5))), Admission::Ignore);
        assert_eq!(ward.lease.ends_at(), Some(at(6)));
        assert!(ward.lease.expire(at(6)));
    }

    /// K3. Who was replaced starts nothing, and the one that has taken over still may.
    #[test]
    fn an_order_of_a_lower_epoch_starts_nothing() {
        let mut ward = ward();
        assert_eq!(ward.lease.renewed(at(0), Epoch::new(1), BeatSeq::FIRST), Ok(()));
        assert_eq!(ward.admit(at(0), &key(0), echoing(None)), Admission::Ignore);
        assert_eq!(ward.admit(at(0), &key(0), (Epoch::new(1), None)), Admission::Start);
    }

    #[test]
    fn nothing_is_started_while_the_mesh_is_closed() {
        let mut ward = ward();
        ward.is_closing = true;
        assert_eq!(ward.admit(at(0), &key(0), echoing(None)), Admission::Ignore);
    }
}
