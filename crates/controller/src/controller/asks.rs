//! What programs ask of the controller (L7, L8).

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Change, MeshRequest, Progress, Refusal, Reply, RestartConfig};
use mesh_shape::{RankSet, Region};

use super::{Controller, Life};
use crate::event::{AskId, Effect};
use crate::kind::Controlled;
use crate::waits::Wait;

impl<C: Controlled> Controller<C> {
    pub(super) fn on_asked(&mut self, ask: AskId, request: MeshRequest, effects: &mut Vec<Effect>) {
        if self.waits.contains(ask) || self.is_stop_of(ask) {
            return;
        }
        if let Some(refused) = self.refused(&request) {
            effects.push(Effect::Answer { ask, reply: refused });
            return;
        }
        let reply = match request {
            MeshRequest::GetState => Some(Reply::State(self.state().into())),
            MeshRequest::GetSubscriberCount => Some(Reply::Subscribers(self.subscribers.len())),
            MeshRequest::CreateOrUpdate { region, restart } => {
                Some(self.on_update(region, restart))
            }
            MeshRequest::Stop { grace, reason } => {
                self.on_stop_asked(ask, (grace, reason), effects)
            }
            MeshRequest::Kill => self.on_kill_asked(ask, effects),
            MeshRequest::WaitRankStatus { ranks, until, within } => {
                self.on_wait_asked(ask, ranks, (until, within))
            }
        };
        effects.extend(reply.map(|reply| Effect::Answer { ask, reply }));
    }

    /// A controller that was replaced or abandoned still says what it knows, and does nothing any more.
    const fn refused(&self, request: &MeshRequest) -> Option<Reply> {
        match (&self.life, request) {
            (_, MeshRequest::GetState | MeshRequest::GetSubscriberCount) => None,
            (Life::Replaced(by), _) => Some(Reply::Refused(Refusal::Replaced { by: *by })),
            (Life::Abandoned, _) => Some(Reply::Refused(Refusal::Closed)),
            (Life::New | Life::Open | Life::Stopping(_) | Life::Closed, _) => None,
        }
    }

    /// Whoever asked for a stop has gone: the stop goes on. Whoever waited is forgotten.
    pub(super) fn on_withdrawn(&mut self, ask: AskId) {
        self.waits.remove(ask);
        if let Life::Stopping(stop) = &mut self.life {
            stop.asked_by.retain(|waiting| *waiting != ask);
        }
    }

    fn on_update(&mut self, asked: Arc<Region>, restart: RestartConfig) -> Reply {
        if asked != self.spec.region {
            let has = Arc::clone(&self.spec.region);
            return Reply::Refused(Refusal::OtherRegion { has, asked });
        }
        if let Err(refused) = restart.validate() {
            return Reply::Refused(refused.into());
        }
        if self.life == Life::Closed {
            return Reply::Refused(Refusal::Closed);
        }
        let is_changed = restart != self.spec.config.restart;
        if is_changed {
            self.restarts.forgive();
        }
        self.spec.config.restart = restart;
        Reply::Updated { is_changed }
    }

    fn on_wait_asked(
        &mut self,
        ask: AskId,
        ranks: RankSet,
        (until, within): (Progress, Duration),
    ) -> Option<Reply> {
        let size = self.health.size();
        if let Some(rank) = ranks.last().filter(|rank| rank.index() >= size) {
            return Some(Reply::Refused(Refusal::NoSuchRank { rank, size }));
        }
        let missing = self.not_yet(&ranks, until);
        if missing.is_empty() || within.is_zero() {
            return Some(Reply::Waited { missing, state: self.state().into() });
        }
        if let Some(refused) = self.too_many_asks() {
            return Some(refused);
        }
        let deadline = self.now + within;
        self.waits.add(Wait { ask, missing, until, deadline });
        None
    }

    /// The ranks that are not known to be so far. One that has ended and is to start again is not.
    fn not_yet(&self, ranks: &RankSet, until: Progress) -> RankSet {
        let mut missing = RankSet::new();
        for range in ranks.runs() {
            for (ranks, cell) in self.health.runs_in(range) {
                if !cell.view().has_reached(until) {
                    missing.insert_range(ranks);
                } else if cell.status.is_terminal() {
                    for starting in self.restarts.starting(ranks).runs() {
                        missing.insert_range(starting);
                    }
                }
            }
        }
        missing
    }

    /// Takes note of what ranks have become in this step. A rank that has once been so far counts, also if
    /// it begins again while others are waited for; an end that another life follows is not how far it
    /// gets.
    pub(super) fn note_for_waits(&mut self, changes: &[Change]) {
        if self.waits.len() == 0 {
            return;
        }
        let mut changed = RankSet::new();
        for run in changes.iter().flat_map(|change| change.ranks.runs()) {
            changed.insert_range(run);
        }
        let mut waits = std::mem::take(&mut self.waits);
        waits.recheck(|missing, until| {
            let still = self.not_yet(&missing.intersection(&changed), until);
            missing.difference(&changed).union(&still)
        });
        self.waits = waits;
    }

    /// Ranks that were to begin again are not: their ends are how far they get.
    pub(super) fn recheck_waits(&mut self) {
        if self.waits.len() == 0 {
            return;
        }
        let mut waits = std::mem::take(&mut self.waits);
        waits.recheck(|ranks, until| self.not_yet(ranks, until));
        self.waits = waits;
    }

    /// Answers those whose waiting is over. They share what every rank is.
    pub(super) fn answer_waits(&self, over: Vec<Wait>, effects: &mut Vec<Effect>) {
        if over.is_empty() {
            return;
        }
        let state = Arc::new(self.state());
        for Wait { ask, missing, .. } in over {
            let reply = Reply::Waited { missing, state: Arc::clone(&state) };
            effects.push(Effect::Answer { ask, reply });
        }
    }

    /// Answers those who asked for the stop. They share what every rank is.
    pub(super) fn answer_stops(&self, asked_by: Vec<AskId>, effects: &mut Vec<Effect>) {
        if asked_by.is_empty() {
            return;
        }
        let state = Arc::new(self.state());
        for ask in asked_by {
            effects.push(Effect::Answer { ask, reply: Reply::State(Arc::clone(&state)) });
        }
    }

    /// The refusal of one more question that must wait for its answer, if as many do as may.
    pub(super) fn too_many_asks(&self) -> Option<Reply> {
        let stops = match &self.life {
            Life::Stopping(stop) => stop.asked_by.len(),
            Life::New | Life::Open | Life::Closed | Life::Replaced(_) | Life::Abandoned => 0,
        };
        let limit = self.spec.config.limits.asks;
        let is_full = self.waits.len() + stops >= limit;
        is_full.then_some(Reply::Refused(Refusal::TooMany { limit }))
    }

    fn is_stop_of(&self, ask: AskId) -> bool {
        matches!(&self.life, Life::Stopping(stop) if stop.asked_by.contains(&ask))
    }
}
