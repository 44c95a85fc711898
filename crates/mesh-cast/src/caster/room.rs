//! Whether there is room for one more cast.

use std::collections::BTreeMap;

use mesh_shape::RankSet;

use super::Caster;
use super::flight::Flight;
use crate::plan::Plan;
use crate::wire::Kind;

/// There is no room for a cast. The message comes back; nothing was done.
/// [`Effect::Room`](super::Effect::Room) says when to try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room: wait until some of what was cast before is taken or answered")]
pub struct Full<P> {
    /// The message.
    pub message: P,
    /// What there is no room for.
    pub busy: Busy,
}

/// What there is no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Anything.
    All,
    /// One more call.
    Calls,
    /// More for these ranks: they have not taken what they were sent.
    Ranks(RankSet),
}

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Caster<N, P, R> {
    /// Whether there is room for a cast of so many bytes to the region of a plan.
    pub(super) fn room(&self, (kind, bytes): (Kind, usize), plan: &Plan<N>) -> Result<(), Busy> {
        let limits = &self.limits;
        let flights = self.flights.values();
        let kept = flights.clone().filter(|it| it.payload.is_some()).map(|it| it.bytes);
        let open = flights.clone().filter(|it| !it.untaken.is_empty()).map(|it| it.bytes);
        let has_bytes = |kept: usize, max| kept == 0 || kept.saturating_add(bytes) <= max;
        let ahead = self.last - self.through();
        let has_window = ahead < self.limits.window && flights.len() < limits.open;
        if !has_window
            || !has_bytes(kept.sum(), limits.window_bytes)
            || !has_bytes(open.sum(), limits.open_bytes)
        {
            return Err(Busy::All);
        }
        let calls = flights.filter(|flight| flight.kind == Kind::Call).count();
        if kind == Kind::Call && calls >= limits.calls {
            return Err(Busy::Calls);
        }
        let full = self.full_ranks(plan.all_ranks(), bytes);
        if full.is_empty() { Ok(()) } else { Err(Busy::Ranks(full)) }
    }

    /// Which of some ranks have so much to take that there is no room for so many bytes more.
    fn full_ranks(&self, ranks: &RankSet, bytes: usize) -> RankSet {
        let limits = &self.limits;
        let open = self.flights.values().filter(|flight| !flight.untaken.is_empty());
        let (n_open, n_bytes) =
            open.clone().fold((0, 0_usize), |(n, sum), it| (n + 1, sum.saturating_add(it.bytes)));
        let mut full = RankSet::new();
        if n_open < limits.rank && n_bytes.saturating_add(bytes) <= limits.window_bytes {
            return full;
        }
        let (mut n, mut sum, mut since) = (0, 0, 0);
        for (at, step) in steps(open, ranks) {
            let is_full = n >= limits.rank || sum > 0 && sum + bytes > limits.window_bytes;
            if is_full {
                full.insert_range(since..at);
            }
            (n, sum, since) = (n + step.begun - step.ended, sum + step.more - step.less, at);
        }
        full
    }
}

/// What changes from one rank to the next.
#[derive(Default)]
struct Step {
    begun: usize,
    ended: usize,
    more: usize,
    less: usize,
}

/// Where the number of flights that ranks have to take changes, and by how much.
fn steps<'a, N: 'a, P: 'a, R: 'a>(
    flights: impl Iterator<Item = &'a Flight<N, P, R>>,
    ranks: &RankSet,
) -> BTreeMap<usize, Step> {
    let mut steps = BTreeMap::<usize, Step>::new();
    for flight in flights {
        for run in flight.untaken.intersection(ranks).runs() {
            let begin = steps.entry(run.start).or_default();
            (begin.begun, begin.more) = (begin.begun + 1, begin.more + flight.bytes);
            let end = steps.entry(run.end).or_default();
            (end.ended, end.less) = (end.ended + 1, end.less + flight.bytes);
        }
    }
    steps
}
