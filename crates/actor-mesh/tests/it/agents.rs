//! agents: what they say of their actors to whoever asks, without a controller.

use std::time::Duration;

use actor_mesh::agent::WaitRankStatus;
use actor_mesh::{ActorMesh, Missing};
use mesh_core::{MeshId, PortRef, Progress, Refusal, Status};
use mesh_runtime::{LocalTransport, Network, Port};
use mesh_shape::{Rank, RankSet};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    Add, Began, HangKnown, Panic, SOON, Tool, World, begun, known, on_failure, sent, soon, tens,
    world, world_and_guest,
};

/// L7: an agent knows its own actors, of each mesh, also when they have ended.
#[tokio::test]
async fn an_agent_says_what_its_actors_are() {
    let world = world("procs=3").await;
    let (tools, others) = (world.tools().await, world.spawn(tens("others")).await);
    assert_eq!(known(&world, &tools).await, [(1, Status::Running)]);
    soon(others.stop(Duration::from_secs(1))).await.expect("it stops");
    assert_eq!(known(&world, &others).await, [(1, Status::Stopped)]);
    drop(others);
    soon(tools.cast(&world.proc, Panic(10))).await.complete().expect("it is sent");
    let last = tools.slice("procs", 1).expect("it is there");
    let missing = soon(last.wait(&world.proc, Progress::Ended, SOON)).await;
    assert_eq!(missing.map(Missing::complete), Ok(Ok(())));
    let [(1, Status::Failed(cause))] = &known(&world, &tools).await[..] else {
        panic!("it has failed")
    };
    assert!(cause.to_string().contains("panicked"), "{cause}");
}

/// L7: an agent is asked before there is anything, and answers when there is; or when the time is over.
#[tokio::test]
async fn an_agent_waits_for_an_actor_that_does_not_exist_yet() {
    let world = world("procs=2").await;
    let agent = world.procs.procs().seat(Rank::new(0)).expect("it is there").agent;
    let door = PortRef::of(agent);
    let wait = |mesh, until, within| {
        let wait = WaitRankStatus { mesh, rank: Rank::new(0), until, within };
        let (door, from) = (door, world.proc.clone());
        async move { door.call(&from, wait).await.expect("it is answered").expect("there is room") }
    };
    let first = world.tools().await;
    let ended = tokio::spawn(wait(first.label().id(), Progress::Ended, SOON));
    let runs = soon(wait(first.label().id(), Progress::Running, SOON)).await;
    assert_eq!(runs.state.map(|state| state.status), Some(Status::Running));
    drop(first);
    let ended = soon(ended).await.expect("it does not panic");
    assert_eq!(ended.state.map(|state| state.status), Some(Status::Stopped), "with its owner (C2)");
    let never = MeshId::from_random(1);
    let (late, begun) = (Duration::from_millis(50), Instant::now());
    let not_yet = soon(wait(never, Progress::Running, late)).await;
    assert_eq!((not_yet.is_reached, not_yet.state), (false, None));
    assert!(begun.elapsed() >= late, "it had its time");
}

