//! life: restarts, and nothing that outlives its owner.

use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorSpec, RankError, SpawnError};
use controller::{Config, RestartConfig};
use mesh_core::{
    ActorId, Incarnation, Interest, News, OwnerNews, PortRef, Status, Strategy, Transport,
    WhyUndelivered,
};
use mesh_runtime::{CallError, LocalTransport, Port};
use mesh_shape::Rank;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::time::{Instant, timeout};

use crate::support::{
    Add, Began, Hang, HangKnown, Panic, SOON, Tool, Where, World, all, begun, known, next_failures,
    on_failure, soon, tens, world,
};

/// RS1: the owner is told once, and the rank is there again, from its parameters.
#[tokio::test]
async fn a_rank_that_fails_is_started_again_and_found_by_the_same_ref() {
    let world = world("procs=3").await;
    let mut tools = world.spawn(tens("tools").restart(on_failure())).await;
    let known = tools.mesh_ref().clone();
    assert_eq!(all(&soon(known.call(&world.proc, Add(1))).await), [1, 11, 21]);
    soon(tools.call(&world.proc, Panic(11))).await;
    assert_eq!(next_failures(&mut tools).await.len(), 1);
    let again =
        until(async || soon(known.call(&world.proc, Add(0))).await.iter().all(Result::is_ok));
    soon(again).await;
    assert_eq!(all(&soon(known.call(&world.proc, Add(0))).await), [1, 10, 21]);
}

/// RS1, ST3: actors start again in the next life of their process.
#[tokio::test]
async fn a_process_that_is_started_again_gets_its_actors_again() {
    let board = LocalTransport::default();
    let config = Config { restart: on_failure(), ..Config::local() };
    let transports = move || Arc::new(board.another()) as Arc<dyn Transport>;
    let world = World::with("procs=3", config, transports).await;

    let mut tools = world.spawn(tens("tools").restart(on_failure())).await;
    assert_eq!(all(&soon(tools.call(&world.proc, Add(1))).await), [1, 11, 21]);
    world.procs.crash(Rank::new(1));
    let failures = next_failures(&mut tools).await;
    assert_eq!(failures.len(), 1);
    assert!(failures[0].1.contains("signal 9"), "{failures:?}");
    let again =
        until(async || soon(tools.call(&world.proc, Add(0))).await.iter().all(Result::is_ok));
    soon(again).await;
    assert_eq!(all(&soon(tools.call(&world.proc, Add(0))).await), [1, 10, 21]);
}

/// RS1, RS2, ST3: actors begin again with their process also where that was only stopped, since all processes begin together
/// after one has failed; and again where another one fails while some of them still wait for theirs.
#[tokio::test]
async fn actors_begin_again_with_processes_that_begin_together() {
    for of_actors in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let board = LocalTransport::default();
        let together = RestartConfig { strategy: Strategy::OneForAll, ..on_failure() };
        let config = Config { restart: together, ..Config::local() };
        let transports = move || Arc::new(board.another()) as Arc<dyn Transport>;
        let world = World::with("procs=4", config, transports).await;
        let spec = tens("tools").restart(RestartConfig { strategy: of_actors, ..on_failure() });
        let tools = world.spawn(spec).await;
        let answers = async || soon(tools.call(&world.proc, Add(1))).await;
        let all_answer = async || answers().await.iter().all(Result::is_ok);
        for rank in [1, 3, 0, 2] {
            world.procs.crash(Rank::new(rank));
            let begins = async || answers().await.iter().any(Result::is_err);
            soon(until(begins)).await;
            if rank == 3 {
                // In the middle of it.
                world.procs.crash(Rank::new(0));
            }
            soon(until(all_answer)).await;
        }
    }
}

/// RS3: a process that was told to start again does so, also if another one that fails meanwhile does not;
/// and its actors wait for it.
#[tokio::test]
async fn an_escalation_leaves_the_actors_of_a_process_that_starts_again() {
    let board = LocalTransport::default();
    let second = Duration::from_secs(1);
    let restart =
        RestartConfig { backoff_min: second, backoff_max: second, ..RestartConfig::on_failure(1) };
    let transports = move || Arc::new(board.another()) as Arc<dyn Transport>;
    let world = World::with("procs=3", Config { restart, ..Config::local() }, transports).await;
    let mut tools = world.spawn(tens("tools").restart(on_failure())).await;
    for rank in [1, 2] {
        world.procs.crash(Rank::new(rank));
        assert_eq!(next_failures(&mut tools).await[0].0, rank);
    }
    let is_back = |answer: Option<&Result<u64, RankError>>| matches!(answer, Some(Ok(10)));
    soon(until(async || is_back(soon(tools.call(&world.proc, Add(0))).await.get(Rank::new(1)))))
        .await;
}

