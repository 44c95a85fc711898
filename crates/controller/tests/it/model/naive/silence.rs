//! silence: what the naive model makes of agents that say nothing, and of our own pauses.

use std::collections::BTreeSet;
use std::time::Duration;

use mesh_core::{Cause, Reason, Stall, Status, Timestamp};

use super::{Agent, Contact, Naive, Stage};

impl Naive {
    pub(super) fn advance(&mut self, now: Timestamp, promised: Option<Timestamp>) {
        let slept_from = promised.map(|promised| promised.max(self.now));
        let longest = now.since(self.now);
        self.now = self.now.max(now);
        let Some(gap) = slept_from.map(|from| self.now.since(from)) else { return };
        let times = self.config.times;
        if gap > times.heartbeat {
            let doubt = times.suspect.min(times.poll_deadline);
            let unread = self.now.before(doubt.saturating_sub(times.heartbeat));
            for agent in &mut self.agents {
                let is_first = agent.contact == Contact::Heard && !agent.excused;
                let from = if is_first {
                    (agent.heard_at + longest).max(unread)
                } else {
                    agent.heard_at + gap
                };
                (agent.heard_at, agent.excused) = (from.min(self.now), true);
            }
            self.poll_sent = self.poll_sent.map(|sent| sent + gap);
            if let Some((at, _)) = &mut self.settle {
                *at = *at + gap;
            }
            if let Some(stop) = &mut self.stop {
                stop.kill_at = stop.kill_at + gap;
                stop.give_up_at = stop.give_up_at.map(|at| at + gap);
            }
            self.restarts.put_off(gap);
            self.held_until = Timestamp::START;
        }
    }

    /// A poll that has had its time.
    pub(super) fn judge_poll(&mut self) {
        let deadline = self.config.times.poll_deadline;
        let Some(sent) = self.poll_sent.filter(|sent| self.now >= *sent + deadline) else { return };
        self.poll_sent = None;
        for agent in 0..self.agents.len() {
            let Agent { contact, heard_at, .. } = self.agents[agent];
            if contact == Contact::Heard && heard_at < sent {
                self.set_contact(agent, Contact::Suspect);
            }
        }
    }

    pub(super) fn judge(&mut self) {
        if self.now < self.held_until {
            return;
        }
        let times = self.config.times;
        let silence = |agent: &Agent| self.now.since(agent.heard_at);
        let is_silent = |agent: &&Agent| !agent.given_up && silence(agent) >= times.unreachable;
        let n_silent = self.agents.iter().filter(is_silent).count();
        let n_expected = self.agents.iter().filter(|agent| !agent.given_up).count();
        let is_isolated = n_silent >= 3 && n_silent * 2 > n_expected;
        let hold = if is_isolated { times.lease } else { Duration::ZERO };
        for agent in 0..self.agents.len() {
            let silence = self.now.since(self.agents[agent].heard_at);
            if self.agents[agent].given_up {
                continue;
            }
            if silence >= times.timeout + hold {
                self.agents[agent].given_up = true;
                self.agents[agent].contact = Contact::Unreachable;
                self.give_up(agent);
                continue;
            }
            if silence >= times.timeout {
                self.held_until = self.now + times.heartbeat;
            }
            let meant = if silence >= times.unreachable {
                Contact::Unreachable
            } else if silence >= times.suspect {
                Contact::Suspect
            } else {
                Contact::Heard
            };
            if meant > self.agents[agent].contact {
                self.set_contact(agent, meant);
            }
        }
    }

    pub(super) fn set_contact(&mut self, agent: usize, contact: Contact) {
        if self.agents[agent].contact == contact {
            return;
        }
        self.agents[agent].contact = contact;
        for rank in self.agents[agent].ranks.clone() {
            self.cells[rank].contact = contact;
        }
    }

    pub(super) fn give_up(&mut self, agent: usize) {
        let after = self.now.since(self.agents[agent].heard_at);
        for rank in self.agents[agent].ranks.clone() {
            let status = &mut self.cells[rank].status;
            let is_suspended = matches!(status, Status::Stalled(Stall::Suspended { .. }));
            if !status.is_terminal() && !is_suspended {
                *status = Status::Timeout { after, cause: None };
            }
        }
    }

    /// What its agents do not know of an adopted mesh, one lease later and then again and again.
    pub(super) fn settle(&mut self) {
        let Some((_, unknown)) = self.settle.take_if(|(at, _)| *at <= self.now) else { return };
        let lost = Status::failed(Cause::new(Reason::LostByAgent));
        for rank in unknown {
            let cell = &mut self.cells[rank];
            if cell.status == Status::NotExist {
                let is_stopping = self.stage == Stage::Stopping;
                cell.status = if is_stopping { Status::Stopped } else { lost.clone() };
                cell.life = self.highest;
                self.heard[rank] = true;
            }
        }
        if self.cells.iter().any(|cell| cell.status == Status::NotExist) {
            self.settle = Some((self.now + self.config.times.check, BTreeSet::new()));
        }
    }
}
