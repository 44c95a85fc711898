//! Everything that was done and seen, and what is still awaited.

mod figures;

use std::collections::{BTreeMap, BTreeSet};

use mesh_testkit::history::{End, Fault, FaultKind, History, Observation, Verdict};
use meshwarden::mesh_core::{
    Change, Incarnation, Interest, Message, Reason, Snapshot, Stall, StalledHandler, Status,
    Timestamp,
};
use meshwarden::mesh_shape::Rank;

use crate::actors::{Block, NAME, Wait};
use crate::floor::Sample;
use crate::kind::{Deed, Kind};
pub(crate) use figures::Noticed;

/// Who sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Observer {
    /// The owner of the mesh: told of failures.
    Owner,
    /// A subscriber to the ends of ranks, on a task of its own.
    Terminal,
    /// A subscriber to everything, on a task of its own.
    All,
}

/// Whether there were hogs.
pub(crate) type IsHogged = bool;

/// A run: what was done, what was seen, by whom and when.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    faults: Vec<Done>,
    observations: Vec<(Observer, Observation)>,
    floor: Vec<(Kind, IsHogged, std::time::Duration)>,
    is_hogged: IsHogged,
    /// Where the faults and the observations of this round begin.
    round: (usize, usize),
    /// The lives that each observer has seen end in this round.
    ends: BTreeSet<(Observer, Rank, Incarnation)>,
    /// The newest life of each rank that who sees all has seen run in this round.
    runs: BTreeMap<Rank, Incarnation>,
    /// The newest life of each rank whose `main` has begun.
    ready: Vec<Option<Incarnation>>,
    /// How often a guard was killed.
    guards: Vec<IsHogged>,
    /// Which lives of agents somebody was told of: each begins when a guard was killed.
    revivals: Vec<(Observer, usize, Incarnation)>,
    /// How often somebody who was slow was told anew how all is (N7), where more is told at once than one may
    /// have waiting; elsewhere that is odd.
    n_lagged: Option<usize>,
    /// What nobody should be told.
    oddities: Vec<String>,
}

/// A fault that was injected.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) kind: Kind,
    pub(crate) is_hogged: IsHogged,
    pub(crate) fault: Fault,
    /// When the kernel said that the process has ended, where it was asked.
    pub(crate) ended: Option<Timestamp>,
}

impl Observer {
    /// Everybody.
    pub(crate) const EVERY: [Self; 3] = [Self::Owner, Self::Terminal, Self::All];

    /// What the report calls it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Terminal => "subscriber (terminal)",
            Self::All => "subscriber (all)",
        }
    }

    /// What it asks to be told of.
    pub(crate) const fn interest(self) -> Interest {
        match self {
            Self::Owner | Self::Terminal => Interest::Terminal,
            Self::All => Interest::All,
        }
    }

    /// Whether it must be told of a life that ends like this.
    pub(crate) const fn hears(self, end: &End) -> bool {
        !matches!((self, end), (Self::Owner, End::Stopped))
    }
}

impl Ledger {
    /// Of a mesh of `n_ranks`.
    pub(crate) fn new(n_ranks: usize) -> Self {
        Self { ready: vec![None; n_ranks], ..Self::default() }
    }

    /// So many die at once that somebody may lag.
    pub(crate) const fn expect_lag(&mut self) {
        self.n_lagged = Some(0);
    }

    /// How often somebody has lagged, where that may be.
    pub(crate) const fn n_lagged(&self) -> Option<usize> {
        self.n_lagged
    }

    /// What is done from now on is done with or without hogs.
    pub(crate) const fn begin_phase(&mut self, is_hogged: IsHogged) {
        self.is_hogged = is_hogged;
    }

    /// What is done from now on belongs together.
    pub(crate) fn begin_round(&mut self) {
        self.round = (self.faults.len(), self.observations.len());
        self.ends.clear();
        self.runs.clear();
    }

