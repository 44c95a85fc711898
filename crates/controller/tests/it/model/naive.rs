//! naive: what a controller must hold, one entry per rank, recomputed in the simplest way.

use std::time::Duration;

use controller::{Event, Times};
use mesh_core::{Answer, Cause, MeshRequest, News, Reason, Stall, Status, StatusKind, Timestamp};

use crate::support::Mesh;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    New,
    Open,
    Stopping,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Contact {
    Heard,
    Suspect,
    Unreachable,
}

#[derive(Clone, Debug, PartialEq)]
struct Cell {
    status: Status,
    contact: Contact,
    life: u64,
    generation: u64,
    failed_at: Timestamp,
}

#[derive(Clone, Debug)]
struct Agent {
    ranks: Vec<usize>,
    heard_at: Timestamp,
    contact: Contact,
    given_up: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Naive {
    pub(super) stage: Stage,
    /// When the last check was, or the opening.
    pub(super) checked_at: Timestamp,
    cells: Vec<Cell>,
    /// The life of each rank, and whether it had failed, before this step.
    before: Vec<(u64, bool)>,
    agents: Vec<Agent>,
    times: Times,
    now: Timestamp,
    poll_sent: Option<Timestamp>,
    /// Nobody is judged again before this moment while timeouts are held back.
    held_until: Timestamp,
    kill_at: Option<Timestamp>,
    /// Restarts that were promised: when, which rank, which life.
    restarts: Vec<(Timestamp, usize, u64)>,
}

impl Naive {
    pub(super) fn new(mesh: &Mesh) -> Self {
        let spec = mesh.spec();
        let cell = Cell {
            status: Status::NotExist,
            contact: Contact::Heard,
            life: 0,
            generation: 0,
            failed_at: Timestamp::START,
        };
        let agent = |ranks: &mesh_shape::RankSet| Agent {
            ranks: ranks.iter().map(|rank| rank.index()).collect(),
            heard_at: Timestamp::START,
            contact: Contact::Heard,
            given_up: false,
        };
        Self {
            stage: Stage::New,
            checked_at: Timestamp::START,
            cells: vec![cell; spec.region.size()],
            before: Vec::new(),
            agents: spec.agents.iter().map(agent).collect(),
            times: spec.config.times,
            now: Timestamp::START,
            poll_sent: None,
            held_until: Timestamp::START,
            kill_at: None,
            restarts: Vec::new(),
        }
    }

    /// What everybody sees of each rank: its life and its status.
    pub(super) fn views(&self) -> Vec<(u64, Status)> {
        self.cells.iter().map(|cell| (cell.life, view(cell))).collect()
    }

    pub(super) fn counts(&self) -> [usize; StatusKind::ALL.len()] {
        StatusKind::ALL
            .map(|kind| self.cells.iter().filter(|cell| view(cell).kind() == kind).count())
    }

    /// The fewest runs that can hold the cells.
    pub(super) fn n_runs(&self) -> usize {
        let n_borders = self.cells.windows(2).filter(|pair| pair[0] != pair[1]).count();
        if self.cells.is_empty() { 0 } else { n_borders + 1 }
    }

    pub(super) fn is_check_due(&self, now: Timestamp, mesh: &Mesh) -> bool {
        self.is_watching() && mesh.check_due().is_some_and(|due| due <= now)
    }

    /// What an event does, up to what the machine alone decides: which failures it restarts.
    pub(super) fn begin(&mut self, now: Timestamp, event: &Event<Status>, mesh: &Mesh) {
        self.advance(now, mesh.next_deadline());
        self.before = self.cells.iter().map(|cell| (cell.life, cell.status.is_failure())).collect();
        match event {
            Event::Opened if self.stage == Stage::New => {
                (self.stage, self.checked_at) = (Stage::Open, self.now);
                self.agents.iter_mut().for_each(|agent| agent.heard_at = now);
                let unknown = self.cells.iter_mut().filter(|c| c.status == Status::NotExist);
                unknown.for_each(|cell| cell.status = Status::Initializing);
            }
            Event::Answered(answer) => self.on_answer(answer),
            Event::Asked { request: MeshRequest::Stop { grace }, .. } => {
                self.on_stop(self.now + *grace);
            }
            Event::Tick if self.is_watching() => self.on_tick(mesh.check_due()),
            Event::Opened
            | Event::Subscribed(_)
            | Event::Unsubscribed(_)
            | Event::Lagged(_)
            | Event::Asked { .. }
            | Event::Adopted
            | Event::Withdrawn(_)
            | Event::Tick => (),
        }
    }

