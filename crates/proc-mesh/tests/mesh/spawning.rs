//! Spawning: all or nothing.

use std::time::Duration;

use libtest_mimic::Trial;
use mesh_core::{LaunchProblem, MeshPhase, Reason};
use proc_mesh::{Notify, ProcMesh, ProcSpec, Run, SpawnError};
use tokio::time::{Instant, timeout};

use crate::fixture::{Site, failures_to_the_end, reasons, shells, workers};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(the_empty_mesh_is_stopped_and_closed_at_once),
        trial(a_program_that_is_not_there_starts_nothing),
        trial(a_spawn_that_fails_on_one_rank_rolls_back_the_others),
        trial(of_a_thousand_workers_each_that_failed_is_named_and_none_is_left),
        trial(a_worker_that_is_never_ready_fails_the_spawn),
        trial(a_mesh_that_is_long_in_being_ready_keeps_no_other_from_starting),
        trial(no_more_than_a_few_are_started_at_once),
        trial(a_time_that_is_too_long_to_count_is_no_end),
        trial(a_shape_of_other_hosts_is_refused),
        trial(too_many_processes_are_refused),
    ]
}

/// H9
async fn the_empty_mesh_is_stopped_and_closed_at_once() -> Outcome {
    let site = Site::start().await?;
    let mut spec = shells("true");
    spec.extent = "procs=0".parse()?;
    let mut mesh = site.spawn(spec).await?;
    assert_eq!(failures_to_the_end(&mut mesh).await, []);
    assert_eq!(mesh.stop(Duration::ZERO).await?.phase, MeshPhase::Stopped);
    site.close(mesh.label().id()).await
}

/// C4
async fn a_program_that_is_not_there_starts_nothing() -> Outcome {
    let site = Site::start().await?;
    let mut spec = shells("");
    let command = mesh_core::Command::new("/not/a/program", [""; 0]);
    spec.run = Run::Program {
        launcher: std::sync::Arc::new(proc_mesh::Program::new(command, (String::new(), 1))),
        stdin: None,
        notify: None,
    };
    let Err(SpawnError::Ranks { failures }) = site.spawn(spec).await else {
        return Err("it was spawned".into());
    };
    let (program, problem) = ("/not/a/program".to_owned(), LaunchProblem::NotFound);
    let reason = Reason::Launch { program, problem };
    let mut told = reasons(&failures);
    told.sort_unstable_by_key(|(rank, _)| *rank);
    assert_eq!(told, (0..4).map(|rank| (rank, reason.clone())).collect::<Vec<_>>());
    site.close(failures[0].mesh.id()).await
}