    /// Something was done to a rank in the life that it has now, which may have written a core. Returns
    /// the number of the fault and which life that is.
    pub(crate) fn injected(
        &mut self,
        at: Timestamp,
        rank: Rank,
        (deed, dumps): (Deed, bool),
    ) -> Option<(u64, Incarnation)> {
        self.fault(at, rank, (deed.kind(), deed.effect(dumps)))
    }

    /// The guard of this rank was killed, as one of so many.
    pub(crate) fn guard_killed(&mut self, at: Timestamp, rank: Rank) -> Option<(u64, Incarnation)> {
        self.fault(at, rank, (Kind::GuardKill, FaultKind::Ends(End::Failed(Reason::LostByAgent))))
    }

    /// A guard is being killed.
    pub(crate) fn begin_guard(&mut self) {
        self.guards.push(self.is_hogged);
    }

    /// A rank was let go on.
    pub(crate) fn continued(&mut self, at: Timestamp, rank: Rank, relief: Kind) {
        _ = self.fault(at, rank, (relief, FaultKind::Continues));
    }

    /// The mesh is being stopped: every life ends.
    pub(crate) fn stopped(&mut self, at: Timestamp) {
        for rank in (0..self.ready.len()).map(Rank::new) {
            _ = self.fault(at, rank, (Kind::Stop, FaultKind::Ends(End::Stopped)));
        }
    }

    /// The kernel has said when the process that a fault was done to has ended.
    pub(crate) fn ended(&mut self, id: u64, at: Timestamp) {
        if let Some(done) = usize::try_from(id).ok().and_then(|id| self.faults.get_mut(id)) {
            done.ended = Some(at);
        }
    }

    /// The kernel told of a plain child.
    pub(crate) fn on_floor(&mut self, sample: &Sample) {
        let is_hogged = self.is_hogged;
        self.floor.extend(sample.took.iter().map(|(kind, took)| (*kind, is_hogged, *took)));
    }

    /// The `main` of a life has begun.
    pub(crate) fn on_ready(&mut self, rank: Rank, incarnation: Incarnation) {
        if let Some(ready) = self.ready.get_mut(rank.index()) {
            *ready = (*ready).max(Some(incarnation));
        }
    }

    /// The number of ranks whose `main` has begun.
    pub(crate) fn n_ready(&self) -> usize {
        self.ready.iter().flatten().count()
    }

    /// Somebody was told of a change.
    pub(crate) fn on_change(&mut self, observer: Observer, at: Timestamp, change: &Change) {
        for rank in change.ranks.iter() {
            let status = change.status.clone();
            if observer != Observer::All && !status.is_terminal() {
                let whom = observer.label();
                self.oddities.push(format!("the {whom} was told that rank {rank} is {status}"));
            }
            let (incarnation, name) = (change.incarnation, observer.label().to_owned());
            if status.is_terminal() {
                self.ends.insert((observer, rank, incarnation));
            }
            if observer == Observer::All && status == Status::Running {
                let newest = self.runs.entry(rank).or_insert(incarnation);
                *newest = incarnation.max(*newest);
            }
            let seen = Observation { observer: name, rank, incarnation, status, at };
            self.observations.push((observer, seen));
        }
    }

    /// Somebody who has lagged is told how all is: what ended meanwhile is seen now, and the rest was seen
    /// before (N7).
    pub(crate) fn on_lagged(&mut self, observer: Observer, at: Timestamp, all: &Snapshot) {
        match &mut self.n_lagged {
            Some(n) => *n += 1,
            None => self.on_oddity(format!("the {} has lagged", observer.label())),
        }
        for change in all.failed.iter().chain(&all.stopped) {
            let is_new = |rank: &Rank| !self.ends.contains(&(observer, *rank, change.incarnation));
            let ranks = change.ranks.iter().filter(is_new).collect();
            self.on_change(observer, at, &Change { ranks, ..change.clone() });
        }
        if observer == Observer::All {
            all.alive.iter().for_each(|change| self.on_change(observer, at, change));
        }
    }