    /// Takes from what was told which ranks will be restarted.
    pub(super) fn learn_restarts(&mut self, news: &News) {
        let News::Changed(changes) = news else { return };
        for change in changes.iter() {
            let Some(delay) = change.restart_in else { continue };
            for rank in change.ranks.iter() {
                let life = change.incarnation.number() + 1;
                self.restarts.push((self.now + delay, rank.index(), life));
            }
        }
    }

    /// The mesh is closed when all have ended and none starts again.
    pub(super) fn end(&mut self) {
        for (cell, (life, was_failed)) in self.cells.iter_mut().zip(&self.before) {
            if !cell.status.is_failure() {
                cell.failed_at = Timestamp::START;
            } else if cell.life != *life || !was_failed {
                cell.failed_at = self.now;
            }
        }
        let all_ended = self.cells.iter().all(|cell| cell.status.is_terminal());
        if self.is_watching() && all_ended && self.restarts.is_empty() {
            (self.stage, self.poll_sent) = (Stage::Closed, None);
        }
    }

    fn is_watching(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Stopping)
    }

    fn advance(&mut self, now: Timestamp, promised: Option<Timestamp>) {
        let slept_from = promised.map(|promised| promised.max(self.now));
        self.now = self.now.max(now);
        let Some(gap) = slept_from.map(|from| self.now.since(from)) else { return };
        if gap > self.times.heartbeat {
            for agent in &mut self.agents {
                agent.heard_at = (agent.heard_at + gap).min(self.now);
            }
            self.poll_sent = self.poll_sent.map(|sent| sent + gap);
            self.kill_at = self.kill_at.map(|at| at + gap);
            self.held_until = Timestamp::START;
        }
    }

    fn on_answer(&mut self, answer: &Answer<Status>) {
        match answer {
            Answer::Heard { agent, .. } => _ = self.hear(agent.index()),
            Answer::QueryFailed { .. } | Answer::Refused { .. } => (),
            Answer::Reported { agent, reports, .. } => {
                for rank in self.hear(agent.index()) {
                    if let Some(update) = reports.get(mesh_shape::Rank::new(rank)) {
                        let pair = (update.incarnation.number(), update.generation.number());
                        self.on_report(rank, pair, &update.report);
                    }
                }
            }
        }
    }

    /// The agent lives; returns its ranks.
    fn hear(&mut self, agent: usize) -> Vec<usize> {
        if agent >= self.agents.len() {
            return Vec::new();
        }
        self.set_contact(agent, Contact::Heard);
        let agent = &mut self.agents[agent];
        (agent.heard_at, agent.given_up) = (self.now, false);
        agent.ranks.clone()
    }

    fn on_report(&mut self, rank: usize, (life, generation): (u64, u64), reported: &Status) {
        let is_stopping = self.stage == Stage::Stopping;
        let cell = &mut self.cells[rank];
        let is_new_life = life > cell.life;
        let is_noise =
            is_new_life && (*reported == Status::NotExist || self.stage == Stage::Closed);
        if (life, generation) < (cell.life, cell.generation) || is_noise {
            return;
        }
        (cell.life, cell.generation) = (life, generation);
        let is_live = !reported.is_terminal() && *reported != Status::NotExist;
        let reported = if is_stopping && is_live { Status::Stopping } else { reported.clone() };
        let lost = Status::failed(Cause::new(Reason::LostByAgent));
        cell.status = match (&cell.status, reported) {
            (_, reported) if is_new_life => reported,
            (Status::Timeout { after, cause: None }, Status::Failed(cause)) => {
                Status::Timeout { after: *after, cause: Some(cause) }
            }
            (known, _) if known.is_terminal() => known.clone(),
            (known @ (Status::NotExist | Status::Initializing), Status::NotExist) => known.clone(),
            (_, Status::NotExist) => lost,
            (Status::Stopping, reported) if !reported.is_terminal() => Status::Stopping,
            (_, reported) => reported,
        };
    }

    fn on_stop(&mut self, kill_at: Timestamp) {
        match self.stage {
            Stage::Closed => (),
            Stage::Stopping => self.kill_at = self.kill_at.map(|at| at.min(kill_at)),
            Stage::New | Stage::Open => {
                if self.stage == Stage::New {
                    self.checked_at = self.now;
                    self.agents.iter_mut().for_each(|agent| agent.heard_at = self.now);
                }
                (self.stage, self.kill_at) = (Stage::Stopping, Some(kill_at));
                self.restarts.clear();
                for cell in &mut self.cells {
                    cell.status = match cell.status.clone() {
                        Status::NotExist => Status::Stopped,
                        end if end.is_terminal() => end,
                        _ => Status::Stopping,
                    };
                }
            }
        }
    }

