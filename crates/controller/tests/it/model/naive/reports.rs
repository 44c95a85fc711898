//! reports: what the naive model makes of what agents say.

use mesh_core::{Answer, Cause, Reason, Status};
use mesh_shape::Rank;

use super::super::said::Said;
use super::{Contact, Naive, Stage, is_alive};

impl Naive {
    pub(super) fn on_answer(&mut self, answer: &Answer<Said>) {
        match answer {
            Answer::Heard { agent, life, beat } => {
                self.on_beat(agent.index(), life.number(), beat.number());
            }
            Answer::Lost { .. } => (),
            Answer::Refused { agent, obeyed } => {
                let is_over = agent.index() >= self.agents.len() || self.stage.is_over();
                if *obeyed > mesh_core::Epoch::FIRST && !is_over {
                    self.rest(Stage::Replaced);
                }
            }
            // Nobody resists in the model.
            Answer::QueryFailed { .. } | Answer::Resist { .. } => (),
            Answer::Reported { agent, life, reports } => {
                for rank in self.hear(agent.index(), life.number()) {
                    if let Some(update) = reports.get(Rank::new(rank)) {
                        let pair = (update.incarnation.number(), update.generation.number());
                        if self.settle.is_some() {
                            self.highest = self.highest.max(pair.0);
                        }
                        let reported = &update.report.status;
                        self.kill_zombie(rank, pair, reported);
                        self.lose_forgotten(rank, reported);
                        self.end_unbegun(rank, pair.0, reported);
                        self.on_report(rank, pair, &update.report);
                    }
                }
            }
        }
    }

    /// The newest beat that was heard of the agent, and of which life of it.
    pub(in super::super) fn newest_beat(&self, agent: usize) -> Option<(u64, u64)> {
        let heard = &self.agents[agent];
        heard.life.zip(heard.newest_beat)
    }

    fn on_beat(&mut self, agent: usize, life: u64, beat: u64) {
        let is_heard = agent < self.agents.len() && self.agents[agent].life <= Some(life);
        _ = self.hear(agent, life);
        if is_heard && !self.stage.is_over() {
            let agent_now = &mut self.agents[agent];
            agent_now.newest_beat = agent_now.newest_beat.max(Some(beat));
            self.orders.renew = agent_now.newest_beat.map(|beat| (agent, life, beat));
        }
    }

    /// The agent lives, if this life of it may speak; returns its ranks.
    fn hear(&mut self, agent: usize, life: u64) -> Vec<usize> {
        let is_stale = self.agents.get(agent).is_none_or(|agent| agent.life > Some(life));
        if is_stale || self.stage.is_let_go() {
            return Vec::new();
        }
        let ranks = self.agents[agent].ranks.clone();
        if self.agents[agent].life.is_some_and(|known| known < life) {
            self.agents[agent].newest_beat = None;
            for rank in &ranks {
                let cell = &mut self.cells[*rank];
                cell.generation = 0;
                self.doubted[*rank] = is_alive(&cell.status).then_some(cell.life);
            }
        }
        self.set_contact(agent, Contact::Heard);
        let agent = &mut self.agents[agent];
        (agent.heard_at, agent.excused) = (self.now, false);
        (agent.given_up, agent.life) = (false, Some(life));
        ranks
    }

    /// Who lives although its life is over is killed.
    fn kill_zombie(&mut self, rank: usize, (life, generation): (u64, u64), reported: &Status) {
        let cell = &self.cells[rank];
        let is_over =
            life == cell.life && generation >= cell.generation && cell.status.is_terminal();
        if is_alive(reported) && (life < cell.life || is_over) {
            self.orders.kills.insert((rank, life));
        }
    }

    /// An agent that was started again does not know a rank that was alive, in whatever life.
    fn lose_forgotten(&mut self, rank: usize, reported: &Status) {
        let doubted = self.doubted[rank].take();
        let cell = &mut self.cells[rank];
        let is_known = is_alive(&cell.status) && cell.status != Status::Initializing;
        if *reported == Status::NotExist && doubted == Some(cell.life) && is_known {
            let lost = Status::failed(Cause::new(Reason::LostByAgent));
            cell.status = if cell.is_begun { lost } else { Status::Stopped };
        }
    }

    /// A life that was to be killed long ago, and of which its agent does not know, never began.
    fn end_unbegun(&mut self, rank: usize, life: u64, reported: &Status) {
        let lease = self.config.times.lease;
        let is_overdue = self.restarts.is_overdue(rank, self.now, lease)
            || self.stop.as_ref().is_some_and(|stop| stop.killed && stop.give_up_at.is_none());
        let cell = &mut self.cells[rank];
        let is_unmet = *reported == Status::NotExist && !cell.is_begun;
        let is_unknown = (life < cell.life && !is_alive(reported)) || is_unmet;
        if is_overdue && is_unknown && cell.status == Status::Stopping {
            cell.status = Status::Stopped;
        }
    }

    fn on_report(&mut self, rank: usize, (life, generation): (u64, u64), said: &Said) {
        let reported = &said.status;
        let is_stopping = self.stage == Stage::Stopping;
        if *reported == Status::NotExist
            && let Some((_, unknown)) = &mut self.settle
        {
            unknown.insert(rank);
        }
        let cell = &mut self.cells[rank];
        let is_new_life = life > cell.life;
        let is_noise =
            is_new_life && (*reported == Status::NotExist || self.stage == Stage::Closed);
        if (life, generation) < (cell.life, cell.generation) || is_noise {
            return;
        }
        if *reported != Status::NotExist && !std::mem::replace(&mut self.heard[rank], true) {
            self.restarts.found.extend(self.is_adopted.then_some(life));
        }
        let was_begun = cell.is_begun && !is_new_life;
        (cell.life, cell.generation, cell.is_barred) = (life, generation, said.is_barred);
        cell.is_begun = was_begun || *reported != Status::NotExist;
        let reported =
            if is_stopping && is_alive(reported) { Status::Stopping } else { reported.clone() };
        let lost = Status::failed(Cause::new(Reason::LostByAgent));
        cell.status = match (&cell.status, reported) {
            (_, reported) if is_new_life => reported,
            (
                Status::Timeout { after, cause: None },
                Status::Failed(cause) | Status::Timeout { cause: Some(cause), .. },
            ) => Status::Timeout { after: *after, cause: Some(cause) },
            (known, _) if known.is_terminal() => known.clone(),
            (known @ (Status::NotExist | Status::Initializing), Status::NotExist) => known.clone(),
            (Status::Stopping, Status::NotExist) if !was_begun => Status::Stopping,
            (_, Status::NotExist) => lost,
            (Status::Stopping, reported) if !reported.is_terminal() => Status::Stopping,
            (_, reported) => reported,
        };
        if said.is_barred && self.restarts.withdraw(rank, life) {
            self.withdrawn.push((rank, life));
        }
    }
}
