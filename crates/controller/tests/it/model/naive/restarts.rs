//! restarts: what the naive model starts again, alone and together.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::{LaunchProblem, Reason, RestartConfig, RestartPolicy, Status, Strategy, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult};

use super::{Naive, is_alive};

#[derive(Clone, Debug, Default)]
pub(super) struct Restarts {
    granted: Vec<Timestamp>,
    n_granted: usize,
    /// The life in which each rank of an adopted mesh was heard of first.
    pub(super) found: Vec<u64>,
    /// Restarts that were promised: when, which rank, which life.
    alone: Vec<(Timestamp, usize, u64)>,
    round: Option<Round>,
    pub(super) rounds: Rounds,
    has_escalated: bool,
    is_escalating: bool,
    is_cancelled: bool,
}

/// How often a round met with what it cannot mend.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Rounds {
    /// Ranks that timed out in it.
    pub(in super::super) n_lost: usize,
    /// Ranks that stopped in it and had nowhere to begin again; and those that failed.
    pub(in super::super) n_stopped_barred: usize,
    pub(in super::super) n_failed_barred: usize,
    /// Rounds of which no rank had been told to be lost, but one had nowhere to begin.
    pub(in super::super) n_barred_late: usize,
    /// Rounds that did not begin, since one of their ranks had nowhere to.
    pub(in super::super) n_refused_for_barred: usize,
}

/// All ranks from `first` on begin again together.
#[derive(Clone, Debug)]
struct Round {
    first: usize,
    due: Timestamp,
    kill_at: Timestamp,
    killed: bool,
    /// A rank of it has ended for good.
    is_lost: bool,
}

type Delays = BTreeMap<usize, Option<Duration>>;

impl Restarts {
    /// K3: how many restarts the lives that were found come to.
    pub(super) fn n_adopted(&self, rules: &RestartConfig) -> usize {
        let n = match rules.strategy {
            Strategy::OneForOne => self.found.iter().copied().fold(0, u64::saturating_add),
            Strategy::OneForAll | Strategy::RestForOne => {
                self.found.iter().copied().max().unwrap_or(0)
            }
        };
        usize::try_from(n).unwrap_or(usize::MAX)
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.alone.is_empty() || self.round.is_some()
    }

    /// Whether the rank begins another life when it has ended.
    pub(super) fn is_starting(&self, rank: usize) -> bool {
        self.is_in_round(rank) || self.alone.iter().any(|(_, alone, _)| *alone == rank)
    }

    pub(super) fn is_in_round(&self, rank: usize) -> bool {
        self.round.as_ref().is_some_and(|round| rank >= round.first)
    }

    pub(super) fn is_in_killed_round(&self, rank: usize) -> bool {
        self.round.as_ref().is_some_and(|round| round.killed && rank >= round.first)
    }

    pub(super) fn is_overdue(&self, rank: usize, now: Timestamp, lease: Duration) -> bool {
        let round = self.round.as_ref().filter(|round| round.killed && rank >= round.first);
        round.is_some_and(|round| round.kill_at + lease <= now)
    }

    pub(super) fn cancel(&mut self) {
        self.alone.clear();
        (self.round, self.is_cancelled) = (None, true);
    }

    /// The rank does not begin again after this life, if it was to, by itself. Returns whether it was.
    pub(super) fn withdraw(&mut self, rank: usize, life: u64) -> bool {
        let n_before = self.alone.len();
        self.alone.retain(|(_, alone, next)| (*alone, *next) != (rank, life + 1));
        self.alone.len() < n_before
    }

    pub(super) fn put_off(&mut self, gap: Duration) {
        if let Some(round) = &mut self.round {
            round.kill_at = round.kill_at + gap;
        }
    }

    pub(super) fn take_escalation(&mut self) -> bool {
        std::mem::take(&mut self.is_escalating)
    }

    /// The rules have changed.
    pub(super) fn forgive(&mut self) {
        (self.has_escalated, self.is_escalating) = (false, false);
    }

    fn escalate(&mut self) {
        self.is_escalating |= !self.has_escalated;
        self.has_escalated = true;
    }
}

impl Rounds {
    fn count_end(&mut self, status: &Status, is_barred: bool) {
        let count = match status {
            Status::Timeout { .. } => &mut self.n_lost,
            Status::Stopped => &mut self.n_stopped_barred,
            _ => &mut self.n_failed_barred,
        };
        let is_lost = is_barred || matches!(status, Status::Timeout { .. });
        *count += usize::from(is_lost);
    }
}

