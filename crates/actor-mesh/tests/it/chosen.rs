//! chosen: what is told where none of many can be chosen.

use std::time::Duration;

use actor_mesh::{ActorMeshRef, Choice};
use mesh_core::Progress;
use mesh_shape::Rank;
use tokio::time::sleep;

use crate::support::{Add, Panic, SOON, Tool, next_failures, soon, tens, world};

/// R1: where none runs it is said whether one may.
#[tokio::test]
async fn that_none_is_left_is_told_apart_from_that_none_runs() {
    let world = world("procs=2").await;
    let mut tools = world.spawn(tens("pair")).await;
    let first = tools.slice("procs", ..1).expect("there is one");
    let told = async |mesh: &ActorMeshRef<Tool>| {
        let one = soon(mesh.choose(Choice::Random).call(&world.proc, Add(0))).await;
        one.expect_err("none runs").to_string()
    };
    assert!(soon(tools.at(Rank::new(0)).call(&world.proc, Panic(0))).await.is_err());
    _ = next_failures(&mut tools).await;
    _ = soon(first.wait(&world.proc, Progress::Ended, SOON)).await;
    assert_eq!(
        told(&first).await,
        "none of the ranks runs now: wait until one does, if one is to begin again"
    );
    _ = soon(tools.stop(SOON)).await.expect("it stops");
    let over = "all ranks of the mesh have ended, and none begins again";
    soon(async {
        while told(&first).await != over {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(told(tools.mesh_ref()).await, over);
}
