//! What the silence of agents means for their ranks, and what ends it (L3, H4).

use std::time::Duration;

use mesh_core::{AgentId, Incarnation, News, Stall, Status, Trouble};

use super::{Controller, Life};
use crate::agents::{CutOff, Judged};
use crate::cells::Cell;
use crate::changes::Changes;
use crate::event::Effect;
use crate::kind::Controlled;
use crate::silence::{Contact, Verdict};

impl<C: Controlled> Controller<C> {
    /// An agent was heard: what its silence had covered shows again (H4).
    pub(super) fn contact(&mut self, agent: AgentId, changes: &mut Changes) {
        if self.roster.heard(agent, self.now, &self.spec.config.times) {
            self.set_contact(agent, Contact::Heard, changes);
        }
    }

    /// An agent is gone: its ranks cannot be reached, and are given up when their leases have run out.
    pub(super) fn on_lost(
        &mut self,
        (agent, life): (AgentId, Incarnation),
        effects: &mut Vec<Effect>,
    ) {
        if self.life == Life::New || self.life.is_over() {
            return;
        }
        if self.roster.lost(agent, life) {
            let mut changes = Changes::default();
            self.set_contact(agent, Contact::Unreachable, &mut changes);
            self.publish(changes, effects);
        }
    }

    pub(super) fn set_contact(&mut self, agent: AgentId, contact: Contact, changes: &mut Changes) {
        let Some(ranks) = self.roster.ranks(agent) else { return };
        for range in ranks.runs() {
            self.health.update(range, self.now, changes, |cell| {
                (cell.contact != contact).then(|| Cell { contact, ..cell.clone() })
            });
        }
    }

    /// A poll that has had its time makes those suspect that were not heard since (L3).
    pub(super) fn judge_poll(&mut self, changes: &mut Changes) {
        let Some(sent) = self.poll_sent else { return };
        if self.now < sent + self.spec.config.times.poll_deadline {
            return;
        }
        self.poll_sent = None;
        for agent in self.roster.unheard_since(sent) {
            self.set_contact(agent, Contact::Suspect, changes);
        }
    }

    pub(super) fn judge_silence(&mut self, changes: &mut Changes, effects: &mut Vec<Effect>) {
        let Judged { verdicts, cut_off } = self.roster.judge(self.now, &self.spec.config.times);
        if let Some(CutOff { silent, agents }) = cut_off {
            let trouble = Trouble::Isolated { silent, agents };
            self.subscribers.tell_all(&News::Trouble(trouble), effects);
        }
        for (agent, verdict) in verdicts {
            match verdict {
                Verdict::Contact(contact) => self.set_contact(agent, contact, changes),
                Verdict::GivenUp { after } => self.give_up(agent, after, changes),
            }
        }
    }

    /// What a suspension has held back of agents that were given up is not waited for any more.
    pub(super) fn give_up_rest(&mut self, changes: &mut Changes) {
        for agent in self.roster.ids() {
            if let Some(heard_at) = self.roster.given_up(agent) {
                self.give_up(agent, self.now.since(heard_at), changes);
            }
        }
    }

    /// The leases of its ranks must have run out: they are dead, whatever they say later (H2).
    pub(super) fn give_up(&mut self, agent: AgentId, after: Duration, changes: &mut Changes) {
        let Some(ranks) = self.roster.ranks(agent) else { return };
        let timeout = Status::Timeout { after, cause: None };
        for range in ranks.runs() {
            self.health.update(range, self.now, changes, |cell| {
                let held_back = matches!(cell.status, Status::Stalled(Stall::Suspended { .. }));
                (!cell.status.is_terminal() && !held_back).then(|| Cell {
                    status: timeout.clone(),
                    failed_at: self.now,
                    ..cell.clone()
                })
            });
        }
    }
}
