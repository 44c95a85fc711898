//! Who waits for ranks to be so far in their lives (L7).

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::{Progress, Status, Timestamp};
use mesh_shape::RankSet;

use crate::event::AskId;

/// The waits of one mesh, in the order of their numbers. A mesh on which nobody waits keeps nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits(Option<Box<Queue>>);

#[derive(Clone, Debug, Default)]
struct Queue {
    waits: BTreeMap<AskId, Wait>,
    // Invariant: of each of `waits`, when its time is over.
    deadlines: BTreeSet<(Timestamp, AskId)>,
    /// Those that are over because every rank was so far, until they are answered.
    reached: Vec<Wait>,
}

#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) ask: AskId,
    /// The ranks that have not been so far yet.
    pub(crate) missing: RankSet,
    pub(crate) until: Progress,
    pub(crate) deadline: Timestamp,
}

impl Waits {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// One that has the same number is forgotten.
    pub(crate) fn add(&mut self, wait: Wait) {
        let queue = self.0.get_or_insert_default();
        queue.remove(wait.ask);
        queue.deadlines.insert((wait.deadline, wait.ask));
        queue.waits.insert(wait.ask, wait);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.waits.len())
    }

    pub(crate) fn contains(&self, ask: AskId) -> bool {
        self.0.as_ref().is_some_and(|queue| queue.waits.contains_key(&ask))
    }

    pub(crate) fn remove(&mut self, ask: AskId) {
        if let Some(queue) = &mut self.0 {
            queue.remove(ask);
        }
        self.forget_if_empty();
    }

    /// Takes note of what ranks have become. A rank that has once been so far counts, also if it begins
    /// again while others are waited for.
    pub(crate) fn note(&mut self, ranks: &RankSet, status: &Status) {
        self.recheck(|missing, until| {
            if status.has_reached(until) { missing.difference(ranks) } else { missing.clone() }
        });
    }

    /// Keeps of what each waits for only what `not_yet` leaves of it.
    pub(crate) fn recheck(&mut self, not_yet: impl Fn(&RankSet, Progress) -> RankSet) {
        let Some(queue) = &mut self.0 else { return };
        let mut reached = Vec::new();
        for wait in queue.waits.values_mut() {
            wait.missing = not_yet(&wait.missing, wait.until);
            reached.extend(wait.missing.is_empty().then_some(wait.ask));
        }
        for ask in reached {
            let wait = queue.remove(ask);
            queue.reached.extend(wait);
        }
    }

    /// Whether [`take_reached`](Self::take_reached) has something to give.
    pub(crate) fn has_reached(&self) -> bool {
        self.0.as_ref().is_some_and(|queue| !queue.reached.is_empty())
    }

    /// The waits that are over because every rank was so far.
    pub(crate) fn take_reached(&mut self) -> Vec<Wait> {
        let reached = self.0.as_mut().map(|queue| std::mem::take(&mut queue.reached));
        self.forget_if_empty();
        reached.unwrap_or_default()
    }

    /// The waits whose time is over, in the order in which it was.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Wait> {
        let mut expired = Vec::new();
        while let Some(queue) = &mut self.0
            && queue.deadlines.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, ask)) = queue.deadlines.pop_first()
        {
            expired.extend(queue.waits.remove(&ask));
        }
        self.forget_if_empty();
        expired
    }

    /// All that are not answered yet.
    pub(crate) fn take_all(&mut self) -> Vec<Wait> {
        let Some(queue) = self.0.take() else { return Vec::new() };
        queue.reached.into_iter().chain(queue.waits.into_values()).collect()
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.0.as_ref()?.deadlines.first().map(|(at, _)| *at)
    }

    fn forget_if_empty(&mut self) {
        self.0.take_if(|queue| queue.waits.is_empty() && queue.reached.is_empty());
    }
}

impl Queue {
    fn remove(&mut self, ask: AskId) -> Option<Wait> {
        let wait = self.waits.remove(&ask)?;
        self.deadlines.remove(&(wait.deadline, ask));
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_secs(seconds))
    }

    fn numbers(waits: &[Wait]) -> Vec<u64> {
        waits.iter().map(|wait| wait.ask.number()).collect()
    }

    /// L7, H8: the next deadline is known without a look at every wait, however they end.
    #[test]
    fn the_next_deadline_is_that_of_a_wait_that_is_kept() {
        let mut waits = Waits::new();
        for (number, seconds, rank) in [(1, 5, 0), (2, 3, 1), (3, 4, 2), (4, 3, 3), (1, 9, 0)] {
            let (ask, missing) = (AskId::new(number), RankSet::from(rank..rank + 1));
            waits.add(Wait { ask, missing, until: Progress::Ended, deadline: at(seconds) });
        }
        assert_eq!(
            (waits.len(), waits.next_deadline()),
            (4, Some(at(3))),
            "the first was replaced"
        );
        waits.note(&RankSet::from(1..2), &Status::Running);
        assert!(!waits.has_reached());
        waits.note(&RankSet::from(1..2), &Status::Stopped);
        assert_eq!(numbers(&waits.take_reached()), [2]);
        assert_eq!(waits.next_deadline(), Some(at(3)), "the other one of that moment");
        assert_eq!(numbers(&waits.expire(at(3))), [4]);
        assert_eq!(waits.next_deadline(), Some(at(4)));
        waits.remove(AskId::new(3));
        assert_eq!(waits.next_deadline(), Some(at(9)));
        assert_eq!(numbers(&waits.expire(at(9))), [1]);
        assert_eq!((waits.len(), waits.next_deadline()), (0, None));
        assert!(waits.0.is_none(), "and nothing is kept");
    }
}
