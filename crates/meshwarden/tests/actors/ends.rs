//! ends: what callers, owners and others are told when processes and actors end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshwarden::prelude::*;
use rustix::process::Signal;
use tokio::time::{sleep, timeout};

use crate::support::{AT_ONCE, Outcome, World, all, all_answer, next_failures, tens};
use crate::tool::{Add, BlockWith, CLEANS_UP, Exit, Hang, Heavy, Panic, Pid, Tool};

/// R1, D3, ST3: the entry of the rank is the death of its process; the owner is told once, with the chain.
pub(crate) async fn a_killed_process_is_the_answer_of_its_rank_at_once(root: Arc<Root>) -> Outcome {
    let mut world = World::new(&root, "procs=4").await?;
    let one = world.tools.slice("procs", 2..3)?;
    let call = tokio::spawn(one.call(&*root, Hang).within(Duration::from_secs(50)));
    sleep(Duration::from_millis(100)).await;
    let killed = Instant::now();
    world.signal(2, Signal::KILL).await?;
    let answers = call.await?;
    assert!(killed.elapsed() < AT_ONCE, "{:?}", killed.elapsed());
    let Some(Err(RankError::Ended(ended))) = answers.get(Rank::new(0)) else {
        return Err(format!("it was killed: {answers:?}").into());
    };
    assert!(ended.to_string().contains("signal 9"), "{ended}");
    let failures = next_failures(&mut world.tools).await?;
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, 2);
    assert!(failures[0].1.contains("rank 2 of proc mesh procs: signal 9"), "{failures:?}");

    survivors_go_on(&root, &mut world).await?;
    world.close().await
}

/// H7, N1: also where all are called; and the failure is not told again.
async fn survivors_go_on(root: &Root, world: &mut World) -> Outcome {
    let answers = world.tools.call(root, Add(1)).await;
    let sums: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(sums, [&1, &11, &31]);
    world.tools.stop(Duration::from_secs(5)).await?;
    assert!(matches!(world.tools.next().await, Some(OwnerNews::Finished(_))), "told once");
    Ok(())
}

pub(crate) async fn a_process_that_exits_is_told_with_its_code(root: Arc<Root>) -> Outcome {
    let mut world = World::new(&root, "procs=2").await?;
    let one = world.tools.slice("procs", 1..)?;
    let answers = one.call(&*root, Exit(7)).await;
    let Some(Err(RankError::Ended(ended))) = answers.get(Rank::new(0)) else {
        return Err(format!("it has exited: {answers:?}").into());
    };
    assert!(ended.to_string().contains("exit code 7"), "{ended}");
    assert_eq!(next_failures(&mut world.tools).await?.len(), 1);
    world.close().await
}

/// E1: how soon it is told is judged by `cargo xtask chaos --actors` (D1).
pub(crate) async fn a_panic_is_told_with_its_place_and_the_process_lives_on(
    root: Arc<Root>,
) -> Outcome {
    let mut world = World::new(&root, "procs=2").await?;
    let pids = all_answer(&root, &world.tools).await?;
    let answers = world.tools.slice("procs", ..1)?.call(&*root, Panic).await;
    let Some(Err(RankError::Ended(ended))) = answers.get(Rank::new(0)) else {
        return Err(format!("it has panicked: {answers:?}").into());
    };
    assert!(ended.to_string().contains("as asked"), "{ended}");
    let failures = next_failures(&mut world.tools).await?;
    assert!(failures.len() == 1 && failures[0].1.contains("tool.rs:"), "{failures:?}");
    // Another mesh can be spawned on the same process.
    let again = world.procs.spawn_as(tens("again")).await?;
    assert_eq!(all_answer(&root, &again).await?, pids);
    drop(again);
    world.close().await
}

/// H4: a process that is only suspended is not dead.
pub(crate) async fn a_suspended_process_is_left_to_the_deadline_and_answers_later(
    root: Arc<Root>,
) -> Outcome {
    let world = World::new(&root, "procs=2").await?;
    all_answer(&root, &world.tools).await?;
    world.signal(1, Signal::STOP).await?;
    let within = Duration::from_millis(500);
    let answers = world.tools.call(&*root, Add(1)).within(within).await;
    assert_eq!(answers.get(Rank::new(0)), Some(&Ok(1)));
    let late = answers.get(Rank::new(1)).and_then(|answer| answer.as_ref().err());
    let Some(RankError::Stalled { within: it, status }) = late else {
        return Err(format!("it says why: {late:?}").into());
    };
    assert!(*it == within && status.to_string().contains("suspended"), "{late:?}");
    let state = world.tools.controller().state().await?;
    let stalled = state.ranks.get(Rank::new(1)).map(|rank| rank.status.to_string());
    assert!(stalled.as_deref().is_some_and(|it| it.contains("suspended")), "{stalled:?}");
    world.signal(1, Signal::CONT).await?;
    all_answer(&root, &world.tools).await?;
    world.close().await
}