/// RS1, RS3, H7: where a process has ended for good nothing is started, so that others may be.
#[tokio::test]
async fn a_process_that_has_ended_for_good_takes_no_restart_from_the_others() {
    let world = world("procs=3").await;
    let mut tools = world.spawn(tens("tools").restart(RestartConfig::on_failure(1))).await;
    world.procs.crash(Rank::new(2));
    assert_eq!(next_restarts(&mut tools).await, [(2, false)]);
    _ = soon(tools.call(&world.proc, Panic(10))).await;
    assert_eq!(next_restarts(&mut tools).await, [(1, true)]);
}

/// The failed ranks that the owner is told next, and whether each is started again.
async fn next_restarts(mesh: &mut ActorMesh<Tool>) -> Vec<(usize, bool)> {
    let Some(OwnerNews::Failed(failures)) = soon(mesh.next()).await else {
        panic!("there is a failure to be told")
    };
    assert_eq!(failures.escalation, None);
    failures.each().map(|(rank, change)| (rank.index(), change.restart_in.is_some())).collect()
}

/// Nothing is sent to a process that has ended: it would come back to nobody, and be counted as undelivered.
#[test]
fn a_mesh_that_is_dropped_says_nothing_to_a_process_that_has_ended() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime needs nothing").block_on(async {
            let world = world("procs=2").await;
            let mut tools = world.spawn(tens("tools")).await;
            world.procs.crash(Rank::new(1));
            assert_eq!(next_failures(&mut tools).await.len(), 1);
            drop(tools);
            assert!(soon(world.proc.stop(SOON)).await.is_ok());
        });
    });
    let undelivered =
        snapshotter.snapshot().into_vec().into_iter().filter_map(|(key, .., value)| {
            let is_it = key.key().name() == "meshwarden_undelivered_messages_total";
            is_it.then_some(value)
        });
    let undelivered: Vec<_> = undelivered.filter(|it| *it != DebugValue::Counter(0)).collect();
    assert_eq!(undelivered, []);
}

/// RS1: without a rule to restart it, a rank stays failed when its process comes back.
#[tokio::test(start_paused = true)]
async fn a_rank_that_is_not_to_be_restarted_stays_failed() {
    let board = LocalTransport::default();
    let config = Config { restart: on_failure(), ..Config::local() };
    let transports = move || Arc::new(board.another()) as Arc<dyn Transport>;
    let world = World::with("procs=2", config, transports).await;
    let mut tools = world.tools().await;
    let life_of_second = || {
        let seat = world.procs.procs().seat(Rank::new(1));
        seat.map(|seat| seat.peer.life)
    };
    assert_eq!(life_of_second(), Some(Incarnation::FIRST));
    world.procs.crash(Rank::new(1));
    assert_eq!(next_failures(&mut tools).await.len(), 1);
    soon(until(async || life_of_second() == Some(Incarnation::FIRST.next()))).await;
    // Whoever was to be created there again would be by then.
    tokio::time::sleep(SOON).await;
    assert_eq!(known(&world, &tools).await, [], "the agent of its second life was asked for none");
    let answers = soon(tools.call(&world.proc, Add(1))).await;
    assert_eq!(answers.get(Rank::new(0)), Some(&Ok(1)));
    assert!(matches!(answers.get(Rank::new(1)), Some(Err(RankError::Ended(_)))), "{answers:?}");
}

/// C2
#[tokio::test(start_paused = true)]
async fn a_mesh_ends_with_its_owner() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let mut events = tools.subscribe(Interest::All).await.expect("it is taken");
    let actors = all(&soon(tools.call(&world.proc, Where)).await);
    drop(tools);
    soon(async { while events.next().await.is_some() {} }).await;
    // The controller is gone, and so are the actors: told, and before an agent finds out by itself.
    let all_gone = async {
        for actor in actors {
            until(async || is_gone(&world, actor).await).await;
        }
    };
    timeout(Duration::from_secs(1), all_gone).await.expect("they end with their owner");
    assert_eq!(world.proc.n_roots(), 1, "what is left is the desk of the processes");
}

