//! Which ended ranks start again, when, and when it is too much (RS1 to RS3).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use mesh_core::{
    Change, Escalation, EscalationReason, Incarnation, LaunchProblem, Reason, RestartConfig,
    RestartPolicy, Status, Strategy, Timestamp,
};
use mesh_shape::{Rank, RankSet};

#[cfg(test)]
use crate::cells::visits;
use crate::spread::SplitMix;

mod alone;

use alone::Alone;

/// The restarts of one mesh.
#[derive(Clone, Debug)]
pub(crate) struct Restarts {
    /// The number of ranks of the mesh.
    size: u32,
    /// `None` before the first restart.
    granted: Option<Box<Granted>>,
    /// The restarts of the controller before; `None` if the mesh was not adopted.
    adopted: Option<Box<Adopted>>,
    alone: Alone,
    round: Option<Box<Round>>,
    escalation: Escalating,
    /// The mesh is being stopped: nothing starts again.
    is_cancelled: bool,
    random: SplitMix,
}

/// What the decisions of one step go by.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) now: Timestamp,
    pub(crate) config: &'a RestartConfig,
    /// The ranks that have ended in this step and can have no other life where that one was.
    pub(crate) barred: &'a RankSet,
    /// The ranks that, if they have ended in this step, have with what they lived in, which begins again.
    pub(crate) interrupted: &'a RankSet,
}

/// The restarts that were granted.
#[derive(Clone, Debug, Default)]
struct Granted {
    /// When each one of the window was, where there is one; no more than the intensity.
    at: VecDeque<Timestamp>,
    /// How many in the life of the mesh, since it was adopted if it was.
    n: usize,
    /// How often each rank that ever ended was restarted; a group by its first rank.
    attempts: BTreeMap<Rank, Attempts>,
}

/// The restarts that lives tell of which the controller before has begun.
#[derive(Clone, Copy, Debug, Default)]
struct Adopted {
    /// Of all ranks together.
    sum: usize,
    /// Of the rank that has the most.
    max: usize,
}

/// Ranks that are started again together, when all of them have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) ranks: RankSet,
    /// Those of them that have not been told to end yet.
    joined: RankSet,
    /// Not before this moment.
    pub(crate) due: Timestamp,
    /// When those that still live are killed.
    pub(crate) kill_at: Timestamp,
    pub(crate) killed: bool,
    /// A rank of it was told to have ended for good: none of them starts again, also if its agent comes
    /// back.
    pub(crate) is_lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct Attempts {
    n: u32,
    /// When the life that the last one led to began.
    began_at: Timestamp,
}

/// Whether it has been said that more restarts were needed than are allowed (RS3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escalating {
    NotNeeded,
    Due(EscalationReason),
    Told,
}

impl Round {
    /// Whether those that still live were killed so long ago that what was on its way has arrived.
    pub(crate) fn is_overdue(&self, now: Timestamp, lease: Duration) -> bool {
        self.killed && self.kill_at + lease <= now
    }
}

impl Adopted {
    /// As the strategy counts them: each of a rank, or those of the rank that has the most.
    const fn n_restarts(self, strategy: Strategy) -> usize {
        match strategy {
            Strategy::OneForOne => self.sum,
            Strategy::OneForAll | Strategy::RestForOne => self.max,
        }
    }
}

impl Step<'_> {
    /// The same changes, each of barred ranks alone or of none; and so for those that were interrupted.
    fn apart(&self, changes: Vec<Change>) -> Vec<Change> {
        [self.barred, self.interrupted].into_iter().fold(changes, apart_from)
    }

    /// Whether these ranks have ended well, but with what they lived in, which begins again. All of them, or none.
    fn is_interrupted(&self, change: &Change) -> bool {
        change.status == Status::Stopped && !change.ranks.intersection(self.interrupted).is_empty()
    }

    /// Whether these ranks have ended and nobody can start them again, however they have ended. They are barred
    /// together, or not at all.
    fn is_loss(&self, change: &Change) -> bool {
        let is_barred = || !change.ranks.intersection(self.barred).is_empty();
        matches!(change.status, Status::Timeout { .. }) || is_barred()
    }
}

/// The same changes, each of some of those ranks alone or of none of them.
fn apart_from(changes: Vec<Change>, ranks: &RankSet) -> Vec<Change> {
    if ranks.is_empty() {
        return changes;
    }
    let apart = changes.into_iter().flat_map(|change| {
        let each = [change.ranks.intersection(ranks), change.ranks.difference(ranks)];
        let each = each.into_iter().filter(|ranks| !ranks.is_empty());
        each.map(move |ranks| Change { ranks, ..change.clone() })
    });
    apart.collect()
}

