//! failures: what the caller, the owner and the others are told.

use std::time::{Duration, Instant};

use actor_mesh::{ActorMesh, ActorSpec, RankError, SpawnError};
use controller::RestartConfig;
use mesh_core::{OwnerNews, Reason, Status};
use mesh_shape::{Rank, RankSet};

use crate::support::{
    Add, Began, HangKnown, Panic, Tool, all, begun, next_failures, on_failure, soon, tens, world,
};

/// R1, D1, N1: the entry of the rank is its failure, with its cause; the owner is told once.
#[tokio::test]
async fn a_panic_is_the_answer_of_its_rank_and_told_to_the_owner() {
    let world = world("procs=3").await;
    let mut tools = world.tools().await;
    let asked = Instant::now();
    let answers = soon(tools.call(&world.proc, Panic(10))).await;
    assert!(asked.elapsed() < Duration::from_secs(5), "it is not left to the deadline");
    assert_eq!(answers.get(Rank::new(0)), Some(&Ok(())));
    let Some(Err(RankError::Ended(ended))) = answers.get(Rank::new(1)) else {
        panic!("it has failed: {answers:?}")
    };
    assert!(ended.to_string().contains("this is the number"), "{ended}");
    assert!(ended.to_string().contains("support.rs:"), "with its place: {ended}");
    let failures = next_failures(&mut tools).await;
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, 1);
    assert!(failures[0].1.contains("this is the number"), "{failures:?}");

    // H7: the others go on.
    let answers = soon(tools.call(&world.proc, Add(1))).await;
    assert_eq!(answers.get(Rank::new(2)), Some(&Ok(21)));
    assert!(matches!(answers.get(Rank::new(1)), Some(Err(RankError::Ended(_)))));

    soon(tools.stop(Duration::from_secs(5))).await.expect("it is answered");
    assert!(matches!(soon(tools.next()).await, Some(OwnerNews::Finished(_))), "told once");
}

/// R1, ST3: a call that is pending at a rank whose process dies ends with that death.
#[tokio::test]
async fn a_call_pending_at_a_process_that_dies_ends_with_its_failure() {
    let world = world("procs=3").await;
    let mut tools = world.tools().await;
    let mut port = world.proc.open_port::<Began>(3);
    let call = tools.call(&world.proc, HangKnown(port.port())).within(Duration::from_secs(60));
    let call = tokio::spawn(call);
    begun(&mut port, 3).await;
    world.procs.crash(Rank::new(2));
    let failures = next_failures(&mut tools).await;
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, 2);
    assert!(
        failures[0].1.contains("caused by rank 2 of local mesh homes: signal 9"),
        "the chain down to the root cause: {failures:?}"
    );
    // The others hang for as long as they were given; those that are killed are told.
    world.procs.crash(Rank::new(0));
    world.procs.crash(Rank::new(1));
    let answers = soon(call).await.expect("it does not panic");
    for answer in answers.iter() {
        let Err(RankError::Ended(ended)) = answer else { panic!("they failed: {answers:?}") };
        assert!(ended.to_string().contains("signal 9"), "{ended}");
    }
}

/// C4: nothing is left of a mesh of which one rank cannot be created.
#[tokio::test]
async fn a_spawn_that_fails_on_one_rank_rolls_back_the_others() {
    let world = world("procs=3").await;
    let spec = ActorSpec::<Tool>::per_rank("bad", |point| 12 + point.rank().index() as u64);
    let spec = spec.ready_within(Duration::from_secs(10));
    let error = soon(ActorMesh::spawn(&world.proc, &world.procs.procs(), spec)).await;
    let Err(SpawnError::Ranks { failures }) = error else { panic!("one fails: {error:?}") };
    let failed: Vec<_> = failures.iter().flat_map(|it| it.each()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, Rank::new(1));
    assert!(failed[0].1.status.to_string().contains("13 is not a good number"));

    // C3: the processes are as good as before.
    let tools = world.spawn(tens("good")).await;
    assert_eq!(all(&soon(tools.call(&world.proc, Add(0))).await), [0, 10, 20]);
}

/// ST2: the panic of what makes the parameters of a rank is told as any other: where it was, and no more of its words than
/// fit an event of the mesh.
#[tokio::test]
async fn a_panic_that_makes_parameters_is_told_with_its_place_and_few_words() {
    let world = world("procs=2").await;
    let spec = ActorSpec::<Tool>::per_rank("loud", |point| match point.rank().index() {
        1 => panic!("{}", "no ".repeat(1 << 20)),
        number => number as u64,
    });
    let error = soon(ActorMesh::spawn(&world.proc, &world.procs.procs(), spec)).await;
    let Err(SpawnError::Ranks { failures }) = error else { panic!("one fails: {error:?}") };
    let (rank, change) = failures[0].each().next().expect("one has failed");
    let Status::Failed(cause) = &change.status else { panic!("{}", change.status) };
    let Reason::Panic { message, location: Some(place) } = &cause.reason else { panic!("{cause}") };
    assert_eq!(rank, Rank::new(1));
    assert!(message.starts_with("making its parameters: no no no "), "{message}");
    assert!(message.len() < 2 * Reason::WORDS_MAX, "{}", message.len());
    assert!(place.contains("failures.rs:"), "{place}");
}