/// C4: each failed rank with its cause, the others gone, the hosts as usable as before (C3).
async fn a_spawn_that_fails_on_one_rank_rolls_back_the_others() -> Outcome {
    let site = Site::start().await?;
    let mut spec = workers("echo");
    spec.name = "rank-2-exits-3".to_owned();
    let Err(SpawnError::Ranks { failures }) = site.spawn(spec).await else {
        return Err("it was spawned".into());
    };
    assert_eq!(reasons(&failures), [(2, Reason::Exit { code: 3 })]);
    let cause = failures[0].changes[0].status.cause().ok_or("a failure has a cause")?;
    assert_eq!(cause.stderr, ["I would rather not"]);
    crate::fixture::until_gone(failures[0].mesh.id()).await;

    let mesh: ProcMesh = site.spawn(workers("echo")).await?;
    assert_eq!(mesh.seats().await.len(), 4);
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

/// C4, C3.
async fn of_a_thousand_workers_each_that_failed_is_named_and_none_is_left() -> Outcome {
    let site = Site::start().await?;
    let thousand = |name: &str| -> Outcome<ProcSpec> {
        Ok(ProcSpec { name: name.to_owned(), extent: "procs=1000".parse()?, ..workers("echo") })
    };
    let Err(SpawnError::Ranks { failures }) = site.spawn(thousand("every-100th-exits-3")?).await
    else {
        return Err("it was spawned".into());
    };
    let mut told = Vec::new();
    for (rank, change) in failures.iter().flat_map(|failed| failed.each()) {
        let cause = change.status.cause().ok_or("a failure has a cause")?;
        assert_eq!(cause.reason, Reason::Exit { code: 3 });
        assert_eq!(cause.stderr, [format!("not I, {rank}")]);
        told.push(rank.index());
    }
    told.sort_unstable();
    assert_eq!(told, (0..10).map(|n| n * 100 + 42).collect::<Vec<_>>());
    crate::fixture::until_gone(failures[0].mesh.id()).await;

    let mesh = site.spawn(thousand("all")?).await?;
    assert_eq!(mesh.seats().await.len(), 1_000);
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

/// C4
async fn a_worker_that_is_never_ready_fails_the_spawn() -> Outcome {
    let site = Site::start().await?;
    let mut spec = workers("echo");
    let within = Duration::from_millis(1_500);
    spec.name = "rank-1-sleeps".to_owned();
    spec.run = Run::Worker { entry: "echo".to_owned(), ready_within: within };
    let Err(SpawnError::Ranks { failures }) = site.spawn(spec).await else {
        return Err("it was spawned".into());
    };
    assert_eq!(reasons(&failures), [(1, Reason::NotReady { within })]);
    site.close(failures[0].mesh.id()).await
}

/// C3: more of its ranks than are started at once are not ready for a long time.
async fn a_mesh_that_is_long_in_being_ready_keeps_no_other_from_starting() -> Outcome {
    let site = Site::start().await?;
    let mut slow = shells("sleep 1000");
    slow.extent = "procs=64".parse()?;
    let wait = Notify { ready_within: Some(Duration::from_secs(40)), watchdog: None };
    if let Run::Program { notify, .. } = &mut slow.run {
        *notify = Some(wait);
    }
    let slow = site.start_only(slow).await?;
    while slow.seats().await.len() < 64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut next = timeout(Duration::from_secs(20), site.spawn(shells("exit 0"))).await??;
    assert_eq!(failures_to_the_end(&mut next).await, []);
    let id = slow.label().id();
    drop(slow);
    site.close(id).await
}

/// However many there are; a rank that is not ready counts for a second.
async fn no_more_than_a_few_are_started_at_once() -> Outcome {
    let site = Site::start().await?;
    let mut slow = shells("sleep 1000");
    slow.extent = "procs=200".parse()?;
    if let Run::Program { notify, .. } = &mut slow.run {
        *notify = Some(Notify { ready_within: Some(Duration::from_secs(40)), watchdog: None });
    }
    let begun_at = Instant::now();
    let slow = site.start_only(slow).await?;
    // What runs by then may have room of its own.
    while begun_at.elapsed() < Duration::from_millis(950) {
        let n_seats = slow.seats().await.len();
        let is_in_time = begun_at.elapsed() < Duration::from_secs(1);
        assert!(n_seats <= 64 || !is_in_time, "{n_seats} are being started");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let id = slow.label().id();
    drop(slow);
    site.close(id).await
}

async fn a_time_that_is_too_long_to_count_is_no_end() -> Outcome {
    let site = Site::start().await?;
    let mut spec = workers("echo");
    spec.run = Run::Worker { entry: "echo".to_owned(), ready_within: Duration::MAX };
    let mesh = site.spawn(spec).await?;
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

async fn a_shape_of_other_hosts_is_refused() -> Outcome {
    let site = Site::start().await?;
    let mut spec = shells("true");
    spec.extent = "hosts=3,procs=2".parse()?;
    let refused = site.spawn(spec).await.err();
    assert_eq!(refused, Some(SpawnError::Hosts { expected: 3, found: 1 }));
    let site = Site::with_hosts(2).await?;
    let mut spec = shells("true");
    // A slip of the pen: nothing is to run on one of the two, and nothing on the other.
    spec.extent = "host=2,procs=2".parse()?;
    let refused = site.spawn(spec).await.err();
    assert_eq!(refused, Some(SpawnError::Hosts { expected: 1, found: 2 }));
    Ok(())
}

async fn too_many_processes_are_refused() -> Outcome {
    let site = Site::start().await?;
    let mut spec = shells("true");
    spec.extent = "a=1025,b=1024".parse()?;
    let refused = site.spawn(spec).await.err();
    assert_eq!(refused, Some(SpawnError::TooMany { size: 1025 * 1024 }));
    Ok(())
}
