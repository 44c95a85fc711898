//! watching: what a ref is told of its mesh, in the ranks of its slice.

use std::time::Duration;

use actor_mesh::{Missing, WatchError};
use mesh_core::{Interest, MeshPhase, MeshRequest, News, Progress, Reply, Status};
use mesh_runtime::LocalTransport;
use mesh_shape::{Rank, RankSet, Slice};
use tokio::time::sleep;

use crate::support::{Panic, SOON, on_failure, sent, soon, tens, world, world_and_guest};

/// H5, L7, N6: a slice is what its own ranks are.
#[tokio::test]
async fn a_slice_of_a_failed_mesh_is_failed_only_if_the_failure_is_in_it() {
    let world = world("procs=6").await;
    let tools = world.tools().await;
    let odd = tools.slice("procs", Slice::from(1..).by(2)).expect("there are three");
    let even = tools.slice("procs", Slice::from(0..).by(2)).expect("there are three");
    assert_eq!(soon(tools.status(&world.proc)).await, Ok(MeshPhase::Running));
    soon(tools.cast(&world.proc, Panic(30))).await.complete().expect("it is sent");
    let missing = soon(even.wait(&world.proc, Progress::Ended, Duration::from_millis(50))).await;
    assert_eq!(missing.as_deref(), Ok(&RankSet::from(0..3)), "they run, and go on");
    let second = tools.slice("procs", 3..4).expect("there is one");
    let missing = soon(second.wait(&world.proc, Progress::Ended, SOON)).await;
    assert_eq!(missing.map(Missing::complete), Ok(Ok(())));
    let odd_state = soon(odd.state(&world.proc)).await.expect("it is told");
    assert_eq!((odd_state.phase, odd_state.ranks.size()), (MeshPhase::Failed, 3));
    let failed = odd_state.ranks.ranks_where(|rank| rank.status.is_failure());
    assert_eq!(failed, RankSet::from(1..2));
    assert_eq!(soon(even.status(&world.proc)).await, Ok(MeshPhase::Running));
    assert_eq!(soon(tools.status(&world.proc)).await, Ok(MeshPhase::Failed));
}

/// H5, N2, N4, N6: changes are told in the ranks of the slice, each once, and nothing of others.
#[tokio::test]
async fn whoever_watches_a_slice_is_told_of_its_ranks_only() {
    let world = world("procs=6").await;
    let tools = world.tools().await;
    let upper = tools.slice("procs", 3..).expect("there are three");
    let mut events =
        soon(upper.subscribe(&world.proc, Interest::Terminal)).await.expect("it is taken");
    let first = soon(events.next()).await.expect("there is a snapshot");
    assert!(matches!(first.news, News::Snapshot(_)), "{first:?}");
    soon(tools.cast(&world.proc, Panic(10))).await.complete().expect("it is sent");
    soon(tools.cast(&world.proc, Panic(40))).await.complete().expect("it is sent");
    let mut told = Vec::new();
    while told.is_empty() {
        if let News::Changed(changes) = soon(events.next()).await.expect("there is more").news {
            told.extend(changes.iter().map(|change| change.ranks.clone()));
        }
    }
    assert_eq!(told, [RankSet::from(1..2)]);
    soon(tools.stop(Duration::from_secs(1))).await.expect("it stops");
    let mut stopped = RankSet::new();
    while let Some(event) = soon(events.next()).await {
        if let News::Changed(changes) = event.news {
            let ranks = changes.iter().flat_map(|change| change.ranks.iter());
            ranks.for_each(|rank| assert!(stopped.insert(rank), "{rank} is told twice"));
        }
    }
    assert_eq!(stopped, RankSet::from_ranks([Rank::new(0), Rank::new(2)]));
}

/// L1, N6: whoever wants to know all of a slice is told of what is no end, too, each once.
#[tokio::test]
async fn all_events_of_a_slice_are_told() {
    let world = world("procs=4").await;
    let tools = world.tools().await;
    let upper = tools.slice("procs", 2..).expect("there are two");
    let mut events = soon(upper.events(&world.proc)).await.expect("it is taken");
    let first = soon(events.next()).await.expect("there is a snapshot");
    assert!(matches!(first.news, News::Snapshot(_)), "{first:?}");
    let stopped = soon(tools.stop(Duration::from_secs(1))).await.expect("it stops");
    assert_eq!(stopped.phase, MeshPhase::Stopped);
    let (mut stopping, mut ended) = (RankSet::new(), RankSet::new());
    while let Some(event) = soon(events.next()).await {
        let News::Changed(changes) = event.news else { continue };
        for change in changes.iter() {
            let told = if change.status == Status::Stopped { &mut ended } else { &mut stopping };
            let ranks = change.ranks.iter();
            ranks.for_each(|rank| assert!(told.insert(rank), "{rank} is told twice"));
        }
    }
    assert_eq!([stopping, ended], [(); 2].map(|()| RankSet::from(0..2)));
}