impl Restarts {
    pub(crate) const fn new(size: u32, seed: u64) -> Self {
        Self {
            size,
            granted: None,
            adopted: None,
            alone: Alone::new(),
            round: None,
            escalation: Escalating::NotNeeded,
            is_cancelled: false,
            random: SplitMix(seed),
        }
    }

    /// Decides for every ended rank of `changes`, splitting them where ranks are treated differently.
    ///
    /// `can_start` says whether somebody is there to start all of these ranks, and each has somewhere to begin.
    pub(crate) fn decide(
        &mut self,
        step: Step<'_>,
        changes: Vec<Change>,
        can_start: impl Fn(&RankSet) -> bool,
    ) -> Vec<Change> {
        let changes = step.apart(changes);
        match step.config.strategy {
            Strategy::OneForOne => {
                // A round that was begun under other rules goes on.
                let changes = self.mark_round(step, changes);
                self.decide_each(step, changes)
            }
            Strategy::OneForAll | Strategy::RestForOne => {
                self.decide_together(step, &changes, can_start);
                self.mark_round(step, changes)
            }
        }
    }

    fn decide_each(&mut self, step: Step<'_>, changes: Vec<Change>) -> Vec<Change> {
        let Step { now, config, .. } = step;
        let mut decided = Vec::with_capacity(changes.len());
        for change in changes {
            if !self.wants(step, &change) {
                decided.push(change);
                continue;
            }
            let mut left = RankSet::new();
            let is_free = step.is_interrupted(&change);
            for rank in change.ranks.iter() {
                let Some(delay) = self.grant((now, config), (rank, is_free)) else {
                    left.insert(rank);
                    continue;
                };
                let next = (rank, change.incarnation.next());
                self.alone.insert(now + delay, next);
                let (ranks, restart_in) = (RankSet::from_iter([rank]), Some(delay));
                decided.push(Change { ranks, restart_in, ..change.clone() });
            }
            if !left.is_empty() {
                self.escalate(EscalationReason::Intensity);
                decided.push(Change { ranks: left, ..change });
            }
        }
        decided
    }

    /// One restart for all that ended in this step and are not yet in a round.
    fn decide_together(
        &mut self,
        step: Step<'_>,
        changes: &[Change],
        can_start: impl Fn(&RankSet) -> bool,
    ) {
        let Step { now, config, .. } = step;
        let in_round = self.round.as_ref().map_or_else(RankSet::new, |round| round.ranks.clone());
        // Who cannot be started again keeps all from it who start together with it: that is more than restarts can mend.
        let is_beyond = |change: &&Change| {
            let is_needed = match config.strategy {
                Strategy::OneForAll => change.status.is_failure(),
                // Whoever may still live, and is only silent, the rest may go on without.
                Strategy::RestForOne => matches!(change.status, Status::Failed(_)),
                Strategy::OneForOne => false,
            };
            is_needed && !change.ranks.difference(&in_round).is_empty()
        };
        if config.policy != RestartPolicy::Temporary
            && !self.is_cancelled
            && changes.iter().filter(is_beyond).any(|change| !self.wants(step, change))
        {
            self.escalate(EscalationReason::CannotStart);
        }
        let wanted =
            changes.iter().filter(|change| self.wants(step, change)).filter_map(|change| {
                Some((change.ranks.difference(&in_round).first()?, step.is_interrupted(change)))
            });
        let wanted: Vec<_> = wanted.collect();
        let Some(first) = wanted.iter().map(|(first, _)| *first).min() else { return };
        let is_free = wanted.iter().all(|(_, is_interrupted)| *is_interrupted);
        let first = match config.strategy {
            Strategy::OneForAll => Rank::new(0),
            Strategy::OneForOne | Strategy::RestForOne => first,
        };
        let group = RankSet::from(first.index()..self.size as usize);
        let is_startable = can_start(&group);
        let granted = is_startable.then(|| self.grant((now, config), (first, is_free)));
        let Some(delay) = granted.flatten() else {
            self.escalate(if is_startable {
                EscalationReason::Intensity
            } else {
                EscalationReason::CannotStart
            });
            return;
        };
        let (due, kill_at) = (now + delay, now + config.grace);
        let (ranks, joined) = (RankSet::new(), RankSet::new());
        let new = || Box::new(Round { ranks, joined, due, kill_at, killed: false, is_lost: false });
        let round = self.round.get_or_insert_with(new);
        // Those that were to start alone start with the others.
        self.alone.remove(&group);
        round.joined = round.joined.union(&group.difference(&round.ranks));
        round.ranks = round.ranks.union(&group);
        round.due = round.due.max(due);
        if round.killed {
            // Those that have just joined have their own grace.
            (round.killed, round.kill_at) = (false, kill_at);
        }
    }