#[tokio::test]
async fn a_rank_that_is_not_created_in_time_is_named() {
    let world = world("procs=2").await;
    let spec = ActorSpec::<Tool>::per_rank("slow", |point| 13 * (point.rank().index() as u64) + 1);
    let spec = spec.ready_within(Duration::from_millis(300));
    let error = soon(ActorMesh::spawn(&world.proc, &world.procs.procs(), spec)).await;
    let Err(SpawnError::NotReady { missing, .. }) = error else { panic!("it waits: {error:?}") };
    assert_eq!(missing.to_string(), "1");
}

/// C4, RS3: one that fails more often than it may be started again is named, with what it failed of.
#[tokio::test]
async fn a_spawn_that_is_given_up_after_restarts_names_its_ranks() {
    let world = world("procs=3").await;
    let at_once = Duration::from_millis(1);
    let restart = RestartConfig {
        max_restarts: 2,
        backoff_min: at_once,
        backoff_max: at_once,
        ..on_failure()
    };
    let spec = ActorSpec::<Tool>::per_rank("bad", |point| 12 + point.rank().index() as u64 % 2);
    let error =
        soon(ActorMesh::spawn(&world.proc, &world.procs.procs(), spec.restart(restart))).await;
    let Err(SpawnError::Ranks { failures }) = error else { panic!("{error:?}") };
    let failed: Vec<_> = failures.iter().flat_map(|it| it.each()).collect();
    assert!(failed.iter().all(|(rank, _)| *rank == Rank::new(1)), "{failed:?}");
    let last = failed.last().expect("it is said why");
    assert!(last.1.status.to_string().contains("13 is not a good number"));
    assert_eq!(last.1.restart_in, None);
}

/// C4: a rank that is started again and again is not given up before the time is over; then it is said why.
#[tokio::test]
async fn what_failed_is_told_with_those_that_were_not_created_in_time() {
    let world = world("procs=3").await;
    let later = Duration::from_secs(60);
    let restart = RestartConfig { backoff_min: later, backoff_max: later, ..on_failure() };
    // One begins, one fails, and one does neither.
    let spec = ActorSpec::<Tool>::per_rank("slow", |point| 12 + point.rank().index() as u64);
    let spec = spec.restart(restart).ready_within(Duration::from_millis(300));
    let error = soon(ActorMesh::spawn(&world.proc, &world.procs.procs(), spec)).await;
    let error = error.expect_err("two are missing");
    assert!(error.to_string().contains("13 is not a good number"), "{error}");
    let SpawnError::NotReady { missing, failures, .. } = error else { panic!("{error:?}") };
    assert_eq!(missing, RankSet::from_ranks([Rank::new(1), Rank::new(2)]));
    assert_eq!(failures.iter().flat_map(|it| it.each()).next().map(|it| it.0), Some(Rank::new(1)));
}

#[tokio::test]
async fn an_actor_that_nobody_has_registered_is_named_with_the_known_ones() {
    struct Stranger;

    impl mesh_runtime::Actor for Stranger {
        const NAME: &'static str = "stranger";
        type Params = ();

        async fn start(
            (): (),
            _: &mut mesh_runtime::Context<Self>,
        ) -> Result<Self, mesh_runtime::Failure> {
            Ok(Self)
        }
    }

    let world = world("procs=2").await;
    let spec = ActorSpec::<Stranger>::new("strangers", &());
    let error = soon(ActorMesh::spawn(&world.proc, &world.procs.procs(), spec)).await;
    let error = error.expect_err("nobody knows it").to_string();
    assert!(error.contains("no actor is registered here as \"stranger\""), "{error}");
    assert!(error.contains("there are: tool"), "{error}");
}

/// H7, N2: a mesh that fails leaves another one on the same processes alone.
#[tokio::test]
async fn meshes_on_the_same_processes_do_not_feel_each_other() {
    let world = world("procs=2").await;
    let first = world.spawn(tens("first")).await;
    let mut second = world.spawn(tens("second")).await;
    soon(second.call(&world.proc, Panic(10))).await;
    assert_eq!(next_failures(&mut second).await.len(), 1);
    drop(second);
    assert_eq!(all(&soon(first.call(&world.proc, Add(1))).await), [1, 11]);
    let state = soon(first.controller().state()).await.expect("it is answered");
    assert!(state.ranks.iter().all(|rank| rank.status == Status::Running));
}
