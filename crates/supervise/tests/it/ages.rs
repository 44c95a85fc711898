//! ages: what is told is as old as it is, however long it waited in a queue (N8).

use std::time::Duration;

use controller::{Config, Controller};
use mesh_core::{AgentId, Answer, Generation, Incarnation, Interest, News, Update};
use mesh_shape::Rank;
use supervise::{Clock, OwnerNews, Setup, supervise};

use crate::support::{Fake, FakeAgents, Plain, crash, mesh, settle, spec};

const WAIT: Duration = Duration::from_secs(7);

/// N8: an owner that comes late finds failures as old as they are.
#[tokio::test(start_paused = true)]
async fn failures_grow_older_while_the_owner_does_not_read() {
    let mut mesh = mesh(2, Config::lan()).await;
    mesh.agent.report([0], &crash());
    settle().await;
    tokio::time::advance(WAIT).await;
    let Some(OwnerNews::Failed(failures)) = mesh.owner.next().await else { panic!("it failed") };
    assert_eq!((failures.changes[0].age, failures.waited), (Duration::ZERO, WAIT));
}

/// N8: so does a subscriber that comes late; and what it is told does not age twice.
#[tokio::test(start_paused = true)]
async fn events_grow_older_while_nobody_reads_them() {
    let mesh = mesh(2, Config::lan()).await;
    let mut events = mesh.controller.subscribe(Interest::Terminal, None).await.expect("it lives");
    let snapshot = events.next().await.expect("it lives");
    assert_eq!(snapshot.waited, Duration::ZERO);
    mesh.agent.report([0], &crash());
    settle().await;
    tokio::time::advance(WAIT).await;
    let changed = events.next().await.expect("it lives");
    let News::Changed(changes) = &changed.news else { panic!("{changed:?}") };
    assert_eq!((changes[0].age, changed.waited), (Duration::ZERO, WAIT));
    let mut late = mesh.controller.subscribe(Interest::Terminal, None).await.expect("it lives");
    let snapshot = late.next().await.expect("it lives");
    let News::Snapshot(found) = &snapshot.news else { panic!("{snapshot:?}") };
    assert_eq!((found.failed[0].age, snapshot.waited), (WAIT, Duration::ZERO));
}

/// N1, N8: of an owner that does not read for long, few messages are kept, and no failure is lost.
#[tokio::test(start_paused = true)]
async fn an_owner_that_does_not_read_costs_few_messages_and_no_failure() {
    const RANKS: usize = 1_000;
    let mut mesh = mesh(RANKS, Config::lan()).await;
    for rank in 0..RANKS {
        mesh.agent.report([rank], &crash());
        settle().await;
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let (mut ranks, mut n_messages) = (Vec::new(), 0);
    while let Some(news) = mesh.owner.next().await {
        n_messages += 1;
        let OwnerNews::Failed(failures) = news else { continue };
        for (rank, change) in failures.each() {
            let age = (change.age + failures.waited).as_millis();
            assert_eq!(age, (RANKS - rank.index()) as u128, "as old as it is");
            ranks.push(rank.index());
        }
    }
    assert_eq!(ranks, (0..RANKS).collect::<Vec<_>>(), "each once, in order");
    assert_eq!(n_messages, 64 + 1 + 1, "a queue, what is behind it, and the last news");
}

/// N8: what an agent has said grows older while the loop does not run.
#[tokio::test(start_paused = true)]
async fn reports_grow_older_while_the_loop_does_not_run() {
    let agent = Fake::default();
    let controller = Controller::new(spec("fake", 2, Config::lan()), Plain).expect("it holds");
    let setup = Setup::new(controller, FakeAgents::of(&agent), Clock::start());
    let (mut supervision, run) = supervise(setup);
    let (incarnation, generation) = (Incarnation::FIRST, Generation::new(1));
    let update = Update { incarnation, generation, age: Duration::ZERO, report: crash() };
    let reports = [(Rank::new(0), update)].into_iter().collect();
    let answer = Answer::Reported { agent: AgentId::new(0), life: Incarnation::FIRST, reports };
    supervision.answers.send(answer).expect("there is room");
    tokio::time::advance(WAIT).await;
    tokio::spawn(run);
    let Some(OwnerNews::Failed(failures)) = supervision.owner.next().await else {
        panic!("it failed")
    };
    assert_eq!(failures.changes[0].age + failures.waited, WAIT);
}
