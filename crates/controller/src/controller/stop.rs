//! Stopping a mesh: everybody is told first, then the ranks are asked, then killed (C1).

use std::time::Duration;

use mesh_core::{AgentId, Incarnation, News, Order, Reply, Status, StopReason, Timestamp, Trouble};

use mesh_shape::RankSet;

use super::{Controller, Life};
use crate::cells::Cell;
use crate::changes::Changes;
use crate::event::{AskId, Effect};
use crate::kind::Controlled;
use crate::lives::Lives;

/// A stop that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stop {
    pub(super) asked_by: Vec<AskId>,
    pub(super) kill_at: Timestamp,
    pub(super) killed: bool,
    /// When to answer with what is, even if the ranks have not ended.
    pub(super) give_up_at: Option<Timestamp>,
    pub(super) reason: Option<StopReason>,
}

impl Stop {
    /// When more is to be done for it.
    pub(super) const fn next_deadline(&self) -> Option<Timestamp> {
        if self.killed { self.give_up_at } else { Some(self.kill_at) }
    }

    /// This side was paused for `gap`: that is not taken from anybody's grace.
    pub(super) fn put_off(&mut self, gap: Duration) {
        self.kill_at = self.kill_at + gap;
        self.give_up_at = self.give_up_at.map(|at| at + gap);
    }
}

impl<C: Controlled> Controller<C> {
    pub(super) fn on_stop_asked(
        &mut self,
        ask: AskId,
        how: (Duration, Option<StopReason>),
        effects: &mut Vec<Effect>,
    ) -> Option<Reply> {
        let too_many = self.too_many_asks();
        match &mut self.life {
            Life::New | Life::Open => self.stop(ask, how, effects),
            Life::Closed | Life::Replaced(_) | Life::Abandoned => {
                return Some(Reply::State(self.state().into()));
            }
            Life::Stopping(stop) if stop.killed && stop.give_up_at.is_none() => {
                return Some(Reply::State(self.state().into()));
            }
            Life::Stopping(stop) => {
                if too_many.is_some() {
                    return too_many;
                }
                // A second stop waits for the same end, and changes nothing.
                stop.asked_by.push(ask);
            }
        }
        None
    }

    /// A stop without grace. One that is under way waits for nobody any more.
    pub(super) fn on_kill_asked(&mut self, ask: AskId, effects: &mut Vec<Effect>) -> Option<Reply> {
        let reply = self.on_stop_asked(ask, (Duration::ZERO, None), effects);
        if reply.is_none()
            && let Life::Stopping(stop) = &mut self.life
        {
            stop.kill_at = stop.kill_at.min(self.now);
        }
        reply
    }

    /// Subscribers first, then the ranks (C1).
    fn stop(
        &mut self,
        ask: AskId,
        (grace, reason): (Duration, Option<StopReason>),
        effects: &mut Vec<Effect>,
    ) {
        let kill_at = self.now + grace;
        if self.life == Life::New {
            // Its ranks may run already: what lives is watched until it has ended.
            self.watch();
        }
        let news = News::Stopping { reason: reason.clone() };
        let (asked_by, give_up_at) = (vec![ask], None);
        let stop = Stop { asked_by, kill_at, killed: false, give_up_at, reason };
        self.life = Life::Stopping(Box::new(stop));
        self.restarts.cancel();
        self.health.await_nothing();
        self.recheck_waits();
        self.subscribers.tell_all(&news, effects);
        let whole = 0..self.health.size();
        let is_known = self.settling.is_none();
        let mut changes = Changes::default();
        self.health.update(whole.clone(), self.now, &mut changes, |cell| {
            // Never started: nobody will report its end. In a mesh that is being adopted it may live.
            (cell.status == Status::NotExist && is_known)
                .then(|| Cell { status: Status::Stopped, ..cell.clone() })
        });
        let stops = self.health.stop(&whole.into(), self.now, &mut changes);
        self.publish(changes, effects);
        for (ranks, incarnation) in stops {
            self.ask_each(&ranks, effects, |ranks| Order::Stop { ranks, incarnation });
        }
    }

    /// Ranks do not end although they were killed: they are told, and a stop does not wait for them.
    pub(super) fn on_resist(
        &mut self,
        agent: AgentId,
        ranks: &RankSet,
        (incarnation, why): (Incarnation, String),
        effects: &mut Vec<Effect>,
    ) {
        let Some(own) = self.roster.ranks(agent).filter(|_| !self.life.is_over()) else { return };
        let alive = self.health.alive(&own.intersection(ranks));
        let Some((living, _)) = alive.into_iter().find(|(_, life)| *life == incarnation) else {
            return;
        };
        // Of those that have ended since, nothing is kept.
        let mut resisting = Lives::default();
        for (ranks, life) in std::mem::take(&mut self.resisting).into_vec() {
            let alive = self.health.alive(&ranks).into_iter();
            alive.filter(|it| it.1 == life).for_each(|(ranks, _)| resisting.add(&ranks, life));
        }
        if resisting.contains(&living, incarnation) {
            self.resisting = resisting;
            return;
        }
        resisting.add(&living, incarnation);
        self.resisting = resisting;
        let trouble = Trouble::Unkillable { ranks: living.len(), why };
        self.subscribers.tell_all(&News::Trouble(trouble), effects);
    }

    /// Nobody waits for ranks of which it is known that they do not end.
    pub(super) fn give_up_unkillable(&mut self, effects: &mut Vec<Effect>) {
        let Life::Stopping(stop) = &mut self.life else { return };
        if !stop.killed || stop.give_up_at.is_none() || self.resisting.is_empty() {
            return;
        }
        let mut living = self.health.runs().filter(|(_, cell)| !cell.status.is_terminal());
        if living.all(|(range, cell)| self.resisting.contains(&range.into(), cell.incarnation)) {
            stop.give_up_at = None;
            let asked_by = std::mem::take(&mut stop.asked_by);
            self.answer_stops(asked_by, effects);
        }
    }

    /// What is left of the ranks after the grace is killed; and nobody waits for ever (C1).
    pub(super) fn press_stop(&mut self, changes: &mut Changes, effects: &mut Vec<Effect>) {
        let whole = RankSet::from(0..self.health.size());
        let Life::Stopping(stop) = &mut self.life else { return };
        if !stop.killed && stop.kill_at <= self.now {
            stop.killed = true;
            stop.give_up_at = Some(self.now + self.spec.config.times.lease);
            self.give_up_rest(changes);
            for (ranks, incarnation) in self.health.alive(&whole) {
                self.ask_each(&ranks, effects, |ranks| Order::Kill { ranks, incarnation });
            }
        } else if stop.give_up_at.is_some_and(|at| at <= self.now) {
            stop.give_up_at = None;
            let asked_by = std::mem::take(&mut stop.asked_by);
            self.answer_stops(asked_by, effects);
        }
    }
}
