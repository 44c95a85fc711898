//! What steps cost, counted in cells and the like that are looked at (H8).

use std::time::Duration;

use mesh_core::{
    AgentId, Answer, BeatSeq, Cause, Epoch, Generation, Incarnation, MeshId, MeshLabel,
    MeshRequest, Progress, Reason, RestartConfig, Status, StatusKind, Strategy, Timestamp, Update,
};
use mesh_shape::{Extent, Rank, RankSet, Region};

use super::{Controller, Spec};
use crate::cells::visits;
use crate::config::Config;
use crate::event::{AskId, Event};
use crate::kind::Controlled;

#[derive(Debug)]
struct Plain;

impl Controlled for Plain {
    type Report = Status;
    const KIND: &'static str = "plain";

    fn status(&self, report: &Status) -> Status {
        report.clone()
    }
}

const N_RANKS: usize = 2_000;
const NOW: Timestamp = Timestamp::from_start(Duration::from_millis(100));

/// Every second rank has said one thing more, so that there are as many runs as ranks.
fn ragged(restart: RestartConfig) -> Controller<Plain> {
    let extent = Extent::new(vec![("ranks", N_RANKS)]).expect("the size is small");
    let spec = Spec {
        mesh: MeshLabel::new(MeshId::from_random(1), "ragged", Plain::KIND),
        region: Region::all(extent).into(),
        epoch: Epoch::FIRST,
        agents: [RankSet::from(0..N_RANKS)].into(),
        config: Config { restart, ..Config::lan() },
        seed: 1,
    };
    let mut mesh = Controller::new(spec, Plain).expect("the agent has all ranks");
    _ = mesh.step(Timestamp::START, Event::Opened);
    let running = |rank: usize| update(1 + rank as u64 % 2, Status::Running);
    _ = mesh.step(NOW, report((0..N_RANKS).map(|rank| (Rank::new(rank), running(rank)))));
    assert_eq!(mesh.n_runs(), N_RANKS);
    mesh
}

fn report(reports: impl Iterator<Item = (Rank, Update<Status>)>) -> Event<Status> {
    let (agent, life) = (AgentId::new(0), Incarnation::FIRST);
    Event::Answered(Answer::Reported { agent, life, reports: reports.collect() })
}

fn update(generation: u64, report: Status) -> Update<Status> {
    let (incarnation, generation) = (Incarnation::FIRST, Generation::new(generation));
    Update { incarnation, generation, age: Duration::ZERO, report }
}

fn beat() -> Event<Status> {
    let (agent, life, beat) = (AgentId::new(0), Incarnation::FIRST, BeatSeq::FIRST);
    Event::Answered(Answer::Heard { agent, life, beat })
}

/// One rank says this.
fn one(rank: usize, status: Status) -> Event<Status> {
    report([(Rank::new(rank), update(3, status))].into_iter())
}

/// H8. A round that waits for its ranks to end looks at none of them in vain.
#[test]
fn a_step_while_a_round_waits_costs_what_it_changes() {
    let strategy = Strategy::OneForAll;
    let mut mesh = ragged(RestartConfig { strategy, ..RestartConfig::on_failure(1) });
    let crash = Status::failed(Cause::new(Reason::Exit { code: 1 }));
    _ = mesh.step(NOW, one(0, crash));
    let stopped = |rank: usize| (Rank::new(rank), update(3 + rank as u64 % 2, Status::Stopped));
    _ = mesh.step(NOW, report((1..N_RANKS - 2).map(stopped)));
    assert!(mesh.restarts.round().is_some() && mesh.n_runs() > N_RANKS / 2);
    for event in [beat(), Event::Tick, one(N_RANKS - 2, Status::Stopped)] {
        let n_visits = visits::of(|| _ = mesh.step(NOW, event.clone()));
        assert!(n_visits < 16, "{event:?} looked at {n_visits} cells");
    }
    assert!(mesh.health.has_awaited(), "the last one lives");
    _ = mesh.step(NOW, one(N_RANKS - 1, Status::Stopped));
    assert!(!mesh.health.has_awaited(), "counted to the last");
    assert_eq!(mesh.next_deadline(), mesh.restarts.round().map(|round| round.due));
}

