//! The figures of a ledger: how often, and how fast.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_testkit::history::{End, FaultKind};
use meshwarden::mesh_core::{Incarnation, Reason, Stall, Status, Timestamp};
use meshwarden::mesh_shape::Rank;

use super::{Done, IsHogged, Ledger, Observer};
use crate::kind::Kind;

/// What who sees all saw besides what the faults explain. None of it is an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noticed {
    pub(crate) suspect: usize,
    pub(crate) unreachable: usize,
    /// Without a freeze.
    pub(crate) silent: usize,
    /// Of the ranks whose core was written, those that were seen while it was.
    pub(crate) dumping: usize,
}

impl Ledger {
    /// How often a fault of a kind was injected; a guard that was killed counts once.
    pub(crate) fn n_of(&self, kind: Kind, is_hogged: IsHogged) -> usize {
        if kind == Kind::GuardKill {
            return self.guards.iter().filter(|it| **it == is_hogged).count();
        }
        self.done(kind, is_hogged).count()
    }

    /// How many faults end no life, and have to be seen by who sees all.
    pub(crate) fn n_survived(&self) -> usize {
        self.faults.iter().filter(|done| done.kind.is_survived()).count()
    }

    /// Which exit codes there were.
    pub(crate) fn exit_codes(&self) -> BTreeSet<i32> {
        let code = |done: &Done| match done.fault.kind {
            FaultKind::Ends(End::Failed(Reason::Exit { code })) => Some(code),
            FaultKind::Ends(End::Stopped) if done.kind == Kind::CleanExit => Some(0),
            _ => None,
        };
        self.faults.iter().filter_map(code).collect()
    }

    /// Who is the first that has to be told of a kind, and that the report shows.
    pub(crate) const fn teller(kind: Kind) -> Observer {
        match kind {
            Kind::CleanExit | Kind::Stop => Observer::Terminal,
            kind if kind.is_survived() => Observer::All,
            _ => Observer::Owner,
        }
    }

    /// From each fault of a kind until the observer was told, in rising order.
    pub(crate) fn latencies(
        &self,
        observer: Observer,
        kind: Kind,
        is_hogged: IsHogged,
    ) -> Vec<Duration> {
        self.measure(observer, (kind, is_hogged), |done| Some(done.fault.at))
    }

    /// From when the kernel said that the process has ended until the observer was told; zero if it was
    /// told before who waited for the kernel had woken up.
    pub(crate) fn latencies_of_news(
        &self,
        observer: Observer,
        kind: Kind,
        is_hogged: IsHogged,
    ) -> Vec<Duration> {
        self.measure(observer, (kind, is_hogged), |done| done.ended)
    }

    /// How long the kernel took to tell of plain children, in rising order.
    pub(crate) fn floor(&self, kind: Kind, is_hogged: IsHogged) -> Vec<Duration> {
        let of_kind =
            self.floor.iter().filter(|(it, hogged, _)| (*it, *hogged) == (kind, is_hogged));
        sorted(of_kind.map(|(_, _, took)| *took))
    }

    /// What nobody has caused.
    pub(crate) fn noticed(&self) -> Noticed {
        let mut noticed = Noticed::default();
        for (_, seen) in self.observations.iter().filter(|(by, _)| *by == Observer::All) {
            match seen.status {
                Status::Suspect => noticed.suspect += 1,
                Status::Unreachable => noticed.unreachable += 1,
                Status::Stalled(Stall::Silent { .. }) => noticed.silent += 1,
                Status::Stalled(Stall::DumpingCore) => noticed.dumping += 1,
                _ => {}
            }
        }
        let is_freeze = |done: &&Done| matches!(done.kind, Kind::FreezeOne | Kind::FreezeTwo);
        let n_freezes = self.faults.iter().filter(is_freeze).count();
        noticed.silent = noticed.silent.saturating_sub(n_freezes);
        noticed
    }

    fn done(&self, kind: Kind, is_hogged: IsHogged) -> impl Iterator<Item = &Done> {
        self.faults.iter().filter(move |done| (done.kind, done.is_hogged) == (kind, is_hogged))
    }

    fn measure(
        &self,
        observer: Observer,
        (kind, is_hogged): (Kind, IsHogged),
        since: impl Fn(&Done) -> Option<Timestamp>,
    ) -> Vec<Duration> {
        let ends = self.ends(observer);
        sorted(self.done(kind, is_hogged).filter_map(|done| {
            let seen = if kind.is_survived() {
                let seen = (observer == Observer::All).then(|| self.seen_since(done.fault.at));
                seen.and_then(|seen| self.sight(done, seen))
            } else {
                ends.get(&(done.fault.rank, done.fault.incarnation)).copied()
            };
            Some(seen?.since(since(done)?))
        }))
    }

    /// When an observer first saw each life end.
    fn ends(&self, observer: Observer) -> BTreeMap<(Rank, Incarnation), Timestamp> {
        let mut ends = BTreeMap::new();
        let is_end = |(by, seen): &&(Observer, _)| {
            let seen: &mesh_testkit::history::Observation = seen;
            *by == observer && seen.status.is_terminal()
        };
        for (_, seen) in self.observations.iter().filter(is_end) {
            ends.entry((seen.rank, seen.incarnation)).or_insert(seen.at);
        }
        ends
    }
}

fn sorted(values: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut values: Vec<Duration> = values.collect();
    values.sort_unstable();
    values
}
