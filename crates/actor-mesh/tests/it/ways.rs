//! ways: sessions that cannot be opened, are lost, and come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actor_mesh::{
    ActorMesh, ActorMeshRef, ActorSpec, LocalProcs, LocalSpec, NoController, RankError, SpawnError,
};
use async_trait::async_trait;
use controller::Config;
use mesh_core::{Addr, DialError, Lane, PeerId, PortRef, Status, Transport, WhyUndelivered};
use mesh_runtime::{CallError, LocalTransport, Network, Port, Proc, codec};
use mesh_shape::Rank;
use mesh_testkit::{Gate, Gated};
use tokio::time::Instant;

use crate::support::{
    Add, AskOthers, Tool, Where, World, all, next_failures, on_failure, registry, soon, tens, world,
};

/// A world whose sessions can be cut.
async fn cuttable(extent: &str, config: Config) -> (World, Arc<LocalTransport>) {
    let board = Arc::new(LocalTransport::default());
    let another = Arc::clone(&board);
    let world =
        World::with(extent, config, move || Arc::new(another.another()) as Arc<dyn Transport>);
    (world.await, board)
}

/// Opens the sessions of the owner with the process of a rank again.
async fn meet_again(world: &World, rank: usize) {
    let seat = world.procs.procs().seat(Rank::new(rank)).expect("it is there");
    let network = Network::of(&world.proc).expect("it has one");
    let doors = seat.doors.expect("it has some");
    network.dial(seat.peer, &doors).await.expect("it listens");
}

fn peer(world: &World, rank: usize) -> PeerId {
    world.procs.procs().seat(Rank::new(rank)).expect("it is there").peer
}

/// C2, H7: an agent that had no way to the keeper has ended the actors of its mesh, and says so as soon as it
/// can: nobody is left to believe that they run.
#[tokio::test(start_paused = true)]
async fn actors_that_ended_for_want_of_their_keeper_are_told_of() {
    let (world, board) = cuttable("procs=3", Config::local()).await;
    let mut tools = world.tools().await;
    board.cut(peer(&world, 1).proc);
    tokio::time::sleep(Duration::from_secs(8)).await;
    meet_again(&world, 1).await;
    let failures = next_failures(&mut tools).await;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].0, 1);
    let answers = soon(tools.call(&world.proc, Add(1))).await;
    assert_eq!(answers.get(Rank::new(2)), Some(&Ok(21)));
    assert!(matches!(answers.get(Rank::new(1)), Some(Err(RankError::Ended(_)))), "{answers:?}");
    // C3
    let again = world.tools().await;
    assert_eq!(all(&soon(again.call(&world.proc, Add(0))).await), [0, 10, 20]);
}

/// N9: a session that was lost for a moment ends nobody.
#[tokio::test(start_paused = true)]
async fn a_way_that_is_lost_for_a_moment_is_no_end() {
    let (world, board) = cuttable("procs=2", Config::local()).await;
    let tools = world.tools().await;
    board.cut(peer(&world, 1).proc);
    tokio::time::sleep(Duration::from_secs(3)).await;
    meet_again(&world, 1).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(all(&soon(tools.call(&world.proc, Add(1))).await), [1, 11]);
    let state = soon(tools.stop(Duration::from_secs(1))).await.expect("it is answered");
    assert!(state.ranks.iter().all(|rank| rank.status == Status::Stopped), "{state:?}");
}

/// C2: an actor does not outlive its mesh that was let go of while there was no way to it: it ends as soon as there is one
/// again, also where nobody has looked meanwhile.
#[tokio::test(start_paused = true)]
async fn a_mesh_that_is_let_go_while_a_process_is_cut_off_ends_there_too() {
    for cut_off in [2_000, 100].map(Duration::from_millis) {
        let (world, board) = cuttable("procs=2", Config::local()).await;
        let (tools, others) = (world.tools().await, world.tools().await);
        let before = all(&soon(tools.call(&world.proc, Where)).await);
        board.cut(peer(&world, 1).proc);
        drop(tools);
        tokio::time::sleep(cut_off).await;
        meet_again(&world, 1).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        for actor in before {
            let call = PortRef::<Where>::of(actor).call(&world.proc, Where).await;
            let why = WhyUndelivered::NoActor;
            assert!(
                matches!(&call, Err(CallError::Undelivered { why: it, .. }) if *it == why),
                "after {cut_off:?}: {call:?}"
            );
        }
        assert_eq!(all(&soon(others.call(&world.proc, Add(0))).await), [0, 10], "H7");
    }
}

/// A ref in another process finds its way again.
#[tokio::test(start_paused = true)]
async fn a_session_between_ranks_that_was_lost_is_opened_again() {
    let (world, board) = cuttable("procs=2", Config::local()).await;
    let (askers, others) = (world.spawn(tens("askers")).await, world.spawn(tens("others")).await);
    // Moved, the ref is used there with what is known of the mesh.
    let asker = PortRef::<AskOthers>::of(all(&soon(askers.call(&world.proc, Where)).await)[0]);
    let ask = |n| asker.call(&world.proc, AskOthers(others.mesh_ref().clone(), n));
    assert_eq!(soon(ask(1)).await, Ok(vec![Some(1), Some(11)]));
    board.cut(peer(&world, 1).proc);
    meet_again(&world, 1).await;
    assert_eq!(soon(ask(1)).await, Ok(vec![Some(2), Some(12)]));
}