    /// Lives of the round that nobody knew of, or that somebody else has begun, end with the others.
    pub(crate) fn join_late(&mut self, kill_at: Timestamp, changes: &[Change]) {
        let Some(round) = &mut self.round else { return };
        let is_alive =
            |change: &&Change| !change.status.is_terminal() && change.status != Status::Stopping;
        for change in changes.iter().filter(is_alive) {
            let late = change.ranks.intersection(&round.ranks);
            if !late.is_empty() && round.killed {
                (round.killed, round.kill_at) = (false, kill_at);
            }
            round.joined = round.joined.union(&late);
        }
    }

    /// Marks the ends of ranks that will be started again (RS1). A timeout is none of them, nor is the end of who has
    /// nowhere to begin: then the round is lost.
    fn mark_round(&mut self, step: Step<'_>, changes: Vec<Change>) -> Vec<Change> {
        let Some(round) = &mut self.round else { return changes };
        let mut losses = changes.iter().filter(|change| step.is_loss(change));
        round.is_lost |= losses.any(|change| !change.ranks.intersection(&round.ranks).is_empty());
        let restart_in = Some(round.due.since(step.now));
        let mut marked = Vec::with_capacity(changes.len());
        for change in changes {
            if step.is_loss(&change)
                || !matches!(change.status, Status::Failed(_) | Status::Stopped)
            {
                marked.push(change);
                continue;
            }
            let (inside, outside) =
                (change.ranks.intersection(&round.ranks), change.ranks.difference(&round.ranks));
            if !inside.is_empty() {
                marked.push(Change { ranks: inside, restart_in, ..change.clone() });
            }
            if !outside.is_empty() {
                marked.push(Change { ranks: outside, ..change });
            }
        }
        marked
    }

    /// The rules have changed: what was too much before may not be any more.
    pub(crate) fn forgive(&mut self) {
        self.escalation = Escalating::NotNeeded;
    }

    /// The escalation that is to be told now, given which ranks have failed, and which have stopped. Once.
    pub(crate) fn take_escalation(
        &mut self,
        config: &RestartConfig,
        ended: impl FnOnce() -> (RankSet, RankSet),
    ) -> Option<Escalation> {
        let Escalating::Due(reason) = self.escalation else { return None };
        self.escalation = Escalating::Told;
        let RestartConfig { max_restarts, period, .. } = *config;
        let (failed, stopped) = ended();
        let starting = self.starting(0..self.size as usize).intersection(&failed.union(&stopped));
        Some(Escalation { reason, failed, starting, max_restarts, period })
    }

    /// Whether there is an escalation to be told.
    pub(crate) fn has_escalated(&self) -> bool {
        matches!(self.escalation, Escalating::Due(_))
    }

    fn escalate(&mut self, reason: EscalationReason) {
        if self.escalation == Escalating::NotNeeded {
            self.escalation = Escalating::Due(reason);
        }
    }

    fn wants(&self, step: Step<'_>, change: &Change) -> bool {
        let is_wanted = match step.config.policy {
            RestartPolicy::Temporary => false,
            RestartPolicy::Transient => {
                matches!(change.status, Status::Failed(_)) || step.is_interrupted(change)
            }
            // A rank that timed out has nobody to start it: its agent is silent.
            RestartPolicy::Permanent => {
                matches!(change.status, Status::Failed(_) | Status::Stopped)
            }
        };
        is_wanted
            && change.restart_in.is_none()
            && !self.is_cancelled
            && !is_hopeless(&change.status)
            && step.barred.intersection(&change.ranks).is_empty()
    }

    /// Grants one restart if the intensity allows it; returns its delay. One that is free is no part of the intensity.
    fn grant(
        &mut self,
        (now, config): (Timestamp, &RestartConfig),
        (rank, is_free): (Rank, bool),
    ) -> Option<Duration> {
        if is_free {
            let has_escalated = self.escalation != Escalating::NotNeeded;
            return (!has_escalated).then(|| backoff(config, 0, &mut self.random));
        }
        let granted = self.granted.get_or_insert_default();
        if let Some(period) = config.period {
            while granted.at.front().is_some_and(|at| now.since(*at) > period) {
                granted.at.pop_front();
            }
        }
        let adopted =
            self.adopted.as_ref().map_or(0, |adopted| adopted.n_restarts(config.strategy));
        let in_life = granted.n.saturating_add(adopted);
        let spent = if config.period.is_some() { granted.at.len() } else { in_life };
        let is_spent = spent >= config.max_restarts as usize;
        if is_spent || self.escalation != Escalating::NotNeeded {
            return None;
        }
        granted.n = granted.n.saturating_add(1);
        if config.period.is_some() {
            granted.at.push_back(now);
        }
        let settled = config.backoff_max.saturating_mul(2);
        let before = granted.attempts.get(&rank).map_or(0, |attempts| {
            if now.since(attempts.began_at) >= settled { 0 } else { attempts.n }
        });
        let delay = backoff(config, before, &mut self.random);
        let attempts = Attempts { n: before.saturating_add(1), began_at: now + delay };
        granted.attempts.insert(rank, attempts);
        Some(delay)
    }

