//! `agents_suite`: it passes a good implementation and catches each way of breaking the contract.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::{
    AgentId, Agents, Answer, Answers, Generation, Incarnation, Order, Progress, Request, Status,
    Update,
};
use mesh_shape::{Overlay, Rank, RankSet};
use mesh_testkit::{AgentsSuite, Breach, agents_suite};

/// How an implementation breaks the contract.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    SpeaksForOthers,
    StartsOver,
    RevivesTheDead,
    NeverCounts,
    NeverStops,
}

struct Agent {
    fault: Fault,
    lives: BTreeMap<Rank, (Incarnation, Generation, Status)>,
}

impl Agents for Agent {
    type Report = Status;

    fn perform(&mut self, request: Request, answers: &Answers<Status>) {
        match request.order {
            Order::Start { ranks, incarnation, .. } => {
                for rank in ranks.iter() {
                    self.start(rank, incarnation);
                    self.report(request.agent, rank, answers);
                }
            }
            Order::Stop { ranks, .. } if self.fault != Fault::NeverStops => {
                for rank in ranks.iter() {
                    self.set(rank, Status::Stopped);
                    self.report(request.agent, rank, answers);
                }
            }
            Order::Stop { .. } | Order::Kill { .. } | Order::Poll | Order::Renew { .. } => (),
        }
    }
}

impl Agent {
    fn start(&mut self, rank: Rank, incarnation: Incarnation) {
        match self.lives.get(&rank).cloned() {
            None => _ = self.lives.insert(rank, (incarnation, Generation::FIRST, Status::Running)),
            Some((life, generation, _)) if self.fault == Fault::StartsOver => {
                self.lives.insert(rank, (life.next(), generation, Status::Running));
            }
            Some(_) if self.fault == Fault::RevivesTheDead => self.set(rank, Status::Running),
            Some(_) => (),
        }
    }

    fn set(&mut self, rank: Rank, status: Status) {
        let counts = self.fault != Fault::NeverCounts;
        if let Some((_, generation, known)) = self.lives.get_mut(&rank)
            && *known != status
        {
            *known = status;
            *generation = if counts { generation.next() } else { *generation };
        }
    }

    fn report(&self, agent: AgentId, rank: Rank, answers: &Answers<Status>) {
        let Some((incarnation, generation, report)) = self.lives.get(&rank).cloned() else {
            return;
        };
        let update = Update { incarnation, generation, age: Duration::ZERO, report };
        let others = self.fault == Fault::SpeaksForOthers;
        let rank = if others { Rank::new(rank.index() + 2) } else { rank };
        let reports = Overlay::from_rank(rank, update);
        assert!(
            answers.send(Answer::Reported { agent, life: Incarnation::FIRST, reports }).is_ok()
        );
    }
}

async fn judge(fault: Fault) -> Result<(), Breach> {
    let ranks = vec![RankSet::from(0..2), RankSet::from(2..4)];
    let patience = Duration::from_secs(1);
    let suite = AgentsSuite { ranks, status: Status::clone, patience };
    agents_suite(Agent { fault, lives: BTreeMap::new() }, suite).await
}

#[tokio::test(start_paused = true)]
async fn a_good_agent_passes() {
    assert_eq!(judge(Fault::None).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn every_breach_is_caught() {
    let (agent, rank) = (AgentId::new(0), Rank::new(2));
    let foreign = Breach::ForeignRank { agent, rank };
    assert_eq!(judge(Fault::SpeaksForOthers).await, Err(foreign));
    let (rank, incarnation) = (Rank::new(0), Incarnation::new(1));
    assert_eq!(judge(Fault::StartsOver).await, Err(Breach::UnknownLife { rank, incarnation }));
    let (from, to) = (Generation::FIRST, Generation::FIRST);
    assert_eq!(
        judge(Fault::NeverCounts).await,
        Err(Breach::GenerationDidNotRise { rank, from, to })
    );
    let status = Status::Running;
    assert_eq!(judge(Fault::RevivesTheDead).await, Err(Breach::AfterTheEnd { rank, status }));
    let progress = Progress::Ended;
    assert_eq!(judge(Fault::NeverStops).await, Err(Breach::TooLate { rank, progress }));
}