impl Naive {
    /// What is started again of the ranks that ended in this step. Only the delays are taken from
    /// what was told: they are drawn at random within bounds.
    pub(super) fn decide(
        &mut self,
        ends: &[(usize, u64, Status)],
        delays: &Delays,
    ) -> TestCaseResult {
        self.join_late();
        let told = |rank: usize| delays.get(&rank).copied().flatten();
        if self.config.restart.strategy != Strategy::OneForOne {
            self.decide_together(ends, &told)?;
        }
        for (rank, life, status) in ends {
            let delay = told(*rank);
            let is_barred = self.cells[*rank].is_barred;
            let is_startable = !is_barred && !matches!(status, Status::Timeout { .. });
            if self.restarts.is_in_round(*rank) {
                let due = self.restarts.round.as_ref().map(|round| round.due.since(self.now));
                prop_assert_eq!(delay, due.filter(|_| is_startable), "rank {} in its round", rank);
                if let Some(round) = &mut self.restarts.round {
                    round.is_lost |= !is_startable;
                }
                self.restarts.rounds.count_end(status, is_barred);
                continue;
            }
            let is_alone = self.config.restart.strategy == Strategy::OneForOne;
            if is_alone && self.wants(*rank, status) && self.grant(delay)? {
                let at = self.now + delay.unwrap_or_default();
                self.restarts.alone.push((at, *rank, life + 1));
            } else {
                prop_assert_eq!(delay, None, "rank {} is not started again", rank);
            }
        }
        self.stop_round();
        Ok(())
    }

    fn decide_together(
        &mut self,
        ends: &[(usize, u64, Status)],
        told: &impl Fn(usize) -> Option<Duration>,
    ) -> TestCaseResult {
        let is_all = self.config.restart.strategy == Strategy::OneForAll;
        let is_beyond = |(rank, _, status): &(usize, u64, Status)| {
            let is_needed = is_all || !matches!(status, Status::Timeout { .. });
            let is_end = status.is_failure() && is_needed;
            is_end && !self.wants(*rank, status) && !self.restarts.is_in_round(*rank)
        };
        let can_restart =
            self.config.restart.policy != RestartPolicy::Temporary && !self.restarts.is_cancelled;
        if can_restart && ends.iter().any(is_beyond) {
            self.restarts.escalate();
        }
        let is_wanted = |(rank, _, status): &&(usize, u64, Status)| {
            self.wants(*rank, status) && !self.restarts.is_in_round(*rank)
        };
        let Some((ended, ..)) = ends.iter().find(is_wanted) else { return Ok(()) };
        let first = if is_all { 0 } else { *ended };
        let delay = told(*ended);
        if !self.can_start(first) {
            prop_assert_eq!(
                delay,
                None,
                "nobody is there to start rank {} or one behind it",
                first
            );
            self.restarts.rounds.n_refused_for_barred += usize::from(self.is_any_barred(first));
            self.restarts.escalate();
            return Ok(());
        }
        if !self.grant(delay)? {
            return Ok(());
        }
        self.restarts.alone.retain(|(_, rank, _)| *rank < first);
        let due = self.now + delay.unwrap_or_default();
        let kill_at = self.now + self.config.restart.grace;
        let round = self.restarts.round.get_or_insert(Round {
            first,
            due,
            kill_at,
            killed: false,
            is_lost: false,
        });
        prop_assert!(due >= round.due, "a round is put off, never hurried");
        (round.first, round.due) = (first, due);
        if round.killed {
            (round.killed, round.kill_at) = (false, kill_at);
        }
        Ok(())
    }

    fn wants(&self, rank: usize, status: &Status) -> bool {
        let is_hopeless = |reason: &Reason| {
            matches!(reason, Reason::Launch { problem: LaunchProblem::NotFound, .. })
        };
        let is_hopeless = status.cause().is_some_and(|cause| is_hopeless(&cause.reason));
        let is_wanted = match self.config.restart.policy {
            RestartPolicy::Temporary => false,
            RestartPolicy::Transient => matches!(status, Status::Failed(_)),
            RestartPolicy::Permanent => matches!(status, Status::Failed(_) | Status::Stopped),
        };
        let can_begin = !is_hopeless && !self.cells[rank].is_barred;
        is_wanted && can_begin && !self.restarts.is_cancelled
    }

