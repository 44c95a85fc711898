//! naive: what a controller must hold, one entry per rank, recomputed in the simplest way.

mod asks;
mod reports;
mod restarts;
mod silence;

use std::collections::{BTreeMap, BTreeSet};

use controller::Config;
use mesh_core::{Stall, Status, StatusKind, Timestamp};
use proptest::test_runner::TestCaseError;

use super::said::{Event, Mesh};
pub(super) use asks::Answered;
use asks::{Stop, Wait};
use restarts::Restarts;
pub(super) use restarts::Rounds;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    New,
    Open,
    Stopping,
    Closed,
    Replaced,
    Abandoned,
}

impl Stage {
    /// Another controller has taken over, or the owner has gone.
    pub(super) const fn is_let_go(self) -> bool {
        matches!(self, Self::Replaced | Self::Abandoned)
    }

    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Closed) || self.is_let_go()
    }
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
    /// Its agent has spoken of this life.
    is_begun: bool,
    /// It has nowhere to begin again.
    is_barred: bool,
    failed_at: Timestamp,
}

#[derive(Clone, Debug)]
struct Agent {
    ranks: Vec<usize>,
    heard_at: Timestamp,
    /// We were paused since.
    excused: bool,
    contact: Contact,
    given_up: bool,
    life: Option<u64>,
    newest_beat: Option<u64>,
}

/// What must be ordered in one step, at least.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    /// Rank and life.
    pub(super) starts: BTreeSet<(usize, u64)>,
    pub(super) kills: BTreeSet<(usize, u64)>,
    /// Agent, its life and the beat.
    pub(super) renew: Option<(usize, u64, u64)>,
    pub(super) polls: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Naive {
    pub(super) stage: Stage,
    /// When the last check was, or the opening.
    pub(super) checked_at: Timestamp,
    pub(super) orders: Orders,
    /// What is answered in this step.
    pub(super) answers: Vec<(u64, Answered)>,
    pub(super) n_subscribers: usize,
    /// Who was to start alone, and has nowhere to, since this step: rank and life.
    pub(super) withdrawn: Vec<(usize, u64)>,
    cells: Vec<Cell>,
    /// The life in which each rank may have been forgotten by its agent.
    doubted: Vec<Option<u64>>,
    /// The cells before this step.
    before: Vec<Cell>,
    agents: Vec<Agent>,
    config: Config,
    now: Timestamp,
    poll_sent: Option<Timestamp>,
    /// Nobody is judged again before this moment while timeouts are held back.
    held_until: Timestamp,
    stop: Option<Stop>,
    waits: Vec<Wait>,
    /// Of an adopted mesh: when the ranks that their agents do not know are given up.
    settle: Option<(Timestamp, BTreeSet<usize>)>,
    /// The highest life that was reported while the mesh was being adopted.
    highest: u64,
    is_adopted: bool,
    /// Whether somebody has spoken of each rank, or its life was assumed, or begun here.
    heard: Vec<bool>,
    restarts: Restarts,
}

impl Naive {
    /// The life of a rank and the number of the next report about it.
    pub(super) fn next_report(&self, rank: usize) -> Option<(u64, u64)> {
        self.cells.get(rank).map(|cell| (cell.life, cell.generation.saturating_add(1)))
    }

    /// What has become of rounds.
    pub(super) const fn rounds(&self) -> &Rounds {
        &self.restarts.rounds
    }

