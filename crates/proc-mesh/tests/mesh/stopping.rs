//! Stopping, and what becomes of a mesh whose owner is gone.

use std::time::Duration;

use libtest_mimic::Trial;
use mesh_core::{Change, MeshPhase, Reason, Status};
use tokio::time::{Instant, timeout};

use crate::fixture::{
    Site, ends_to_the_close, failures_to_the_end, next_failure, reasons, restarting, shells,
    subscribe, until_gone,
};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(a_stop_asks_first_and_kills_after_the_grace),
        trial(a_rank_that_is_not_its_program_yet_is_stopped_at_once),
        trial(a_crash_during_a_stop_keeps_its_cause),
        trial(a_mesh_with_dead_ranks_stops_and_its_hosts_are_usable_again),
        trial(a_mesh_does_not_outlive_its_owner),
        trial(what_is_dropped_while_it_runs_is_told_to_have_been_let_go_of),
        trial(what_is_dropped_while_it_is_stopped_has_stopped),
        trial(a_mesh_does_not_outlive_the_thread_that_supervises_it),
    ]
}

/// C1: also of the second stop, which returns the same.
async fn a_stop_asks_first_and_kills_after_the_grace() -> Outcome {
    let site = Site::start().await?;
    let script = "[ $RANK = 3 ] && trap '' TERM; while :; do sleep 0.02; done";
    let mut mesh = site.spawn(shells(script)).await?;
    let state = mesh.stop(Duration::from_millis(300)).await?;
    assert_eq!(state.phase, MeshPhase::Stopped);
    assert!(state.ranks.iter().all(|rank| rank.status == Status::Stopped), "{state:?}");
    assert_eq!(mesh.stop(Duration::ZERO).await?, state);
    assert_eq!(failures_to_the_end(&mut mesh).await, []);
    site.close(mesh.label().id()).await
}

/// C1: what is in the way of a start is not in that of a stop. Here the ranks are suspended before they have
/// done to themselves what was asked for; some may be faster.
async fn a_rank_that_is_not_its_program_yet_is_stopped_at_once() -> Outcome {
    let site = Site::start().await?;
    let mut spec = shells("sleep 1000");
    spec.extent = "procs=32".parse()?;
    spec.surroundings.umask = Some("022".parse()?);
    site.hosts.suspend(true).await;
    let mut mesh = site.start_only(spec).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let state = mesh.stop(Duration::from_millis(100)).await?;
    assert!(state.ranks.iter().all(|rank| rank.status == Status::Stopped), "{state:?}");
    assert_eq!(failures_to_the_end(&mut mesh).await, []);
    site.close(mesh.label().id()).await
}

/// H3, ST4
async fn a_crash_during_a_stop_keeps_its_cause() -> Outcome {
    let site = Site::start().await?;
    let script = "trap 'echo no >&2; exit 9' TERM; echo up; while :; do sleep 0.02; done";
    let mut spec = shells(script);
    let (stdout, mut lines) = tokio::sync::mpsc::channel(8);
    spec.output.stdout = Some(stdout);
    let mut mesh = site.spawn(spec).await?;
    for _ in 0..4 {
        lines.recv().await.ok_or("every rank says that its trap is set")?;
    }
    mesh.stop(Duration::from_secs(10)).await?;
    let told = failures_to_the_end(&mut mesh).await;
    let mut told = reasons(&told);
    told.sort_unstable_by_key(|(rank, _)| *rank);
    let expected: Vec<_> = (0..4).map(|rank| (rank, Reason::Exit { code: 9 })).collect();
    assert_eq!(told, expected);
    site.close(mesh.label().id()).await
}

/// C3
async fn a_mesh_with_dead_ranks_stops_and_its_hosts_are_usable_again() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(shells("[ $RANK = 1 ] && exit 5; sleep 1000")).await?;
    assert_eq!(reasons(&[next_failure(&mut mesh).await?]), [(1, Reason::Exit { code: 5 })]);
    let state = mesh.stop(Duration::from_secs(10)).await?;
    assert_eq!(state.phase, MeshPhase::Failed);
    let stopped = state.ranks.iter().filter(|rank| rank.status == Status::Stopped).count();
    assert_eq!(stopped, 3);

    let mut next = site.spawn(shells("exit 0")).await?;
    assert_eq!(failures_to_the_end(&mut next).await, []);
    site.close(mesh.label().id()).await
}

/// C2
async fn a_mesh_does_not_outlive_its_owner() -> Outcome {
    let site = Site::start().await?;
    let mesh = site.spawn(shells("trap '' TERM; sleep 1000 & sleep 1000")).await?;
    let id = mesh.label().id();
    drop(mesh);
    until_gone(id).await;
    site.close(id).await
}

/// C2, N1, N4: at once, of each rank once, and none begins again, whatever the rules say.
async fn what_is_dropped_while_it_runs_is_told_to_have_been_let_go_of() -> Outcome {
    let site = Site::start().await?;
    let mesh = site.spawn(restarting(shells("exec sleep 1000"), 10)).await?;
    let (id, events, begun) = (mesh.label().id(), subscribe(&mesh).await?, Instant::now());
    drop(mesh);
    let ends = ends_to_the_close(events).await;
    // A lease that has run out would be told after six.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let is_so = |end: &Change| {
        let reason = end.status.cause().map(|cause| &cause.reason);
        reason == Some(&Reason::Closed) && end.restart_in.is_none()
    };
    assert!(ends.iter().all(is_so), "{ends:?}");
    assert_eq!(ends.iter().map(|end| end.ranks.len()).sum::<usize>(), 4, "{ends:?}");
    site.close(id).await
}

/// C2, ST4
async fn what_is_dropped_while_it_is_stopped_has_stopped() -> Outcome {
    let site = Site::start().await?;
    let mut spec = shells("trap '' TERM; echo up; while :; do sleep 0.02; done");
    let (stdout, mut lines) = tokio::sync::mpsc::channel(8);
    spec.output.stdout = Some(stdout);
    let mesh = site.spawn(spec).await?;
    for _ in 0..4 {
        lines.recv().await.ok_or("every rank says that its trap is set")?;
    }
    let (id, events) = (mesh.label().id(), subscribe(&mesh).await?);
    let asked = timeout(Duration::from_millis(100), mesh.stop(Duration::from_secs(60))).await;
    assert!(asked.is_err(), "none of them ends by that: {asked:?}");
    drop(mesh);
    let ends = ends_to_the_close(events).await;
    assert!(ends.iter().all(|end| end.status == Status::Stopped), "{ends:?}");
    assert_eq!(ends.iter().map(|end| end.ranks.len()).sum::<usize>(), 4, "{ends:?}");
    site.close(id).await
}

/// C2: the end of its runtime is an end as any other.
async fn a_mesh_does_not_outlive_the_thread_that_supervises_it() -> Outcome {
    let Site { control, output, hosts } = Site::start().await?;
    let site = Site { control, output, hosts };
    let mesh = site.spawn(shells("setsid sleep 1000 & sleep 1000")).await?;
    let id = mesh.label().id();
    let Site { control, output: _output, hosts: _hosts } = site;
    drop(control);
    until_gone(id).await;
    Ok(())
}