/// N5: whoever does not listen any more is not told, also if nothing happens.
#[tokio::test(start_paused = true)]
async fn events_that_are_dropped_unsubscribe() {
    let (world, network, _) = world_and_guest("procs=2", &LocalTransport::default()).await;
    let tools = world.tools().await;
    let count = async || match soon(tools.controller().ask(MeshRequest::GetSubscriberCount)).await {
        Ok(Reply::Subscribers(count)) => count,
        other => panic!("{other:?}"),
    };
    let before = count().await;
    let left = sent(tools.mesh_ref());
    let events = left.subscribe(network.proc(), Interest::Terminal);
    let mut events = soon(events).await.expect("it is taken");
    // What is not read comes back, and tells, too.
    assert!(matches!(soon(events.next()).await.map(|it| it.news), Some(News::Snapshot(_))));
    assert_eq!(count().await, before + 1);
    drop(events);
    // No time passes meanwhile.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(count().await, before);
}

/// Nobody waits for ever for a controller that is gone.
#[tokio::test]
async fn a_ref_of_a_mesh_that_is_gone_says_so() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let left = tools.mesh_ref().clone();
    drop(tools);
    let gone = soon(async {
        loop {
            if let Err(why) = left.status(&world.proc).await {
                break why;
            }
        }
    })
    .await;
    let is_told = |why: WatchError| {
        assert_eq!(
            why.to_string(),
            "the mesh has ended, or its owner has let go of it: nobody is left to ask"
        );
        assert!(std::error::Error::source(&why).is_some(), "{why:?}");
    };
    is_told(gone);
    let wait = soon(left.wait(&world.proc, Progress::Running, SOON)).await;
    is_told(wait.expect_err("nobody says"));
    is_told(soon(left.subscribe(&world.proc, Interest::All)).await.expect_err("nobody says"));
    is_told(soon(left.stop(&world.proc, SOON)).await.expect_err("nobody says"));
}

/// L8, C1: whoever has a ref of a mesh can stop it, also in another process, and whoever watches is told why; a ref of a
/// slice stops nothing.
#[tokio::test(start_paused = true)]
async fn a_mesh_is_stopped_by_a_ref_of_all_of_it() {
    let (world, network, _) = world_and_guest("procs=2", &LocalTransport::default()).await;
    let (tools, guest) = (world.tools().await, network.proc());
    let mut events = tools.subscribe(Interest::All).await.expect("it is taken");
    let all = sent(tools.mesh_ref());
    let one = all.slice("procs", 1..).expect("there is one");
    assert_eq!(soon(one.stop(guest, SOON)).await, Err(WatchError::Slice));
    assert_eq!(soon(all.status(guest)).await, Ok(MeshPhase::Running));

    let state = soon(all.stop_because(guest, "it is late", SOON)).await.expect("it is answered");
    assert!(state.ranks.iter().all(|rank| rank.status == Status::Stopped), "{state:?}");
    let told = soon(async {
        loop {
            let event = events.next().await.expect("it is told");
            if let News::Stopping { reason } = event.news {
                return reason.map(|it| it.to_string());
            }
        }
    });
    assert_eq!(told.await.as_deref(), Some("it is late"));
    assert_eq!(soon(all.stop(guest, SOON)).await.map(|again| again.ranks), Ok(state.ranks));
}

/// L7: of a mesh that was stopped and dropped, whose ranks could have been started again, it is known that they have ended.
#[tokio::test(start_paused = true)]
async fn a_mesh_that_is_over_has_ended() {
    for since in [Duration::ZERO, Duration::from_secs(1)] {
        let world = world("procs=2").await;
        let tools = world.spawn(tens("tools").restart(on_failure())).await;
        let left = tools.mesh_ref().clone();
        let missing = soon(left.wait(&world.proc, Progress::Running, SOON)).await;
        assert_eq!(missing.map(Missing::complete), Ok(Ok(())));
        soon(tools.stop(Duration::from_secs(1))).await.expect("it stops");
        drop(tools);
        sleep(since).await;
        let missing = soon(left.wait(&world.proc, Progress::Ended, SOON / 2)).await;
        assert_eq!(missing.map(Missing::complete), Ok(Ok(())), "{since:?} after that");
    }
}

/// L7: a wait takes as long as it is given, whatever calls may take.
#[tokio::test(start_paused = true)]
async fn a_wait_may_be_longer_than_a_call() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let within = 3 * world.proc.call_within();
    let asked = tokio::time::Instant::now();
    let missing = tools.wait(&world.proc, Progress::Ended, within).await;
    assert_eq!(missing.as_deref(), Ok(&RankSet::from(0..2)));
    let named = missing.map(|missing| missing.complete().map_err(|it| it.missing));
    assert_eq!(named, Ok(Err(RankSet::from(0..2))));
    assert!(asked.elapsed() >= within, "it was given its time");
}
