//! many: a mesh of which no list of all ranks fits one frame of the control lane.

use std::sync::Arc;

use actor_mesh::{ActorMesh, ActorSpec};
use controller::Config;
use mesh_core::{Interest, Lane, News, Status, Transport};
use mesh_runtime::LocalTransport;
use mesh_shape::Slice;
use mesh_testkit::{Gate, Gated};

use crate::support::{AskOthers, Panic, Tool, World, all, soon, world};

/// How many bytes go at once beside what supervises. Over TCP it is a mebibyte, and so are there more ranks.
const FRAME: usize = 7 << 10;

struct Narrow;

impl Gate for Narrow {
    fn most_bytes(&self, _: Lane) -> Option<usize> {
        // Processes within one have no control plane of their own: all goes by one lane.
        Some(FRAME)
    }
}

/// R1: whoever has a ref of such a mesh, in another process than its owner, reaches all of it.
#[tokio::test(start_paused = true)]
async fn a_mesh_is_found_however_large_it_is() {
    const RANKS: usize = 1300;
    let board = LocalTransport::encoding();
    let transports = move || {
        Arc::new(Gated::new(Arc::new(board.another()), Arc::new(Narrow))) as Arc<dyn Transport>
    };
    let world = World::with(&format!("procs={RANKS}"), Config::local(), transports).await;
    // Every second process has had an actor more than its neighbours: so no two ranks of the mesh are alike.
    let procs = world.procs.procs();
    let second: Slice = "1::2".parse().expect("it is one");
    let odd = procs.region().slice("procs", second).expect("there are some");
    let odd = procs.slice(&odd).expect("it is a part");
    let spec = ActorSpec::<Tool>::new("others", &0);
    let _others = soon(ActorMesh::spawn(&world.proc, &odd, spec)).await.expect("they start");
    let spec = ActorSpec::<Tool>::new("tools", &7);
    let tools = soon(ActorMesh::spawn(&world.proc, &procs, spec)).await.expect("they start");

    let (one, mesh) = (tools.slice("procs", ..1).expect("there is one"), tools.mesh_ref().clone());
    // The asker itself is busy, and does not answer.
    let rest = mesh.slice("procs", 1..).expect("there are others");
    let answers = all(&soon(one.call(&world.proc, AskOthers(rest, 1))).await);
    let n_answered = answers[0].iter().filter(|answer| **answer == Some(8)).count();
    assert_eq!(n_answered, RANKS - 1);
}

/// H6, H8: everybody is told of all that end at once, and in few messages: each costs what there is in the mesh.
#[tokio::test(start_paused = true)]
async fn many_that_end_at_once_are_told_of_together() {
    const RANKS: usize = 300;
    let world = world(&format!("procs={RANKS}")).await;
    let tools = world.spawn(ActorSpec::<Tool>::new("tools", &7)).await;
    let mut events = tools.subscribe(Interest::Terminal).await.expect("it takes subscribers");
    assert!(tools.cast(&world.proc, Panic(7)).await.is_empty(), "it goes to all");

    let (mut n_failed, mut n_messages) = (0, 0);
    while let Some(event) = soon(events.next()).await {
        let News::Changed(changes) = event.news else { continue };
        n_messages += 1;
        let failed = changes.iter().filter(|it| matches!(it.status, Status::Failed(_)));
        n_failed += failed.map(|change| change.ranks.len()).sum::<usize>();
    }
    assert_eq!(n_failed, RANKS);
    assert!(n_messages < RANKS / 8, "{n_messages} messages");
}
