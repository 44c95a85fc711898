//! lifetime: who keeps a mesh alive, and what ends it (C2, N7).

use std::time::Duration;

use controller::Config;
use mesh_core::{Interest, MeshRequest, Reply, Status};
use supervise::{AskError, OwnerNews};

use crate::support::{crash, mesh, settle};

/// C2
#[tokio::test(start_paused = true)]
async fn a_dropped_owner_ends_the_loop_and_drops_the_agents() {
    let mesh = mesh(2, Config::lan()).await;
    drop(mesh.owner);
    mesh.task.await.expect("it does not panic");
    assert!(mesh.agent.is_dropped());
    assert_eq!(mesh.controller.state().await, Err(AskError::Ended));
    assert!(!mesh.agent.beat(), "nobody listens");
}

/// C2
#[tokio::test(start_paused = true)]
async fn a_dropped_loop_drops_the_agents() {
    let mut mesh = mesh(2, Config::lan()).await;
    mesh.task.abort();
    _ = mesh.task.await.is_err();
    assert!(mesh.agent.is_dropped());
    assert_eq!(mesh.owner.next().await, None);
    assert_eq!(mesh.controller.stop(Duration::ZERO).await, Err(AskError::Ended));
}

/// A reference keeps nothing alive, and its end ends nothing.
#[tokio::test(start_paused = true)]
async fn the_loop_lives_without_anybody_who_talks_to_it() {
    let mut mesh = mesh(1, Config::lan()).await;
    drop(mesh.controller);
    settle().await;
    mesh.agent.report([0], &crash());
    let news = mesh.owner.next().await;
    assert!(matches!(news, Some(OwnerNews::Failed(_))), "{news:?}");
    drop(mesh.owner);
    mesh.task.await.expect("it does not panic");
    assert!(mesh.agent.is_dropped());
}

/// N7
#[tokio::test(start_paused = true)]
async fn a_dropped_subscriber_fails_nothing() {
    let mut mesh = mesh(2, Config::lan()).await;
    let gone = mesh.controller.subscribe(Interest::All, None).await.expect("the loop lives");
    let mut stays = mesh.controller.subscribe(Interest::Terminal, None).await.expect("it lives");
    drop(gone);
    mesh.agent.report([0], &Status::Stopped);
    mesh.agent.report([1], &crash());
    let mut n_events = 0;
    while stays.next().await.is_some() {
        n_events += 1;
    }
    assert_eq!(n_events, 4, "a snapshot, two ends, closed");
    let news = [mesh.owner.next().await, mesh.owner.next().await];
    assert!(
        matches!(&news, [Some(OwnerNews::Failed(_)), Some(OwnerNews::Finished(_))]),
        "{news:?}"
    );
}

/// N7, N5: it is dropped when the first message to it cannot be delivered.
#[tokio::test(start_paused = true)]
async fn a_dropped_subscriber_is_not_counted_any_more() {
    let mesh = mesh(2, Config::lan()).await;
    let gone = mesh.controller.subscribe(Interest::All, None).await.expect("the loop lives");
    let _stays = mesh.controller.subscribe(Interest::All, None).await.expect("the loop lives");
    let count = || mesh.controller.ask(MeshRequest::GetSubscriberCount);
    assert_eq!(count().await, Ok(Reply::Subscribers(2)));
    drop(gone);
    mesh.agent.report([0], &crash());
    settle().await;
    assert_eq!(count().await, Ok(Reply::Subscribers(1)));
}
