//! The state machine itself: what each event means, and when to come back.

use std::collections::BTreeSet;

use mesh_core::{
    AgentId, Answer, BeatSeq, Change, Epoch, Failures, Generation, Incarnation, MeshLabel,
    MeshPhase, MeshState, News, Order, RankState, Status, StatusKind, Timestamp, Update,
};
use mesh_shape::{Overlay, Rank, RankSet, Region, ValueMesh};

use crate::agents::{Misfit, Roster};
use crate::config::{Config, ConfigError};
use crate::event::{Effect, Event};
use crate::health::{Cell, Changes, Health, Reported};
use crate::kind::Controlled;
use crate::restarts::{Restarts, SplitMix};
use crate::subscribers::Subscribers;

mod orders;
mod silence;
mod snapshot;
mod stop;

use stop::Stop;

/// What a controller is to supervise.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The mesh: its id, the user's name for it, its kind.
    pub mesh: MeshLabel,
    /// Its ranks and their coordinates.
    pub region: Region,
    /// Which controller of the mesh this is: higher than any before it.
    pub epoch: Epoch,
    /// The ranks of each agent; together every rank, once.
    pub agents: Vec<RankSet>,
    /// Times and restarts.
    pub config: Config,
    /// What the spreading of checks and restarts is drawn from.
    pub seed: u64,
}

/// Why a mesh cannot be supervised like that. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The configuration does not hold together.
    #[error("the configuration cannot hold")]
    Config(#[from] ConfigError),
    /// No agent answers for a rank.
    #[error("no agent answers for rank {rank}")]
    Nobody {
        /// The rank.
        rank: Rank,
    },
    /// Two agents answer for a rank.
    #[error("two agents answer for rank {rank}")]
    Twice {
        /// The rank.
        rank: Rank,
    },
    /// An agent answers for a rank that the mesh has not.
    #[error("an agent answers for rank {rank}, which is outside the mesh")]
    Outside {
        /// The rank.
        rank: Rank,
    },
}

/// Supervises one mesh.
///
/// # State
///
/// Health as runs, silence per agent, the subscribers, the restarts that are due. Every event is
/// answered in the same call; nothing is assumed of an effect until an event tells of it.
#[derive(Clone, Debug)]
pub struct Controller<C> {
    kind: C,
    spec: Spec,
    now: Timestamp,
    health: Health,
    roster: Roster,
    subscribers: Subscribers,
    restarts: Restarts,
    spread: SplitMix,
    life: Life,
    check_due: Option<Timestamp>,
    /// The poll that is in flight, by when it was sent (L2).
    poll_sent: Option<Timestamp>,
    /// The agents that an order did not reach.
    to_repeat: BTreeSet<AgentId>,
    /// The deadline last named: being called much later than that is our own pause.
    promised: Option<Timestamp>,
}

/// Where the whole mesh is in its life.
#[derive(Clone, Debug, PartialEq)]
enum Life {
    /// Nothing has been started.
    New,
    Open,
    Stopping(Stop),
    /// Every rank has ended, and everybody has been told.
    Closed,
}

impl<C: Controlled> Controller<C> {
    /// A controller that has not started anything yet.
    ///
    /// # Errors
    ///
    /// - [`SpecError::Config`] if times or restarts cannot hold together.
    /// - [`SpecError::Nobody`], [`SpecError::Twice`] or [`SpecError::Outside`] if the agents do not
    ///   answer for every rank of the region exactly once.
    pub fn new(spec: Spec, kind: C) -> Result<Self, SpecError> {
        spec.config.validate()?;
        let size = spec.region.size();
        let roster = Roster::new(spec.agents.clone(), size, spec.config.times).map_err(
            |misfit| match misfit {
                Misfit::Twice(rank) => SpecError::Twice { rank },
                Misfit::Nobody(rank) => SpecError::Nobody { rank },
                Misfit::Outside(rank) => SpecError::Outside { rank },
            },
        )?;
        Ok(Self {
            kind,
            now: Timestamp::START,
            health: Health::new(size),
            roster,
            subscribers: Subscribers::new(spec.mesh.clone()),
            restarts: Restarts::new(spec.config.restart, spec.seed),
            spread: SplitMix(spec.seed),
            life: Life::New,
            check_due: None,
            poll_sent: None,
            to_repeat: BTreeSet::new(),
            promised: None,
            spec,
        })
    }

