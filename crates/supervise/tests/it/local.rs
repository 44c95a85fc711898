//! local: ranks that are lived by a function, and what their agent does for all of them.

use std::time::Duration;

use controller::{Config, RestartConfig};
use mesh_core::{
    AgentId, Agents, Answer, Answers, Epoch, Incarnation, MeshId, MeshPhase, Order, Reason,
    Request, Status, Undelivered,
};
use mesh_shape::{RankSet, extent};
use mesh_testkit::{AgentsSuite, agents_suite};
use supervise::{Life, Local, LocalRanks, OwnerNews, RankOrder, Setup, Supervision, supervise};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::settle;

/// Runs until it is stopped.
async fn obey(mut life: Life<Local>) -> Status {
    life.report(Status::Running);
    life.ordered().await;
    Status::Stopped
}

fn setup<F>(config: Config, live: F) -> Setup<Local, supervise::LocalAgent<Local, F>> {
    let ranks = LocalRanks { kind: Local, unknown: Status::NotExist, live };
    Setup::local("test", extent!(ranks = 4).expect("it is small"), config, ranks)
        .expect("it holds together")
}

#[tokio::test(start_paused = true)]
async fn its_agent_keeps_the_contract() {
    let patience = Duration::from_secs(1);
    let suite = AgentsSuite { ranks: vec![RankSet::from(0..4)], status: Status::clone, patience };
    assert_eq!(agents_suite(setup(Config::local(), obey).agents, suite).await, Ok(()));
}

/// K1, L3: it beats between the checks, so that it is never doubted.
#[tokio::test(start_paused = true)]
async fn a_quiet_mesh_is_never_suspect() {
    let (Supervision { controller, owner: _owner, .. }, run) =
        supervise(setup(Config::local(), obey));
    tokio::spawn(run);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(99)).await;
        let state = controller.state().await.expect("the loop lives");
        assert!(state.ranks.iter().all(|rank| rank.status == Status::Running), "{state:?}");
    }
}

