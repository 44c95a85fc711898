//! hearing: what a mesh hears of its processes where the controller of these is in another process.

use std::time::Duration;

use actor_mesh::ActorMesh;
use mesh_core::Status;
use mesh_runtime::{LocalTransport, Network};
use mesh_shape::Rank;
use tokio::time::sleep;

use crate::support::{Add, Tool, all, next_failures, soon, tens, world_and_guest};

/// N1, N7, N10: a mesh that has lost the controller of its processes for a while hears of them again.
#[tokio::test(start_paused = true)]
async fn a_mesh_hears_of_its_processes_again_after_a_lost_session() {
    let board = LocalTransport::default();
    let (world, network, doors) = world_and_guest("procs=2", &board).await;
    let (procs, guest) = (world.procs.procs(), network.proc().clone());
    let meet = async || {
        for rank in 0..2 {
            let seat = procs.seat(Rank::new(rank)).expect("it is there");
            network.dial(seat.peer, &seat.doors.expect("it has some")).await.expect("it listens");
        }
    };
    meet().await;
    let spawned = soon(ActorMesh::<Tool>::spawn(&guest, &procs, tens("tools"))).await;
    let mut tools = spawned.expect("they start");

    board.cut(guest.id());
    // What its controller says meanwhile comes back, and the subscription is over.
    sleep(Duration::from_millis(1_500)).await;
    meet().await;
    let owner = Network::of(&world.proc).expect("it has one");
    owner.dial(guest.peer(), &doors).await.expect("it listens");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(all(&soon(tools.call(&guest, Add(1))).await), [1, 11]);
    let state = tools.controller().state().await.expect("it is answered");
    assert!(state.ranks.iter().all(|rank| rank.status == Status::Running), "{state:?}");

    world.procs.crash(Rank::new(1));
    let failures = next_failures(&mut tools).await;
    assert_eq!(failures.iter().map(|(rank, _)| *rank).collect::<Vec<_>>(), [1], "{failures:?}");
    assert!(failures[0].1.contains("rank 1 of local mesh homes: signal 9"), "{failures:?}");
}
