//! What a new subscriber is told first, and one that lagged behind (N5, N7).

use std::collections::BTreeMap;

use mesh_core::{
    Change, Incarnation, Interest, News, Refusal, Snapshot, SubscriberId, Timestamp, Trouble,
};
use mesh_shape::{Rank, RankSet};

use super::{Controller, Life};
use crate::cells::Cell;
use crate::event::{Effect, Subscription};
use crate::kind::Controlled;
use crate::subscribers::View;

impl<C: Controlled> Controller<C> {
    pub(super) fn on_subscribed(&mut self, subscription: Subscription, effects: &mut Vec<Effect>) {
        let id = subscription.id;
        if self.subscribers.contains(id) {
            return;
        }
        if let Some(why) = self.refusal(&subscription) {
            effects.push(Effect::Refuse { to: id, why });
            return;
        }
        let may_have_missed = subscription.again;
        self.subscribers.add(subscription, &self.spec.region);
        self.tell_snapshot(id, may_have_missed, effects);
    }

    /// Messages to it were lost, perhaps the last one too.
    pub(super) fn on_lagged(&mut self, id: SubscriberId, effects: &mut Vec<Effect>) {
        self.tell_snapshot(id, true, effects);
    }

    fn refusal(&self, subscription: &Subscription) -> Option<Refusal> {
        if let Life::Replaced(by) = self.life {
            return Some(Refusal::Replaced { by });
        }
        let has = self.spec.region.base();
        if let Some(region) = subscription.region.as_ref().filter(|region| region.base() != has) {
            let (has, asked) = (Box::new(has.clone()), Box::new(region.base().clone()));
            return Some(Refusal::OtherBase { has, asked });
        }
        let limit = self.spec.config.limits.subscribers;
        (self.subscribers.len() >= limit).then_some(Refusal::TooMany { limit })
    }

    fn tell_snapshot(&mut self, id: SubscriberId, lagged: bool, effects: &mut Vec<Effect>) {
        let Some(view) = self.subscribers.view(id) else { return };
        let snapshot = self.snapshot(view, lagged);
        self.subscribers.tell(id, News::Snapshot(snapshot), effects);
        if let Some(word) = self.last_word() {
            self.subscribers.tell(id, word, effects);
        }
    }

    /// What everybody was told last, if that is over: it is told again to whoever may have lost it.
    const fn last_word(&self) -> Option<News> {
        match self.life {
            Life::Closed => Some(News::Closed),
            Life::Replaced(by) => Some(News::Trouble(Trouble::Replaced { by })),
            Life::Abandoned => Some(News::Trouble(Trouble::Abandoned)),
            Life::New | Life::Open | Life::Stopping(_) => None,
        }
    }

    fn snapshot(&self, view: &View, lagged: bool) -> Snapshot {
        let mut snapshot = Snapshot {
            period: self.spec.config.times.check,
            failed: Vec::new(),
            stopped: Vec::new(),
            alive: Vec::new(),
            is_stopping: matches!(self.life, Life::Stopping(_)),
            stop_reason: match &self.life {
                Life::Stopping(stop) => stop.reason.clone(),
                Life::New | Life::Open | Life::Closed | Life::Replaced(_) | Life::Abandoned => None,
            },
            lagged,
        };
        let alone = self.restarts.pending();
        for (range, cell) in self.health.runs() {
            let status = cell.view();
            // The end of a life before this one may be among what was lost (N7).
            let may_have_ended = lagged && cell.incarnation > Incarnation::FIRST;
            let is_wanted = view.interest == Interest::All || status.is_terminal();
            if !is_wanted && !may_have_ended {
                continue;
            }
            let list = match (status.is_failure(), status.is_terminal()) {
                (true, _) => &mut snapshot.failed,
                (false, true) => &mut snapshot.stopped,
                (false, false) => &mut snapshot.alive,
            };
            for (ranks, starts_at) in self.by_restart(range.into(), &cell, &alone) {
                let ranks = view.ranks(&ranks, &self.spec.region);
                if ranks.is_empty() {
                    continue;
                }
                let (incarnation, status) = (cell.incarnation, status.clone());
                let restart_in = starts_at.map(|at| at.since(self.now));
                let evidence = if status.is_failure() { cell.failed_at } else { self.now };
                let age = self.now.since(evidence);
                add(list, Change { ranks, incarnation, status, restart_in, age });
            }
        }
        snapshot
    }

    /// Ranks of one run, by when they start again (RS1).
    fn by_restart(
        &self,
        ranks: RankSet,
        cell: &Cell,
        alone: &BTreeMap<Rank, Timestamp>,
    ) -> Vec<(RankSet, Option<Timestamp>)> {
        if !cell.status.is_terminal() {
            return vec![(ranks, None)];
        }
        let (mut together, mut parts) = (RankSet::new(), Vec::new());
        if let Some(round) = self.restarts.round() {
            together = ranks.intersection(&round.ranks);
            parts.push((together.clone(), Some(round.due)));
        }
        let mut left = ranks.difference(&together);
        let bounds = left.first().zip(left.last());
        for (rank, at) in bounds.into_iter().flat_map(|(first, last)| alone.range(first..=last)) {
            if left.remove(*rank) {
                parts.push((RankSet::from_iter([*rank]), Some(*at)));
            }
        }
        parts.push((left, None));
        parts
    }
}

/// Adds a change, to the last one if they differ in their ranks only.
fn add(changes: &mut Vec<Change>, change: Change) {
    match changes.last_mut() {
        Some(last)
            if last.incarnation == change.incarnation
                && last.status == change.status
                && last.restart_in == change.restart_in
                && last.age == change.age =>
        {
            change.ranks.runs().for_each(|range| last.ranks.insert_range(range));
        }
        Some(_) | None => changes.push(change),
    }
}
