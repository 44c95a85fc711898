//! `Crowd`: what waits for room in a caster, as those behind it see it.

use std::collections::BTreeMap;

use mesh_core::{ActorId, PeerId};
use mesh_shape::{Rank, RankSet};

use super::casters::Cast;
use crate::caster::Busy;
use crate::limits::Limits;
use crate::plan::Plan;

/// What waits. Who passes it neither overtakes a cast of the same sender (R2) nor takes its turn at a rank.
///
/// Programs that are no actors look alike: one that casts and does not wait has no order, also without a tree.
///
/// # Bounds
///
/// Of each actor, and of all that are none for each rank, at most [`Limits::waiting`] and
/// [`Limits::waiting_bytes`]. So a rank that takes nothing leaves no less for who sends to others.
pub(super) struct Crowd {
    waiting: usize,
    waiting_bytes: usize,
    /// Nothing can be cast, before these ranks are reached.
    unreached: Option<RankSet>,
    /// The ranks that have too many calls to answer.
    silent: RankSet,
    /// The ranks that have too much to take.
    ranks: RankSet,
    lines: BTreeMap<Whose, Line>,
}

/// Whose casts stand in one line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    Actor(ActorId),
    /// Of all that are no actors, what waits for that rank first; if it waits for none that it is for, what is for that
    /// rank first.
    Others(Option<Rank>),
}

#[derive(Default)]
struct Line {
    n: usize,
    bytes: usize,
    /// The ranks that have no room for what is in it.
    held_by: RankSet,
}

impl Crowd {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self {
            waiting: limits.waiting,
            waiting_bytes: limits.waiting_bytes,
            unreached: None,
            silent: RankSet::new(),
            ranks: RankSet::new(),
            lines: BTreeMap::new(),
        }
    }

    /// If a cast must wait behind it, the ranks that have no room.
    pub(super) fn holds(&self, cast: &Cast, plan: &Plan<PeerId>) -> Option<RankSet> {
        let ranks = plan.all_ranks();
        let by_silent = self.silent.intersection(ranks);
        let by_silent = Some(by_silent).filter(|by| cast.kind.wants_reply() && !by.is_empty());
        let by_full = Some(self.ranks.intersection(ranks)).filter(|by| !by.is_empty());
        let all = [self.unreached.clone(), by_silent, by_full, self.holds_sender(cast)];
        all.into_iter().flatten().reduce(|one, other| one.union(&other))
    }

    /// The same of a cast that there is room for: whether one of its sender waits.
    pub(super) fn holds_sender(&self, cast: &Cast) -> Option<RankSet> {
        let line = self.lines.get(&Whose::Actor(cast.payload.from?));
        line.map(|line| line.held_by.clone())
    }

    /// Whether anything of theirs waits.
    pub(super) fn has_line(&self, whose: &Whose) -> bool {
        self.lines.contains_key(whose)
    }

    /// Whether one more may wait for ranks that have no room.
    pub(super) fn has_place(&self, whose: Whose, cast: &Cast) -> bool {
        let bytes = cast.payload.body.len();
        self.lines.get(&whose).is_none_or(|line| {
            line.n < self.waiting && line.bytes.saturating_add(bytes) <= self.waiting_bytes
        })
    }

    /// One waits behind it, for ranks that have no room: what its sender casts later does so, too.
    pub(super) fn follow(&mut self, whose: Whose, cast: &Cast, held_by: &RankSet) {
        let line = self.lines.entry(whose).or_default();
        line.n += 1;
        line.bytes = line.bytes.saturating_add(cast.payload.body.len());
        line.held_by = line.held_by.union(held_by);
    }

    /// One waits since there is no room for it: it is before others in that.
    pub(super) fn join(&mut self, busy: &Busy) {
        match busy {
            Busy::All(ranks) => self.unreached = Some(ranks.clone()),
            Busy::Calls(ranks) => self.silent = self.silent.union(ranks),
            Busy::Ranks(ranks) => self.ranks = self.ranks.union(ranks),
        }
    }
}

impl Whose {
    /// In whose line a cast stands that waits for ranks, which may be others than those that it is for.
    pub(super) fn of(cast: &Cast, held_by: &RankSet, plan: &Plan<PeerId>) -> Self {
        let ranks = plan.all_ranks();
        let first = || held_by.intersection(ranks).first().or_else(|| ranks.first());
        cast.payload.from.map_or_else(|| Self::Others(first()), Self::Actor)
    }
}

#[cfg(test)]
mod tests;
