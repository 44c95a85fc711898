//! odd: meshes and slices of nobody, messages of nothing, and things that happen at once.

use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{
    ActorMesh, ActorSpec, LocalError, LocalProcs, RankError, RegistryError, SpawnError,
};
use controller::Config;
use mesh_core::{MeshRequest, PortRef, Reply, Status};
use mesh_runtime::{Actor, Context, Failure, Port, Proc};
use mesh_shape::Rank;
use tokio::time::{Instant, timeout};

use crate::support::{
    Add, AskOthers, Nothing, Tool, Where, all, encoding, on_failure, registry, soon, tens, world,
};

/// H9: nobody is cast to, called and sliced like anybody else.
#[tokio::test(start_paused = true)]
async fn a_slice_of_nobody_answers_at_once() {
    let world = world("procs=4").await;
    let tools = world.tools().await;
    let nobody = tools.slice("procs", 2..2).expect("it is a slice");
    let since = Instant::now();
    for _ in 0..3 {
        assert!(nobody.cast(&world.proc, Add(1)).await.is_empty());
        assert_eq!(nobody.call(&world.proc, Add(1)).await.size(), 0);
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(all(&soon(tools.call(&world.proc, Add(0))).await), [0, 10, 20, 30]);
}

/// H9: a mesh of nobody.
#[tokio::test(start_paused = true)]
async fn a_mesh_of_nobody_answers_at_once() {
    let world = world("procs=0").await;
    let mut tools = world.tools().await;
    assert!(soon(tools.cast(&world.proc, Add(1))).await.is_empty());
    assert_eq!(soon(tools.call(&world.proc, Add(1))).await.size(), 0);
    tools.stop(Duration::from_secs(1)).await.expect("it is answered");
    while soon(tools.next()).await.is_some() {}
    assert_eq!(soon(tools.call(&world.proc, Add(1))).await.size(), 0);
}

/// A message of no bytes is answered with a reply of none.
#[tokio::test(start_paused = true)]
async fn nothing_is_answered_with_nothing() {
    let world = encoding("procs=5", Config::local()).await;
    let tools = world.tools().await;
    assert!(soon(tools.cast(&world.proc, Nothing)).await.is_empty());
    assert_eq!(all(&soon(tools.call(&world.proc, Nothing)).await), [(); 5]);
}

/// R1: an actor that waits for its own mesh waits for itself until the deadline, and has the answers of the others.
#[tokio::test(start_paused = true)]
async fn an_actor_that_calls_its_own_mesh_is_told_that_it_has_not_answered() {
    let world = world("procs=4").await;
    let tools = world.tools().await;
    let asker = PortRef::<AskOthers>::of(all(&soon(tools.call(&world.proc, Where)).await)[1]);
    let one = tools.slice("procs", 1..2).expect("there is one");
    let ask = AskOthers(tools.mesh_ref().clone(), 1);
    let answers = one.call(&world.proc, ask).within(Duration::from_secs(60)).await;
    assert_eq!(all(&answers), [[Some(1), None, Some(21), Some(31)]]);
    // It goes on. What it did not answer in time it need not handle; down a tree that is known a little later.
    let ask = AskOthers(tools.slice("procs", 2..).expect("there are two"), 1);
    assert_eq!(asker.call(&world.proc, ask).await, Ok(vec![Some(22), Some(32)]));
    let sum = all(&soon(one.call(&world.proc, Add(0))).await)[0];
    assert!(sum == 10 || (sum == 11 && crate::FAN_OUT < 4), "{sum}");
}

/// Lets others go on so often.
async fn yields(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// C4: whenever a process dies while a mesh is spawned on it, the spawn ends, and says so.
#[tokio::test(start_paused = true)]
async fn a_spawn_ends_whenever_a_process_of_it_dies() {
    for delay in 0..60 {
        let world = encoding("procs=3", Config::local()).await;
        let procs = world.procs.procs();
        let spawn = ActorMesh::<Tool>::spawn(&world.proc, &procs, tens("tools"));
        let crash = async {
            yields(delay).await;
            world.procs.crash(Rank::new(1));
        };
        let (spawned, ()) = soon(async { tokio::join!(spawn, crash) }).await;
        if let Ok(tools) = spawned {
            let answers = soon(tools.call(&world.proc, Add(1))).await;
            assert_eq!(answers.get(Rank::new(2)), Some(&Ok(21)), "{delay}");
            let answer = answers.get(Rank::new(1));
            assert!(
                matches!(answer, Some(Ok(11) | Err(RankError::Ended(_)))),
                "{delay}: {answer:?}"
            );
        }
    }
}

/// C2: a spawn that is not waited for leaves nothing behind, whenever it is let go of.
#[tokio::test(start_paused = true)]
async fn a_spawn_that_is_let_go_of_leaves_nothing() {
    let world = encoding("procs=3", Config::local()).await;
    let procs = world.procs.procs();
    let n_before = world.proc.n_roots();
    for delay in 0..80 {
        let spec = tens(&format!("tools-{delay}"));
        let spawn = tokio::spawn({
            let (proc, procs) = (world.proc.clone(), Arc::clone(&procs));
            async move { ActorMesh::<Tool>::spawn(&proc, &procs, spec).await.map(drop) }
        });
        yields(delay).await;
        spawn.abort();
        drop(spawn.await);
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.proc.n_roots(), n_before, "actors of the owner");
    let asked = world.procs.controller().ask(MeshRequest::GetSubscriberCount).await;
    assert_eq!(asked, Ok(Reply::Subscribers(0)), "who follows the processes");
    assert_eq!(all(&soon(world.tools().await.call(&world.proc, Add(1))).await), [1, 11, 21]);
}

/// C1: a stop while ranks are started again ends them all, whenever it comes.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_mesh_that_is_starting_again() {
    for delay in 0..60 {
        let config = Config { restart: on_failure(), ..Config::local() };
        let world = encoding("procs=3", config).await;
        let tools = world.spawn(tens("tools").restart(on_failure())).await;
        world.procs.crash(Rank::new(1));
        tokio::time::sleep(Duration::from_millis(delay)).await;
        yields(delay as usize % 7).await;
        let state = soon(tools.stop(Duration::from_secs(2))).await.expect("it is answered");
        let is_over = |status: &Status| status.is_terminal();
        assert!(state.ranks.iter().all(|rank| is_over(&rank.status)), "{delay}: {state:?}");
        let answers = timeout(Duration::from_secs(1), tools.call(&world.proc, Add(1))).await;
        let answers = answers.unwrap_or_else(|_| panic!("{delay}: it hangs"));
        assert!(answers.iter().all(Result::is_err), "{delay}: {answers:?}");
    }
}

/// R1: whenever the rank dies and comes back under a call, each rank is answered once, soon, and truly.
#[tokio::test(start_paused = true)]
async fn a_call_is_answered_whenever_a_rank_is_started_again() {
    for delay in 0..60 {
        let config = Config { restart: on_failure(), ..Config::local() };
        let world = encoding("procs=4", config).await;
        let tools = world.spawn(tens("tools").restart(on_failure())).await;
        assert_eq!(all(&soon(tools.call(&world.proc, Add(1))).await), [1, 11, 21, 31]);
        world.procs.crash(Rank::new(2));
        tokio::time::sleep(Duration::from_millis(delay)).await;
        yields(delay as usize % 5).await;
        let since = Instant::now();
        let answers = tools.call(&world.proc, Add(1)).await;
        assert!(since.elapsed() < Duration::from_secs(2), "{delay}: {:?}", since.elapsed());
        for (rank, answer) in answers.iter().enumerate() {
            let n = 10 * rank as u64;
            let is_right = match (rank, answer) {
                // Another life of it begins anew.
                (2, Ok(sum)) => *sum == n + 1 || *sum == n + 2,
                (2, Err(error)) => {
                    matches!(error, RankError::Ended(_) | RankError::NotRunning(_))
                }
                (_, answer) => *answer == Ok(n + 2),
            };
            assert!(is_right, "{delay}: rank {rank}: {answer:?}");
        }
        // It is back soon, and known to be.
        let back = async {
            while !tools.call(&world.proc, Add(0)).await.iter().all(Result::is_ok) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let is_back = timeout(Duration::from_millis(400), back).await;
        assert!(is_back.is_ok(), "{delay}: it is not known to be back");
    }
}

/// Two programs, or one twice, may call their meshes the same.
#[tokio::test(start_paused = true)]
async fn meshes_of_one_name_are_two() {
    let world = encoding("procs=3", Config::local()).await;
    let (one, other) = (world.tools().await, world.tools().await);
    assert_eq!(all(&soon(one.call(&world.proc, Add(1))).await), [1, 11, 21]);
    drop(one);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(all(&soon(other.call(&world.proc, Add(2))).await), [2, 12, 22]);
    let spec = ActorSpec::<Tool>::new("tools", &1);
    let third = soon(ActorMesh::spawn(&world.proc, &world.procs.procs(), spec)).await;
    assert_eq!(all(&soon(third.expect("it starts").call(&world.proc, Add(0))).await), [1, 1, 1]);
}

/// A tool by name only.
struct Impostor;

impl Actor for Impostor {
    const NAME: &'static str = Tool::NAME;
    type Params = u64;

    async fn start(_: u64, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

/// Nobody is spawned as somebody else of the same name.
#[tokio::test(start_paused = true)]
async fn two_types_of_one_name_are_told_apart() {
    let proc = Proc::local().expect("there is a runtime");
    let mut both = registry();
    both.actor::<Impostor>();
    let extent = || "procs=2".parse().expect("it is an extent");
    let refused = soon(LocalProcs::start(&proc, "homes", extent(), both)).await;
    let same = RegistryError::SameName(Tool::NAME);
    assert_eq!(refused.err(), Some(LocalError::Registry(same)));
    // Also one that is registered nowhere.
    let world = world("procs=2").await;
    let spec = ActorSpec::<Impostor>::new("tools", &1);
    let spawned = soon(ActorMesh::spawn(&world.proc, &world.procs.procs(), spec)).await;
    let Err(SpawnError::Ranks { failures }) = spawned else { panic!("{spawned:?}") };
    let told = format!("{:?}", failures[0]);
    assert!(told.contains("another type of actors is registered here as"), "{told}");
}