/// H7: a process that nobody can open a session with holds up nobody else.
#[tokio::test(start_paused = true)]
async fn a_process_that_takes_no_session_holds_nobody_up() {
    let board = LocalTransport::default();
    let n_made = AtomicUsize::new(0);
    let transports = move || {
        let (inner, number) = (board.another(), n_made.fetch_add(1, Ordering::Relaxed));
        // The owner, who is first, reaches all.
        let deaf = Deaf { is_owner: number == 0 };
        Arc::new(Gated::new(Arc::new(inner), Arc::new(deaf))) as Arc<dyn Transport>
    };
    let world = World::with("procs=3", Config::local(), transports).await;
    let (askers, others) = (world.spawn(tens("askers")).await, world.spawn(tens("others")).await);
    let asker = askers.slice("procs", 0).expect("there is one");
    let ask = AskOthers(others.mesh_ref().clone(), 1);
    let asked = Instant::now();
    let call = asker.call(&world.proc, ask).within(Duration::from_secs(60));
    assert_eq!(all(&call.await), [[Some(1), Some(11), None]]);
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());

    // One who has nothing to do with it does not even notice.
    let two = others.slice("procs", ..2).expect("there are two");
    let asked = Instant::now();
    assert_eq!(all(&asker.call(&world.proc, AskOthers(two, 1)).await), [[Some(2), Some(12)]]);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}

/// Opens no session with the process of rank 2, unless it is the owner.
struct Deaf {
    is_owner: bool,
}

#[async_trait]
impl Gate for Deaf {
    async fn dial(&self, to: &Addr, _: Lane) -> Result<(), DialError> {
        if !self.is_owner && to.to_string().contains("-2-") {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// C4: a rank that cannot be reached any more does not keep a spawn from saying that it has failed.
#[tokio::test(start_paused = true)]
async fn a_spawn_that_loses_its_way_to_a_rank_ends() {
    let (world, board) = cuttable("procs=2", Config::local()).await;
    // The one of rank 1 never starts.
    let spec = ActorSpec::<Tool>::per_rank("slow", |point| 14 * point.rank().index() as u64);
    let spec = spec.ready_within(Duration::from_secs(2));
    let procs = world.procs.procs();
    let spawn = ActorMesh::spawn(&world.proc, &procs, spec);
    let cut = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        board.cut(peer(&world, 1).proc);
    };
    let (spawned, ()) = soon(async { tokio::join!(spawn, cut) }).await;
    let Err(SpawnError::NotReady { missing, .. }) = spawned else { panic!("{spawned:?}") };
    assert_eq!(missing.to_string(), "1");
}

/// Where a process cannot listen there is no mesh, and it is said why.
#[tokio::test(start_paused = true)]
async fn local_processes_that_cannot_start_are_told_of() {
    let proc = Proc::local().expect("there is a runtime");
    let extent = "procs=2".parse().expect("it is an extent");
    let (name, config, registry) = ("homes".to_owned(), Config::local(), registry());
    // Each on a board of its own: nobody finds another.
    let transports = Box::new(|| Arc::new(LocalTransport::default()) as Arc<dyn Transport>);
    let spec = LocalSpec { name, extent, config, registry, transports, stalled_handler: None };
    let error = soon(LocalProcs::start_with(&proc, spec)).await.expect_err("nobody is there");
    let told = error.to_string();
    assert!(told.starts_with("the process of rank 0 does not run: failed"), "{told}");
}

/// A ref that moves with a message within one program is used by each life of a process for itself.
#[tokio::test(start_paused = true)]
async fn the_next_life_of_a_process_follows_a_mesh_anew() {
    let config = Config { restart: on_failure(), ..Config::local() };
    let (world, _) = cuttable("procs=2", config).await;
    let askers = world.spawn(tens("askers").restart(on_failure())).await;
    let others = world.spawn(tens("others").restart(on_failure())).await;
    let other = others.mesh_ref().clone();
    let ask = async || {
        let found = soon(askers.call(&world.proc, Where)).await;
        let Some(Ok(asker)) = found.get(Rank::new(1)) else { return None };
        // Moved, the ref is used there with what is known of the mesh in that process.
        let ask = AskOthers(other.clone(), 0);
        PortRef::<AskOthers>::of(*asker).call(&world.proc, ask).await.ok()
    };
    assert_eq!(ask().await, Some(vec![Some(0), Some(10)]));
    for _ in 0..2 {
        world.procs.crash(Rank::new(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ask().await, Some(vec![Some(0), Some(10)]));
    }
}

/// R1: that a mesh has ended is known at once by whoever asks.
#[tokio::test(start_paused = true)]
async fn a_ref_of_a_mesh_that_has_ended_is_answered_at_once() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let bytes = codec::encode("ref", tools.mesh_ref()).expect("it can be");
    drop(tools);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let late: ActorMeshRef<Tool> = codec::decode(&bytes).expect("it is one");
    let asked = Instant::now();
    let answers = late.call(&world.proc, Add(1)).within(Duration::from_secs(60)).await;
    assert!(
        answers.iter().all(|it| *it == Err(RankError::NoController(NoController::Ended))),
        "{answers:?}"
    );
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(late.cast(&world.proc, Add(1)).await.len(), 2);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}