/// C2, N1, N2, ST2, ST3, R1: processes whose owner lets go of them end, and who lived there is told why: at once, and once.
#[tokio::test(start_paused = true)]
async fn a_mesh_whose_processes_are_dropped_is_told_why_it_ends() {
    let World { proc, procs } = world("procs=2").await;
    let homes = procs.procs();
    let mut tools = soon(ActorMesh::spawn(&proc, &homes, tens("tools"))).await.expect("they start");
    let mut events = tools.subscribe(Interest::Terminal).await.expect("it is taken");
    let mut port = proc.open_port::<Began>(2);
    let call = tokio::spawn(tools.call(&proc, HangKnown(port.port())));
    begun(&mut port, 2).await;
    let dropped = Instant::now();
    drop(procs);

    let mut failed = Vec::new();
    let mut next = soon(tools.next()).await;
    while let Some(OwnerNews::Failed(failures)) = next {
        failed.extend(failures.each().map(|(rank, it)| (rank.index(), it.status.to_string())));
        next = soon(tools.next()).await;
    }
    assert!(matches!(next, Some(OwnerNews::Finished(_))), "{next:?}");
    let told = [0, 1].map(|rank| (rank, format!("{LET_GO_OF} rank {rank} of {WHY}")));
    failed.sort();
    assert_eq!(failed, told);
    assert!(dropped.elapsed() < Duration::from_secs(1), "{:?}", dropped.elapsed());

    let mut ended = Vec::new();
    while let Some(event) = soon(events.next()).await {
        let News::Changed(changes) = event.news else { continue };
        ended.extend(changes.iter().flat_map(|it| it.ranks.iter().collect::<Vec<_>>()));
    }
    ended.sort();
    assert_eq!(ended, [Rank::new(0), Rank::new(1)]);
    let hung = soon(call).await.expect("it is answered");
    assert!(hung.iter().all(|it| matches!(it, Err(RankError::Ended(_)))), "{hung:?}");
    let late = soon(tools.call(&proc, Add(1))).await;
    assert!(late.iter().all(|it| matches!(it, Err(RankError::Ended(_)))), "{late:?}");
    let again = soon(ActorMesh::<Tool>::spawn(&proc, &homes, tens("again"))).await;
    assert!(matches!(again, Err(SpawnError::Procs(_))), "{again:?}");
    drop(tools);
    soon(until(async || proc.n_roots() == 0)).await;
}

const LET_GO_OF: &str = "failed: ended with what it lived in, caused by";
const WHY: &str = "local mesh homes: what it ran on was closed by its owner";

/// RS1, N1, N2, N4, ST2: an actor that waits for its restart as its process ends for good does not begin again. That is told
/// once, with the reason, and no life that there never was is.
#[tokio::test(start_paused = true)]
async fn a_restart_that_is_promised_is_withdrawn_with_the_end_of_the_process() {
    let world = world("procs=1").await;
    let delay = Duration::from_secs(60);
    let restart = RestartConfig { backoff_min: delay, ..RestartConfig::on_failure(9) };
    let restart = RestartConfig { backoff_max: delay, ..restart };
    let mut tools = world.spawn(tens("tools").restart(restart)).await;
    let mut events = tools.subscribe(Interest::All).await.expect("it is taken");
    soon(tools.call(&world.proc, Panic(0))).await;
    let Some(OwnerNews::Failed(panicked)) = soon(tools.next()).await else { panic!("it is told") };
    assert!(panicked.changes[0].restart_in.is_some() && panicked.withdrawn.is_empty());

    world.procs.crash(Rank::new(0));
    let Some(OwnerNews::Failed(failures)) = soon(tools.next()).await else { panic!("it is told") };
    assert_eq!((failures.len(), failures.escalation.as_ref()), (0, None), "nobody failed again");
    let told = failures.each_withdrawn();
    let told: Vec<_> = told.map(|(rank, it)| (rank, it.incarnation, it.why.to_string())).collect();
    let why = format!("{LET_GO_OF} rank 0 of local mesh homes: signal 9 (SIGKILL)");
    assert_eq!(told, [(Rank::new(0), Incarnation::FIRST, why)]);
    assert!(matches!(soon(tools.next()).await, Some(OwnerNews::Finished(_))), "with that");

    let (mut lives, mut n_withdrawn) = (Vec::new(), 0);
    while let Some(event) = soon(events.next()).await {
        match event.news {
            News::Changed(changes) => lives.extend(changes.iter().map(|it| it.incarnation)),
            News::Withdrawn(withdrawn) => n_withdrawn += withdrawn.len(),
            _ => (),
        }
    }
    assert_eq!((n_withdrawn, lives), (1, vec![Incarnation::FIRST]), "its end, and no other");
}

