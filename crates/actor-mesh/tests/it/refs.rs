//! refs: addresses of meshes that travel in messages.

use actor_mesh::ActorMeshRef;
use mesh_core::{ActorId, MeshRequest, Reply};
use mesh_runtime::codec;
use mesh_shape::Rank;

use crate::support::{AskOthers, Tool, Where, all, soon, tens, world};

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

/// However many refs of a mesh come in messages, a process follows it once.
#[tokio::test]
async fn refs_that_come_in_messages_share_what_is_known() {
    let world = world("procs=2").await;
    let (askers, others) = (world.spawn(tens("askers")).await, world.spawn(tens("others")).await);
    let one = askers.slice("procs", 1..).expect("there is one");
    for n in 1..=20 {
        let answers = soon(one.call(&world.proc, AskOthers(others.mesh_ref().clone(), 1))).await;
        assert_eq!(all(&answers), [vec![Some(n), Some(10 + n)]]);
    }
    let asked = others.controller().ask(MeshRequest::GetSubscriberCount).await;
    assert_eq!(asked, Ok(Reply::Subscribers(1)), "the process of the asker");
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
    let world = world("procs=3").await;
    let tools = world.tools().await;
    let actors = all(&soon(tools.call(&world.proc, Where)).await);
    let upper = tools.slice("procs", 1..).expect("there are two");
    let ranks = |mesh: &ActorMeshRef<Tool>| {
        let each = actors.iter().map(|actor| mesh.rank_of(&world.proc, *actor));
        each.map(|rank| rank.map(Rank::index)).collect::<Vec<_>>()
    };
    assert_eq!(ranks(&tools), [Some(0), Some(1), Some(2)]);
    assert_eq!(ranks(&upper), [None, Some(0), Some(1)]);
    let stranger = ActorId { index: 1 << 40, ..actors[0] };
    assert_eq!(tools.rank_of(&world.proc, stranger), None);
}
