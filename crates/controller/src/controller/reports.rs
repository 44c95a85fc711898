//! What agents say, and what it means for their ranks (H1 to H5).

use std::collections::BTreeSet;
use std::ops::Range;

use mesh_core::{
    AgentId, BeatSeq, Cause, Change, Generation, Incarnation, News, Order, Reason, Status,
    Timestamp, Trouble, Update,
};
use mesh_shape::{Overlay, RankSet};

use super::{Controller, Life};
use crate::agents::Voice;
use crate::cells::Cell;
use crate::changes::Changes;
use crate::doubts::Doubts;
use crate::event::Effect;
use crate::health::{Reported, is_alive};
use crate::kind::Controlled;
use crate::lives::Lives;

impl<C: Controlled> Controller<C> {
    pub(super) fn on_reported(
        &mut self,
        from: (AgentId, Incarnation),
        reports: Overlay<Update<C::Report>>,
        effects: &mut Vec<Effect>,
    ) {
        let mut changes = Changes::default();
        if !self.hear(from, &mut changes, effects) {
            return;
        }
        let (agent, _) = from;
        let Some(own) = self.roster.ranks(agent) else { return };
        let (mut zombies, mut given_up) = (Lives::default(), BTreeSet::new());
        let doubted = self.roster.settle_doubt(agent, &reports.ranks());
        for (range, update) in reports.into_runs() {
            let bar = self.kind.bar(&update.report);
            let is_interrupted = self.kind.is_interrupted(&update.report);
            let reported = Reported {
                incarnation: update.incarnation,
                generation: update.generation,
                status: self.while_stopping(self.kind.status(&update.report)),
                is_barred: bar.is_some(),
                evidence: self.now.before(update.age),
            };
            // An agent answers for its own ranks only.
            for range in own.runs_within(range) {
                zombies.add(&self.zombies(range.clone(), &reported), reported.incarnation);
                self.note_life(reported.incarnation);
                if reported.status == Status::NotExist {
                    self.note_unknown(range.clone());
                } else {
                    self.note_found(range.clone(), reported.incarnation);
                }
                if self.has_lost_order(range.clone(), &reported) {
                    self.roster.repeat(agent);
                }
                self.lose_forgotten(&doubted, range.clone(), &reported, &mut changes);
                self.end_unbegun(range.clone(), &reported, &mut changes);
                if self.life == Life::Closed {
                    self.health.annotate(range.clone(), &reported, &mut changes);
                } else {
                    self.health.report(range.clone(), &reported, &mut changes);
                }
                if is_interrupted {
                    changes.interrupt(range.clone());
                }
                if let Some(why) = &bar {
                    let ranks = self.promised(range, reported.incarnation);
                    let next = reported.incarnation.next();
                    given_up.extend(ranks.iter().map(|rank| (rank, next)));
                    changes.withdraw(ranks, reported.incarnation, why);
                }
            }
        }
        self.restarts.withdraw(&given_up);
        let late = self.late_stops(&changes);
        self.publish(changes, effects);
        effects.extend(late.into_iter().map(|order| self.ask(agent, order)));
        for (ranks, incarnation) in zombies.into_vec() {
            effects.push(self.ask(agent, Order::Kill { ranks, incarnation }));
        }
    }

    pub(super) fn on_heard(
        &mut self,
        from: (AgentId, Incarnation),
        beat: BeatSeq,
        effects: &mut Vec<Effect>,
    ) {
        let mut changes = Changes::default();
        if !self.hear(from, &mut changes, effects) {
            return;
        }
        self.publish(changes, effects);
        // K1: the lease is renewed by the echo of what was heard, and by nothing else. A mesh that is
        // closed keeps nothing alive.
        if self.life != Life::Closed
            && let Some(echoed) = self.roster.beat(from.0, beat)
        {
            effects.push(self.ask(from.0, Order::Renew { echoed }));
        }
    }

    /// An agent speaks: what its silence had covered shows again (H4). Returns whether it counts.
    fn hear(
        &mut self,
        (agent, life): (AgentId, Incarnation),
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if matches!(self.life, Life::Replaced(_) | Life::Abandoned) {
            return false;
        }
        match self.roster.hear(agent, life) {
            Voice::Stale => return false,
            Voice::Known => {}
            Voice::Reborn => self.reborn(agent, life, effects),
        }
        self.contact(agent, changes);
        true
    }

    /// The agent counts its reports from the start again: whatever it says now of a rank is newer than
    /// what the life before it said. An end stays one (H2), and whoever lives after it is found.
    fn reborn(&mut self, agent: AgentId, life: Incarnation, effects: &mut Vec<Effect>) {
        let Some(own) = self.roster.ranks(agent) else { return };
        let mut unseen = Changes::default();
        for range in own.runs() {
            self.health.update(range, self.now, &mut unseen, |cell| {
                let is_counted = cell.generation != Generation::FIRST;
                is_counted.then(|| Cell { generation: Generation::FIRST, ..cell.clone() })
            });
        }
        let runs = own.runs().flat_map(|range| self.health.runs_in(range));
        let alive = runs.filter(|(_, cell)| is_alive(&cell.status));
        let doubts = Doubts::of(alive.map(|(range, cell)| (range, cell.incarnation)));
        self.roster.doubt(agent, doubts);
        let trouble = Trouble::AgentRestarted { agent: agent.index(), life };
        if self.life != Life::Closed {
            self.subscribers.tell_all(&News::Trouble(trouble), effects);
        }
    }