/// L7, RS2: that a life of a rank has ended is not its end, if it is started again.
#[tokio::test]
async fn a_wait_is_not_over_with_a_life_that_another_follows() {
    let world = world("procs=2").await;
    let mesh = world.spawn(tens("tools").restart(on_failure())).await;
    let (ended, from) = (mesh.slice("procs", 1..2).expect("it is there"), world.proc.clone());
    let waits = tokio::spawn(async move { ended.wait(&from, Progress::Ended, SOON).await });
    for _ in 0..2 {
        soon(mesh.cast(&world.proc, Panic(10))).await.complete().expect("it is sent");
        let again = async {
            while mesh.call(&world.proc, Add(0)).await.iter().any(Result::is_err) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        soon(again).await;
        let missing = soon(mesh.wait(&world.proc, Progress::Running, SOON)).await;
        assert_eq!(missing.map(Missing::complete), Ok(Ok(())));
        assert!(!waits.is_finished(), "it runs again");
    }
    soon(mesh.stop(Duration::from_secs(1))).await.expect("it stops");
    let missing = soon(waits).await.expect("it does not panic");
    assert_eq!(missing.map(Missing::complete), Ok(Ok(())));
}

/// Waits are bounded; those that nobody waits for any more make room.
#[tokio::test(start_paused = true)]
async fn an_agent_keeps_so_many_waits_and_forgets_the_abandoned() {
    let world = world("procs=2").await;
    let agent = world.procs.procs().seat(Rank::new(0)).expect("it is there").agent;
    let (door, mesh) = (PortRef::of(agent), MeshId::from_random(1));
    let wait = || {
        // None of them is over by itself.
        let within = Duration::from_secs(3_600);
        let (rank, until) = (Rank::new(0), Progress::Running);
        door.call(&world.proc, WaitRankStatus { mesh, rank, until, within })
    };
    let mut many: Vec<_> = (0..1_024).map(|_| Box::pin(wait())).collect();
    for one in &mut many {
        assert!(timeout(Duration::ZERO, one).await.is_err(), "it is kept");
    }
    let refused = || Ok(Err(Refusal::TooMany { limit: 1_024 }));
    assert_eq!(soon(wait()).await, refused());
    drop(many);
    let has_room = async {
        // The first that is not answered is kept.
        while let Ok(answer) = timeout(Duration::from_millis(50), wait()).await {
            assert_eq!(answer, refused());
            sleep(Duration::from_millis(50)).await;
        }
    };
    soon(has_room).await;
}

/// L7, N10: who cannot reach the controller of a mesh is told by its agents.
#[tokio::test]
async fn a_wait_needs_no_controller() {
    let board = LocalTransport::default();
    let (world, network, _) = world_and_guest("procs=2", &board).await;
    let (mesh, guest) = (world.tools().await, network.proc().clone());
    let tools = sent(mesh.mesh_ref());
    let missing = soon(tools.wait(&guest, Progress::Running, SOON)).await;
    assert_eq!(missing.map(Missing::complete), Ok(Ok(())));

    board.cut(network.proc().id());
    for rank in 0..2 {
        let seat = world.procs.procs().seat(Rank::new(rank)).expect("it is there");
        network.dial(seat.peer, &seat.doors.expect("it has some")).await.expect("it listens");
    }
    assert!(soon(tools.status(&guest)).await.is_err(), "its controller cannot be asked");
    let missing = soon(tools.wait(&guest, Progress::Running, SOON)).await;
    assert_eq!(missing.map(Missing::complete), Ok(Ok(())), "they run");
    let soon_over = Duration::from_millis(50);
    let missing = soon(tools.wait(&guest, Progress::Ended, soon_over)).await;
    assert_eq!(missing.as_deref(), Ok(&RankSet::from(0..2)), "they go on");
    let second = tools.slice("procs", 1..).expect("it is there");
    let (from, ended) = (guest.clone(), second.clone());
    let waits = tokio::spawn(async move { ended.wait(&from, Progress::Ended, SOON).await });
    drop(soon(second.call(&guest, Panic(10)).within(soon_over)).await);
    let missing = soon(waits).await.expect("it does not panic");
    assert_eq!(missing.map(Missing::complete), Ok(Ok(())));
}

/// N10, L7: where the session is lost by which an agent was asked, it is asked again, also where nothing is heard of the
/// mesh meanwhile.
#[tokio::test(start_paused = true)]
async fn a_wait_whose_session_is_lost_is_asked_again() {
    let board = LocalTransport::default();
    let (world, network, _) = world_and_guest("procs=2", &board).await;
    let (mesh, guest) = (world.tools().await, network.proc().clone());
    let tools = sent(mesh.mesh_ref());
    let meet = async |rank| {
        let seat = world.procs.procs().seat(Rank::new(rank)).expect("it is there");
        network.dial(seat.peer, &seat.doors.expect("it has some")).await.expect("it listens");
    };
    let missing = soon(tools.wait(&guest, Progress::Running, SOON)).await;
    assert_eq!(missing.map(Missing::complete), Ok(Ok(())));

    board.cut(guest.id());
    // That its controller is silent is told once.
    sleep(10 * SOON).await;
    meet(1).await;
    let second = tools.slice("procs", 1..).expect("it is there");
    let from = guest.clone();
    let waits = tokio::spawn(async move { second.wait(&from, Progress::Ended, 30 * SOON).await });
    sleep(Duration::from_secs(1)).await;
    board.cut(guest.id());
    sleep(Duration::from_secs(1)).await;
    meet(1).await;
    soon(mesh.cast(&world.proc, Panic(10))).await.complete().expect("it is sent");
    let missing = soon(waits).await.expect("it does not panic");
    assert_eq!(missing.map(Missing::complete), Ok(Ok(())), "it has ended");
}

/// A mesh of a guest on two processes, whose actors await something for ever.
async fn guests_hang(board: &LocalTransport) -> (World, Network, ActorMesh<Tool>) {
    let (world, network, _) = world_and_guest("procs=2", board).await;
    let (procs, guest) = (world.procs.procs(), network.proc().clone());
    for rank in 0..2 {
        let seat = procs.seat(Rank::new(rank)).expect("it is there");
        network.dial(seat.peer, &seat.doors.expect("it has some")).await.expect("it listens");
    }
    let spawned = soon(ActorMesh::<Tool>::spawn(&guest, &procs, tens("tools"))).await;
    let tools = spawned.expect("they start");
    let mut port = guest.open_port::<Began>(2);
    soon(tools.cast(&guest, HangKnown(port.port()))).await.complete().expect("it is sent");
    begun(&mut port, 2).await;
    (world, network, tools)
}

/// C1, C2: an actor whose keeper is lost is said to be ended, and killed if it does not in time.
#[tokio::test(start_paused = true)]
async fn an_orphan_that_does_not_end_is_killed() {
    let board = LocalTransport::default();
    let (world, network, tools) = guests_hang(&board).await;

    board.cut(network.proc().id());
    let second = Duration::from_secs(1);
    sleep(3 * second).await;
    assert_eq!(known(&world, &tools).await, [(1, Status::Running)], "it may be met again");
    sleep(4 * second).await;
    assert_eq!(known(&world, &tools).await, [(1, Status::Stopping)]);
    sleep(6 * second).await;
    let [(1, Status::Failed(cause))] = &known(&world, &tools).await[..] else {
        panic!("it was killed")
    };
    assert!(cause.to_string().contains("orphaned"), "{cause}");
}

/// ST4, C2: an actor that was asked to end, and whose keeper is lost then, has stopped; and it is killed, since nobody
/// else will.
#[tokio::test(start_paused = true)]
async fn who_was_asked_to_end_is_no_orphan() {
    let board = LocalTransport::default();
    let (world, network, owned) = guests_hang(&board).await;
    let tools = owned.mesh_ref().clone();
    let minute = Duration::from_secs(60);
    let stop = tokio::spawn(async move { drop(owned.stop(minute).await) });
    let is_asked = async {
        while known(&world, &tools).await != [(1, Status::Stopping)] {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(is_asked).await;

    board.cut(network.proc().id());
    let has_ended = async {
        while known(&world, &tools).await == [(1, Status::Stopping)] {
            sleep(Duration::from_millis(100)).await;
        }
    };
    soon(has_ended).await;
    assert_eq!(known(&world, &tools).await, [(1, Status::Stopped)]);
    stop.abort();
}
