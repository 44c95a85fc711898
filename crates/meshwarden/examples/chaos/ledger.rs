//! Everything that was done and seen, and what is still awaited.

use std::collections::BTreeSet;
use std::time::Duration;

use mesh_testkit::history::{End, Fault, FaultKind, History, Observation, Verdict};
use meshwarden::mesh_core::{Change, Incarnation, Stall, Status, Timestamp};
use meshwarden::mesh_shape::Rank;

use crate::plan::{Deed, Kind};

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

/// A run: what was done, what was seen, by whom and when.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    faults: Vec<(Kind, Fault)>,
    observations: Vec<(Observer, Observation)>,
    /// Where the faults and the observations of this round begin.
    round: (usize, usize),
    /// The newest life of each rank whose `main` has begun.
    ready: Vec<Option<Incarnation>>,
    /// What nobody should be told.
    oddities: Vec<String>,
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

    /// Whether it must be told of a life that ends like this.
    const fn hears(self, end: &End) -> bool {
        !matches!((self, end), (Self::Owner, End::Stopped))
    }
}

impl Ledger {
    /// Of a mesh of `n_ranks`.
    pub(crate) fn new(n_ranks: usize) -> Self {
        Self { ready: vec![None; n_ranks], ..Self::default() }
    }

    /// What is done from now on belongs together.
    pub(crate) const fn begin_round(&mut self) {
        self.round = (self.faults.len(), self.observations.len());
    }

    /// Something was done to a rank in the life that it has now. Returns which that is.
    pub(crate) fn injected(
        &mut self,
        at: Timestamp,
        rank: Rank,
        deed: Deed,
    ) -> Option<Incarnation> {
        let kind = deed.end().map_or(FaultKind::Suspends, FaultKind::Ends);
        self.fault(at, rank, (deed.kind(), kind))
    }

    /// A suspended rank was let go on.
    pub(crate) fn continued(&mut self, at: Timestamp, rank: Rank) {
        _ = self.fault(at, rank, (Kind::Continue, FaultKind::Continues));
    }

