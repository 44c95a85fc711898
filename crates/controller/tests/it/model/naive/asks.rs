//! asks: what the naive model answers to questions, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use mesh_core::{MeshRequest, Progress, Reply, RestartConfig, Status, Timestamp};
use mesh_shape::RankSet;

use super::{Naive, Stage, view};

/// An answer, without its details.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answered {
    State,
    Updated(bool),
    /// The ranks that were missing.
    Waited(Vec<usize>),
    Subscribers(usize),
    Refused,
}

impl From<&Reply> for Answered {
    fn from(reply: &Reply) -> Self {
        match reply {
            Reply::State(_) => Self::State,
            Reply::Updated { is_changed } => Self::Updated(*is_changed),
            Reply::Waited { missing, .. } => {
                Self::Waited(missing.iter().map(|rank| rank.index()).collect())
            }
            Reply::Subscribers(n) => Self::Subscribers(*n),
            Reply::Refused(_) => Self::Refused,
            Reply::Taken => panic!("the machine answers what it was asked"),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) asked_by: Vec<u64>,
    pub(super) kill_at: Timestamp,
    pub(super) killed: bool,
    pub(super) give_up_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(super) struct Wait {
    pub(super) ask: u64,
    missing: BTreeSet<usize>,
    until: Progress,
    deadline: Timestamp,
}

impl Naive {
    pub(super) fn on_asked(&mut self, ask: u64, request: &MeshRequest) {
        let is_waiting = self.waits.iter().any(|wait| wait.ask == ask)
            || self.stop.as_ref().is_some_and(|stop| stop.asked_by.contains(&ask));
        if is_waiting {
            return;
        }
        let answer = match request {
            MeshRequest::GetState => Some(Answered::State),
            MeshRequest::GetSubscriberCount => Some(Answered::Subscribers(self.n_subscribers)),
            _ if self.stage.is_let_go() => Some(Answered::Refused),
            MeshRequest::CreateOrUpdate { region, restart } => {
                Some(self.on_update(region.size(), *restart))
            }
            MeshRequest::Stop { grace, .. } => self.on_stop(ask, *grace),
            MeshRequest::Kill => self.on_kill(ask),
            MeshRequest::WaitRankStatus { ranks, until, within } => {
                self.on_wait(ask, ranks, (*until, *within))
            }
        };
        self.answers.extend(answer.map(|answer| (ask, answer)));
    }

    pub(super) fn on_withdrawn(&mut self, ask: u64) {
        self.waits.retain(|wait| wait.ask != ask);
        if let Some(stop) = &mut self.stop {
            stop.asked_by.retain(|waiting| *waiting != ask);
        }
    }

    /// Regions of the tests differ in their size if they differ.
    fn on_update(&mut self, size: usize, restart: RestartConfig) -> Answered {
        if size != self.cells.len() || restart.validate().is_err() {
            return Answered::Refused;
        }
        if self.stage == Stage::Closed {
            return Answered::Refused;
        }
        let is_changed = restart != self.config.restart;
        if is_changed {
            self.restarts.forgive();
        }
        self.config.restart = restart;
        Answered::Updated(is_changed)
    }

    fn is_full(&self) -> bool {
        let n_stops = self.stop.as_ref().map_or(0, |stop| stop.asked_by.len());
        self.waits.len() + n_stops >= self.config.limits.asks
    }

    fn on_stop(&mut self, ask: u64, grace: Duration) -> Option<Answered> {
        let (kill_at, is_full) = (self.now + grace, self.is_full());
        if self.stage == Stage::Closed {
            return Some(Answered::State);
        }
        if let Some(stop) = &mut self.stop {
            if stop.killed && stop.give_up_at.is_none() {
                return Some(Answered::State);
            }
            if is_full {
                return Some(Answered::Refused);
            }
            stop.asked_by.push(ask);
            return None;
        }
        if self.stage == Stage::New {
            self.watch(Stage::Stopping);
        }
        self.stage = Stage::Stopping;
        self.stop = Some(Stop { asked_by: vec![ask], kill_at, killed: false, give_up_at: None });
        self.restarts.cancel();
        for cell in &mut self.cells {
            cell.status = match cell.status.clone() {
                Status::NotExist if self.settle.is_some() => Status::NotExist,
                Status::NotExist => Status::Stopped,
                end if end.is_terminal() => end,
                _ => Status::Stopping,
            };
        }
        None
    }

    fn on_kill(&mut self, ask: u64) -> Option<Answered> {
        let answer = self.on_stop(ask, Duration::ZERO);
        if let Some(stop) = self.stop.as_mut().filter(|_| answer.is_none()) {
            stop.kill_at = stop.kill_at.min(self.now);
        }
        answer
    }

    pub(super) fn press_stop(&mut self) {
        let Some(stop) = &mut self.stop else { return };
        if !stop.killed && stop.kill_at <= self.now {
            stop.killed = true;
            stop.give_up_at = Some(self.now + self.config.times.lease);
            for agent in 0..self.agents.len() {
                if self.agents[agent].given_up {
                    self.give_up(agent);
                }
            }
            self.kill_all(0..self.cells.len());
        } else if stop.give_up_at.is_some_and(|at| at <= self.now) {
            stop.give_up_at = None;
            let asked_by = std::mem::take(&mut stop.asked_by);
            self.answers.extend(asked_by.into_iter().map(|ask| (ask, Answered::State)));
        }
    }

    fn on_wait(
        &mut self,
        ask: u64,
        ranks: &RankSet,
        (until, within): (Progress, Duration),
    ) -> Option<Answered> {
        let ranks: Vec<usize> = ranks.iter().map(|rank| rank.index()).collect();
        if ranks.iter().any(|rank| *rank >= self.cells.len()) {
            return Some(Answered::Refused);
        }
        let is_missing = |rank: &usize| !self.has_reached(*rank, until);
        let missing: BTreeSet<usize> = ranks.into_iter().filter(is_missing).collect();
        if missing.is_empty() || within.is_zero() {
            return Some(Answered::Waited(missing.into_iter().collect()));
        }
        if self.is_full() {
            return Some(Answered::Refused);
        }
        self.waits.push(Wait { ask, missing, until, deadline: self.now + within });
        None
    }

    /// An end that another life follows is not how far a rank gets.
    fn has_reached(&self, rank: usize, until: Progress) -> bool {
        let cell = &self.cells[rank];
        let goes_on = cell.status.is_terminal() && self.restarts.is_starting(rank);
        view(cell).has_reached(until) && !goes_on
    }

    pub(super) fn expire_waits(&mut self) {
        for wait in self.waits.extract_if(.., |wait| wait.deadline <= self.now) {
            let missing = wait.missing.into_iter().collect();
            self.answers.push((wait.ask, Answered::Waited(missing)));
        }
    }

    /// Whoever was so far once does not count as missing any more.
    pub(super) fn answer_reached(&mut self) {
        let mut waits = std::mem::take(&mut self.waits);
        for wait in &mut waits {
            wait.missing.retain(|rank| !self.has_reached(*rank, wait.until));
        }
        self.waits = waits;
        for wait in self.waits.extract_if(.., |wait| wait.missing.is_empty()) {
            self.answers.push((wait.ask, Answered::Waited(Vec::new())));
        }
    }
}