    /// Whether the intensity allows one more; if it does, a delay within bounds must have been told.
    fn grant(&mut self, told: Option<Duration>) -> Result<bool, TestCaseError> {
        let rules = self.config.restart;
        if let Some(period) = rules.period {
            self.restarts.granted.retain(|at| self.now.since(*at) <= period);
        }
        let n_in_period = self.restarts.granted.len();
        let n_ever = self.restarts.n_granted + self.restarts.n_adopted(&rules);
        let spent = if rules.period.is_some() { n_in_period } else { n_ever };
        let is_spent = spent >= rules.max_restarts as usize;
        if is_spent || self.restarts.has_escalated {
            prop_assert_eq!(told, None, "more than the intensity");
            self.restarts.escalate();
            return Ok(false);
        }
        let shortest = rules.backoff_min * 9 / 10;
        prop_assert!(told.is_some_and(|delay| delay >= shortest), "granted: {:?}", told);
        self.restarts.n_granted += 1;
        if rules.period.is_some() {
            self.restarts.granted.push(self.now);
        }
        Ok(true)
    }

    /// Whether somebody is there to start the ranks from `first` on, and each has somewhere to begin.
    fn can_start(&self, first: usize) -> bool {
        let mut given_up = self.agents.iter().filter(|agent| agent.given_up);
        let is_anybody_there = given_up.all(|agent| agent.ranks.iter().all(|rank| *rank < first));
        is_anybody_there && !self.is_any_barred(first)
    }

    fn is_any_barred(&self, first: usize) -> bool {
        self.cells[first..].iter().any(|cell| cell.is_barred)
    }

    /// Who lives in the round and was not told to end, since nobody knew of it, has a grace again.
    fn join_late(&mut self) {
        let Some(round) = &mut self.restarts.round else { return };
        let cells = &self.cells[round.first.min(self.cells.len())..];
        let is_late = cells.iter().any(|c| is_alive(&c.status) && c.status != Status::Stopping);
        if is_late && round.killed {
            (round.killed, round.kill_at) = (false, self.now + self.config.restart.grace);
        }
    }

    /// Whatever lives in the round is being stopped.
    fn stop_round(&mut self) {
        let Some(round) = &self.restarts.round else { return };
        for cell in &mut self.cells[round.first..] {
            if is_alive(&cell.status) {
                cell.status = Status::Stopping;
            }
        }
    }

    pub(super) fn press_round(&mut self) {
        let Some(round) = &mut self.restarts.round else { return };
        if !round.killed && round.kill_at <= self.now {
            round.killed = true;
            let first = round.first;
            self.kill_all(first..self.cells.len());
        }
    }

    pub(super) fn kill_all(&mut self, ranks: std::ops::Range<usize>) {
        for rank in ranks {
            if is_alive(&self.cells[rank].status) {
                self.orders.kills.insert((rank, self.cells[rank].life));
            }
        }
    }

    pub(super) fn begin_each(&mut self) {
        let now = self.now;
        let due: Vec<_> = self.restarts.alone.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, rank, life) in due {
            let is_own = |agent: &&super::Agent| agent.ranks.contains(&rank);
            let Some(agent) = self.agents.iter().find(is_own) else { continue };
            let after = now.since(agent.heard_at);
            let is_given_up = agent.given_up;
            if self.cells[rank].life >= life {
                continue;
            }
            self.begin_rank(rank, life);
            if is_given_up {
                self.cells[rank].status = Status::Timeout { after, cause: None };
                self.orders.starts.remove(&(rank, life));
            }
        }
    }

    pub(super) fn begin_together(&mut self) {
        let Some(round) = self.restarts.round.clone() else { return };
        let mut ranks = round.first..self.cells.len();
        if ranks.clone().any(|rank| !self.cells[rank].status.is_terminal()) {
            return;
        }
        if round.is_lost || !self.can_start(round.first) {
            let is_barred_late = !round.is_lost && self.is_any_barred(round.first);
            self.restarts.rounds.n_barred_late += usize::from(is_barred_late);
            self.restarts.round = None;
            (self.restarts.has_escalated, self.restarts.is_escalating) = (true, true);
            return;
        }
        if self.now >= round.due {
            self.restarts.round = None;
            ranks.by_ref().for_each(|rank| self.begin_rank(rank, self.cells[rank].life + 1));
        }
    }

    fn begin_rank(&mut self, rank: usize, life: u64) {
        let cell = &mut self.cells[rank];
        (cell.life, cell.generation, cell.status) = (life, 0, Status::Initializing);
        (cell.is_begun, cell.is_barred) = (false, false);
        self.heard[rank] = true;
        self.orders.starts.insert((rank, life));
    }
}
