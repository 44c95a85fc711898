//! successors: meshes on processes whose controller dies, and that another one adopts.

use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorSpec, RankError};
use controller::Config;
use mesh_core::{
    Cause, Change, Epoch, Escalation, EscalationReason, Incarnation, News, OwnerNews, Procs,
    Reason, RestartConfig, RestartPolicy, Status, Strategy, Transport, Withdrawal,
};
use mesh_runtime::LocalTransport;
use mesh_shape::{Rank, RankSet};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    Add, Panic, Tool, World, all, encoding, next_failures, on_failure, soon, tens, world,
};

mod crier;

use crier::Cried;

const KILLED: &str =
    "failed: ended with what it lived in, caused by rank 1 of local mesh homes: signal 9 (SIGKILL)";

/// Longer than any silence is waited for.
const LONG: Duration = Duration::from_secs(60);

async fn cried() -> (World, Arc<Cried>, ActorMesh<Tool>) {
    cried_in(world("procs=3").await).await
}

async fn cried_in(world: World) -> (World, Arc<Cried>, ActorMesh<Tool>) {
    let cried = Arc::new(Cried::new(&world.proc, world.procs.procs()));
    let procs = Arc::clone(&cried) as Arc<dyn Procs>;
    let tools = soon(ActorMesh::spawn(&world.proc, &procs, tens("tools"))).await;
    (world, cried, tools.expect("they start"))
}

