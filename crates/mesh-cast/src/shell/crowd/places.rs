//! `Places`: how many may wait, of each sender and of all together.

use std::collections::BTreeMap;

use mesh_core::ActorId;
use mesh_shape::{Rank, RankSet};

use crate::limits::Limits;

/// Whose casts stand in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::shell) enum Whose {
    Actor(ActorId),
    /// Of all that are no actors, what waits for that rank first; if it waits for none that it is for, what is for that
    /// rank first.
    Others(Option<Rank>),
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shell) enum Bound {
    /// Of what one sender has waiting.
    Own,
    /// Of what all have waiting, or of the part of it that one may have.
    Shared,
}

/// Who waits, counted.
///
/// # Bounds
///
/// Of each actor, and of all that are none for each rank, at most [`Limits::waiting`] and [`Limits::waiting_bytes`]. So
/// a rank that takes nothing leaves no less for who sends to others. Of all together at most [`Limits::waiting_in_all`],
/// and [`Limits::waiting_bytes_in_all`] or less than one message more. Who has half as much as is left of that has no
/// more of it: a third of what others have left, and always one if anything is left. So what becomes free is for those
/// who have less. All that are no actors are one sender for that.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    all: Line,
    /// Of all that are no actors.
    others: Line,
    lines: BTreeMap<Whose, Line>,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    n: usize,
    bytes: usize,
    /// Whether something was refused since.
    is_refusing: bool,
}

impl Places {
    pub(super) const fn new(limits: Limits) -> Self {
        let none = Line { n: 0, bytes: 0, is_refusing: false };
        Self { limits, all: none, others: none, lines: BTreeMap::new() }
    }

    /// Which bound refuses one more of so many bytes, if one does.
    pub(super) fn refuses(&self, whose: Whose, bytes: usize) -> Option<Bound> {
        let line = self.lines.get(&whose).copied().unwrap_or_default();
        if line.has_more_than(self.limits.waiting, self.limits.waiting_bytes, bytes) {
            return Some(Bound::Own);
        }
        let n_left = self.limits.waiting_in_all.saturating_sub(self.all.n);
        let bytes_left = self.limits.waiting_bytes_in_all.saturating_sub(self.all.bytes);
        let sender = if whose.is_actor() { line } else { self.others };
        // Of bytes a first one takes more than is left, or what is large would find small ones before it for ever.
        let is_full = n_left == 0 || (bytes_left == 0 && bytes > 0);
        let is_over = sender.has_more_than((n_left / 2).max(1), bytes_left / 2, bytes);
        (is_full || is_over).then_some(Bound::Shared)
    }

    /// One more waits.
    pub(super) fn take(&mut self, whose: Whose, bytes: usize) {
        let others = (!whose.is_actor()).then_some(&mut self.others);
        let lines = [&mut self.all, self.lines.entry(whose).or_default()];
        for line in lines.into_iter().chain(others) {
            line.n += 1;
            line.bytes = line.bytes.saturating_add(bytes);
        }
    }

    /// One that waited does not any more.
    pub(super) fn free(&mut self, whose: Whose, bytes: usize) {
        let Some(line) = self.lines.get_mut(&whose) else { return };
        let others = (!whose.is_actor()).then_some(&mut self.others);
        for line in [&mut self.all, &mut *line].into_iter().chain(others) {
            line.n -= 1;
            line.bytes = line.bytes.saturating_sub(bytes);
        }
        if line.n == 0 {
            self.lines.remove(&whose);
        }
        // Or what becomes free and is taken at once would be told again and again.
        self.all.is_refusing &= self.all.n >= self.limits.waiting_in_all / 2
            || self.all.bytes >= self.limits.waiting_bytes_in_all / 2;
    }

    /// One was refused. Returns whether it is the first, as long as there are about as many.
    pub(super) fn note_refused(&mut self, whose: Whose, bound: Bound) -> bool {
        let line = match bound {
            Bound::Own => self.lines.get_mut(&whose),
            Bound::Shared => Some(&mut self.all),
        };
        line.is_some_and(|line| !std::mem::replace(&mut line.is_refusing, true))
    }
}

impl Line {
    /// Whether one more of so many bytes would be too many. The first never is.
    const fn has_more_than(&self, n_max: usize, bytes_max: usize, bytes: usize) -> bool {
        self.n > 0 && (self.n >= n_max || self.bytes.saturating_add(bytes) > bytes_max)
    }
}

impl Whose {
    /// In whose line something stands that waits for ranks, which may be others than those that it is for.
    pub(super) fn of(from: Option<ActorId>, held_by: &RankSet, ranks: &RankSet) -> Self {
        let first = || held_by.intersection(ranks).first().or_else(|| ranks.first());
        from.map_or_else(|| Self::Others(first()), Self::Actor)
    }

    const fn is_actor(self) -> bool {
        matches!(self, Self::Actor(_))
    }
}
