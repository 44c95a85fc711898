//! Ranks that wait to start again, each at a time of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mesh_core::{Incarnation, Timestamp};
use mesh_shape::{Rank, RankSet};

/// Which ranks start alone, into which life, and when. A mesh in which none does keeps nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Alone(Option<Box<Queue>>);

#[derive(Clone, Debug, Default)]
struct Queue {
    by_time: BTreeMap<Timestamp, Vec<(Rank, Incarnation)>>,
    // Invariant: what is in `by_time`.
    by_rank: BTreeSet<(Rank, Incarnation)>,
}

impl Alone {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    pub(super) fn insert(&mut self, at: Timestamp, start: (Rank, Incarnation)) {
        let queue = self.0.get_or_insert_default();
        queue.by_time.entry(at).or_default().push(start);
        queue.by_rank.insert(start);
    }

    /// Those of `group` start with others, or not at all.
    pub(super) fn remove(&mut self, group: &RankSet) {
        let Some(queue) = &mut self.0 else { return };
        queue.by_time.retain(|_, starts| {
            starts.retain(|(rank, _)| !group.contains(*rank));
            !starts.is_empty()
        });
        queue.by_rank.retain(|(rank, _)| !group.contains(*rank));
        self.forget_if_empty();
    }

    /// These starts are not to be.
    pub(super) fn cancel(&mut self, given_up: &BTreeSet<(Rank, Incarnation)>) {
        let Some(queue) = &mut self.0 else { return };
        queue.by_time.retain(|_, starts| {
            starts.retain(|start| !given_up.contains(start));
            !starts.is_empty()
        });
        queue.by_rank.retain(|start| !given_up.contains(start));
        self.forget_if_empty();
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Those that are due, in rank order: so sets of them grow at their ends only.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<(Rank, Incarnation)> {
        let Some(queue) = &mut self.0 else { return Vec::new() };
        let mut due = Vec::new();
        while let Some(entry) = queue.by_time.first_entry()
            && *entry.key() <= now
        {
            due.extend(entry.remove());
        }
        due.sort_unstable();
        for start in &due {
            queue.by_rank.remove(start);
        }
        self.forget_if_empty();
        due
    }

    /// When each of them will start.
    pub(super) fn times(&self) -> BTreeMap<Rank, Timestamp> {
        let by_time = self.0.iter().flat_map(|queue| &queue.by_time);
        by_time.flat_map(|(at, starts)| starts.iter().map(|(rank, _)| (*rank, *at))).collect()
    }

    /// Those of `range`, in the time that it takes to find the first and to walk over them (H8).
    pub(super) fn within(
        &self,
        range: &Range<usize>,
    ) -> impl Iterator<Item = (Rank, Incarnation)> + use<'_> {
        let bound = |rank| (Rank::new(rank), Incarnation::FIRST);
        let bounds = bound(range.start)..bound(range.end);
        self.0.iter().flat_map(move |queue| queue.by_rank.range(bounds.clone())).copied()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.0.as_ref()?.by_time.keys().next().copied()
    }

    fn forget_if_empty(&mut self) {
        self.0.take_if(|queue| queue.by_rank.is_empty());
    }
}
