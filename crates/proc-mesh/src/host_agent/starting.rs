//! `Starting`: the ranks of a mesh that wait to be started, and those that are being.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mesh_shape::Rank;
use tokio::time::Instant;

/// How long a worker that runs and is not ready counts as being started.
///
/// Workers that begin are busy, and if all of a large mesh did so together, the guard and its agent would
/// hardly get a turn among them: leases would run out. One that takes longer than this waits for something
/// else than a processor, and keeps nobody out.
const SETTLE: Duration = Duration::from_secs(1);

/// Who waits to be started, and who is being.
///
/// A program is being started until the guard says that it runs; a worker until it is ready, or has run
/// for a second.
#[derive(Debug, Default)]
pub(super) struct Starting {
    queue: VecDeque<Rank>,
    /// Those that are being started; those that run already with when they cease to count.
    begun: BTreeMap<Rank, Option<Instant>>,
    /// The same moments in their order; also of ranks that count no more.
    moments: VecDeque<(Instant, Rank)>,
}

impl Starting {
    /// It is to be started when there is room.
    pub(super) fn push(&mut self, rank: Rank) {
        self.queue.push_back(rank);
    }

    /// The next that waits.
    pub(super) fn pop(&mut self) -> Option<Rank> {
        self.queue.pop_front()
    }

    /// How many are being started.
    pub(super) fn n_begun(&self) -> usize {
        self.begun.len()
    }

    /// The guard was told to start it.
    pub(super) fn begin(&mut self, rank: Rank) {
        self.begun.insert(rank, None);
    }

    /// It runs, but is not ready.
    pub(super) fn runs(&mut self, rank: Rank, now: Instant) {
        if let Some(until) = self.begun.get_mut(&rank) {
            let at = now + SETTLE;
            *until = Some(at);
            self.moments.push_back((at, rank));
        }
    }

    /// It is up, or has ended.
    pub(super) fn done(&mut self, rank: Rank) {
        self.begun.remove(&rank);
        while let Some((at, rank)) = self.moments.front()
            && self.begun.get(rank) != Some(&Some(*at))
        {
            self.moments.pop_front();
        }
    }

    /// The guard is gone, and with it all that it was starting.
    pub(super) fn forget(&mut self) {
        self.begun.clear();
        self.moments.clear();
    }

    /// Those that have been at it for long count no more.
    pub(super) fn on_due(&mut self, now: Instant) {
        while let Some((at, rank)) = self.moments.front().copied()
            && at <= now
        {
            self.moments.pop_front();
            if self.begun.get(&rank) == Some(&Some(at)) {
                self.begun.remove(&rank);
            }
        }
    }

    /// Whether somebody waits for room.
    pub(super) fn waits(&self) -> bool {
        !self.queue.is_empty()
    }

    /// When room comes of itself, for whoever waits for it.
    pub(super) fn next_room(&self) -> Option<Instant> {
        self.moments.front().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_counts_until_it_is_ready_or_has_run_for_a_second() {
        let (mut starting, now) = (Starting::default(), Instant::now());
        for rank in 0..3 {
            starting.begin(Rank::new(rank));
        }
        starting.runs(Rank::new(0), now);
        starting.runs(Rank::new(1), now + Duration::from_millis(500));
        starting.done(Rank::new(0));
        assert_eq!(starting.n_begun(), 2);

        starting.on_due(now + SETTLE);
        assert_eq!(starting.n_begun(), 2, "what rank 0 was given is not taken from rank 1");
        starting.on_due(now + SETTLE + Duration::from_millis(500));
        assert_eq!(starting.n_begun(), 1, "the guard has not said that rank 2 runs");
    }

    #[test]
    fn room_comes_a_second_after_a_rank_runs() {
        let (mut starting, now) = (Starting::default(), Instant::now());
        starting.begin(Rank::new(0));
        starting.runs(Rank::new(0), now);
        assert!(!starting.waits());
        starting.push(Rank::new(1));
        assert!(starting.waits());
        assert_eq!(starting.next_room(), Some(now + SETTLE));
        starting.on_due(now + SETTLE);
        assert_eq!((starting.n_begun(), starting.next_room()), (0, None));
        assert_eq!(starting.pop(), Some(Rank::new(1)));
    }

    #[test]
    fn the_next_life_of_a_rank_has_a_time_of_its_own() {
        let (mut starting, now) = (Starting::default(), Instant::now());
        let (first, second) = (now, now + Duration::from_millis(300));
        starting.begin(Rank::new(7));
        starting.begin(Rank::new(0));
        starting.runs(Rank::new(7), first);
        starting.runs(Rank::new(0), first);
        starting.done(Rank::new(0));
        starting.begin(Rank::new(0));
        starting.runs(Rank::new(0), second);
        starting.on_due(first + SETTLE);
        assert_eq!(starting.n_begun(), 1);
        starting.on_due(second + SETTLE);
        assert_eq!(starting.n_begun(), 0);
    }
}
