//! Which ended ranks start again, when, and when it is too much (RS1 to RS3).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mesh_core::{Change, Escalation, Incarnation, LaunchProblem, Reason, Status, Timestamp};
use mesh_shape::{Rank, RankSet};

use crate::config::{RestartConfig, RestartPolicy};

/// The restarts of one mesh.
#[derive(Clone, Debug)]
pub(crate) struct Restarts {
    config: RestartConfig,
    /// When each restart of the window was granted; no more than the intensity.
    granted: VecDeque<Timestamp>,
    /// How often each rank that ever ended was restarted.
    attempts: BTreeMap<Rank, u32>,
    pending: BTreeMap<Timestamp, Vec<(Rank, Incarnation)>>,
    escalated: bool,
    random: SplitMix,
}

impl Restarts {
    pub(crate) fn new(config: RestartConfig, seed: u64) -> Self {
        Self {
            config,
            granted: VecDeque::new(),
            attempts: BTreeMap::new(),
            pending: BTreeMap::new(),
            escalated: false,
            random: SplitMix(seed),
        }
    }

    /// Decides for every ended rank of `changes`, splitting them where ranks are treated differently.
    ///
    /// Returns the escalation if this asked for more restarts than are allowed, the first time.
    pub(crate) fn decide(&mut self, now: Timestamp, changes: Vec<Change>) -> (Vec<Change>, bool) {
        let mut refused = false;
        let mut decided = Vec::with_capacity(changes.len());
        for change in changes {
            if !self.wants(&change) {
                decided.push(change);
                continue;
            }
            let mut left = change.clone();
            left.ranks = RankSet::new();
            for rank in change.ranks.iter() {
                match self.grant(now, rank, change.incarnation) {
                    Some(delay) => decided.push(Change {
                        ranks: RankSet::from_iter([rank]),
                        restart_in: Some(delay),
                        ..change.clone()
                    }),
                    None => {
                        left.ranks.insert(rank);
                    }
                }
            }
            if !left.ranks.is_empty() {
                refused = true;
                decided.push(left);
            }
        }
        let escalates = refused && !self.escalated;
        self.escalated |= refused;
        (decided, escalates)
    }

    /// The escalation that tells of these failed ranks.
    pub(crate) fn escalation(&self, failed: RankSet) -> Escalation {
        Escalation { failed, max_restarts: self.config.max_restarts, period: self.config.period }
    }

    fn wants(&self, change: &Change) -> bool {
        let is_wanted = match self.config.policy {
            RestartPolicy::Temporary => false,
            RestartPolicy::Transient => matches!(change.status, Status::Failed(_)),
            // A rank that timed out has nobody to start it: its agent is silent.
            RestartPolicy::Permanent => {
                matches!(change.status, Status::Failed(_) | Status::Stopped)
            }
        };
        is_wanted && !is_hopeless(&change.status)
    }

    /// Grants one restart if the intensity allows it; returns its delay.
    fn grant(&mut self, now: Timestamp, rank: Rank, incarnation: Incarnation) -> Option<Duration> {
        if let Some(period) = self.config.period {
            while self.granted.front().is_some_and(|at| now.since(*at) > period) {
                self.granted.pop_front();
            }
        }
        if self.escalated || self.granted.len() >= self.config.max_restarts as usize {
            return None;
        }
        self.granted.push_back(now);
        let attempt = self.attempts.entry(rank).or_insert(0);
        let delay = backoff(&self.config, *attempt, &mut self.random);
        *attempt = attempt.saturating_add(1);
        self.pending.entry(now + delay).or_default().push((rank, incarnation.next()));
        Some(delay)
    }

    /// The restarts that are due, by incarnation.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<(Rank, Incarnation)> {
        let mut due = Vec::new();
        while let Some(entry) = self.pending.first_entry()
            && *entry.key() <= now
        {
            due.extend(entry.remove());
        }
        due
    }

    /// The mesh is being stopped: nothing starts again.
    pub(crate) fn cancel(&mut self) {
        self.pending.clear();
        self.config.policy = RestartPolicy::Temporary;
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

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
        let mut restarts = Restarts::new(RestartConfig::on_failure(9), 0);
        let mut decide = |problem| {
            let reason = Reason::Launch { program: "it".to_owned(), problem };
            let change = Change {
                ranks: RankSet::from(0..1),
                incarnation: Incarnation::FIRST,
                status: Status::failed(Cause::new(reason)),
                restart_in: None,
                evidence: Timestamp::START,
            };
            restarts.decide(Timestamp::START, vec![change]).0[0].restart_in.is_some()
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
        let mut restarts = Restarts::new(config, 0);
        let at = |seconds| Timestamp::from_start(Duration::from_secs(seconds));
        let failed = |seconds| {
            vec![Change {
                ranks: RankSet::from(0..1),
                incarnation: Incarnation::FIRST,
                status: Status::failed(Cause::new(Reason::Exit { code: 1 })),
                restart_in: None,
                evidence: at(seconds),
            }]
        };
        assert!(restarts.decide(at(0), failed(0)).0[0].restart_in.is_some());
        assert!(restarts.decide(at(11), failed(11)).0[0].restart_in.is_some());
        let (decided, escalates) = restarts.decide(at(12), failed(12));
        assert_eq!((decided[0].restart_in, escalates), (None, true));
        assert!(!restarts.decide(at(40), failed(40)).1, "once");
    }
}
