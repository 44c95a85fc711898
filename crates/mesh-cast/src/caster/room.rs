//! Whether there is room for one more cast.

use std::collections::BTreeMap;

use mesh_shape::RankSet;

use super::Caster;
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
    /// Anything, as long as messages have not arrived at the processes of these ranks.
    All(RankSet),
    /// One more call of these ranks: they have not answered those before.
    Calls(RankSet),
    /// More for these ranks: they have not taken what they were sent.
    Ranks(RankSet),
}

impl Busy {
    /// The ranks that have no room.
    #[must_use]
    pub const fn ranks(&self) -> &RankSet {
        match self {
            Self::All(ranks) | Self::Calls(ranks) | Self::Ranks(ranks) => ranks,
        }
    }
}

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Caster<N, P, R> {
    /// Whether there is room for a cast of so many bytes to the region of a plan.
    ///
    /// What all ranks share is shared by one rule: a rank may have no more than a part of what is left for others,
    /// and a rank that has nothing is never refused. So the more ranks take nothing, the less each of them can
    /// have, and one that takes what it is sent is held up by no other.
    pub(super) fn room(&self, (kind, bytes): (Kind, usize), plan: &Plan<N>) -> Result<(), Busy> {
        let limits = &self.limits;
        let flights = self.flights.values();
        let kept = flights.filter(|it| it.payload.is_some()).map(|it| it.bytes);
        let kept: usize = kept.sum();
        let has_bytes = kept == 0 || kept.saturating_add(bytes) <= limits.window_bytes;
        let window = limits.window.saturating_sub(self.kept as u64).max(1);
        if self.last - self.through() >= window || !has_bytes {
            let mut absent = self.flights.values().map(|flight| &flight.absent);
            let first = absent.find(|absent| !absent.is_empty());
            return Err(Busy::All(first.cloned().unwrap_or_default()));
        }
        let full = self.full_ranks(plan.all_ranks(), bytes);
        if !full.is_empty() {
            return Err(Busy::Ranks(full));
        }
        let silent = match kind.wants_reply() {
            true => self.silent_ranks(plan.all_ranks()),
            false => RankSet::new(),
        };
        if silent.is_empty() { Ok(()) } else { Err(Busy::Calls(silent)) }
    }

    /// Which of some ranks have so much to take that there is no room for so many bytes more.
    fn full_ranks(&self, ranks: &RankSet, bytes: usize) -> RankSet {
        let limits = &self.limits;
        // What room was kept for takes nothing from others.
        let waited = || self.flights.values().filter(|flight| !flight.is_ahead);
        let open = || waited().filter(|flight| !flight.untaken.is_empty());
        let left = limits.open.saturating_sub(self.kept).saturating_sub(waited().count());
        let most = (left / OPEN_PARTS).clamp(1, limits.rank.saturating_sub(self.kept).max(1));
        let many = over(open().map(|it| (&it.untaken, 1)), ranks, |n| n >= most);
        let n_bytes = open().fold(0_usize, |sum, it| sum.saturating_add(it.bytes));
        let most = limits.open_bytes.saturating_sub(n_bytes).min(limits.window_bytes);
        let is_over = |sum: usize| sum > 0 && sum.saturating_add(bytes) > most;
        many.union(&over(open().map(|it| (&it.untaken, it.bytes)), ranks, is_over))
    }

    /// Which of some ranks have so many calls to answer that there is no room for one more.
    fn silent_ranks(&self, ranks: &RankSet) -> RankSet {
        let calls = || self.flights.values().filter(|flight| flight.kind.wants_reply());
        let most = self.limits.calls.saturating_sub(calls().count()).max(1);
        over(calls().map(|it| (&it.pending, 1)), ranks, |n| n >= most)
    }
}

/// Which of some ranks have too much, where each of the loads counts at the ranks that it is for.
fn over<'a>(
    loads: impl Iterator<Item = (&'a RankSet, usize)> + Clone,
    ranks: &RankSet,
    is_over: impl Fn(usize) -> bool,
) -> RankSet {
    let mut over = RankSet::new();
    // No rank has more than all together.
    let all = loads.clone().fold(0_usize, |sum, (_, load)| sum.saturating_add(load));
    if !is_over(all) {
        return over;
    }
    // Where it changes from one rank to the next: what begins there, and what ends.
    let mut changes = BTreeMap::<usize, (usize, usize)>::new();
    for (of, load) in loads {
        for run in of.intersection(ranks).runs() {
            changes.entry(run.start).or_default().0 += load;
            changes.entry(run.end).or_default().1 += load;
        }
    }
    let (mut sum, mut since) = (0, 0);
    for (at, (begins, ends)) in changes {
        if is_over(sum) {
            over.insert_range(since..at);
        }
        (sum, since) = (sum + begins - ends, at);
    }
    over
}

/// Which part of the casts and calls that may still be open one rank may have: a small one, so that a few that
/// take nothing leave the others more than one each.
const OPEN_PARTS: usize = 8;