    /// An agent that was started again and does not know a rank that was alive has lost it, in whatever
    /// life it was: who knows nothing of a rank cannot know its life (ST4).
    fn lose_forgotten(
        &mut self,
        doubted: &[(Range<usize>, Incarnation)],
        range: Range<usize>,
        reported: &Reported,
        changes: &mut Changes,
    ) {
        if reported.status != Status::NotExist {
            return;
        }
        let lost = Status::failed(Cause::new(Reason::LostByAgent));
        let first = doubted.partition_point(|(doubted, _)| doubted.end <= range.start);
        let met = doubted[first..].iter().take_while(|(doubted, _)| doubted.start < range.end);
        for (doubted, incarnation) in met {
            let range = doubted.start.max(range.start)..doubted.end.min(range.end);
            self.health.update(range, reported.evidence, changes, |cell| {
                let is_lost = cell.incarnation == *incarnation
                    && !cell.status.is_terminal()
                    && cell.status != Status::Initializing;
                // Of a life that nobody has spoken of, nothing is lost.
                let (status, failed_at) = if cell.is_begun {
                    (lost.clone(), reported.evidence)
                } else {
                    (Status::Stopped, Timestamp::START)
                };
                is_lost.then(|| Cell { status, failed_at, ..cell.clone() })
            });
        }
    }

    /// A life that was to be killed, and of which its agent knows nothing one lease later, never began:
    /// the order to start it was lost, and nobody will report its end.
    fn end_unbegun(&mut self, range: Range<usize>, reported: &Reported, changes: &mut Changes) {
        let is_gone = reported.status.is_terminal() || reported.status == Status::NotExist;
        let range = RankSet::from(range);
        let overdue = match (&self.life, self.restarts.round()) {
            (Life::Stopping(stop), _) if stop.killed && stop.give_up_at.is_none() => range,
            (_, Some(round)) if round.is_overdue(self.now, self.spec.config.times.lease) => {
                range.intersection(&round.ranks)
            }
            (_, _) => return,
        };
        for range in overdue.runs().filter(|_| is_gone) {
            self.health.update(range, reported.evidence, changes, |cell| {
                let is_unknown = reported.incarnation < cell.incarnation
                    || (reported.status == Status::NotExist && !cell.is_begun);
                (cell.status == Status::Stopping && is_unknown)
                    .then(|| Cell { status: Status::Stopped, ..cell.clone() })
            });
        }
    }

    /// In a mesh that is being stopped, whatever still lives is being stopped: also a life that was not
    /// known when the stop was asked for (H3).
    fn while_stopping(&self, status: Status) -> Status {
        let is_live = !status.is_terminal() && status != Status::NotExist;
        if is_live && matches!(self.life, Life::Stopping(_)) { Status::Stopping } else { status }
    }

    /// The lives that a mesh which is being stopped has just learned of are to be told, too. After the grace
    /// they are killed as the others are; or at once, if it is over.
    fn late_stops(&self, changes: &Changes) -> Vec<Order> {
        let Life::Stopping(stop) = &self.life else { return Vec::new() };
        let late = changes.iter().filter(|change| change.status == Status::Stopping);
        let order = |change: &Change| {
            let (ranks, incarnation) = (change.ranks.clone(), change.incarnation);
            match stop.killed {
                true => Order::Kill { ranks, incarnation },
                false => Order::Stop { ranks, incarnation },
            }
        };
        late.map(order).collect()
    }

    /// The ranks of `range` that were promised to start again, each by itself, after this life, and have nowhere to begin.
    fn promised(&self, range: Range<usize>, ended: Incarnation) -> RankSet {
        let mut promised = RankSet::new();
        for rank in self.restarts.alone_within(&range, ended.next()).iter() {
            let is_it = |cell: &Cell| cell.is_barred && cell.incarnation == ended;
            if self.health.get(rank).as_ref().is_some_and(is_it) {
                promised.insert_range(rank.index()..rank.index() + 1);
            }
        }
        promised
    }

    /// The ranks of `range` that are said to be alive in a life that is over (H2): their lease must
    /// have run out, or they were replaced. They are to be killed.
    fn zombies(&self, range: Range<usize>, reported: &Reported) -> RankSet {
        let mut zombies = RankSet::new();
        if reported.status.is_terminal() || reported.status == Status::NotExist {
            return zombies;
        }
        for (ranks, cell) in self.health.runs_in(range) {
            let is_replaced = reported.incarnation < cell.incarnation;
            // An older report of the same life was on its way when it ended, and is no news.
            let is_over = reported.incarnation == cell.incarnation
                && reported.generation >= cell.generation
                && cell.status.is_terminal();
            if is_replaced || is_over {
                zombies.insert_range(ranks);
            }
        }
        zombies
    }
}
