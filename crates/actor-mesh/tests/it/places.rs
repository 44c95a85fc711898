//! places: meshes on some of the processes, on none, and on those that are let go of again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorSpec, RankError};
use async_trait::async_trait;
use controller::{Config, RestartConfig};
use mesh_core::{Addr, DialError, Lane, OwnerNews, Transport};
use mesh_runtime::LocalTransport;
use mesh_shape::{Rank, Slice};
use mesh_testkit::{Gate, Gated};
use tokio::time::{Instant, timeout};

use crate::support::{Add, Tool, World, all, next_failures, on_failure, soon, tens, world};

/// H5, N8, ST2: a rank of a mesh on some of the processes is counted in that mesh, by everybody; and a process in the
/// mesh that it was made in.
#[tokio::test(start_paused = true)]
async fn a_mesh_on_a_slice_of_processes_has_ranks_of_its_own() {
    let world = world("rows=3,cols=4").await;
    let whole = world.procs.procs();
    let region = whole.region().slice("cols", Slice::from(3)).expect("there is one");
    let region = region.slice("rows", 1..).expect("there are two");
    let column = whole.slice(&region).expect("it is a part");
    let mut tools = ActorMesh::<Tool>::spawn(&world.proc, &column, tens("column")).await;
    let tools = tools.as_mut().expect("they start");
    assert_eq!(tools.extent().to_string(), "rows=2");
    assert_eq!(all(&soon(tools.call(&world.proc, Add(1))).await), [1, 11]);
    let last = tools.slice("rows", 1..).expect("there is one");
    assert_eq!(all(&soon(last.call(&world.proc, Add(1))).await), [12]);

    // Not one of it.
    world.procs.crash(Rank::new(6));
    world.procs.crash(Rank::new(11));
    let failures = next_failures(tools).await;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].0, 1);
    assert!(failures[0].1.contains("rank 11 of local mesh homes"), "{failures:?}");
    let answers = soon(tools.call(&world.proc, Add(1))).await;
    assert_eq!(answers.get(Rank::new(0)), Some(&Ok(2)));
    assert!(matches!(answers.get(Rank::new(1)), Some(Err(RankError::Ended(_)))), "{answers:?}");
    let answers = soon(last.call(&world.proc, Add(1))).await;
    assert!(matches!(answers.get(Rank::new(0)), Some(Err(RankError::Ended(_)))), "{answers:?}");
}

/// H9
#[tokio::test(start_paused = true)]
async fn a_mesh_on_no_processes_is_there_and_over() {
    let world = world("procs=2").await;
    let whole = world.procs.procs();
    let none = whole.slice(&whole.region().slice("procs", ..0).expect("it is one"));
    let spawn =
        ActorMesh::<Tool>::spawn(&world.proc, none.as_ref().expect("it is a part"), tens("none"));
    let mut tools = soon(spawn).await.expect("there is nothing to start");
    assert_eq!(soon(tools.call(&world.proc, Add(1))).await.size(), 0);
    assert_eq!(soon(tools.cast(&world.proc, Add(1))).await.len(), 0);
    assert_eq!(soon(tools.stop(Duration::ZERO)).await.expect("it is answered").ranks.size(), 0);
    assert!(matches!(soon(tools.next()).await, Some(OwnerNews::Finished(_))));
    assert_eq!(soon(tools.next()).await, None);
}

/// C2: nothing is left of a mesh that nobody waits for any more.
#[tokio::test(start_paused = true)]
async fn a_spawn_that_is_dropped_leaves_nothing() {
    let world = world("procs=2").await;
    let procs = world.procs.procs();
    for millis in [0, 1, 50] {
        // It never starts.
        let spec = ActorSpec::<Tool>::new("slow", &14);
        let spawn = ActorMesh::spawn(&world.proc, &procs, spec);
        assert!(timeout(Duration::from_millis(millis), spawn).await.is_err(), "it waits");
    }
    soon(async {
        while world.proc.n_roots() > 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let tools = world.tools().await;
    assert_eq!(all(&soon(tools.call(&world.proc, Add(1))).await), [1, 11]);
}

/// C2, N1, ST4: processes that were asked to end, and are dropped before they have, have stopped as asked.
#[tokio::test(start_paused = true)]
async fn processes_that_were_asked_to_end_and_are_dropped_have_stopped() {
    let World { proc, procs } = world("procs=2").await;
    let mut tools = soon(ActorMesh::<Tool>::spawn(&proc, &procs.procs(), tens("tools"))).await;
    let tools = tools.as_mut().expect("they start");
    let controller = procs.controller().clone();
    tokio::select! {
        biased;
        state = controller.kill() => panic!("it is asked, and not answered yet: {state:?}"),
        () = std::future::ready(()) => drop(procs),
    }
    let next = soon(tools.next()).await;
    assert!(matches!(next, Some(OwnerNews::Finished(_))), "nobody has failed: {next:?}");
}

/// No session is opened any more, and none is refused, once it is shut.
#[derive(Default)]
struct Shut(AtomicBool);

#[async_trait]
impl Gate for Shut {
    async fn dial(&self, _: &Addr, _: Lane) -> Result<(), DialError> {
        if self.0.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// C2, N1, R1: who waits for a process that is just being started is told at once that it is dropped.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_dropped_while_it_starts_is_told_at_once() {
    let (board, gate) = (LocalTransport::default(), Arc::new(Shut::default()));
    let shut = Arc::clone(&gate);
    let transports = move || {
        let gate = Arc::clone(&gate) as Arc<dyn Gate>;
        Arc::new(Gated::new(Arc::new(board.another()), gate)) as Arc<dyn Transport>
    };
    let config = Config { restart: on_failure(), ..Config::local() };
    let World { proc, procs } = World::with("procs=2", config, transports).await;
    let spec = tens("tools").restart(RestartConfig::on_failure(9));
    let mut tools = soon(ActorMesh::<Tool>::spawn(&proc, &procs.procs(), spec)).await;
    let tools = tools.as_mut().expect("they start");
    shut.0.store(true, Ordering::Relaxed);
    procs.crash(Rank::new(1));
    assert_eq!(next_failures(tools).await.len(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;

    let dropped = Instant::now();
    drop(procs);
    let mut failed = Vec::new();
    while let Some(OwnerNews::Failed(failures)) = soon(tools.next()).await {
        failed.extend(failures.each().map(|(rank, it)| (rank.index(), it.status.to_string())));
    }
    failed.sort();
    let is_why = |(_, why): &(usize, String)| why.contains("was closed by its owner");
    assert!(failed.len() == 2 && failed.iter().all(is_why), "{failed:?}");
    assert!(dropped.elapsed() < Duration::from_secs(1), "{:?}", dropped.elapsed());
}
