//! Which ended ranks start again, when, and when it is too much (RS1 to RS3).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mesh_core::{
    Change, Escalation, EscalationReason, Incarnation, LaunchProblem, Reason, RestartConfig,
    RestartPolicy, Status, Strategy, Timestamp,
};
use mesh_shape::{Rank, RankSet};

/// The restarts of one mesh.
#[derive(Clone, Debug)]
pub(crate) struct Restarts {
    /// The number of ranks of the mesh.
    size: usize,
    /// `None` before the first restart.
    granted: Option<Box<Granted>>,
    pending: BTreeMap<Timestamp, Vec<(Rank, Incarnation)>>,
    round: Option<Box<Round>>,
    escalation: Escalating,
    /// The mesh is being stopped: nothing starts again.
    is_cancelled: bool,
    random: SplitMix,
}

/// The restarts that were granted.
#[derive(Clone, Debug, Default)]
struct Granted {
    /// When each one of the window was, where there is one; no more than the intensity.
    at: VecDeque<Timestamp>,
    /// How many in the life of the mesh.
    n: usize,
    /// How often each rank that ever ended was restarted; a group by its first rank.
    attempts: BTreeMap<Rank, Attempts>,
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

impl Restarts {
    pub(crate) const fn new(size: usize, seed: u64) -> Self {
        Self {
            size,
            granted: None,
            pending: BTreeMap::new(),
            round: None,
            escalation: Escalating::NotNeeded,
            is_cancelled: false,
            random: SplitMix(seed),
        }
    }

    /// Decides for every ended rank of `changes`, splitting them where ranks are treated differently.
    ///
    /// `can_start` says whether somebody is there to start all of these ranks.
    pub(crate) fn decide(
        &mut self,
        (now, config): (Timestamp, &RestartConfig),
        changes: Vec<Change>,
        can_start: impl Fn(&RankSet) -> bool,
    ) -> Vec<Change> {
        match config.strategy {
            Strategy::OneForOne => {
                // A round that was begun under other rules goes on.
                let changes = self.mark_round(now, changes);
                self.decide_each((now, config), changes)
            }
            Strategy::OneForAll | Strategy::RestForOne => {
                self.decide_together((now, config), &changes, can_start);
                self.mark_round(now, changes)
            }
        }
    }