    /// One transition: takes what happened, returns what is to be done, in order.
    ///
    /// # State
    ///
    /// Time never goes backwards: an earlier `now` counts as the latest one seen. Calling again with
    /// the same event is harmless.
    #[must_use = "an effect that is not performed is lost"]
    pub fn step(&mut self, now: Timestamp, event: Event<C::Report>) -> Vec<Effect> {
        self.advance(now);
        let mut effects = Vec::new();
        match event {
            Event::Opened => self.on_opened(&mut effects),
            Event::Answered(Answer::Reported { agent, reports }) => {
                self.on_reported(agent, reports, &mut effects);
            }
            Event::Answered(Answer::Heard { agent, beat }) => {
                self.on_heard(agent, beat, &mut effects);
            }
            Event::Answered(Answer::QueryFailed { agent }) => {
                self.on_query_failed(agent, &mut effects);
            }
            Event::Subscribed(subscription) => self.on_subscribed(subscription, &mut effects),
            Event::Unsubscribed(id) => self.subscribers.remove(id),
            Event::Lagged(id) => self.on_lagged(id, &mut effects),
            Event::StopAsked { ask, grace } => self.on_stop_asked(ask, grace, &mut effects),
            Event::StateAsked { ask } => {
                effects.push(Effect::Answer { ask, state: self.state() });
            }
            Event::Tick => self.on_tick(&mut effects),
        }
        self.close_if_ended(&mut effects);
        self.promised = self.next_deadline();
        effects
    }

