//! Stopping a mesh: everybody is told first, then the ranks are asked, then killed (C1).

use std::time::Duration;

use mesh_core::{News, Order, Status, Timestamp};

use super::{Controller, Life};
use crate::event::{AskId, Effect};
use crate::health::{Cell, Changes};
use crate::kind::Controlled;

/// A stop that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stop {
    pub(super) asked_by: Vec<AskId>,
    pub(super) kill_at: Timestamp,
    pub(super) killed: bool,
    /// When to answer with what is, even if the ranks have not ended.
    pub(super) give_up_at: Option<Timestamp>,
}

impl Stop {
    /// This side was paused for `gap`: that is not taken from anybody's grace.
    pub(super) fn put_off(&mut self, gap: Duration) {
        self.kill_at = self.kill_at + gap;
        self.give_up_at = self.give_up_at.map(|at| at + gap);
    }
}

impl<C: Controlled> Controller<C> {
    pub(super) fn on_stop_asked(&mut self, ask: AskId, grace: Duration, effects: &mut Vec<Effect>) {
        match &mut self.life {
            Life::Closed => effects.push(Effect::Answer { ask, state: self.state() }),
            Life::Stopping(stop) if stop.killed && stop.give_up_at.is_none() => {
                effects.push(Effect::Answer { ask, state: self.state() });
            }
            Life::Stopping(stop) => {
                // A second stop waits for the same end; a shorter grace counts.
                stop.asked_by.push(ask);
                stop.kill_at = stop.kill_at.min(self.now + grace);
            }
            Life::New | Life::Open => self.stop(ask, grace, effects),
        }
    }

    /// Subscribers first, then the ranks (C1).
    pub(super) fn stop(&mut self, ask: AskId, grace: Duration, effects: &mut Vec<Effect>) {
        let kill_at = self.now + grace;
        if self.life == Life::New {
            // Its ranks may run already: what lives is watched until it has ended.
            self.roster.open(self.now);
            self.schedule_check();
        }
        self.life =
            Life::Stopping(Stop { asked_by: vec![ask], kill_at, killed: false, give_up_at: None });
        self.restarts.cancel();
        self.subscribers.tell_all(&News::Stopping, effects);
        let alive = self.health.alive();
        let mut changes = Changes::default();
        self.health.update(0..self.health.size(), self.now, &mut changes, |cell| {
            let status = match cell.status {
                // Never started: nobody will report its end.
                Status::NotExist => Status::Stopped,
                Status::Stopped | Status::Failed(_) | Status::Timeout { .. } => return None,
                Status::Initializing
                | Status::Running
                | Status::Stalled(_)
                | Status::Suspect
                | Status::Unreachable
                | Status::Stopping => Status::Stopping,
            };
            Some(Cell { status, ..cell.clone() })
        });
        self.subscribers.tell_changes(&changes.into_changes(), effects);
        for (ranks, incarnation) in alive {
            self.ask_each(&ranks, effects, |ranks| Order::Stop { ranks, incarnation });
        }
    }

    /// What is left of the ranks after the grace is killed; and nobody waits for ever (C1).
    pub(super) fn press_stop(&mut self, changes: &mut Changes, effects: &mut Vec<Effect>) {
        let Life::Stopping(stop) = &mut self.life else { return };
        if !stop.killed && stop.kill_at <= self.now {
            stop.killed = true;
            stop.give_up_at = Some(self.now + self.spec.config.times.lease);
            self.give_up_rest(changes);
            for (ranks, incarnation) in self.health.alive() {
                self.ask_each(&ranks, effects, |ranks| Order::Kill { ranks, incarnation });
            }
        } else if stop.give_up_at.is_some_and(|at| at <= self.now) {
            stop.give_up_at = None;
            let asked_by = std::mem::take(&mut stop.asked_by);
            effects.extend(
                asked_by.into_iter().map(|ask| Effect::Answer { ask, state: self.state() }),
            );
        }
    }
}