    pub(super) fn new(mesh: &Mesh) -> Self {
        let spec = mesh.spec();
        let cell = Cell {
            status: Status::NotExist,
            contact: Contact::Heard,
            life: 0,
            generation: 0,
            is_begun: false,
            is_barred: false,
            failed_at: Timestamp::START,
        };
        let agent = |ranks: &mesh_shape::RankSet| Agent {
            ranks: ranks.iter().map(|rank| rank.index()).collect(),
            heard_at: Timestamp::START,
            excused: false,
            contact: Contact::Heard,
            given_up: false,
            life: None,
            newest_beat: None,
        };
        Self {
            stage: Stage::New,
            checked_at: Timestamp::START,
            orders: Orders::default(),
            answers: Vec::new(),
            n_subscribers: 0,
            withdrawn: Vec::new(),
            cells: vec![cell; spec.region.size()],
            doubted: vec![None; spec.region.size()],
            before: Vec::new(),
            agents: spec.agents.iter().map(agent).collect(),
            config: spec.config,
            now: Timestamp::START,
            poll_sent: None,
            held_until: Timestamp::START,
            stop: None,
            waits: Vec::new(),
            settle: None,
            highest: 0,
            is_adopted: false,
            heard: vec![false; spec.region.size()],
            restarts: Restarts::default(),
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

    pub(super) fn is_watching(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Stopping)
    }

    pub(super) fn has_waits(&self) -> bool {
        !self.waits.is_empty()
    }

    /// What an event does, up to the restarts that it leads to.
    pub(super) fn begin(&mut self, now: Timestamp, event: &Event, mesh: &Mesh) {
        self.advance(now, mesh.next_deadline());
        self.before = self.cells.clone();
        self.orders = Orders::default();
        self.answers.clear();
        self.withdrawn.clear();
        match event {
            Event::Opened if self.stage == Stage::New => self.on_opened(),
            Event::Adopted if self.stage == Stage::New => self.on_adopted(),
            Event::Answered(answer) => self.on_answer(answer),
            Event::Asked { ask, request } => self.on_asked(ask.number(), request),
            Event::Withdrawn(ask) => self.on_withdrawn(ask.number()),
            Event::Tick => {
                self.expire_waits();
                if self.is_watching() {
                    self.on_tick(mesh.check_due());
                }
            }
            Event::Abandoned if self.is_watching() => self.rest(Stage::Abandoned),
            Event::Opened
            | Event::Adopted
            | Event::Subscribed(_)
            | Event::Unsubscribed(_)
            | Event::Lagged(_)
            | Event::Abandoned => (),
        }
    }

    fn on_opened(&mut self) {
        self.watch(Stage::Open);
        for (rank, cell) in self.cells.iter_mut().enumerate() {
            if cell.status == Status::NotExist {
                cell.status = Status::Initializing;
                self.orders.starts.insert((rank, cell.life));
            }
        }
    }

    fn on_adopted(&mut self) {
        self.watch(Stage::Open);
        self.is_adopted = true;
        self.restarts.found = self.cells.iter().map(|cell| cell.life).collect();
        self.settle = Some((self.now + self.config.times.lease, BTreeSet::new()));
        (self.poll_sent, self.orders.polls) = (Some(self.now), true);
    }

    fn watch(&mut self, stage: Stage) {
        (self.stage, self.checked_at) = (stage, self.now);
        self.agents.iter_mut().for_each(|agent| agent.heard_at = self.now);
    }

    fn on_tick(&mut self, check_due: Option<Timestamp>) {
        self.judge_poll();
        self.judge();
        self.press_stop();
        self.press_round();
        if self.stage == Stage::Open {
            self.begin_each();
            self.begin_together();
        }
        self.settle();
        if check_due.is_some_and(|due| due <= self.now) {
            self.checked_at = self.now;
            if self.poll_sent.is_none() {
                (self.poll_sent, self.orders.polls) = (Some(self.now), true);
            }
        }
    }

    /// Restarts and rounds by what ended, given the delays that were told; waits; and the end.
    /// Returns whether more restarts were needed than are allowed, for the first time.
    pub(super) fn end(
        &mut self,
        delays: &BTreeMap<usize, Option<std::time::Duration>>,
    ) -> Result<bool, TestCaseError> {
        for (cell, was) in self.cells.iter_mut().zip(&self.before) {
            if !cell.status.is_failure() {
                cell.failed_at = Timestamp::START;
            } else if cell.life != was.life || !was.status.is_failure() {
                cell.failed_at = self.now;
            }
        }
        let before: Vec<_> = self.before.iter().map(|cell| (cell.life, view(cell))).collect();
        let ends = ends(&before, &self.views());
        self.decide(&ends, delays)?;
        self.answer_reached();
        let all_ended = self.cells.iter().all(|cell| cell.status.is_terminal());
        if self.is_watching() && all_ended && !self.restarts.has_pending() {
            self.rest(Stage::Closed);
        }
        Ok(self.restarts.take_escalation())
    }

    /// Nothing is watched any more.
    fn rest(&mut self, stage: Stage) {
        let stops = self.stop.take().into_iter().flat_map(|stop| stop.asked_by);
        match stage {
            Stage::Replaced => {
                let waits = std::mem::take(&mut self.waits).into_iter().map(|wait| wait.ask);
                self.answers.extend(stops.chain(waits).map(|ask| (ask, Answered::Refused)));
            }
            // Whoever carried the answers has gone with the owner.
            Stage::Abandoned => self.waits.clear(),
            _ => self.answers.extend(stops.map(|ask| (ask, Answered::State))),
        }
        (self.stage, self.poll_sent, self.settle) = (stage, None, None);
        self.restarts.cancel();
    }

    /// K3: how many restarts the controller before has made, as far as is known.
    pub(super) fn n_adopted(&self) -> usize {
        self.restarts.n_adopted(&self.config.restart)
    }

    /// The ranks that have failed.
    pub(super) fn failed(&self) -> Vec<usize> {
        let each = self.cells.iter().enumerate();
        each.filter(|(_, cell)| cell.status.is_failure()).map(|(rank, _)| rank).collect()
    }

    /// The ranks that have ended, in whichever way, and will begin another life.
    pub(super) fn ended_and_starting(&self) -> Vec<usize> {
        let has_ended = |rank: &usize| self.cells[*rank].status.is_terminal();
        let ended = (0..self.cells.len()).filter(has_ended);
        ended.filter(|rank| self.restarts.is_starting(*rank)).collect()
    }

    /// Whether this life of a rank may be ordered to start now: it is the one that begins.
    pub(super) fn is_begun(&self, rank: usize, life: u64) -> bool {
        let cell = &self.cells[rank];
        let is_young = matches!(cell.status, Status::Initializing | Status::Stopping);
        self.is_watching() && cell.life == life && is_young
    }

    pub(super) fn is_in_round(&self, rank: usize) -> bool {
        self.restarts.is_in_round(rank)
    }

    /// Whether this life of a rank may be ordered to end now.
    pub(super) fn may_stop(&self, rank: usize) -> bool {
        self.stop.is_some() || self.restarts.is_in_round(rank)
    }

    /// Whether this life of a rank may be killed: its time is over, or it should be dead.
    pub(super) fn may_kill(&self, rank: usize, life: u64) -> bool {
        let cell = &self.cells[rank];
        let is_over = life < cell.life || (life == cell.life && cell.status.is_terminal());
        let is_killed = self.stop.as_ref().is_some_and(|stop| stop.killed)
            || self.restarts.is_in_killed_round(rank);
        is_over || is_killed
    }

    /// How many different lives the ranks of an agent are in.
    pub(super) fn n_lives(&self, agent: usize) -> usize {
        let lives = |cells: &[Cell]| {
            self.agents[agent].ranks.iter().map(|rank| cells[*rank].life).collect::<BTreeSet<_>>()
        };
        lives(&self.cells).union(&lives(&self.before)).count()
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
    let is_doubtful = match &cell.status {
        Status::Initializing | Status::Running | Status::Suspect => true,
        Status::Stalled(stall) => !matches!(stall, Stall::Suspended { .. }),
        _ => false,
    };
    match cell.contact {
        Contact::Suspect if is_doubtful => Status::Suspect,
        Contact::Unreachable if is_doubtful => Status::Unreachable,
        _ => cell.status.clone(),
    }
}

/// Started, and not ended.
fn is_alive(status: &Status) -> bool {
    !status.is_terminal() && *status != Status::NotExist
}