/// H8, L7. A step while somebody waits looks at none of the restarts that are due later in vain.
#[test]
fn a_step_while_somebody_waits_costs_what_it_changes() {
    let backoff_min = Duration::from_secs(20);
    let mut mesh = ragged(RestartConfig { backoff_min, ..RestartConfig::on_failure(u32::MAX) });
    let crash = || Status::failed(Cause::new(Reason::Exit { code: 1 }));
    let crashed = |rank: usize| (Rank::new(rank), update(3, crash()));
    _ = mesh.step(NOW, report((1..N_RANKS).step_by(2).map(crashed)));
    assert_eq!(mesh.restarts.pending().len(), N_RANKS / 2);
    let (ranks, until, within) = ([2, 3, 4].map(Rank::new), Progress::Ended, backoff_min);
    let request = MeshRequest::WaitRankStatus { ranks: ranks.into_iter().collect(), until, within };
    assert_eq!(mesh.step(NOW, Event::Asked { ask: AskId::new(1), request }), []);
    for rank in [2, 4] {
        let n_visits = visits::of(|| _ = mesh.step(NOW, one(rank, crash())));
        assert!(n_visits < 32, "looked at {n_visits} cells and restarts");
    }
    assert_eq!(mesh.waits.len(), 1, "all three start again");
}

/// H8. An agent that was started again speaks of one rank after the other, each of which was in a life of
/// its own: what it says costs nothing for those of which it has not spoken.
#[test]
fn an_answer_of_a_new_life_of_an_agent_costs_nothing_for_what_it_does_not_name() {
    let mut mesh = ragged(RestartConfig::NEVER);
    let in_its_own_life = |rank: usize| {
        let incarnation = Incarnation::new(1 + rank as u64);
        (Rank::new(rank), Update { incarnation, ..update(1, Status::Running) })
    };
    _ = mesh.step(NOW, report((0..N_RANKS).map(in_its_own_life)));
    let (agent, life) = (AgentId::new(0), Incarnation::new(1));
    let mut forgets = |rank: usize| {
        let reports = [(Rank::new(rank), update(1, Status::NotExist))].into_iter().collect();
        let event = Event::Answered(Answer::Reported { agent, life, reports });
        visits::of(|| _ = mesh.step(NOW, event))
    };
    let _of_all_that_it_may_have_forgotten = forgets(0);
    for rank in [7, 3, N_RANKS - 1] {
        let n_visits = forgets(rank);
        assert!(n_visits < 40, "looked at {n_visits}");
    }
    assert_eq!(mesh.counts()[StatusKind::Failed as usize], 4, "what it has forgotten");
}

/// H8. The first answer of an agent that was started again costs what it says, not that for each of its
/// runs.
#[test]
fn the_first_answer_of_a_new_life_of_an_agent_costs_what_it_says() {
    let mut mesh = ragged(RestartConfig::NEVER);
    let gone = |rank: usize| (Rank::new(rank), update(2, Status::Stopped));
    _ = mesh.step(NOW, report((1..N_RANKS).step_by(2).map(gone)));
    let forgets = |rank: usize| {
        let is_known = !rank.is_multiple_of(4);
        (Rank::new(rank), update(1, if is_known { Status::Running } else { Status::NotExist }))
    };
    let (agent, life) = (AgentId::new(0), Incarnation::new(1));
    let reports = (0..N_RANKS).step_by(2).map(forgets).collect();
    let event = Event::Answered(Answer::Reported { agent, life, reports });
    let n_visits = visits::of(|| _ = mesh.step(NOW, event));
    assert!(n_visits < 40 * N_RANKS, "looked at {n_visits}");
    assert_eq!(mesh.counts()[StatusKind::Failed as usize], N_RANKS / 4, "what it has forgotten");
}