    /// Somebody was told that an agent has a new guard, and which life of it that is.
    pub(crate) fn on_revived(&mut self, observer: Observer, agent: usize, life: Incarnation) {
        self.revivals.push((observer, agent, life));
    }

    /// Something happened that should not.
    pub(crate) fn on_oddity(&mut self, what: String) {
        self.oddities.push(what);
    }

    /// Whether a rank that was to be held up in this round has been seen held up.
    pub(crate) fn is_seen_held(&self, rank: Rank) -> bool {
        let mut held = self.of_round().filter(|done| {
            done.fault.rank == rank && matches!(done.fault.kind, FaultKind::Suspends)
        });
        held.any(|done| self.sight(done, self.seen_in_round()).is_some())
    }

    /// Whether everything of this round was seen by all who had to, and its ranks run again.
    pub(crate) fn is_settled(&self) -> bool {
        self.of_round().all(|done| match &done.fault.kind {
            FaultKind::Ends(end) => self.is_over(&done.fault, end),
            FaultKind::Continues => self.sight(done, self.seen_in_round()).is_some(),
            // It is settled when it was let go on, and that was seen.
            FaultKind::Suspends => self.of_round().any(|other| {
                other.fault.rank == done.fault.rank
                    && matches!(other.fault.kind, FaultKind::Continues)
            }),
        })
    }

    /// Whether the end of a life was seen by all, and a later life runs: the next, or one after it if that
    /// has ended by itself, which is found to be spurious.
    fn is_over(&self, fault: &Fault, end: &End) -> bool {
        let next = fault.incarnation.next();
        let (rank, life) = (fault.rank, fault.incarnation);
        let has_begun = |newest: Option<&Incarnation>| newest >= Some(&next);
        has_begun(self.ready.get(rank.index()).and_then(Option::as_ref))
            && Observer::EVERY
                .iter()
                .filter(|it| it.hears(end))
                .all(|by| self.ends.contains(&(*by, rank, life)))
            && has_begun(self.runs.get(&rank))
    }

    /// What an observer was told, matched with what was done.
    pub(crate) fn verdict(&self, observer: Observer) -> Verdict {
        let mut verdict = self.history(observer).judge();
        if observer == Observer::All {
            let unseen = self.unseen();
            verdict.lost.extend(unseen.into_iter().map(|id| (id, observer.label().to_owned())));
        }
        verdict
    }

    /// Every fault, with its kind.
    pub(crate) fn faults(&self) -> &[Done] {
        &self.faults
    }

    /// Everything that was seen.
    pub(crate) fn observations(&self) -> impl Iterator<Item = &Observation> {
        self.observations.iter().map(|(_, seen)| seen)
    }

    /// What happened that should not, and is no end.
    pub(crate) fn oddities(&self) -> Vec<String> {
        let mut oddities = self.oddities.clone();
        for observer in [Observer::Terminal, Observer::All] {
            let told = self.revivals.iter().filter(|(by, ..)| *by == observer);
            let lives: Vec<_> = told.map(|(_, agent, life)| (*agent, *life)).collect();
            let n_lives = lives.iter().collect::<BTreeSet<_>>().len();
            let n_guards = self.guards.len();
            if (lives.len(), n_lives) != (n_guards, n_guards) {
                oddities.push(format!(
                    "{n_guards} guards were killed, and the {} was told {} times of {n_lives} new ones",
                    observer.label(),
                    lives.len()
                ));
            }
        }
        oddities
    }