    fn on_tick(&mut self, check_due: Option<Timestamp>) {
        if let Some(sent) = self.poll_sent
            && self.now >= sent + self.times.poll_deadline
        {
            self.poll_sent = None;
            for agent in 0..self.agents.len() {
                let Agent { contact, heard_at, .. } = self.agents[agent];
                if contact == Contact::Heard && heard_at < sent {
                    self.set_contact(agent, Contact::Suspect);
                }
            }
        }
        self.judge();
        if self.kill_at.is_some_and(|at| at <= self.now) {
            self.kill_at = None;
            for agent in 0..self.agents.len() {
                if self.agents[agent].given_up {
                    self.give_up(agent);
                }
            }
        }
        self.restart();
        if check_due.is_some_and(|due| due <= self.now) {
            self.poll_sent = Some(self.now);
            self.checked_at = self.now;
        }
    }

    fn judge(&mut self) {
        if self.now < self.held_until {
            return;
        }
        let silence = |agent: &Agent| self.now.since(agent.heard_at);
        let is_silent =
            |agent: &&Agent| !agent.given_up && silence(agent) >= self.times.unreachable;
        let n_silent = self.agents.iter().filter(is_silent).count();
        let is_isolated = n_silent >= 3 && n_silent * 2 > self.agents.len();
        let hold = if is_isolated { self.times.lease } else { Duration::ZERO };
        for agent in 0..self.agents.len() {
            let silence = self.now.since(self.agents[agent].heard_at);
            if self.agents[agent].given_up {
                continue;
            }
            if silence >= self.times.timeout + hold {
                self.agents[agent].given_up = true;
                self.agents[agent].contact = Contact::Unreachable;
                self.give_up(agent);
                continue;
            }
            if silence >= self.times.timeout {
                self.held_until = self.now + self.times.heartbeat;
            }
            let meant = if silence >= self.times.unreachable {
                Contact::Unreachable
            } else if silence >= self.times.suspect {
                Contact::Suspect
            } else {
                Contact::Heard
            };
            if meant > self.agents[agent].contact {
                self.set_contact(agent, meant);
            }
        }
    }

    fn set_contact(&mut self, agent: usize, contact: Contact) {
        if self.agents[agent].contact == contact {
            return;
        }
        self.agents[agent].contact = contact;
        for rank in self.agents[agent].ranks.clone() {
            self.cells[rank].contact = contact;
        }
    }

    fn give_up(&mut self, agent: usize) {
        let after = self.now.since(self.agents[agent].heard_at);
        for rank in self.agents[agent].ranks.clone() {
            let status = &mut self.cells[rank].status;
            let is_suspended = matches!(status, Status::Stalled(Stall::Suspended { .. }));
            if !status.is_terminal() && !is_suspended {
                *status = Status::Timeout { after, cause: None };
            }
        }
    }

    fn restart(&mut self) {
        let now = self.now;
        let due: Vec<_> = self.restarts.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, rank, life) in due {
            let is_own = |agent: &&Agent| agent.ranks.contains(&rank);
            let Some(agent) = self.agents.iter().find(is_own) else { continue };
            let after = now.since(agent.heard_at);
            let timeout = Status::Timeout { after, cause: None };
            let status = if agent.given_up { timeout } else { Status::Initializing };
            let cell = &mut self.cells[rank];
            if cell.life < life {
                (cell.life, cell.generation, cell.status) = (life, 0, status);
            }
        }
    }
}

/// The ends between two views of all ranks: rank, life, and how it ended.
pub(super) fn ends(before: &[(u64, Status)], after: &[(u64, Status)]) -> Vec<(usize, u64, Status)> {
    let pairs = before.iter().zip(after).enumerate();
    let is_new = |(was, is): (&(u64, Status), &(u64, Status))| {
        is.1.is_terminal() && (was.0 != is.0 || !was.1.is_terminal())
    };
    pairs
        .filter(|(_, (was, is))| is_new((was, is)))
        .map(|(rank, (_, (life, status)))| (rank, *life, status.clone()))
        .collect()
}

fn view(cell: &Cell) -> Status {
    match (&cell.status, cell.contact) {
        (Status::Stalled(Stall::Suspended { .. }), _) | (_, Contact::Heard) => cell.status.clone(),
        (Status::Initializing | Status::Running | Status::Stalled(_), Contact::Suspect) => {
            Status::Suspect
        }
        (Status::Initializing | Status::Running | Status::Stalled(_), Contact::Unreachable) => {
            Status::Unreachable
        }
        (_, Contact::Suspect | Contact::Unreachable) => cell.status.clone(),
    }
}
