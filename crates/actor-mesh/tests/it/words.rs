//! words: what errors say to whoever has made a mistake.

use std::error::Error;
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorSpec, RankError};
use controller::Config;
use mesh_core::Message;
use mesh_runtime::{Context, Failure, Handler};
use mesh_shape::Rank;
use serde::{Deserialize, Serialize};

use crate::support::{Add, Tool, all, encoding, on_failure, soon, tens, world};

#[tokio::test]
async fn a_rank_that_does_not_exist_is_told_with_those_that_do() {
    let world = world("procs=3").await;
    let tools = world.tools().await;
    let error = soon(tools.at(Rank::new(99)).call(&world.proc, Add(1))).await;
    let error = error.expect_err("there is no such rank");
    assert_eq!(error.to_string(), "there is no rank 99: the mesh or slice has ranks 0..3");
    assert!(error.source().is_none(), "nothing is behind it");
    let nobody = tools.slice("procs", 1..1).expect("it is a slice");
    let error = soon(nobody.at(Rank::new(0)).cast(&world.proc, Add(1))).await;
    let error = error.expect_err("there is no such rank");
    assert_eq!(error.to_string(), "there is no rank 0: the mesh or slice has no ranks");
}

/// C4: a rank that was started again counts once.
#[tokio::test(start_paused = true)]
async fn a_spawn_counts_the_ranks_that_failed_and_not_their_lives() {
    let world = world("procs=3").await;
    let number = |point: mesh_shape::Point<'_>| if point.rank().index() == 1 { 13 } else { 0 };
    let restart = controller::RestartConfig { max_restarts: 2, ..on_failure() };
    let spec = ActorSpec::<Tool>::per_rank("tools", number).restart(restart);
    let spawned = ActorMesh::spawn(&world.proc, &world.procs.procs(), spec).await;
    let told = spawned.expect_err("13 is not a good number").to_string();
    let expected = "not every rank could be created, the others were stopped: 1 rank: 1: failed: ";
    assert!(told.starts_with(expected), "{told}");
}

/// N8: what a mesh is called is in every report of it, and makes no lines of its own there.
#[tokio::test]
async fn a_name_that_forges_reports_is_refused() {
    let world = world("procs=1").await;
    for name in ["", "tools\nrank 0 of proc mesh p has failed", &"n".repeat(257)] {
        let spawned =
            ActorMesh::spawn(&world.proc, &world.procs.procs(), tens(name)).await.map(|_| ());
        let error = spawned.expect_err("it is no name");
        assert!(error.to_string().starts_with("the name of the mesh"), "{error}");
    }
    let longest = "n".repeat(256);
    let tools = world.spawn(tens(&longest)).await;
    assert_eq!(tools.label().name(), longest);
    tools.stop(Duration::from_secs(1)).await.expect("it is stopped");
}

/// A message that tools handle and do not name among those that they take.
#[derive(Clone, Serialize, Deserialize)]
struct Forgotten;

impl Message for Forgotten {
    const NAME: &'static str = "test.Forgotten";
    type Reply = ();
}

impl Handler<Forgotten> for Tool {
    async fn handle(&mut self, Forgotten: Forgotten, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// R3: whoever has forgotten to name a message is told which, and where.
#[tokio::test]
async fn a_message_that_is_not_taken_is_named_with_the_actor() {
    for world in [world("procs=3").await, encoding("procs=3", Config::local()).await] {
        let tools = world.tools().await;
        let told = "actor tool does not take test.Forgotten by address: name it in its \
                    `Actor::handlers`, as in `handlers.takes::<…>()`";
        for answer in soon(tools.call(&world.proc, Forgotten)).await.iter() {
            assert_eq!(answer.as_ref().map_err(RankError::to_string), Err(told.to_owned()));
        }
        assert_eq!(all(&soon(tools.call(&world.proc, Add(1))).await), [1, 11, 21]);
    }
}
