//! The state machine itself: what each event means, and when to come back.

use std::sync::Arc;

use mesh_core::{
    Answer, Epoch, Incarnation, MeshLabel, MeshPhase, MeshState, NameError, RankState, Status,
    StatusKind, Timestamp,
};
use mesh_shape::{Overlay, Rank, RankSet, Region, ValueMesh};
use serde::{Deserialize, Serialize};

use crate::agents::{Misfit, Roster};
use crate::config::{Config, ConfigError};
use crate::event::{Effect, Event};
use crate::health::Health;
use crate::kind::Controlled;
use crate::lives::Lives;
use crate::restarts::Restarts;
use crate::runs::RANKS_MAX;
use crate::silence::Pause;
use crate::spread::SplitMix;
use crate::subscribers::Subscribers;
use crate::waits::Waits;

mod asks;
mod checks;
mod life;
mod orders;
mod publish;
mod reports;
mod rounds;
mod silence;
mod snapshot;
mod stop;

use life::Settling;
use stop::Stop;

/// What a controller is to supervise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The mesh: its id, the user's name for it, its kind.
    pub mesh: MeshLabel,
    /// Its ranks and their coordinates: rank 0 of the mesh is the first of the region, which may be a
    /// slice of something larger.
    pub region: Arc<Region>,
    /// Which controller of the mesh this is: higher than any before it.
    pub epoch: Epoch,
    /// The ranks of each agent; together every rank, once.
    pub agents: Arc<[RankSet]>,
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
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It cannot be called so.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It has more ranks than can be supervised.
    #[error("the mesh has {size} ranks, but at most {limit} can be supervised")]
    TooLarge {
        /// The number of its ranks.
        size: usize,
        /// The greatest number that is taken.
        limit: usize,
    },
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
    waits: Waits,
    restarts: Restarts,
    spread: SplitMix,
    life: Life,
    check_due: Option<Timestamp>,
    /// The poll that is in flight, by when it was sent (L2).
    poll_sent: Option<Timestamp>,
    /// Ranks that were killed and are known not to end by that.
    resisting: Lives,
    /// While a mesh is being adopted: which ranks have not turned up (K3).
    settling: Option<Box<Settling>>,
    /// The deadline last named: being called much later than that is our own pause.
    promised: Option<Timestamp>,
}

/// Where the whole mesh is in its life.
#[derive(Clone, Debug, PartialEq)]
enum Life {
    /// Nothing has been started.
    New,
    Open,
    Stopping(Box<Stop>),
    /// Every rank has ended, and everybody has been told.
    Closed,
    /// A controller of this higher epoch has taken over: nothing is said or ordered any more.
    Replaced(Epoch),
    /// The owner has gone: the same.
    Abandoned,
}

impl Life {
    /// It does nothing more.
    const fn is_over(&self) -> bool {
        matches!(self, Self::Closed | Self::Replaced(_) | Self::Abandoned)
    }
}