async fn subscribed(cried: &Cried, number: usize) {
    soon(async {
        while cried.n_subscribed() < number {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn is_quiet(tools: &mut ActorMesh<Tool>, lasting: Duration) {
    let news = timeout(lasting, tools.next()).await;
    assert!(news.is_err(), "{news:?}");
}

/// K3, N1, N9, H7: who lives on processes that another controller adopts is told by that one what has ended meanwhile,
/// and of nobody else.
#[tokio::test(start_paused = true)]
async fn a_mesh_follows_the_next_controller_of_its_processes() {
    let (world, cried, mut tools) = cried().await;
    cried.die();
    sleep(Duration::from_millis(500)).await;
    world.procs.crash(Rank::new(1));
    sleep(Duration::from_secs(1)).await;
    cried.succeed(Epoch::FIRST.next());
    assert_eq!(next_failures(&mut tools).await, [(1, KILLED.to_owned())]);
    is_quiet(&mut tools, LONG).await;
    let others = tools.slice("procs", ..1).expect("there is one");
    assert_eq!(all(&soon(others.call(&world.proc, Add(1))).await), [1]);
    let state = soon(tools.mesh_ref().state(&world.proc)).await.expect("it is answered");
    assert_eq!(state.ranks.get(Rank::new(2)).map(|it| it.status.clone()), Some(Status::Running));
}

/// H4, ST3: nobody says any more what becomes of the processes; that is silence, and no evidence of an end.
#[tokio::test(start_paused = true)]
async fn a_mesh_whose_processes_nobody_watches_times_out() {
    let (world, cried, mut tools) = cried().await;
    let silent = Instant::now();
    cried.die();
    let failures = next_failures(&mut tools).await;
    assert_eq!(failures.len(), 3, "all, together: {failures:?}");
    assert!(failures.iter().all(|(_, told)| told.contains("timed out")), "{failures:?}");
    let lease = Config::local().times.lease;
    assert!(silent.elapsed() > lease, "not before its time: {:?}", silent.elapsed());
    let answers = tools.call(&world.proc, Add(1)).await;
    assert!(answers.iter().all(|it| matches!(it, Err(RankError::Ended(_)))), "{answers:?}");
}

/// K3, N9, O2: a controller of processes may come within their lease, however long that is; who lives there is given up no
/// sooner than they are.
#[tokio::test(start_paused = true)]
async fn a_mesh_has_the_lease_of_its_processes() {
    let world = encoding("procs=3", Config::lan()).await;
    let (world, cried, mut tools) = cried_in(world).await;
    let lease = Config::lan().times.lease;
    assert_eq!(cried.lease(), lease);
    cried.die();
    sleep(lease - Duration::from_secs(1)).await;
    cried.succeed(Epoch::FIRST.next());
    is_quiet(&mut tools, LONG).await;
    assert_eq!(all(&soon(tools.call(&world.proc, Add(1))).await), [1, 11, 21]);
}

/// R1, H4, K3: whoever comes to know a mesh while nobody says what its processes are can reach it all the same.
#[tokio::test(start_paused = true)]
async fn who_comes_while_ranks_are_suspect_reaches_them() {
    let (world, cried, tools) = cried().await;
    cried.die();
    soon(async {
        while soon(tools.mesh_ref().state(&world.proc)).await.is_ok_and(|it| {
            it.ranks.get(Rank::new(0)).is_none_or(|it| it.status != Status::Suspect)
        }) {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(all(&soon(tools.call(&world.proc, Add(1))).await), [1, 11, 21]);
    assert!(soon(tools.cast(&world.proc, Add(1))).await.is_empty());
}

/// K3, N9: whoever has adopted processes knows nothing of those that he has not heard of yet.
#[tokio::test(start_paused = true)]
async fn what_a_successor_has_not_found_yet_is_what_it_was() {
    let (world, cried, mut tools) = cried().await;
    let second = Epoch::FIRST.next();
    cried.succeed(second);
    subscribed(&cried, 2).await;
    cried.tell((Rank::new(0), Status::NotExist), second).await;
    sleep(Duration::from_millis(100)).await;
    let state = soon(tools.mesh_ref().state(&world.proc)).await.expect("it is answered");
    assert_eq!(state.ranks.get(Rank::new(0)).map(|it| it.status.clone()), Some(Status::Running));
    is_quiet(&mut tools, LONG).await;
}

/// K3, N9: of two controllers that both speak the higher is believed, also where it was heard first.
#[tokio::test(start_paused = true)]
async fn a_controller_that_was_deposed_is_not_believed() {
    let (_world, cried, mut tools) = cried().await;
    cried.succeed(Epoch::FIRST.next());
    sleep(Duration::from_secs(1)).await;
    let n_subscribed = cried.n_subscribed();
    assert_eq!(n_subscribed, 2);
    cried.succeed(Epoch::FIRST);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cried.n_subscribed(), 3);
    let gone = Status::Timeout { after: Duration::from_secs(6), cause: None };
    cried.tell((Rank::new(0), gone), Epoch::FIRST).await;
    is_quiet(&mut tools, Duration::from_secs(1)).await;
}

/// K3, N9: whoever adopts processes while a mesh is spawned on them is heard as one who comes later is.
#[tokio::test(start_paused = true)]
async fn a_successor_that_comes_while_a_mesh_subscribes_is_followed() {
    let world = world("procs=3").await;
    let cried = Arc::new(Cried::new(&world.proc, world.procs.procs()));
    cried.succeed_at_once(Epoch::FIRST.next());
    let procs = Arc::clone(&cried) as Arc<dyn Procs>;
    let spawned = soon(ActorMesh::spawn(&world.proc, &procs, tens("tools"))).await;
    let mut tools = spawned.expect("they start");
    subscribed(&cried, 2).await;
    is_quiet(&mut tools, LONG).await;
}

/// N1, R1, C1, K3: a successor that gives up a process without having heard of it says that of its first life; it has
/// ended in whichever it was.
#[tokio::test(start_paused = true)]
async fn whom_a_successor_gives_up_unheard_has_ended_in_its_second_life_too() {
    let board = LocalTransport::default();
    let transports = move || Arc::new(board.another()) as Arc<dyn Transport>;
    let config = Config { restart: on_failure(), ..Config::local() };
    let world = World::with("procs=3", config, transports).await;
    let cried = Arc::new(Cried::new(&world.proc, world.procs.procs()));
    let procs = Arc::clone(&cried) as Arc<dyn Procs>;
    world.procs.crash(Rank::new(1));
    let is_first = || procs.seat(Rank::new(1)).is_none_or(|it| it.peer.life == Incarnation::FIRST);
    soon(async {
        while is_first() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let spawned = soon(ActorMesh::spawn(&world.proc, &procs, tens("tools"))).await;
    let mut tools = spawned.expect("they start");
    let second = Epoch::FIRST.next();
    cried.succeed_unaware(second);
    subscribed(&cried, 2).await;
    let gone = Status::Timeout { after: Duration::from_secs(6), cause: None };
    cried.tell((Rank::new(1), gone), second).await;
    let failed = next_failures(&mut tools).await;
    assert!(matches!(failed[..], [(1, _)]), "{failed:?}");
}

/// RS1, RS2: processes that are started again all together come back also where one of them had ended well, and then
/// actors can be started there again with the others.
#[tokio::test(start_paused = true)]
async fn where_a_process_has_ended_well_and_come_back_there_is_a_place_for_a_round() {
    let world = world("procs=2").await;
    let cried = Arc::new(Cried::new(&world.proc, world.procs.procs()));
    let procs = Arc::clone(&cried) as Arc<dyn Procs>;
    let restart = RestartConfig { strategy: Strategy::OneForAll, ..on_failure() };
    let spawned = soon(ActorMesh::spawn(&world.proc, &procs, tens("tools").restart(restart))).await;
    let mut tools = spawned.expect("they start");
    cried.tell((Rank::new(1), Status::Stopped), Epoch::FIRST).await;
    sleep(Duration::from_secs(1)).await;
    let back = Change {
        ranks: RankSet::from_iter([Rank::new(1)]),
        incarnation: Incarnation::FIRST.next(),
        status: Status::Running,
        restart_in: None,
        age: Duration::ZERO,
    };
    cried.say(News::Changed([back].into()), Epoch::FIRST).await;
    sleep(Duration::from_secs(1)).await;
    _ = soon(tools.slice("procs", ..1).expect("there is one").call(&world.proc, Panic(0))).await;
    let Some(OwnerNews::Failed(failures)) = soon(tools.next()).await else { panic!("one failed") };
    assert_eq!(failures.escalation, None, "there is a place for each");
    let told: Vec<_> =
        failures.each().map(|(rank, change)| (rank.index(), change.restart_in.is_some())).collect();
    assert_eq!(told, [(0, true)]);
}

/// RS1: a process that had ended well begins again with one that has failed, and so there is a place for a round of the
/// actors before that failure is one of theirs.
#[tokio::test(start_paused = true)]
async fn where_a_process_that_had_ended_is_to_begin_again_there_is_a_place_for_a_round() {
    for is_recalled in [true, false] {
        let world = world("procs=2").await;
        let cried = Arc::new(Cried::new(&world.proc, world.procs.procs()));
        let procs = Arc::clone(&cried) as Arc<dyn Procs>;
        let restart = RestartConfig { strategy: Strategy::OneForAll, ..on_failure() };
        let spec = tens("tools").restart(restart);
        let spawned = soon(ActorMesh::spawn(&world.proc, &procs, spec)).await;
        let mut tools = spawned.expect("they start");
        cried.tell((Rank::new(1), Status::Stopped), Epoch::FIRST).await;
        sleep(Duration::from_secs(1)).await;
        if is_recalled {
            let ranks = RankSet::from_iter([Rank::new(1)]);
            let news = News::Recalled { ranks, restart_in: Duration::from_secs(1) };
            cried.say(news, Epoch::FIRST).await;
        }
        let killed = Change {
            ranks: RankSet::from_iter([Rank::new(0)]),
            incarnation: Incarnation::FIRST,
            status: Status::failed(Cause::new(Reason::Exit { code: 1 })),
            restart_in: Some(Duration::from_secs(1)),
            age: Duration::ZERO,
        };
        cried.say(News::Changed([killed].into()), Epoch::FIRST).await;
        let news = soon(tools.next()).await;
        let Some(OwnerNews::Failed(failures)) = news else { panic!("one failed") };
        assert_eq!(failures.escalation.is_none(), is_recalled, "{failures}");
    }
}

/// RS1, RS2, RS3: a process that has ended well, and was to begin again, does not any more where restarts cannot mend the
/// mesh, or where that is asked to end, or where it has nowhere to begin; who waits to live there has ended then.
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_process_that_was_to_begin_again_ends_when_it_will_not() {
    let escalation = Escalation {
        reason: EscalationReason::CannotStart,
        failed: RankSet::from_iter([Rank::new(0)]),
        starting: RankSet::new(),
        max_restarts: 3,
        period: None,
    };
    let of_others =
        Escalation { starting: RankSet::from_iter([Rank::new(1)]), ..escalation.clone() };
    let withdrawal = Withdrawal {
        ranks: RankSet::from_iter([Rank::new(1)]),
        incarnation: Incarnation::FIRST,
        why: Status::failed(Cause::new(Reason::Closed)),
    };
    let withdrawn = News::Withdrawn([withdrawal].into());
    for news in [News::Escalated(escalation), News::Stopping { reason: None }, withdrawn] {
        let world = world("procs=2").await;
        let cried = Arc::new(Cried::new(&world.proc, world.procs.procs()));
        let procs = Arc::clone(&cried) as Arc<dyn Procs>;
        let restart = RestartConfig { policy: RestartPolicy::Permanent, ..on_failure() };
        let spawned =
            soon(ActorMesh::spawn(&world.proc, &procs, tens("tools").restart(restart))).await;
        let tools = spawned.expect("they start");
        let is_second = async || {
            let state = soon(tools.mesh_ref().state(&world.proc)).await.expect("it is answered");
            state.ranks.get(Rank::new(1)).map(|rank| rank.status.clone())
        };
        let to_begin_again = Change {
            ranks: RankSet::from_iter([Rank::new(1)]),
            incarnation: Incarnation::FIRST,
            status: Status::Stopped,
            restart_in: Some(LONG),
            age: Duration::ZERO,
        };
        cried.say(News::Changed([to_begin_again].into()), Epoch::FIRST).await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(is_second().await, Some(Status::Initializing), "it waits for its process");
        cried.say(News::Escalated(of_others.clone()), Epoch::FIRST).await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(is_second().await, Some(Status::Initializing), "what was promised is kept");
        cried.say(news, Epoch::FIRST).await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(is_second().await, Some(Status::Stopped), "as its process");
    }
}

/// C4: where the process of a rank has ended well before there was an actor no actor is spawned: it is no rank that has run,
/// and stopped. Where it begins again that is waited for.
#[tokio::test(start_paused = true)]
async fn where_a_process_has_stopped_no_mesh_is_spawned() {
    for policy in [RestartPolicy::Temporary, RestartPolicy::Transient, RestartPolicy::Permanent] {
        let world = world("procs=2").await;
        let cried = Arc::new(Cried::new(&world.proc, world.procs.procs()));
        let procs = Arc::clone(&cried) as Arc<dyn Procs>;
        // That of rank 1 never begins.
        let spec = ActorSpec::<Tool>::per_rank("tools", |point| point.rank().index() as u64 * 14);
        let spec = spec.restart(RestartConfig { policy, ..on_failure() });
        let spawn = ActorMesh::spawn(&world.proc, &procs, spec);
        let stopped = async {
            subscribed(&cried, 1).await;
            sleep(Duration::from_secs(1)).await;
            cried.tell((Rank::new(1), Status::Stopped), Epoch::FIRST).await;
        };
        let (spawned, ()) = soon(async { tokio::join!(spawn, stopped) }).await;
        let refused = spawned.expect_err("its process has stopped").to_string();
        let why = "not every rank could be created, the others were stopped: 1 rank: 1: failed: error: rank 1 of local \
                   mesh homes, its process, has stopped, and it was not there yet";
        assert_eq!(refused, why, "{policy:?}");
    }
}

/// K3, N9: that all have ended is not believed of a controller that was deposed, and the next one is followed.
#[tokio::test(start_paused = true)]
async fn a_deposed_controller_does_not_end_the_hearing() {
    let (_world, cried, _tools) = cried().await;
    let second = Epoch::FIRST.next();
    cried.succeed(second);
    subscribed(&cried, 2).await;
    cried.succeed(Epoch::FIRST);
    subscribed(&cried, 3).await;
    sleep(Duration::from_millis(100)).await;
    cried.say(News::Closed, Epoch::FIRST).await;
    sleep(Duration::from_millis(100)).await;
    cried.succeed(second.next());
    subscribed(&cried, 4).await;
}