    /// Another controller has restarted ranks of the mesh before.
    pub(crate) fn adopt(&mut self) {
        self.adopted = Some(Box::default());
    }

    pub(crate) const fn is_adopted(&self) -> bool {
        self.adopted.is_some()
    }

    /// So many ranks were found in this life, which the controller before has begun. Each is counted
    /// once. A mesh that was not adopted: no change.
    pub(crate) fn inherit(&mut self, n_ranks: usize, life: Incarnation) {
        let Some(adopted) = &mut self.adopted else { return };
        let life = usize::try_from(life.number()).unwrap_or(usize::MAX);
        adopted.sum = adopted.sum.saturating_add(n_ranks.saturating_mul(life));
        adopted.max = adopted.max.max(life);
    }

    /// The restarts of single ranks that are due, in rank order.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<(Rank, Incarnation)> {
        self.alone.take_due(now)
    }

    /// When each rank that has ended, and is to start alone, will start.
    pub(crate) fn pending(&self) -> BTreeMap<Rank, Timestamp> {
        self.alone.times()
    }

    /// The ranks of `range` that will begin another life.
    pub(crate) fn starting(&self, range: Range<usize>) -> RankSet {
        let mut starting: RankSet = self.alone.within(&range).map(|(rank, _)| rank).collect();
        #[cfg(test)]
        visits::count(starting.len());
        for run in self.round.iter().flat_map(|round| round.ranks.runs_within(range.clone())) {
            starting.insert_range(run);
        }
        starting
    }

    /// The ranks of `range` that begin this life each by itself.
    pub(crate) fn alone_within(&self, range: &Range<usize>, next: Incarnation) -> RankSet {
        let starts = self.alone.within(range).filter(|(_, incarnation)| *incarnation == next);
        starts.map(|(rank, _)| rank).collect()
    }

    /// These starts are not to be, though they were promised.
    pub(crate) fn withdraw(&mut self, given_up: &BTreeSet<(Rank, Incarnation)>) {
        if !given_up.is_empty() {
            self.alone.cancel(given_up);
        }
    }

    pub(crate) fn round(&self) -> Option<&Round> {
        self.round.as_deref()
    }

    pub(crate) fn round_mut(&mut self) -> Option<&mut Round> {
        self.round.as_deref_mut()
    }

    /// The ranks that have joined the round since they were taken, and when it is due.
    pub(crate) fn joined(&self) -> (&RankSet, Timestamp) {
        static NONE: RankSet = RankSet::new();
        let round = self.round.as_ref();
        round.map_or((&NONE, Timestamp::START), |round| (&round.joined, round.due))
    }

    /// The ranks that have joined the round since this was asked last.
    pub(crate) fn take_joined(&mut self) -> RankSet {
        self.round.as_mut().map(|round| std::mem::take(&mut round.joined)).unwrap_or_default()
    }

    /// The ranks of the round begin again.
    pub(crate) fn take_round(&mut self) -> Option<Round> {
        self.round.take().map(|round| *round)
    }

    /// A rank of the round has nobody to start it, or has ended for good: none of them starts again.
    pub(crate) fn abandon_round(&mut self) {
        self.round = None;
        // They were promised to start, so that is told also where it was told before that no more are.
        if !self.has_escalated() {
            self.escalation = Escalating::Due(EscalationReason::CannotStart);
        }
    }

    /// The mesh is being stopped: nothing starts again.
    pub(crate) fn cancel(&mut self) {
        self.alone.clear();
        self.round = None;
        self.is_cancelled = true;
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.alone.is_empty() || self.round.is_some()
    }

    /// When a rank that starts alone is due.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.alone.next_deadline()
    }
}

/// Whether the next start would fail as this one did: what is to be started is not there.
fn is_hopeless(status: &Status) -> bool {
    let Some(Reason::Launch { problem, .. }) = status.cause().map(|cause| &cause.reason) else {
        return false;
    };
    match problem {
        LaunchProblem::NotFound
        | LaunchProblem::NotExecutable
        | LaunchProblem::WorkingDirectory => true,
        // Too many processes, too many files: that may pass.
        LaunchProblem::Os { .. } => false,
    }
}

/// Doubling from `backoff_min` up to `backoff_max`, less up to a tenth, so that ranks that failed
/// together do not start together.
fn backoff(config: &RestartConfig, attempt: u32, random: &mut SplitMix) -> Duration {
    let factor = 2_u32.saturating_pow(attempt.min(31));
    let delay = config.backoff_min.saturating_mul(factor).min(config.backoff_max);
    delay.saturating_sub(random.up_to(delay / 10))
}

#[cfg(test)]
mod tests;