impl<C: Controlled> Controller<C> {
    /// A controller that has not started anything yet.
    ///
    /// # Errors
    ///
    /// - [`SpecError::Config`] if times or restarts cannot hold together.
    /// - [`SpecError::Name`] if the mesh has a name that none may have.
    /// - [`SpecError::TooLarge`] if there are more than `u32::MAX` ranks.
    /// - [`SpecError::Nobody`], [`SpecError::Twice`] or [`SpecError::Outside`] if the agents do not
    ///   answer for every rank of the region exactly once.
    pub fn new(spec: Spec, kind: C) -> Result<Self, SpecError> {
        spec.config.validate()?;
        spec.mesh.check()?;
        let (size, limit) = (spec.region.size(), RANKS_MAX);
        let Ok(n_ranks) = u32::try_from(size) else {
            return Err(SpecError::TooLarge { size, limit });
        };
        let roster =
            Roster::new(Arc::clone(&spec.agents), size).map_err(|misfit| match misfit {
                Misfit::Twice(rank) => SpecError::Twice { rank },
                Misfit::Nobody(rank) => SpecError::Nobody { rank },
                Misfit::Outside(rank) => SpecError::Outside { rank },
            })?;
        Ok(Self {
            kind,
            now: Timestamp::START,
            health: Health::new(size),
            roster,
            subscribers: Subscribers::new(spec.mesh.clone(), spec.epoch),
            waits: Waits::new(),
            restarts: Restarts::new(n_ranks, !spec.seed),
            spread: SplitMix(spec.seed),
            life: Life::New,
            check_due: None,
            poll_sent: None,
            resisting: Lives::default(),
            settling: None,
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
    ///
    /// # Bounds
    ///
    /// At most five effects for each agent if its ranks are all in the same life, and four more for each
    /// further life that they are in or are said to be in; five for each subscriber; one for each
    /// question that waits; one [`Effect::TellOwner`] and one [`Effect::Finish`].
    #[must_use = "an effect that is not performed is lost"]
    pub fn step(&mut self, now: Timestamp, event: Event<C::Report>) -> Vec<Effect> {
        self.advance(now);
        let mut effects = Vec::new();
        match event {
            Event::Opened => self.on_opened(&mut effects),
            Event::Adopted => self.on_adopted(&mut effects),
            Event::Answered(answer) => self.on_answered(answer, &mut effects),
            Event::Subscribed(subscription) => self.on_subscribed(subscription, &mut effects),
            Event::Unsubscribed(id) => self.subscribers.remove(id),
            Event::Lagged(id) => self.on_lagged(id, &mut effects),
            Event::Asked { ask, request } => self.on_asked(ask, request, &mut effects),
            Event::Withdrawn(ask) => self.on_withdrawn(ask),
            Event::Abandoned => self.on_abandoned(&mut effects),
            Event::Tick => self.on_tick(&mut effects),
        }
        self.close_if_ended(&mut effects);
        self.give_up_unkillable(&mut effects);
        self.promised = self.next_deadline();
        effects
    }

    fn on_answered(&mut self, answer: Answer<C::Report>, effects: &mut Vec<Effect>) {
        match answer {
            Answer::Reported { agent, life, reports } => {
                self.on_reported((agent, life), reports, effects);
            }
            Answer::Heard { agent, life, beat } => self.on_heard((agent, life), beat, effects),
            Answer::QueryFailed { agent } => self.on_query_failed(agent, effects),
            Answer::Refused { agent, obeyed } => self.on_refused(agent, obeyed, effects),
            Answer::Lost { agent, life } => self.on_lost((agent, life), effects),
            Answer::Resist { agent, ranks, incarnation, why } => {
                self.on_resist(agent, &ranks, (incarnation, why), effects);
            }
        }
    }

    /// When a [`Event::Tick`] is due if nothing else happens; `None` if nothing is waited for: before
    /// the mesh is opened, and once it is closed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let watching = match &self.life {
            Life::New | Life::Closed | Life::Replaced(_) | Life::Abandoned => None,
            Life::Open => self.watch_deadline(),
            Life::Stopping(stop) => {
                [self.watch_deadline(), stop.next_deadline()].into_iter().flatten().min()
            }
        };
        [watching, self.waits.next_deadline()].into_iter().flatten().min()
    }

    fn watch_deadline(&self) -> Option<Timestamp> {
        let poll = self.poll_sent.map(|sent| sent + self.spec.config.times.poll_deadline);
        let restart = self.restarts.next_deadline();
        let (round, silence) = (self.round_deadline(), self.roster.next_deadline());
        let settle = self.settling.as_ref().map(|settling| settling.at);
        [self.check_due, poll, restart, round, silence, settle].into_iter().flatten().min()
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
    pub fn counts(&self) -> [usize; StatusKind::ALL.len()] {
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
        MeshState { mesh: self.spec.mesh.clone(), phase: MeshPhase::of(&self.counts()), ranks }
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
            let at_most = self.now.since(before);
            let pause = Pause { at_least: gap, at_most, until: self.now };
            self.roster.forgive(pause, &self.spec.config.times);
            self.poll_sent = self.poll_sent.map(|sent| sent + gap);
            if let Some(settling) = &mut self.settling {
                settling.at = settling.at + gap;
            }
            if let Some(round) = self.restarts.round_mut() {
                round.kill_at = round.kill_at + gap;
            }
            if let Life::Stopping(stop) = &mut self.life {
                stop.put_off(gap);
            }
        }
    }
}

#[cfg(test)]
mod costs;