    /// When a [`Event::Tick`] is due if nothing else happens; `None` once the mesh is closed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let stop = match &self.life {
            Life::New | Life::Closed => return None,
            Life::Open => None,
            Life::Stopping(stop) => {
                if stop.killed {
                    stop.give_up_at
                } else {
                    Some(stop.kill_at)
                }
            }
        };
        let poll = self.poll_sent.map(|sent| sent + self.spec.config.times.poll_deadline);
        [self.check_due, poll, stop, self.restarts.next_deadline(), self.roster.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the next check is due (L1, L4); `None` while there is nothing to check.
    #[must_use]
    pub const fn check_due(&self) -> Option<Timestamp> {
        self.check_due
    }

    /// What it supervises.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// How many ranks are of each kind of status; index `kind as usize`.
    #[must_use]
    pub fn counts(&self) -> &[usize; StatusKind::ALL.len()] {
        self.health.counts()
    }

    /// How many subscribers there are (N5).
    #[must_use]
    pub fn n_subscribers(&self) -> usize {
        self.subscribers.len()
    }

    /// How many runs the health of the mesh takes: 1 if all ranks are alike (H8).
    #[must_use]
    pub fn n_runs(&self) -> usize {
        self.health.n_runs()
    }

    /// The state of the mesh and of every rank, in rank order (L7).
    #[must_use]
    pub fn state(&self) -> MeshState {
        let unknown = RankState { incarnation: Incarnation::FIRST, status: Status::NotExist };
        let mut ranks = ValueMesh::uniform(self.health.size(), unknown);
        let mut known = Overlay::new();
        for (range, cell) in self.health.runs() {
            let state = RankState { incarnation: cell.incarnation, status: cell.view() };
            known.insert(range, state);
        }
        let fits = ranks.apply(&known).is_ok();
        debug_assert!(fits, "every run lies within the size of the mesh");
        MeshState { mesh: self.spec.mesh.clone(), phase: MeshPhase::of(self.counts()), ranks }
    }

    /// Moves the clock. Being called long after the deadline that was named means that this side was
    /// paused, and nobody else is judged by that time.
    fn advance(&mut self, now: Timestamp) {
        let before = self.now;
        self.now = before.max(now);
        let Some(promised) = self.promised else { return };
        // Each moment is forgiven once, also if the deadline stays due over many events.
        let gap = self.now.since(promised.max(before));
        if gap > self.spec.config.times.heartbeat {
            self.roster.forgive(gap, self.now);
            self.poll_sent = self.poll_sent.map(|sent| sent + gap);
            if let Life::Stopping(stop) = &mut self.life {
                stop.put_off(gap);
            }
        }
    }

    fn on_opened(&mut self, effects: &mut Vec<Effect>) {
        if self.life != Life::New {
            return;
        }
        self.life = Life::Open;
        self.roster.open(self.now);
        self.schedule_check();
        let mut changes = Changes::default();
        // A rank of which its agent has spoken before is not started over (H2).
        self.health.update(0..self.health.size(), self.now, &mut changes, |cell| {
            (cell.status == Status::NotExist)
                .then(|| Cell { status: Status::Initializing, ..cell.clone() })
        });
        let changes = changes.into_changes();
        self.subscribers.tell_changes(&changes, effects);
        for change in changes {
            let incarnation = change.incarnation;
            self.ask_each(&change.ranks, effects, |ranks| Order::Start { ranks, incarnation });
        }
    }

    fn on_reported(
        &mut self,
        agent: AgentId,
        reports: Overlay<Update<C::Report>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(known) = self.roster.get(agent) else { return };
        let own = known.ranks.clone();
        let mut changes = Changes::default();
        self.contact(agent, &mut changes);
        for (range, update) in reports.into_runs() {
            let reported = Reported {
                incarnation: update.incarnation,
                generation: update.generation,
                status: self.while_stopping(self.kind.status(&update.report)),
                evidence: self.now.before(update.age),
            };
            // An agent answers for its own ranks only.
            for range in own.intersection(&RankSet::from(range)).runs() {
                if self.life == Life::Closed {
                    self.health.annotate(range, &reported, &mut changes);
                } else {
                    self.health.report(range, &reported, &mut changes);
                }
            }
        }
        self.publish(changes, effects);
    }

    /// In a mesh that is being stopped, whatever still lives is being stopped: also a life that was
    /// not known when the stop was asked for (H3).
    fn while_stopping(&self, status: Status) -> Status {
        let is_live = !status.is_terminal() && status != Status::NotExist;
        if is_live && matches!(self.life, Life::Stopping(_)) { Status::Stopping } else { status }
    }

    fn on_heard(&mut self, agent: AgentId, beat: BeatSeq, effects: &mut Vec<Effect>) {
        let mut changes = Changes::default();
        self.contact(agent, &mut changes);
        self.publish(changes, effects);
        // K1: the lease is renewed by the echo of what was heard, and by nothing else. A mesh that is
        // closed keeps nothing alive.
        if self.life != Life::Closed
            && let Some(echoed) = self.roster.beat(agent, beat)
        {
            effects.push(self.ask(agent, Order::Renew { echoed }));
        }
    }

    fn on_tick(&mut self, effects: &mut Vec<Effect>) {
        if matches!(self.life, Life::New | Life::Closed) {
            return;
        }
        let mut changes = Changes::default();
        self.judge_poll(&mut changes);
        self.judge_silence(&mut changes, effects);
        self.press_stop(&mut changes, effects);
        let starts = self.begin_again(&mut changes);
        self.publish(changes, effects);
        for (ranks, incarnation) in starts {
            self.ask_each(&ranks, effects, |ranks| Order::Start { ranks, incarnation });
        }
        if self.check_due.is_some_and(|due| due <= self.now) {
            self.check(effects);
        }
    }

    /// Tells everybody that the controller lives, and asks every agent for the state of its ranks.
    fn check(&mut self, effects: &mut Vec<Effect>) {
        let period = self.spec.config.times.check;
        self.subscribers.tell_all(&News::Heartbeat { period }, effects);
        self.repeat_orders(effects);
        for agent in self.roster.ids() {
            effects.push(self.ask(agent, Order::Poll));
        }
        self.poll_sent = Some(self.now);
        self.schedule_check();
    }

    /// A period from now, or a little less, so that many controllers do not tick at once (L5); but
    /// not before the poll that may be in flight has had its time (L2).
    fn schedule_check(&mut self) {
        let times = self.spec.config.times;
        let slack = times.check.saturating_sub(times.poll_deadline);
        let less = self.spread.up_to(slack.min(times.check / 10));
        self.check_due = Some(self.now + (times.check - less));
    }

    /// Begins the lives whose restart is due, and returns those that are to be started (RS1).
    ///
    /// A rank of an agent that was given up has nobody to start it: that life has timed out.
    fn begin_again(&mut self, changes: &mut Changes) -> Vec<(RankSet, Incarnation)> {
        let mut starts: Vec<(RankSet, Incarnation)> = Vec::new();
        for (rank, incarnation) in self.restarts.due(self.now) {
            let own = rank.index()..rank.index() + 1;
            if self.health.incarnation(rank).is_none_or(|known| known >= incarnation) {
                continue;
            }
            let given_up = self.roster.of(rank).and_then(|agent| self.roster.given_up(agent));
            let status = match given_up {
                Some(heard_at) => Status::Timeout { after: self.now.since(heard_at), cause: None },
                None => Status::Initializing,
            };
            self.health.update(own, self.now, changes, |cell| {
                let (status, generation) = (status.clone(), Generation::FIRST);
                Some(Cell { status, incarnation, generation, contact: cell.contact })
            });
            if given_up.is_some() {
                continue;
            }
            match starts.iter_mut().find(|(_, life)| *life == incarnation) {
                Some((ranks, _)) => _ = ranks.insert(rank),
                None => starts.push((RankSet::from_iter([rank]), incarnation)),
            }
        }
        starts
    }

    /// Tells of the changes of one step: restarts are decided, subscribers and the owner told (H6).
    fn publish(&mut self, changes: Changes, effects: &mut Vec<Effect>) {
        let changes = changes.into_changes();
        if changes.is_empty() {
            return;
        }
        let (changes, escalates) = self.restarts.decide(self.now, changes);
        self.subscribers.tell_changes(&changes, effects);
        let failed: Vec<Change> =
            changes.into_iter().filter(|change| change.status.is_failure()).collect();
        if failed.is_empty() && !escalates {
            return;
        }
        let escalation = escalates.then(|| self.restarts.escalation(self.failed_ranks()));
        effects.push(Effect::TellOwner(Failures {
            mesh: self.spec.mesh.clone(),
            region: self.spec.region.clone(),
            reporter: self.spec.epoch,
            changes: failed,
            escalation,
        }));
    }

    fn failed_ranks(&self) -> RankSet {
        let mut failed = RankSet::new();
        for (range, _) in self.health.runs().filter(|(_, cell)| cell.status.is_failure()) {
            failed.insert_range(range);
        }
        failed
    }

    /// The end: every rank has ended and none is to start again (N4, L6, RS2).
    fn close_if_ended(&mut self, effects: &mut Vec<Effect>) {
        let asked_by = match &mut self.life {
            Life::New | Life::Closed => return,
            _ if self.health.n_alive() > 0 || self.restarts.has_pending() => return,
            Life::Open => Vec::new(),
            Life::Stopping(stop) => std::mem::take(&mut stop.asked_by),
        };
        self.life = Life::Closed;
        self.check_due = None;
        self.poll_sent = None;
        self.subscribers.tell_all(&News::Closed, effects);
        effects.extend(asked_by.into_iter().map(|ask| Effect::Answer { ask, state: self.state() }));
        effects.push(Effect::Finish);
    }
}
