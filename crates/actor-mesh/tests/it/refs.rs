//! refs: addresses of meshes that travel in messages.

use actor_mesh::ActorMeshRef;
use mesh_runtime::codec;
use mesh_shape::Rank;

use crate::support::{Add, AskOthers, Tool, all, soon, tens, world};

#[tokio::test]
async fn a_ref_that_was_sent_to_an_actor_is_called_from_there() {
    let world = world("procs=3").await;
    let (askers, others) = (world.spawn(tens("askers")).await, world.spawn(tens("others")).await);
    let half = others.slice("procs", 1..).expect("there are two");
    let ask = AskOthers(half, 1);
    let one = askers.slice("procs", 2).expect("there is one");
    let answers = soon(one.call(&world.proc, ask)).await;
    assert_eq!(all(&answers), [vec![Some(11), Some(21)]]);
}

#[tokio::test]
async fn a_ref_costs_the_same_for_few_ranks_and_for_many() {
    let (few, many) = (world("procs=2").await, world("procs=64").await);
    let (few, many) = (few.tools().await, many.tools().await);
    let size = |mesh: &ActorMeshRef<Tool>| codec::encode("ref", mesh).expect("it can be").len();
    assert_eq!(size(&few), size(&many));
    assert!(size(&many) < 256, "{}", size(&many));
}

/// R3: what comes back names its rank.
#[tokio::test]
async fn an_actor_is_named_by_its_rank() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    all(&soon(tools.call(&world.proc, Add(0))).await);
    let one = tools.slice("procs", 1..).expect("there is one");
    assert_eq!(one.rank_of(&world.proc, mesh_core::ActorId { ..stranger(&world) }), None);
    assert_eq!(tools.label().name(), "tools");
    assert_eq!(one.region().base_rank(Rank::new(0)), Some(Rank::new(1)));
}

fn stranger(world: &crate::support::World) -> mesh_core::ActorId {
    mesh_core::ActorId { proc: world.proc.id(), life: world.proc.life(), index: 1 << 40 }
}
