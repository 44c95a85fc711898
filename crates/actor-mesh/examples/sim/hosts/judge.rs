//! `judge`: whether what has happened to attached hosts is what was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller::Times;
use mesh_core::{Reason, Stall, Status};

use super::plan::{Last, Plan};
use super::record::{Crash, How, Life, Of, Record, Reign, Told};

mod told;

pub(crate) use told::is_kill;

/// What there is when all is over.
#[derive(Default)]
pub(crate) struct After {
    pub(crate) complaints: Vec<String>,
    /// What the last controller says of each rank, before the end.
    pub(crate) state: Vec<Status>,
    /// Every rank had ended when the stop was answered.
    pub(crate) is_stopped: bool,
    pub(crate) n_alive: usize,
    pub(crate) n_tasks_left: usize,
}

/// What is wrong; each sentence begins with the id of what it breaks.
pub(crate) fn judge(plan: &Plan, record: &Record, after: &After) -> Vec<String> {
    let mut wrong = after.complaints.clone();
    if !wrong.is_empty() {
        return wrong;
    }
    let case = Case::new(plan, record);
    case.lives(&mut wrong);
    case.culls(&mut wrong);
    case.silences(&mut wrong);
    case.told(&mut wrong);
    case.ends(&mut wrong);
    case.settling(&mut wrong);
    case.hosts(&mut wrong);
    case.replaced(&mut wrong);
    case.state(after, &mut wrong);
    case.left(after, &mut wrong);
    wrong
}

/// K2: how long after its lease has run out a rank may live.
pub(crate) fn cull_within(times: &Times) -> Duration {
    (times.lease / 10).max(Duration::from_secs(1))
}

struct Case<'a> {
    plan: &'a Plan,
    record: &'a Record,
    /// Of which ends each controller has told its subscriber.
    told: BTreeSet<(u64, Of)>,
}

impl<'a> Case<'a> {
    fn new(plan: &'a Plan, record: &'a Record) -> Self {
        let told = record.subscribers.iter().map(|told| (told.epoch, told.of())).collect();
        Self { plan, record, told }
    }
}