/// H4, C3: for longer than its sessions live. What was there is not lost, or is told to be; the process is as
/// good as before.
pub(crate) async fn a_process_that_was_suspended_for_long_is_used_again(
    root: Arc<Root>,
) -> Outcome {
    let mut world = World::new(&root, "procs=2").await?;
    let pids = all_answer(&root, &world.tools).await?;
    world.signal(1, Signal::STOP).await?;
    sleep(Duration::from_secs(10)).await;
    world.signal(1, Signal::CONT).await?;
    let again = world.procs.spawn_as(tens("again").ready_within(Duration::from_secs(20))).await?;
    assert_eq!(all_answer(&root, &again).await?, pids);
    let answers = world.tools.call(&*root, Add(1)).await;
    match answers.get(Rank::new(1)) {
        Some(Ok(11)) => (),
        Some(Err(RankError::Ended(_))) => {
            assert_eq!(next_failures(&mut world.tools).await?.len(), 1);
        }
        other => return Err(format!("it goes on or has ended: {other:?}").into()),
    }
    let asked = Instant::now();
    world.tools.stop(Duration::from_secs(5)).await?;
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    drop(again);
    world.close().await
}

/// D7: a handler that blocks its thread keeps nobody from spawning there, or from being told.
pub(crate) async fn a_blocked_handler_keeps_nobody_from_supervising_its_process(
    root: Arc<Root>,
) -> Outcome {
    let world = World::new(&root, "procs=2").await?;
    let blocked = world.tools.slice("procs", 1..)?;
    let file = std::env::temp_dir().join(format!("meshwarden-block-{}", std::process::id()));
    blocked.cast(&*root, BlockWith(file.clone())).await.complete()?;
    while !file.exists() {
        sleep(Duration::from_millis(1)).await;
    }
    // Its agent refuses to spawn what it does not know while the user's thread is blocked.
    let there = world.procs.slice("procs", 1..)?;
    let error = there.spawn::<Unknown>("nobody", ()).await.expect_err("nobody knows it");
    std::fs::remove_file(&file)?;
    assert!(error.to_string().contains("there are: heavy, tool"), "{error}");
    all_answer(&root, &world.tools).await?;
    world.close().await
}

/// ST4, N1: as its process would have; also one that has not heard of it, since its process is suspended.
pub(crate) async fn who_was_asked_to_end_has_stopped_with_a_host_that_is_closed(
    root: Arc<Root>,
) -> Outcome {
    let world = World::new(&root, "procs=2").await?;
    all_answer(&root, &world.tools).await?;
    let hangs = world.tools.slice("procs", ..1)?.call(&*root, Hang);
    let call = tokio::spawn(hangs.within(Duration::from_secs(50)));
    sleep(Duration::from_millis(100)).await;
    world.signal(1, Signal::STOP).await?;
    let World { mut tools, procs, hosts } = world;
    let controller = tools.controller().clone();
    let stop = tokio::spawn(async move { controller.stop(Duration::from_secs(50)).await });
    loop {
        let state = tools.controller().state().await?;
        if state.ranks.iter().all(|rank| rank.status == Status::Stopping) {
            break;
        }
        sleep(Duration::from_millis(1)).await;
    }
    assert!(hosts.close().await, "a guard did not end");
    let state = timeout(AT_ONCE, stop).await???;
    let ended: Vec<_> = state.ranks.iter().map(|rank| rank.status.to_string()).collect();
    assert_eq!(ended, ["stopped", "stopped"]);
    let next = timeout(AT_ONCE, tools.next()).await?;
    assert!(matches!(next, Some(OwnerNews::Finished(_))), "nobody has failed: {next:?}");
    drop((call, procs));
    Ok(())
}

/// An actor that is not registered.
struct Unknown;