/// ST4, N1: who was asked to end, and is ended with processes that are let go of, has stopped, as a process has.
#[tokio::test(start_paused = true)]
async fn who_was_asked_to_end_has_stopped_with_processes_that_are_dropped() {
    let World { proc, procs } = world("procs=2").await;
    let spawned = soon(ActorMesh::spawn(&proc, &procs.procs(), tens("tools"))).await;
    let mut tools = spawned.expect("they start");
    let mut port = proc.open_port::<Began>(2);
    let call = tokio::spawn(tools.call(&proc, HangKnown(port.port())));
    begun(&mut port, 2).await;
    let controller = tools.controller().clone();
    let stop = tokio::spawn(async move { controller.stop(Duration::from_secs(60)).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(procs);
    let state = soon(stop).await.expect("it ends").expect("it is answered");
    let ended: Vec<_> = state.ranks.iter().map(|rank| rank.status.clone()).collect();
    assert_eq!(ended, [Status::Stopped, Status::Stopped]);
    let next = soon(tools.next()).await;
    assert!(matches!(next, Some(OwnerNews::Finished(_))), "nobody has failed: {next:?}");
    drop(call);
}

/// C1, N4: subscribers are told before any rank is touched, and that it is over.
#[tokio::test]
async fn a_stop_is_told_and_answers_with_every_rank() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let mut events = tools.subscribe(Interest::All).await.expect("it is taken");
    let stop = tools.stop_because("it is done", Duration::from_secs(5));
    let state = soon(stop).await.expect("it is answered");
    assert!(state.ranks.iter().all(|rank| rank.status == Status::Stopped), "{state:?}");
    let mut news = Vec::new();
    while let Some(event) = soon(events.next()).await {
        news.push(event.news);
    }
    let told = News::Stopping { reason: Some("it is done".into()) };
    let stopping = news.iter().position(|news| *news == told);
    let touched = news.iter().position(|news| {
        let News::Changed(changes) = news else { return false };
        changes.iter().any(|change| change.status != Status::Running)
    });
    assert!(stopping < touched && stopping.is_some(), "{news:?}");
    assert_eq!(news.last(), Some(&News::Closed));
}

/// The same parameters for all are encoded once, and reach every rank.
#[tokio::test]
async fn one_set_of_parameters_serves_all() {
    let world = world("procs=3").await;
    let tools = world.spawn(ActorSpec::<Tool>::new("equal", &7)).await;
    assert_eq!(all(&soon(tools.call(&world.proc, Add(0))).await), [7, 7, 7]);
}

/// Whether its process runs and has no such actor.
async fn is_gone(world: &World, actor: ActorId) -> bool {
    let call = PortRef::<Where>::of(actor).call(&world.proc, Where).await;
    let is_none = |why| matches!(why, CallError::Undelivered { why: WhyUndelivered::NoActor, .. });
    call.is_err_and(is_none)
}

/// Asks until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    while !is_so().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// C2: an actor that hangs in a handler is no longer there either, some seconds after its mesh was dropped.
#[tokio::test(start_paused = true)]
async fn what_hangs_ends_too_when_its_mesh_is_dropped() {
    let world = world("procs=1").await;
    let tools = world.tools().await;
    let actor = all(&tools.call(&world.proc, Where).await)[0];
    assert!(tools.cast(&world.proc, Hang).await.is_empty());
    drop(tools);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(is_gone(&world, actor).await, "it is left over");
}
