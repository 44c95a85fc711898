//! agents: simulated ones, which obey every order and tell the truth about their ranks.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::Lease;
use mesh_core::{
    AgentId, Answer, BeatSeq, Cause, Epoch, Generation, Incarnation, Order, Reason, Request,
    Status, Timestamp, Update,
};
use mesh_shape::{Overlay, Rank, RankSet};

use super::super::said::Said;

/// One agent, with the ranks that run beside it.
#[derive(Debug)]
pub(super) struct SimAgent {
    pub(super) id: AgentId,
    pub(super) life: u64,
    /// Whether it runs at all.
    pub(super) is_up: bool,
    own: RankSet,
    ranks: BTreeMap<usize, Proc>,
    lease: Lease,
    next_beat: u64,
    term: Duration,
}

/// One life of a rank.
#[derive(Clone, Debug)]
pub(super) struct Proc {
    pub(super) life: u64,
    generation: u64,
    pub(super) status: Status,
    pub(super) is_deaf: bool,
}

/// What an agent says at once of an order, and what then happens to which lives of ranks.
type Obeyed = (Option<Answer<Said>>, Vec<(usize, u64, Fate)>);

/// What happens to a rank, some time after the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Ready,
    EndsWell,
    Crashes,
    IsKilled,
}

impl SimAgent {
    pub(super) fn new(index: usize, own: RankSet, term: Duration) -> Self {
        Self {
            id: AgentId::new(index),
            life: 0,
            is_up: true,
            own,
            ranks: BTreeMap::new(),
            lease: Lease::armed(Timestamp::START, term, Epoch::FIRST),
            next_beat: 0,
            term,
        }
    }

    /// A rank that another controller has started.
    pub(super) fn found(&mut self, now: Timestamp, rank: usize, life: u64, status: Status) {
        if self.own.contains(Rank::new(rank)) {
            self.lease = Lease::armed(now, self.term, Epoch::FIRST);
            self.ranks.insert(rank, Proc { life, generation: 4, status, is_deaf: false });
        }
    }

    pub(super) fn proc(&self, rank: usize) -> Option<&Proc> {
        self.ranks.get(&rank).filter(|_| self.is_up)
    }

    pub(super) fn is_alive(&self, rank: usize) -> bool {
        self.proc(rank).is_some_and(|proc| !proc.status.is_terminal())
    }

    pub(super) fn make_deaf(&mut self, rank: usize) {
        if let Some(proc) = self.ranks.get_mut(&rank) {
            proc.is_deaf = true;
        }
    }

    /// The agent has died, and all that ran beside it.
    pub(super) fn die(&mut self) {
        self.is_up = false;
        self.ranks.clear();
    }

    /// It is told of the mesh at once, and so its lease is armed (K2).
    pub(super) fn come_back(&mut self, now: Timestamp) {
        self.lease = Lease::armed(now, self.term, Epoch::FIRST);
        (self.is_up, self.life, self.next_beat) = (true, self.life + 1, 0);
    }

    pub(super) fn beat(&mut self, now: Timestamp) -> Answer<Said> {
        let beat = BeatSeq::new(self.next_beat);
        self.next_beat += 1;
        self.lease.beat_sent(now, beat);
        Answer::Heard { agent: self.id, life: Incarnation::new(self.life), beat }
    }

    /// Kills its ranks if its lease has run out (K2).
    pub(super) fn expire(&mut self, now: Timestamp) -> Option<Answer<Said>> {
        if !self.is_up || !self.lease.expire(now) {
            return None;
        }
        let alive: Vec<usize> =
            self.ranks.keys().copied().filter(|rank| self.is_alive(*rank)).collect();
        let orphaned = Status::failed(Cause::new(Reason::Orphaned));
        alive.iter().for_each(|rank| self.change(*rank, orphaned.clone()));
        Some(self.report(alive))
    }