    /// The mesh is being stopped: every life ends.
    pub(crate) fn stopped(&mut self, at: Timestamp) {
        for rank in (0..self.ready.len()).map(Rank::new) {
            _ = self.fault(at, rank, (Kind::Stop, FaultKind::Ends(End::Stopped)));
        }
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
            let seen = Observation { observer: name, rank, incarnation, status, at };
            self.observations.push((observer, seen));
        }
    }

    /// Something happened that should not.
    pub(crate) fn on_oddity(&mut self, what: String) {
        self.oddities.push(what);
    }

    /// Whether the life of a rank that was suspended in this round has been seen suspended.
    pub(crate) fn is_seen_suspended(&self, rank: Rank) -> bool {
        self.faults_on(rank, Kind::Suspend)
            .any(|fault| sight(fault, self.all_of_round(), is_suspended).is_some())
    }

    /// Whether a deed of this round was seen by all who had to, and its rank runs again.
    pub(crate) fn is_settled(&self, rank: Rank, deed: Deed) -> bool {
        let Some(end) = deed.end() else {
            let mut continued = self.faults_on(rank, Kind::Continue);
            return continued.any(|fault| sight(fault, self.all_of_round(), is_running).is_some());
        };
        let Some(fault) = self.faults_on(rank, deed.kind()).next() else { return false };
        let next = fault.incarnation.next();
        let is_seen = |observer: &Observer| {
            self.of_round().any(|(by, seen)| {
                by == observer
                    && (seen.rank, seen.incarnation) == (rank, fault.incarnation)
                    && seen.status.is_terminal()
            })
        };
        let runs = |seen: &Observation| {
            (seen.rank, seen.incarnation) == (rank, next) && is_running(&seen.status)
        };
        self.ready.get(rank.index()) == Some(&Some(next))
            && Observer::EVERY.iter().filter(|it| it.hears(&end)).all(is_seen)
            && self.all_of_round().any(runs)
    }

    /// The number of faults of a kind.
    pub(crate) fn n_of(&self, kind: Kind) -> usize {
        self.faults.iter().filter(|(it, _)| *it == kind).count()
    }

    /// How many ends an observer had to be told of.
    pub(crate) fn n_for(&self, observer: Observer) -> usize {
        self.history(observer, None).faults.len()
    }

    /// What an observer was told, matched with what was done.
    pub(crate) fn verdict(&self, observer: Observer) -> Verdict {
        let mut verdict = self.history(observer, None).judge();
        if observer == Observer::All {
            for kind in [Kind::Suspend, Kind::Continue] {
                let unseen = self.sights(kind).into_iter().filter(|(_, after)| after.is_none());
                verdict.lost.extend(unseen.map(|(id, _)| (id, observer.label().to_owned())));
            }
        }
        verdict
    }

    /// From each fault of a kind until the observer was told, in rising order.
    pub(crate) fn latencies(&self, observer: Observer, kind: Kind) -> Vec<Duration> {
        let mut latencies: Vec<Duration> = match kind {
            Kind::Suspend | Kind::Continue if observer == Observer::All => {
                self.sights(kind).into_iter().filter_map(|(_, after)| after).collect()
            }
            _ => {
                let verdict = self.history(observer, Some(kind)).judge();
                verdict.latencies.into_values().flatten().collect()
            }
        };
        latencies.sort_unstable();
        latencies
    }

    /// Every fault, with its kind.
    pub(crate) fn faults(&self) -> &[(Kind, Fault)] {
        &self.faults
    }

    /// Everything that was seen.
    pub(crate) fn observations(&self) -> impl Iterator<Item = &Observation> {
        self.observations.iter().map(|(_, seen)| seen)
    }

    /// What happened that should not, and is no end.
    pub(crate) fn oddities(&self) -> &[String] {
        &self.oddities
    }

    fn fault(
        &mut self,
        at: Timestamp,
        rank: Rank,
        (kind, does): (Kind, FaultKind),
    ) -> Option<Incarnation> {
        let incarnation = (*self.ready.get(rank.index())?)?;
        let id = self.faults.len() as u64;
        self.faults.push((kind, Fault { id, rank, incarnation, kind: does, at }));
        Some(incarnation)
    }

    /// What was done to a rank in this round, of one kind.
    fn faults_on(&self, rank: Rank, kind: Kind) -> impl Iterator<Item = &Fault> {
        let of_round = self.faults.iter().skip(self.round.0);
        of_round.filter(move |(it, on)| (*it, on.rank) == (kind, rank)).map(|(_, fault)| fault)
    }

    fn of_round(&self) -> impl Iterator<Item = &(Observer, Observation)> {
        self.observations.iter().skip(self.round.1)
    }

    /// What was seen in this round by who sees all.
    fn all_of_round(&self) -> impl Iterator<Item = &Observation> {
        self.of_round().filter(|(by, _)| *by == Observer::All).map(|(_, seen)| seen)
    }

    /// Every fault of a kind that ends nothing, and how long it took who sees all to see it.
    fn sights(&self, kind: Kind) -> Vec<(u64, Option<Duration>)> {
        let is_it = if kind == Kind::Suspend { is_suspended } else { is_running };
        let all = self.observations.iter().filter(|(by, _)| *by == Observer::All);
        // One observer sees in the order of time.
        let all: Vec<&Observation> = all.map(|(_, seen)| seen).collect();
        let faults = self.faults.iter().filter(|(it, _)| *it == kind);
        faults
            .map(|(_, fault)| {
                let begin = all.partition_point(|seen| seen.at < fault.at);
                (fault.id, sight(fault, all.iter().skip(begin).copied(), is_it))
            })
            .collect()
    }

    /// What an observer has to be told and was: of all that was done, or of one kind only.
    fn history(&self, observer: Observer, only: Option<Kind>) -> History {
        let is_wanted = |(kind, fault): &&(Kind, Fault)| {
            only.is_none_or(|only| only == *kind)
                && matches!(&fault.kind, FaultKind::Ends(end) if observer.hears(end))
        };
        let faults: Vec<Fault> =
            self.faults.iter().filter(is_wanted).map(|(_, fault)| fault.clone()).collect();
        let lives: BTreeSet<(Rank, Incarnation)> =
            faults.iter().map(|fault| (fault.rank, fault.incarnation)).collect();
        let seen = self.observations.iter().filter(|(by, seen)| {
            *by == observer && (only.is_none() || lives.contains(&(seen.rank, seen.incarnation)))
        });
        let observations = seen.map(|(_, seen)| seen.clone()).collect();
        History { faults, observers: vec![observer.label().to_owned()], observations }
    }
}

/// How long after a fault its life was first seen as `is_it`.
fn sight<'a>(
    fault: &Fault,
    mut seen: impl Iterator<Item = &'a Observation>,
    is_it: impl Fn(&Status) -> bool,
) -> Option<Duration> {
    let life = (fault.rank, fault.incarnation);
    seen.find(|seen| {
        (seen.rank, seen.incarnation) == life && seen.at >= fault.at && is_it(&seen.status)
    })
    .map(|seen| seen.at.since(fault.at))
}

const fn is_suspended(status: &Status) -> bool {
    matches!(status, Status::Stalled(Stall::Suspended { .. }))
}

const fn is_running(status: &Status) -> bool {
    matches!(status, Status::Running)
}

#[cfg(test)]
mod tests;
