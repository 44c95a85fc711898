//! Ranks that begin a new life: alone, or together in a round (RS1, RS2).

use mesh_core::{Generation, Incarnation, Order, Status, Timestamp};
use mesh_shape::{Rank, RankSet};

use super::{Controller, Life};
use crate::cells::Cell;
use crate::changes::Changes;
use crate::event::Effect;
use crate::kind::Controlled;
use crate::lives::Lives;

impl<C: Controlled> Controller<C> {
    /// When something is to be done for the round: its ranks begin, or those that still live are
    /// killed. `None` while nothing can be done but wait for them.
    pub(super) fn round_deadline(&self) -> Option<Timestamp> {
        let round = self.restarts.round()?;
        match self.health.has_awaited() {
            // It is given up, and that is told at once.
            false if round.is_lost || self.health.awaits_barred() => Some(self.now),
            false => Some(round.due),
            true if round.killed => None,
            true => Some(round.kill_at),
        }
    }

    /// What is left of a round's ranks after the grace is killed.
    pub(super) fn press_round(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now;
        let Some(round) = self.restarts.round_mut() else { return };
        if round.killed || now < round.kill_at {
            return;
        }
        round.killed = true;
        let ranks = round.ranks.clone();
        for (ranks, incarnation) in self.health.alive(&ranks) {
            self.ask_each(&ranks, effects, |ranks| Order::Kill { ranks, incarnation });
        }
    }

    /// Begins the lives that are due, and returns those that are to be started.
    pub(super) fn begin_again(&mut self, changes: &mut Changes) -> Lives {
        if self.life != Life::Open {
            return Lives::default();
        }
        let mut starts = self.begin_each(changes);
        self.begin_together(changes, &mut starts);
        starts
    }

    /// A rank of an agent that was given up has nobody to start it: that life has timed out.
    fn begin_each(&mut self, changes: &mut Changes) -> Lives {
        let mut starts = Lives::default();
        let due = self.restarts.due(self.now);
        let is_begun = |(rank, incarnation): &(Rank, Incarnation)| {
            self.health.incarnation(*rank).is_none_or(|known| known >= *incarnation)
        };
        let is_any_begun = due.iter().any(is_begun);
        for (rank, incarnation) in due {
            if self.health.incarnation(rank).is_none_or(|known| known >= incarnation) {
                continue;
            }
            let given_up = self.roster.of(rank).and_then(|agent| self.roster.given_up(agent));
            let status = match given_up {
                Some(heard_at) => Status::Timeout { after: self.now.since(heard_at), cause: None },
                None => Status::Initializing,
            };
            self.begin(rank.index()..rank.index() + 1, &status, changes);
            if given_up.is_none() {
                starts.add(&RankSet::from_iter([rank]), incarnation);
            }
        }
        if is_any_begun {
            // Somebody else has begun that life already: what it has become is no longer waited for.
            // After the others have begun, since one of them may be the next life of the same rank.
            self.recheck_waits();
        }
        starts
    }

    /// A round begins when all its ranks have ended; if somebody is there to start each of them, and was
    /// since it began, and each has somewhere to begin.
    fn begin_together(&mut self, changes: &mut Changes, starts: &mut Lives) {
        let Some(round) = self.restarts.round() else { return };
        if self.health.has_awaited() {
            return;
        }
        let is_lost = round.is_lost || self.health.awaits_barred();
        if is_lost || !self.roster.can_start(&round.ranks) {
            self.restarts.abandon_round();
            self.health.await_nothing();
            self.recheck_waits();
            return;
        }
        if self.now < round.due {
            return;
        }
        let Some(round) = self.restarts.take_round() else { return };
        self.health.await_nothing();
        for range in round.ranks.runs() {
            self.begin(range.clone(), &Status::Initializing, changes);
            for (ranks, cell) in self.health.runs_in(range) {
                starts.add(&RankSet::from(ranks), cell.incarnation);
            }
        }
    }

    /// The next life of every rank of `range`. All have ended.
    fn begin(&mut self, range: std::ops::Range<usize>, status: &Status, changes: &mut Changes) {
        let failed_at = if status.is_failure() { self.now } else { Timestamp::START };
        self.health.update(range, self.now, changes, |cell| {
            let (status, contact) = (status.clone(), cell.contact);
            let (incarnation, generation) = (cell.incarnation.next(), Generation::FIRST);
            let (is_begun, is_barred) = (false, false);
            Some(Cell { status, contact, incarnation, generation, is_begun, is_barred, failed_at })
        });
    }
}