impl Case<'_> {
    const fn host_of(&self, rank: usize) -> usize {
        rank / self.plan.per_host
    }

    fn crash_of(&self, rank: usize) -> Option<&Crash> {
        self.record.crashes.iter().find(|crash| crash.host == self.host_of(rank))
    }

    /// K1, K3: a rank has one life at a time, and only who is obeyed begins any.
    fn lives(&self, wrong: &mut Vec<String>) {
        let mut last: BTreeMap<usize, &Life> = BTreeMap::new();
        let mut obeyed: BTreeMap<usize, u64> = BTreeMap::new();
        for life in &self.record.lives {
            let Life { rank, incarnation, epoch, begun, .. } = life;
            let what = format!("rank {rank}, {incarnation}");
            if let Some(before) = last.insert(*rank, life) {
                let is_over = before.ended.is_some_and(|(at, _)| at <= *begun);
                if !is_over || before.incarnation >= *incarnation {
                    wrong.push(format!("K1: {what} begins while {before:?} lives"));
                }
                if before.ended.is_some_and(|(_, how)| how == How::Succeeded) {
                    wrong.push(format!("K1: {what} begins before the one before it has ended"));
                }
            }
            let is_end = |told: &&Told| told.of() == life.of() && told.epoch == *epoch;
            let mut ends = self.record.subscribers.iter().filter(is_end);
            if let Some(Told { at, status, .. }) = ends.find(|told| told.at < *begun) {
                wrong.push(format!("K1, H2: {what} begins, and is {status} since {at:?}"));
            }
            let highest = obeyed.entry(self.host_of(*rank)).or_default();
            if *epoch < *highest {
                wrong.push(format!("K3: {what} begins by the order of {epoch} after {highest}"));
            }
            *highest = (*highest).max(*epoch);
        }
    }

    /// When a host heard of no controller: cut off, or there was none. What lies close together is one.
    fn silences_of(&self, host: usize) -> Vec<(Duration, Duration)> {
        let cuts = self.record.cuts.iter().filter(|(it, ..)| *it == host);
        let cuts = cuts.map(|(_, from, to)| (*from, *to));
        let mut all: Vec<_> = cuts.chain(self.interregna()).collect();
        all.sort_unstable();
        let mut merged: Vec<(Duration, Duration)> = Vec::new();
        for (from, to) in all {
            match merged.last_mut() {
                Some(last) if from <= last.1 + self.plan.margin() + DIAL => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        merged
    }

    /// The times without a controller.
    fn interregna(&self) -> impl Iterator<Item = (Duration, Duration)> {
        let next = self.record.reigns.iter().skip(1).map(|next| next.from).chain([FOR_EVER]);
        self.record.reigns.iter().zip(next).filter_map(|(one, next)| Some((one.to?, next)))
    }

    /// K3, O2: nothing is culled but what no controller was heard of for a lease.
    fn culls(&self, wrong: &mut Vec<String>) {
        let (lease, margin) = (self.plan.times.lease, self.plan.margin());
        for life in &self.record.lives {
            let Some((at, How::Orphaned)) = life.ended else { continue };
            let is_long = |(from, to): &(Duration, Duration)| {
                let till = *to + margin + DIAL + cull_within(&self.plan.times);
                *to - *from + margin + DIAL >= lease
                    && (*from + lease - margin..=till).contains(&at)
            };
            if !self.silences_of(self.host_of(life.rank)).iter().any(is_long) {
                let Life { rank, incarnation, .. } = life;
                wrong.push(format!("K3, O2: rank {rank}, {incarnation} is culled at {at:?}"));
            }
        }
    }

    /// K1, K2: no longer than a lease, and the time of a cull, lives what no controller is heard of.
    fn silences(&self, wrong: &mut Vec<String>) {
        let bound = self.plan.times.lease + cull_within(&self.plan.times);
        for host in 0..self.plan.n_hosts {
            let cuts = self.record.cuts.iter().filter(|(it, ..)| *it == host);
            let cuts = cuts.map(|(_, from, to)| (*from, *to));
            for (from, to) in cuts.chain(self.interregna()) {
                let latest = from + bound + LATE;
                let lives_on = |life: &&Life| {
                    self.host_of(life.rank) == host
                        && life.begun < to
                        && latest < to
                        && life.begun.max(from) + bound < to
                        && life.ended.is_none_or(|(at, _)| at > latest)
                };
                if let Some(life) = self.record.lives.iter().find(lives_on) {
                    wrong.push(format!("K2: cut off from {from:?} to {to:?}, and {life:?}"));
                }
            }
        }
    }

    /// Rule 9: whoever has come anew declares nobody dead by silence for a lease.
    fn settling(&self, wrong: &mut Vec<String>) {
        for reign in self.record.reigns.iter().skip(1) {
            let until = reign.from + self.plan.times.lease;
            let early = self.record.owners.iter().filter(|told| told.epoch == reign.epoch);
            for Told { at, rank, status, .. } in early.filter(|told| told.at < until) {
                let is_evidence =
                    matches!(status, Status::Failed(cause) if cause.reason != Reason::LostByAgent);
                if !is_evidence {
                    wrong.push(format!("rule 9: rank {rank} is {status} at {at:?}"));
                }
            }
        }
    }

    /// K3: whoever speaks again after a successor has come is told so, and lets go.
    fn replaced(&self, wrong: &mut Vec<String>) {
        let is_still = self.record.cuts.is_empty() && self.record.crashes.is_empty();
        for Reign { epoch, rejoined, replaced, closed, .. } in &self.record.reigns {
            // One for whom all have ended asks nobody any more.
            let is_open = is_still && closed.is_none();
            let Some(rejoined) = rejoined.filter(|_| is_open) else { continue };
            let is_told = replaced.is_some_and(|at| at <= rejoined + REPLACED_WITHIN);
            if !is_told {
                wrong.push(format!("K3: {epoch} is back at {rejoined:?}, and hears {replaced:?}"));
            }
        }
    }

    /// H7, RS1: what lives is said to live, and what has failed and is to be started again does.
    fn state(&self, after: &After, wrong: &mut Vec<String>) {
        let held_back = self.record.held_back();
        for (rank, status) in after.state.iter().enumerate() {
            let last = self.record.lives.iter().rev().find(|life| life.rank == rank);
            // How it ended when it all ended is another matter.
            let ended = |life: &Life| life.ended.filter(|(at, _)| *at < self.quiet_from());
            let is_right = match last.map(ended) {
                // Of a host that is gone every rank has ended, or is what the kernel has said last (H4).
                _ if self.crash_of(rank).is_some() => {
                    status.is_terminal() || is_suspended(status) && held_back.contains(&rank)
                }
                Some(None) => *status == Status::Running,
                // Of an agent that was given up nobody starts any.
                _ if matches!(status, Status::Timeout { .. }) => true,
                // The first controller died before it had begun any.
                None => !self.plan.restarts && status.is_failure(),
                Some(Some((_, How::Exit(0)))) => *status == Status::Stopped,
                Some(Some(_)) => !self.plan.restarts && status.is_failure(),
            };
            if !is_right {
                wrong.push(format!("H7, RS1: rank {rank} is {status}, and was {last:?}"));
            }
        }
    }

    /// When the state has been asked for.
    fn quiet_from(&self) -> Duration {
        self.plan.healed_at() + self.plan.times.timeout
    }

    /// C1, C2, K2, N4: nothing is left.
    fn left(&self, after: &After, wrong: &mut Vec<String>) {
        if after.n_alive > 0 {
            wrong.push(format!("C2, K2: {} ranks are left", after.n_alive));
        }
        if self.plan.last == Last::Stop && !after.is_stopped {
            wrong.push("C1: the stop is answered before all have ended".to_owned());
        }
        let is_closed = self.record.reigns.last().is_some_and(|last| last.closed.is_some());
        if self.plan.last == Last::Stop && !is_closed {
            wrong.push("N4: it is not told that all have ended".to_owned());
        }
        if after.n_tasks_left > 0 {
            wrong.push(format!("C2: {} tasks are left after a minute", after.n_tasks_left));
        }
    }
}

/// Whether the kernel says that it is suspended.
pub(crate) const fn is_suspended(status: &Status) -> bool {
    matches!(status, Status::Stalled(Stall::Suspended { .. }))
}

/// Nobody comes any more.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// What a packet may be late.
const LATE: Duration = Duration::from_millis(500);

/// How long it may take until there is a session again, and something has come by it: a dial that was begun too early
/// has its time first, then there is a pause, and a controller asks once a second.
pub(crate) const DIAL: Duration = Duration::from_millis(2_500);

/// Until whoever is back has a session, or notices that the old one is of no use.
const REPLACED_WITHIN: Duration = Duration::from_secs(20);