/// ST4: a rank whose keeper is gone is lost, and is as any other failure.
#[tokio::test(start_paused = true)]
async fn a_panic_of_whoever_lives_it_is_a_loss_and_is_restarted() {
    let live = async |life: Life<Local>| {
        if life.incarnation() == Incarnation::FIRST && life.rank().index() == 2 {
            life.report(Status::Running);
            panic!("a bug in the agent");
        }
        obey(life).await
    };
    let config = Config { restart: RestartConfig::on_failure(1), ..Config::local() };
    let live = move |life| -> std::pin::Pin<Box<dyn Future<Output = Status> + Send>> {
        Box::pin(live(life))
    };
    let (Supervision { controller, mut owner, .. }, run) = supervise(setup(config, live));
    tokio::spawn(run);

    let Some(OwnerNews::Failed(failures)) = owner.next().await else { panic!("it failed") };
    let told: Vec<_> =
        failures.each().map(|(rank, change)| (rank.index(), &change.status)).collect();
    assert!(
        matches!(told[..], [(2, Status::Failed(cause))] if cause.reason == Reason::LostByAgent),
        "{told:?}"
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    let state = controller.stop(Duration::from_secs(1)).await.expect("the loop lives");
    assert_eq!(state.phase, MeshPhase::Stopped);
}

/// C1, C2
#[tokio::test(start_paused = true)]
async fn a_stop_comes_before_a_kill_and_a_lost_owner_ends_every_life() {
    let (seen, mut saw) = mpsc::unbounded_channel();
    let live = move |mut life: Life<Local>| {
        let seen = seen.clone();
        async move {
            life.report(Status::Running);
            while life.rank().index() == 0 {
                let order = life.ordered().await;
                seen.send(order).expect("the test listens");
                if order == RankOrder::Kill {
                    return Status::Stopped;
                }
            }
            std::future::pending().await
        }
    };
    let (Supervision { controller, owner, .. }, run) = supervise(setup(Config::local(), live));
    tokio::spawn(run);
    _ = controller.stop(Duration::from_secs(1)).await.expect("the loop lives");
    assert_eq!(
        (saw.recv().await, saw.recv().await),
        (Some(RankOrder::Stop), Some(RankOrder::Kill))
    );
    drop(owner);
    assert_eq!(saw.recv().await, None, "every life was dropped");
}

/// K3
#[tokio::test(start_paused = true)]
async fn a_lower_epoch_is_refused_and_starts_nothing() {
    let (sent, mut answers) = mpsc::unbounded_channel();
    let answers_to = Answers::new(move |answer| {
        sent.send(answer).expect("the test listens");
        Ok(())
    });
    let mut agent = setup(Config::local(), obey).agents;
    let mut ask = |epoch, order| {
        let request = Request {
            mesh: MeshId::from_random(1),
            agent: AgentId::new(0),
            epoch: Epoch::new(epoch),
            order,
        };
        agent.perform(request, &answers_to);
    };
    ask(2, Order::Poll);
    ask(
        1,
        Order::Start { ranks: RankSet::from(0..4), incarnation: Incarnation::FIRST, echoed: None },
    );
    settle().await;
    let mut got = Vec::new();
    while let Ok(answer) = answers.try_recv() {
        got.push(answer);
    }
    let refused = Answer::Refused { agent: AgentId::new(0), obeyed: Epoch::new(2) };
    assert!(got.contains(&refused), "{got:?}");
    let is_report = |answer: &&Answer<Status>| matches!(answer, Answer::Reported { .. });
    assert_eq!(got.iter().filter(is_report).count(), 1, "the answer to the poll: {got:?}");
}

/// What an agent of so many ranks says that all begin at once, within a second: how many ranks are in each message, when the
/// last came, and how often one was refused. A controller has no room before `from`.
async fn said_by(n: usize, from: Duration) -> (Vec<usize>, Duration, usize) {
    let (sent, mut said) = mpsc::unbounded_channel();
    let begun = Instant::now();
    let answers = Answers::new(move |answer| match answer {
        Answer::Reported { .. } if begun.elapsed() < from => {
            sent.send(None).expect("the test listens");
            Err(Undelivered::Full(answer))
        }
        Answer::Reported { reports, .. } => {
            sent.send(Some((reports.len(), begun.elapsed()))).expect("the test listens");
            Ok(())
        }
        _ => Ok(()),
    });
    let ranks = LocalRanks { kind: Local, unknown: Status::NotExist, live: obey };
    let extent = extent!(ranks = n).expect("it is small");
    let mut agent = Setup::local("test", extent, Config::local(), ranks).expect("it holds").agents;
    let (to, mesh) = (AgentId::new(0), MeshId::from_random(1));
    let order =
        Order::Start { ranks: RankSet::from(0..n), incarnation: Incarnation::FIRST, echoed: None };
    agent.perform(Request { mesh, agent: to, epoch: Epoch::FIRST, order }, &answers);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut taken, mut last, mut n_refused) = (Vec::new(), Duration::ZERO, 0);
    while let Ok(said) = said.try_recv() {
        match said {
            Some((n, at)) => {
                taken.push(n);
                last = at;
            }
            None => n_refused += 1,
        }
    }
    (taken, last, n_refused)
}

/// H6: few are told one by one, and of many that change at once is told in few messages, and soon.
#[tokio::test(start_paused = true)]
async fn of_many_ranks_at_once_is_told_in_few_messages() {
    let (few, last, _) = said_by(3, Duration::ZERO).await;
    assert_eq!((few, last), (vec![1; 3], Duration::ZERO));
    let (many, last, _) = said_by(5_000, Duration::ZERO).await;
    assert_eq!(many.iter().sum::<usize>(), 5_000, "each once");
    assert!(many.len() < 100, "{} messages", many.len());
    assert!(last < BEAT / 4, "not with the next beat: after {last:?}");
}

/// N1: nothing is lost to a controller that is behind, and it is asked again soon, but not for each rank.
#[tokio::test(start_paused = true)]
async fn a_controller_without_room_is_asked_now_and_then() {
    for n in [1, 5_000] {
        let behind = BEAT * 5 / 2;
        let (taken, last, n_refused) = said_by(n, behind).await;
        assert_eq!(taken.iter().sum::<usize>(), n, "each once");
        assert!((6..50).contains(&n_refused), "{n} ranks: {n_refused} times");
        assert!(last - behind < BEAT * 2 / 5, "{n} ranks: not with the next beat: {last:?}");
    }
}

/// How often an agent says that it lives.
const BEAT: Duration = Duration::from_millis(200);