    /// Obeys one order. Returns what is said at once, and what happens to ranks afterwards.
    ///
    /// An error is two lives of one rank.
    pub(super) fn obey(&mut self, now: Timestamp, request: &Request) -> Result<Obeyed, String> {
        let mut fates = Vec::new();
        match &request.order {
            Order::Poll => return Ok((Some(self.poll()), fates)),
            Order::Renew { echoed: mesh_core::Echo { life, beat } } => {
                if life.number() == self.life {
                    self.lease.renewed(now, request.epoch, *beat).map_err(|e| e.to_string())?;
                }
                return Ok((None, fates));
            }
            Order::Start { ranks, incarnation, echoed } => {
                let of_this_life = echoed.filter(|echo| echo.life.number() == self.life);
                let echoed = of_this_life.map(|echo| echo.beat);
                let admitted = self.lease.admit(now, request.epoch, echoed);
                let may_start = admitted.map_err(|e| e.to_string())?;
                let mut reported = Vec::new();
                for rank in ranks.iter().map(Rank::index) {
                    if self.begin(rank, incarnation.number(), may_start)? {
                        reported.push(rank);
                        fates.extend(may_start.then(|| (rank, incarnation.number(), Fate::Ready)));
                    }
                }
                return Ok((Some(self.report(reported)), fates));
            }
            Order::Stop { ranks, incarnation } => {
                let listens = |agent: &Self, rank| !agent.ranks[&rank].is_deaf;
                fates = self.ends(ranks, incarnation.number(), Fate::EndsWell);
                fates.retain(|(rank, ..)| listens(self, *rank));
            }
            Order::Kill { ranks, incarnation } => {
                fates = self.ends(ranks, incarnation.number(), Fate::IsKilled);
            }
        }
        Ok((None, fates))
    }

    /// A life begins, or is culled before it can (K2). Returns whether it is new.
    fn begin(&mut self, rank: usize, life: u64, may_start: bool) -> Result<bool, String> {
        match self.ranks.get(&rank) {
            Some(proc) if proc.life >= life => return Ok(false),
            Some(proc) if !proc.status.is_terminal() => {
                return Err(format!("life {life} of rank {rank} starts, {} is alive", proc.life));
            }
            Some(_) | None => {}
        }
        let orphaned = || Status::failed(Cause::new(Reason::Orphaned));
        let status = if may_start { Status::Initializing } else { orphaned() };
        self.ranks.insert(rank, Proc { life, generation: 0, status, is_deaf: false });
        Ok(true)
    }

    fn ends(&self, ranks: &RankSet, life: u64, fate: Fate) -> Vec<(usize, u64, Fate)> {
        let each = ranks.iter().map(Rank::index).filter(|rank| self.is_alive(*rank));
        each.filter(|rank| self.ranks[rank].life == life).map(|rank| (rank, life, fate)).collect()
    }

    /// Something happens to a rank. Returns what is said of it.
    pub(super) fn befall(&mut self, rank: usize, life: u64, fate: Fate) -> Option<Answer<Said>> {
        let proc = self.proc(rank).filter(|proc| proc.life == life)?;
        let status = match (fate, &proc.status) {
            (_, status) if status.is_terminal() => return None,
            (Fate::Ready, Status::Initializing) => Status::Running,
            (Fate::Ready, _) => return None,
            (Fate::EndsWell | Fate::IsKilled, _) => Status::Stopped,
            (Fate::Crashes, _) => crate::support::crash(),
        };
        self.change(rank, status);
        Some(self.report(vec![rank]))
    }

    fn change(&mut self, rank: usize, status: Status) {
        if let Some(proc) = self.ranks.get_mut(&rank) {
            (proc.status, proc.generation) = (status, proc.generation + 1);
        }
    }

    fn report(&self, ranks: Vec<usize>) -> Answer<Said> {
        let reports = ranks.into_iter().map(|rank| (Rank::new(rank), self.update(rank)));
        Answer::Reported {
            agent: self.id,
            life: Incarnation::new(self.life),
            reports: reports.collect::<Overlay<_>>(),
        }
    }

    fn poll(&self) -> Answer<Said> {
        self.report(self.own.iter().map(Rank::index).collect())
    }

    fn update(&self, rank: usize) -> Update<Said> {
        let (life, generation, status) = match self.ranks.get(&rank) {
            Some(proc) => (proc.life, proc.generation, proc.status.clone()),
            None => (0, 0, Status::NotExist),
        };
        Update {
            incarnation: Incarnation::new(life),
            generation: Generation::new(generation),
            age: Duration::ZERO,
            report: status.into(),
        }
    }
}
