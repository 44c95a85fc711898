//! calls: every process is reached, and answers in its place.

use std::collections::BTreeSet;
use std::sync::Arc;

use meshwarden::prelude::*;

use crate::support::{Outcome, World, all, tens};
use crate::tool::{Add, AskOthers, Echo, Pid};

pub(crate) async fn every_process_is_called_and_answers_in_its_place(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, "procs=8").await?;
    let sums = all(&world.tools.call(&*root, Add(1)).await)?;
    assert_eq!(sums, [1, 11, 21, 31, 41, 51, 61, 71]);
    let pids: BTreeSet<u32> = all(&world.tools.call(&*root, Pid).await)?.into_iter().collect();
    assert_eq!(pids.len(), 8, "each is a process of its own");
    let seats = world.procs.seats().await;
    assert_eq!(pids, seats.iter().map(|seat| seat.pid).collect());
    world.close().await
}

/// R2
pub(crate) async fn a_slice_is_called_and_cast_to_in_order(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, "rows=2,procs=2").await?;
    let column = world.tools.slice("procs", 1)?;
    for n in 0..1_000 {
        assert!(column.cast(&*root, Add(n)).await.is_empty());
    }
    assert_eq!(all(&column.call(&*root, Add(0)).await)?, [499_510, 499_530]);
    assert_eq!(all(&world.tools.call(&*root, Add(0)).await)?, [0, 499_510, 20, 499_530]);
    world.close().await
}

pub(crate) async fn a_ref_is_called_from_process_to_process(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, "procs=3").await?;
    let others = world.procs.spawn_as(tens("others")).await?;
    let ask = AskOthers(others.slice("procs", 1..)?, 1);
    // Each asks two, one of which is in its own process or neither is.
    let answers = all(&world.tools.call(&*root, ask).await)?;
    let sums: u64 = answers.iter().flatten().sum();
    assert_eq!(sums, (11 + 12 + 13) + (21 + 22 + 23));
    drop(others);
    world.close().await
}

/// H5: ranks are those of the slice that the mesh was spawned on.
pub(crate) async fn a_mesh_on_some_of_the_processes_has_their_ranks(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, "rows=2,procs=2").await?;
    let pids = all(&world.tools.call(&*root, Pid).await)?;
    let column = world.procs.slice("procs", 1)?;
    let tools = column.spawn_as(tens("column")).await?;
    assert_eq!(all(&tools.call(&*root, Pid).await)?, [pids[1], pids[3]]);
    assert_eq!(all(&tools.call(&*root, Add(0)).await)?, [0, 10]);
    drop(tools);
    world.close().await
}

pub(crate) async fn a_large_message_reaches_every_process(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, "procs=2").await?;
    let bytes = vec![7; 8 << 20];
    assert_eq!(all(&world.tools.call(&*root, Echo(bytes)).await)?, [8 << 20; 2]);
    let too_large = world.tools.call(&*root, Echo(vec![7; 17 << 20])).await;
    for answer in too_large.iter() {
        assert!(matches!(answer, Err(RankError::Undelivered(_))), "{answer:?}");
    }
    assert_eq!(all(&world.tools.call(&*root, Add(0)).await)?, [0, 10]);
    world.close().await
}