impl Actor for Unknown {
    const NAME: &'static str = "unknown";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

/// RS1
pub(crate) async fn a_process_that_is_started_again_gets_its_actor_again(
    root: Arc<Root>,
) -> Outcome {
    let (backoff_min, backoff_max) = (Duration::from_millis(10), Duration::from_millis(50));
    let restart = RestartConfig { backoff_min, backoff_max, ..RestartConfig::on_failure(9) };
    let mut world = World::restarting(&root, "procs=3", restart).await?;
    let before = all_answer(&root, &world.tools).await?;
    all(&world.tools.call(&*root, Add(1)).await)?;
    world.signal(1, Signal::KILL).await?;
    assert_eq!(next_failures(&mut world.tools).await?.len(), 1);
    let after = all_answer(&root, &world.tools).await?;
    assert_eq!((before[0], before[2]), (after[0], after[2]));
    assert_ne!(before[1], after[1]);
    assert_eq!(all(&world.tools.call(&*root, Add(0)).await)?, [1, 10, 21], "from its parameters");
    world.close().await
}

pub(crate) async fn real_processes_keep_the_contract_of_homes(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, "hosts=1,procs=4").await?;
    let kill = async |rank: Rank| {
        world.signal(rank.index(), Signal::KILL).await.expect("it is there to be killed");
    };
    mesh_testkit::procs_suite(root.actors(), world.procs.procs(), kill, AT_ONCE * 2).await?;
    world.close().await
}

/// C2, H7
pub(crate) async fn a_mesh_that_is_dropped_leaves_its_processes_to_others(
    root: Arc<Root>,
) -> Outcome {
    let world = World::new(&root, "procs=2").await?;
    let others = world.procs.spawn_as(tens("others")).await?;
    let known = others.mesh_ref().clone();
    all_answer(&root, &known).await?;
    drop(others);
    let until = Instant::now() + AT_ONCE;
    while known.call(&*root, Pid).within(AT_ONCE).await.iter().any(Result::is_ok) {
        assert!(Instant::now() < until, "they go on without their owner");
    }
    assert_eq!(all(&world.tools.call(&*root, Add(0)).await)?, [0, 10]);
    world.close().await
}

/// C2, N1, R1, ST3: at once, and with the reason: nobody waits for a lease to run out.
pub(crate) async fn processes_that_are_dropped_are_told_with_their_actors(
    root: Arc<Root>,
) -> Outcome {
    let World { mut tools, procs, hosts } = World::new(&root, "procs=4").await?;
    let call = tokio::spawn(tools.call(&*root, Hang).within(Duration::from_secs(50)));
    sleep(Duration::from_millis(100)).await;
    let dropped = Instant::now();
    drop(procs);
    let why = "of proc mesh procs: what it ran on was closed by its owner";
    let mut failed = Vec::new();
    while failed.len() < 4 {
        let more = next_failures(&mut tools).await?;
        assert!(more.iter().all(|(_, text)| text.contains(why)), "{more:?}");
        failed.extend(more.into_iter().map(|(rank, _)| rank));
    }
    failed.sort_unstable();
    assert_eq!(failed, [0, 1, 2, 3]);
    for answer in call.await?.iter() {
        let Err(RankError::Ended(ended)) = answer else {
            return Err(format!("its process has ended: {answer:?}").into());
        };
        assert!(ended.to_string().contains(why), "{ended}");
    }
    assert!(dropped.elapsed() < AT_ONCE, "{:?}", dropped.elapsed());
    drop(tools);
    if hosts.close().await { Ok(()) } else { Err("a guard did not end".into()) }
}

/// C4, R3
pub(crate) async fn parameters_that_are_too_large_are_refused_with_the_reason(
    root: Arc<Root>,
) -> Outcome {
    let world = World::new(&root, "procs=2").await?;
    drop(world.procs.spawn::<Heavy>("light", vec![7; 512 << 10]).await?);
    let error = world.procs.spawn::<Heavy>("heavy", vec![7; 2 << 20]).await;
    let error = error.expect_err("they are too large").to_string();
    let told = "and a message that goes so to another process may have 1048576";
    assert!(error.contains("it has 2097") && error.contains(told), "{error}");
    all_answer(&root, &world.tools).await?;
    world.close().await
}

/// C1
pub(crate) async fn a_stop_lets_actors_clean_up(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, "procs=2").await?;
    let pids = all_answer(&root, &world.tools).await?;
    let cleaners = world.procs.spawn::<Tool>("cleaners", CLEANS_UP).await?;
    let state = cleaners.stop(Duration::from_secs(5)).await?;
    assert!(state.ranks.iter().all(|rank| rank.status == Status::Stopped), "{state:?}");
    for pid in pids {
        let path = std::env::temp_dir().join(format!("meshwarden-test-{pid}"));
        assert_eq!(std::fs::read_to_string(&path)?, "clean");
        std::fs::remove_file(path)?;
    }
    world.close().await
}
