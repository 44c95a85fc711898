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
/// a rank that takes nothing leaves no less for who sends to others. Of all together at most [`Limits::waiting_in_all`]
/// and [`Limits::waiting_bytes_in_all`]; and once there is less than twice its own bound left of that, one sender has
/// no more than half of what is left, and always one if there is any: what becomes free is for those who have less.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    all: Line,
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
        let all = Line { n: 0, bytes: 0, is_refusing: false };
        Self { limits, all, lines: BTreeMap::new() }
    }

    /// Which bound refuses one more of so many bytes, if one does.
    pub(super) fn refuses(&self, whose: Whose, bytes: usize) -> Option<Bound> {
        let (limits, line) = (&self.limits, self.lines.get(&whose).copied().unwrap_or_default());
        let n_left = limits.waiting_in_all.saturating_sub(self.all.n);
        let bytes_left = limits.waiting_bytes_in_all.saturating_sub(self.all.bytes);
        let sum = line.bytes.saturating_add(bytes);
        let is_first = line.n == 0;
        if !is_first && (line.n >= limits.waiting || sum > limits.waiting_bytes) {
            return Some(Bound::Own);
        }
        // A message that is larger than all that may wait waits alone.
        let is_full = n_left == 0 || (bytes > bytes_left && self.all.n > 0);
        let is_over = line.n >= (n_left / 2).max(1) || sum > bytes_left / 2;
        (is_full || (!is_first && is_over)).then_some(Bound::Shared)
    }

    /// One more waits.
    pub(super) fn take(&mut self, whose: Whose, bytes: usize) {
        for line in [&mut self.all, self.lines.entry(whose).or_default()] {
            line.n += 1;
            line.bytes = line.bytes.saturating_add(bytes);
        }
    }

    /// One that waited does not any more.
    pub(super) fn free(&mut self, whose: Whose, bytes: usize) {
        let Some(line) = self.lines.get_mut(&whose) else { return };
        for line in [&mut self.all, &mut *line] {
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

impl Whose {
    /// In whose line something stands that waits for ranks, which may be others than those that it is for.
    pub(super) fn of(from: Option<ActorId>, held_by: &RankSet, ranks: &RankSet) -> Self {
        let first = || held_by.intersection(ranks).first().or_else(|| ranks.first());
        from.map_or_else(|| Self::Others(first()), Self::Actor)
    }
}