    /// Something was done to a rank in the life that it has now; as [`injected`](Self::injected).
    pub(crate) fn fault(
        &mut self,
        at: Timestamp,
        rank: Rank,
        (kind, does): (Kind, FaultKind),
    ) -> Option<(u64, Incarnation)> {
        let incarnation = (*self.ready.get(rank.index())?)?;
        let id = self.faults.len() as u64;
        let fault = Fault { id, rank, incarnation, kind: does, at };
        self.faults.push(Done { kind, is_hogged: self.is_hogged, fault, ended: None });
        Some((id, incarnation))
    }

    fn of_round(&self) -> impl Iterator<Item = &Done> {
        self.faults.iter().skip(self.round.0)
    }

    fn seen_in_round(&self) -> impl Iterator<Item = &(Observer, Observation)> {
        self.observations.iter().skip(self.round.1)
    }

    /// When who sees all first saw what a fault does that ends nothing.
    fn sight<'a>(
        &self,
        done: &Done,
        mut seen: impl Iterator<Item = &'a (Observer, Observation)>,
    ) -> Option<Timestamp> {
        let fault = &done.fault;
        let is_it = |(by, seen): &&(Observer, Observation)| {
            *by == Observer::All
                && (seen.rank, seen.incarnation) == (fault.rank, fault.incarnation)
                && seen.at >= fault.at
                && shows(done.kind, fault.rank, &seen.status)
        };
        seen.find(is_it).map(|(_, seen)| seen.at)
    }

    /// The faults that end nothing, and that who sees all did not see.
    fn unseen(&self) -> Vec<u64> {
        let survived = self.faults.iter().filter(|done| done.kind.is_survived());
        survived
            .filter(|done| self.sight(done, self.seen_since(done.fault.at)).is_none())
            .map(|done| done.fault.id)
            .collect()
    }

    /// What was seen from a moment on, and a little before.
    fn seen_since(&self, at: Timestamp) -> impl Iterator<Item = &(Observer, Observation)> {
        // Each sees in the order of time, but what one has seen may be noted after what another has:
        // by no more than what may wait for the driver.
        let begin = self.observations.partition_point(|(_, seen)| seen.at < at);
        self.observations.iter().skip(begin.saturating_sub(crate::drive::SEEN))
    }

    /// What an observer has to be told and was.
    fn history(&self, observer: Observer) -> History {
        let is_wanted =
            |fault: &&Fault| matches!(&fault.kind, FaultKind::Ends(end) if observer.hears(end));
        let faults = self.faults.iter().map(|done| &done.fault).filter(is_wanted).cloned();
        let seen = self.observations.iter().filter(|(by, _)| *by == observer);
        let observations = seen.map(|(_, seen)| seen.clone()).collect();
        let observers = vec![observer.label().to_owned()];
        History { faults: faults.collect(), observers, observations }
    }

    /// The lives that an observer has to be told of.
    pub(crate) fn n_for(&self, observer: Observer) -> usize {
        let lives = self.history(observer).faults.into_iter();
        lives.map(|fault| (fault.rank, fault.incarnation)).collect::<BTreeSet<_>>().len()
    }
}

/// Whether a status is what a fault that ends nothing makes of a rank.
fn shows(kind: Kind, rank: Rank, status: &Status) -> bool {
    match (kind, status) {
        (Kind::Suspend | Kind::RelayStop, Status::Stalled(Stall::Suspended { .. }))
        | (Kind::FreezeOne | Kind::FreezeTwo, Status::Stalled(Stall::Silent { .. })) => true,
        // It is told by name which actor it is, and which of its handlers.
        (Kind::Wait, Status::Stalled(Stall::Handler(it))) => is_of(it, rank, Wait::NAME),
        (Kind::Block, Status::Stalled(Stall::Handler(it))) => is_of(it, rank, Block::NAME),
        (Kind::Continue | Kind::Thaw | Kind::Return, Status::Running) => true,
        _ => false,
    }
}

fn is_of(stalled: &StalledHandler, rank: Rank, handler: &str) -> bool {
    stalled.actor == format!("{NAME}[{rank}]") && stalled.message == handler
}

#[cfg(test)]
mod tests;