    fn decide_each(
        &mut self,
        (now, config): (Timestamp, &RestartConfig),
        changes: Vec<Change>,
    ) -> Vec<Change> {
        let mut decided = Vec::with_capacity(changes.len());
        for change in changes {
            if !self.wants(config, &change) {
                decided.push(change);
                continue;
            }
            let mut left = RankSet::new();
            for rank in change.ranks.iter() {
                let Some(delay) = self.grant((now, config), rank) else {
                    left.insert(rank);
                    continue;
                };
                let next = (rank, change.incarnation.next());
                self.pending.entry(now + delay).or_default().push(next);
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
        (now, config): (Timestamp, &RestartConfig),
        changes: &[Change],
        can_start: impl Fn(&RankSet) -> bool,
    ) {
        let in_round = self.round.as_ref().map_or_else(RankSet::new, |round| round.ranks.clone());
        // Who cannot be started again keeps all from it: that is more than restarts can mend.
        let is_beyond = |change: &Change| {
            change.status.is_failure() && !change.ranks.difference(&in_round).is_empty()
        };
        if config.strategy == Strategy::OneForAll
            && config.policy != RestartPolicy::Temporary
            && !self.is_cancelled
            && changes.iter().any(|change| is_beyond(change) && !self.wants(config, change))
        {
            self.escalate(EscalationReason::CannotStart);
        }
        let first = changes
            .iter()
            .filter(|change| self.wants(config, change))
            .filter_map(|change| change.ranks.difference(&in_round).first())
            .min();
        let Some(first) = first else { return };
        let first = match config.strategy {
            Strategy::OneForAll => Rank::new(0),
            Strategy::OneForOne | Strategy::RestForOne => first,
        };
        let group = RankSet::from(first.index()..self.size);
        let is_startable = can_start(&group);
        let Some(delay) = is_startable.then(|| self.grant((now, config), first)).flatten() else {
            self.escalate(if is_startable {
                EscalationReason::Intensity
            } else {
                EscalationReason::CannotStart
            });
            return;
        };
        let (due, kill_at) = (now + delay, now + config.grace);
        let (ranks, joined) = (RankSet::new(), RankSet::new());
        let new = || Box::new(Round { ranks, joined, due, kill_at, killed: false });
        let round = self.round.get_or_insert_with(new);
        // Those that were to start alone start with the others.
        self.pending.retain(|_, alone| {
            alone.retain(|(rank, _)| !group.contains(*rank));
            !alone.is_empty()
        });
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

    /// Marks the ends of ranks that will be started again (RS1).
    fn mark_round(&self, now: Timestamp, changes: Vec<Change>) -> Vec<Change> {
        let Some(round) = &self.round else { return changes };
        let restart_in = Some(round.due.since(now));
        let mut marked = Vec::with_capacity(changes.len());
        for change in changes {
            if !matches!(change.status, Status::Failed(_) | Status::Stopped) {
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

    /// The escalation that is to be told now, with the ranks that have failed. Once.
    pub(crate) fn take_escalation(
        &mut self,
        config: &RestartConfig,
        failed: impl FnOnce() -> RankSet,
    ) -> Option<Escalation> {
        let Escalating::Due(reason) = self.escalation else { return None };
        self.escalation = Escalating::Told;
        let RestartConfig { max_restarts, period, .. } = *config;
        Some(Escalation { reason, failed: failed(), max_restarts, period })
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

    fn wants(&self, config: &RestartConfig, change: &Change) -> bool {
        let is_wanted = match config.policy {
            RestartPolicy::Temporary => false,
            RestartPolicy::Transient => matches!(change.status, Status::Failed(_)),
            // A rank that timed out has nobody to start it: its agent is silent.
            RestartPolicy::Permanent => {
                matches!(change.status, Status::Failed(_) | Status::Stopped)
            }
        };
        is_wanted
            && change.restart_in.is_none()
            && !self.is_cancelled
            && !is_hopeless(&change.status)
    }

    /// Grants one restart if the intensity allows it; returns its delay.
    fn grant(
        &mut self,
        (now, config): (Timestamp, &RestartConfig),
        rank: Rank,
    ) -> Option<Duration> {
        let granted = self.granted.get_or_insert_default();
        if let Some(period) = config.period {
            while granted.at.front().is_some_and(|at| now.since(*at) > period) {
                granted.at.pop_front();
            }
        }
        let spent = if config.period.is_some() { granted.at.len() } else { granted.n };
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

    /// At least so many restarts were granted in the life of the mesh, also by the controller before.
    pub(crate) fn assume(&mut self, n: usize) {
        if n > 0 {
            let granted = self.granted.get_or_insert_default();
            granted.n = granted.n.max(n);
        }
    }

    /// The restarts of single ranks that are due.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<(Rank, Incarnation)> {
        let mut due = Vec::new();
        while let Some(entry) = self.pending.first_entry()
            && *entry.key() <= now
        {
            due.extend(entry.remove());
        }
        due
    }

    /// When each rank that has ended, and is to start alone, will start.
    pub(crate) fn pending(&self) -> BTreeMap<Rank, Timestamp> {
        let each = |(at, ranks): (&Timestamp, &Vec<(Rank, Incarnation)>)| {
            let at = *at;
            ranks.iter().map(move |(rank, _)| (*rank, at)).collect::<Vec<_>>()
        };
        self.pending.iter().flat_map(each).collect()
    }

    /// The ranks that will begin another life.
    pub(crate) fn starting(&self) -> RankSet {
        let alone = self.pending.values().flatten().map(|(rank, _)| *rank).collect();
        self.round.as_ref().map_or(RankSet::new(), |round| round.ranks.clone()).union(&alone)
    }

    pub(crate) fn round(&self) -> Option<&Round> {
        self.round.as_deref()
    }

    pub(crate) fn round_mut(&mut self) -> Option<&mut Round> {
        self.round.as_deref_mut()
    }

    /// The ranks that have joined the round since this was asked last.
    pub(crate) fn take_joined(&mut self) -> RankSet {
        self.round.as_mut().map(|round| std::mem::take(&mut round.joined)).unwrap_or_default()
    }

    /// The ranks of the round begin again.
    pub(crate) fn take_round(&mut self) -> Option<Round> {
        self.round.take().map(|round| *round)
    }

    /// A rank of the round has nobody to start it: none of them starts again.
    pub(crate) fn abandon_round(&mut self) {
        self.round = None;
        self.escalate(EscalationReason::CannotStart);
    }

    /// The mesh is being stopped: nothing starts again.
    pub(crate) fn cancel(&mut self) {
        self.pending.clear();
        self.round = None;
        self.is_cancelled = true;
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty() || self.round.is_some()
    }

    /// When a rank that starts alone is due.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.pending.keys().next().copied()
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

/// A small generator for spreading times; its seed is given, so that a run can be repeated.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration from zero up to `bound`.
    pub(crate) fn up_to(&mut self, bound: Duration) -> Duration {
        let parts = u32::try_from(self.next() >> 40).unwrap_or_default();
        bound.saturating_mul(parts) / (1 << 24)
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::Cause;

    use super::*;

    #[test]
    fn delays_double_up_to_their_bound_and_shrink_by_a_tenth_at_most() {
        let config =
            RestartConfig { backoff_max: Duration::from_secs(1), ..RestartConfig::on_failure(9) };
        let mut random = SplitMix(7);
        for (attempt, full) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (40, 1_000)] {
            let full = Duration::from_millis(full);
            let delay = backoff(&config, attempt, &mut random);
            assert!(delay <= full && delay >= full * 9 / 10, "attempt {attempt}: {delay:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_started_again_and_what_may_pass_is() {
        let config = RestartConfig::on_failure(9);
        let mut restarts = Restarts::new(1, 0);
        let mut decide = |problem| {
            let reason = Reason::Launch { program: "it".to_owned(), problem };
            let change = Change {
                ranks: RankSet::from(0..1),
                incarnation: Incarnation::FIRST,
                status: Status::failed(Cause::new(reason)),
                restart_in: None,
                age: Duration::ZERO,
            };
            restarts.decide((Timestamp::START, &config), vec![change], |_| true)[0]
                .restart_in
                .is_some()
        };
        assert!(!decide(LaunchProblem::NotFound));
        assert!(!decide(LaunchProblem::NotExecutable));
        assert!(decide(LaunchProblem::Os { errno: 11, message: "try again".to_owned() }));
    }

    /// RS3
    #[test]
    fn restarts_outside_the_period_are_forgotten() {
        let config =
            RestartConfig { period: Some(Duration::from_secs(10)), ..RestartConfig::on_failure(1) };
        let mut restarts = Restarts::new(1, 0);
        let at = |seconds| Timestamp::from_start(Duration::from_secs(seconds));
        let mut fail = |seconds| {
            let change = Change {
                ranks: RankSet::from(0..1),
                incarnation: Incarnation::FIRST,
                status: Status::failed(Cause::new(Reason::Exit { code: 1 })),
                restart_in: None,
                age: Duration::ZERO,
            };
            let decided = restarts.decide((at(seconds), &config), vec![change], |_| true);
            (
                decided[0].restart_in.is_some(),
                restarts.take_escalation(&config, RankSet::new).is_some(),
            )
        };
        assert_eq!(fail(0), (true, false));
        assert_eq!(fail(11), (true, false));
        assert_eq!(fail(12), (false, true));
        assert_eq!(fail(40), (false, false), "once");
    }

    #[test]
    fn a_rank_that_has_lived_long_begins_with_the_first_delay_again() {
        let config =
            RestartConfig { backoff_max: Duration::from_secs(1), ..RestartConfig::on_failure(9) };
        let mut restarts = Restarts::new(1, 0);
        let mut delay = |millis| {
            let now = Timestamp::from_start(Duration::from_millis(millis));
            restarts.grant((now, &config), Rank::new(0))
        };
        let near = |delay: Option<Duration>, full: u64| {
            let full = Duration::from_millis(full);
            delay.is_some_and(|delay| delay <= full && delay >= full * 9 / 10)
        };
        assert!(near(delay(0), 100));
        assert!(near(delay(500), 200));
        assert!(near(delay(3_000), 100), "it had lived for more than two seconds");
    }
}
