//! What one step has changed is told: to whoever waits, to the subscribers, to the owner (H6, N1).

use std::time::Duration;

use mesh_core::{Change, Failures, Order, Withdrawal};
use mesh_shape::RankSet;

use super::Controller;
use crate::changes::Changes;
use crate::event::Effect;
use crate::health::Health;
use crate::kind::Controlled;
use crate::restarts::Step;

impl<C: Controlled> Controller<C> {
    /// Decides on restarts, and tells everybody. At most once in a step, so that all failures found
    /// in it are told together.
    pub(super) fn publish(&mut self, mut changes: Changes, effects: &mut Vec<Effect>) {
        let (withdrawn, interrupted) = (changes.take_withdrawn(), changes.take_interrupted());
        let changes = changes.into_changes(self.now);
        let is_news = !changes.is_empty() || !withdrawn.is_empty();
        if !is_news && !self.restarts.has_escalated() && !self.waits.has_reached() {
            return;
        }
        self.restarts.join_late(self.now + self.spec.config.restart.grace, &changes);
        let (roster, health) = (&self.roster, &self.health);
        let can_start =
            |ranks: &RankSet| roster.can_start(ranks) && health.barred(ranks.runs()).is_empty();
        let ends = changes.iter().filter(|change| change.status.is_terminal());
        let barred = health.barred(ends.flat_map(|change| change.ranks.runs()));
        let config = &self.spec.config.restart;
        let step = Step { now: self.now, config, barred: &barred, interrupted: &interrupted };
        let changes = self.restarts.decide(step, changes, can_start);
        self.note_for_waits(&changes);
        if !withdrawn.is_empty() {
            self.recheck_waits();
        }
        let (recalled, restart_in) = self.recalled(&changes);
        if !recalled.is_empty() {
            let recalled = (&recalled, restart_in);
            self.subscribers.tell_recalled(recalled, &self.spec.region, effects);
        }
        self.subscribers.tell_withdrawn(&withdrawn, &self.spec.region, effects);
        self.subscribers.tell_changes(&changes, &self.spec.region, effects);
        let changes: Vec<Change> =
            changes.into_iter().filter(|change| change.status.is_failure()).collect();
        // That who has ended well does not begin again, since what it was to begin in has stopped, is no failure of anybody.
        let is_failure = |it: &Withdrawal| it.why.is_failure() || self.health.has_failed(&it.ranks);
        let withdrawn: Vec<Withdrawal> = withdrawn.into_iter().filter(is_failure).collect();
        let escalation =
            self.restarts.take_escalation(&self.spec.config.restart, || ended(&self.health));
        if !changes.is_empty() || !withdrawn.is_empty() || escalation.is_some() {
            if let Some(escalation) = &escalation {
                self.subscribers.tell_escalation(escalation, &self.spec.region, effects);
            }
            let (mesh, region) = (self.spec.mesh.clone(), self.spec.region.clone());
            let reporter = self.spec.epoch;
            effects.push(Effect::TellOwner(Failures {
                mesh,
                region,
                reporter,
                changes,
                waited: Duration::ZERO,
                withdrawn,
                escalation,
            }));
        }
        self.begin_round(effects);
        let reached = self.waits.take_reached();
        self.answer_waits(reached, effects);
    }

    /// The ranks that have joined a round and had ended before this step, and in what time they begin again.
    fn recalled(&self, changes: &[Change]) -> (RankSet, Duration) {
        let (joined, due) = self.restarts.joined();
        if joined.is_empty() {
            return (RankSet::new(), Duration::ZERO);
        }
        let (failed, stopped) = ended(&self.health);
        let before = failed.union(&stopped).intersection(joined);
        let now = changes.iter().filter(|change| change.status.is_terminal());
        let recalled = now.fold(before, |left, change| left.difference(&change.ranks));
        (recalled, due.since(self.now))
    }

    /// The ranks of a round that still live are stopped: they start again with the others.
    fn begin_round(&mut self, effects: &mut Vec<Effect>) {
        let joined = self.restarts.take_joined();
        if let Some(round) = self.restarts.round().filter(|_| !joined.is_empty()) {
            self.health.await_ends(round.ranks.clone());
        }
        let mut changes = Changes::default();
        let stops = self.health.stop(&joined, self.now, &mut changes);
        let changes = changes.into_changes(self.now);
        self.note_for_waits(&changes);
        self.subscribers.tell_changes(&changes, &self.spec.region, effects);
        for (ranks, incarnation) in stops {
            self.ask_each(&ranks, effects, |ranks| Order::Stop { ranks, incarnation });
        }
    }
}

/// The ranks that have failed, and those that have stopped.
fn ended(health: &Health) -> (RankSet, RankSet) {
    let (mut failed, mut stopped) = (RankSet::new(), RankSet::new());
    for (range, cell) in health.runs().filter(|(_, cell)| cell.status.is_terminal()) {
        let ended = if cell.status.is_failure() { &mut failed } else { &mut stopped };
        ended.insert_range(range);
    }
    (failed, stopped)
}
