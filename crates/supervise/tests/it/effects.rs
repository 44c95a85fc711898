//! effects: performed at once and in order, awaited never; the owner is told in its own time.

use std::time::Duration;

use controller::Config;
use mesh_core::{Incarnation, Interest, MeshPhase, Order, Status, StatusKind};
use mesh_shape::RankSet;
use supervise::OwnerNews;
use tokio::time::Instant;

use crate::support::{crash, mesh, settle};

/// C1: the answer of a stop is that of the last rank; an agent that does nothing delays nobody.
#[tokio::test(start_paused = true)]
async fn a_stop_is_answered_when_the_ranks_have_ended() {
    let mesh = mesh(2, Config::lan()).await;
    let stop = tokio::spawn({
        let controller = mesh.controller.clone();
        async move { controller.stop(Duration::from_secs(5)).await }
    });
    settle().await;
    let (ranks, incarnation) = (RankSet::from(0..2), Incarnation::FIRST);
    assert_eq!(mesh.agent.take_orders(), [Order::Stop { ranks, incarnation }]);
    let state = mesh.controller.state().await.expect("it answers while it is stopping");
    assert_eq!(state.phase, MeshPhase::Stopping);
    mesh.agent.report(0..2, &Status::Stopped);
    let state = stop.await.expect("it does not panic").expect("the controller lives");
    assert_eq!(state.phase, MeshPhase::Stopped);
}

/// C1: what does not end is killed after the grace, on time.
#[tokio::test(start_paused = true)]
async fn a_kill_comes_when_the_grace_is_over() {
    let mesh = mesh(1, Config::lan()).await;
    let start = Instant::now();
    let stop = tokio::spawn({
        let controller = mesh.controller.clone();
        async move { controller.stop(Duration::from_secs(5)).await }
    });
    settle().await;
    _ = mesh.agent.take_orders().len();
    while mesh.agent.take_orders().is_empty() {
        mesh.agent.beat();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let waited = start.elapsed();
    assert!(
        waited >= Duration::from_secs(5) && waited < Duration::from_millis(5_300),
        "{waited:?}"
    );
    mesh.agent.report([0], &Status::Stopped);
    let state = stop.await.expect("it does not panic").expect("the controller lives");
    assert_eq!(state.phase, MeshPhase::Stopped);
}

/// N1: an owner that does not read loses nothing, and delays nobody.
#[tokio::test(start_paused = true)]
async fn an_owner_that_does_not_read_gets_every_failure_later() {
    const RANKS: usize = 300;
    let mut mesh = mesh(RANKS, Config::lan()).await;
    for rank in 0..RANKS {
        mesh.agent.report([rank], &crash());
        settle().await;
    }
    let state = mesh.controller.state().await.expect("the loop goes on");
    assert_eq!(state.phase, MeshPhase::Failed);
    let mut failed = Vec::new();
    loop {
        match mesh.owner.next().await.expect("the last news is that it has finished") {
            OwnerNews::Failed(failures) => {
                failed.extend(failures.each().map(|(rank, _)| rank.index()));
            }
            OwnerNews::Finished(state) => {
                assert_eq!(state.phase, MeshPhase::Failed);
                break;
            }
        }
    }
    assert_eq!(failed, (0..RANKS).collect::<Vec<_>>(), "each once, in order");
}

/// A flood of events does not keep a tick that is due from coming.
#[tokio::test(start_paused = true)]
async fn a_tick_that_is_due_waits_for_256_events_at_most() {
    let mesh = mesh(1, Config::lan()).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    for _ in 0..3_000 {
        assert!(mesh.agent.beat(), "the inbox has room");
    }
    settle().await;
    assert_eq!(mesh.agent.n_before_poll(), Some(256), "each beat is answered");
}

/// L2: what agents say too fast comes back to them, and nothing is lost without a word.
#[tokio::test(start_paused = true)]
async fn a_full_inbox_gives_back_what_it_cannot_take() {
    let mesh = mesh(1, Config::lan()).await;
    let n_taken = (0..10_000).filter(|_| mesh.agent.beat()).count();
    assert_eq!(n_taken, 4_096);
    settle().await;
    assert!(mesh.agent.beat(), "there is room again");
}

/// L7
#[tokio::test(start_paused = true)]
async fn the_state_is_answered_also_after_the_end() {
    let mut mesh = mesh(2, Config::lan()).await;
    mesh.agent.report(0..2, &Status::Stopped);
    let news = mesh.owner.next().await;
    assert!(matches!(news, Some(OwnerNews::Finished(_))), "{news:?}");
    let state = mesh.controller.state().await.expect("the loop lives as long as its owner");
    assert!(state.ranks.iter().all(|rank| rank.status.kind() == StatusKind::Stopped));
    let again = mesh.controller.stop(Duration::ZERO).await.expect("the loop lives");
    assert_eq!(again, state);
    let events = mesh.controller.subscribe(Interest::All, None).await;
    assert!(events.is_ok());
}
