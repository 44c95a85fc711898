//! down: what goes down the tree, and forwarders that crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actor_mesh::{LocalProcs, LocalSpec, RankError};
use controller::{Config, RestartConfig};
use mesh_core::Transport;
use mesh_runtime::Proc;
use mesh_shape::{Rank, RankSet};
use mesh_testkit::fault_net::{FaultNet, Faults};

use crate::support::{Add, Crate, Hang, Heard, Say, World, all, registry, soon, tens, world};
use crate::unsent::{counted, is_too_large, run};

/// R2: a slice and the whole mesh take the same way, so neither overtakes.
#[tokio::test]
async fn casts_to_slices_and_to_all_keep_their_order() {
    let world = world("procs=7").await;
    let tools = world.tools().await;
    let one = tools.slice("procs", 3..4).expect("there is one");
    let half = tools.slice("procs", 1..5).expect("there are four");
    for n in 0..90 {
        let to = [tools.mesh_ref(), &one, &half][n % 3];
        assert!(soon(to.cast(&world.proc, Add(1))).await.is_empty());
    }
    // What was cast before is handled before what is called.
    assert_eq!(all(&soon(tools.call(&world.proc, Add(0))).await), [30, 70, 80, 120, 100, 80, 90]);
    assert_eq!(all(&soon(one.call(&world.proc, Add(0))).await), [120]);
}

/// R2, R3: whom a message is too large for is told also down a tree, where no transport refuses it.
#[test]
fn what_is_too_large_for_a_tree_is_not_sent() {
    run(async |snapshotter| {
        let world = world("procs=4").await;
        let (tools, proc) = (world.tools().await, &world.proc);
        let enormous = || Crate(vec![7; 17 << 20]);
        counted(snapshotter);
        let all_of_them = soon(tools.cast(proc, enormous())).await;
        assert_eq!(all_of_them.ranks(), RankSet::from(0..4));
        assert!(all_of_them.iter().all(|(_, error)| is_too_large(error)), "{all_of_them:?}");
        assert_eq!(counted(snapshotter), [4, 0]);
        let crates = |rank: usize| if rank == 2 { enormous() } else { Crate(vec![7]) };
        let not_sent = soon(tools.scatter(proc, |point| crates(point.rank().index()))).await;
        assert_eq!(not_sent.ranks(), RankSet::from(2..3));
        assert!(not_sent.iter().all(|(_, error)| is_too_large(error)), "{not_sent:?}");
        assert_eq!(counted(snapshotter), [1, 0]);
        assert_eq!(soon(tools.cast(proc, Say(1))).await.complete(), Ok(()));
        assert_eq!(all(&soon(tools.call(proc, Heard)).await), [[1], [1], [1], [1]]);
    });
}

/// R1, R2: whoever of the tree crashes while a call and the casts before it are on their way, all others are
/// reached once, and answer; the victim has its failure.
#[tokio::test(start_paused = true)]
async fn a_forwarder_that_crashes_costs_nobody_else_a_message() {
    const RANKS: usize = 9;
    for victim in 0..RANKS {
        for delay in [0, 1, 3] {
            let world = world(&format!("procs={RANKS}")).await;
            let tools = world.tools().await;
            for _ in 0..10 {
                assert!(tools.cast(&world.proc, Add(1)).await.is_empty());
            }
            let call = tokio::spawn(tools.call(&world.proc, Add(1)));
            for _ in 0..delay {
                tokio::task::yield_now().await;
            }
            world.procs.crash(Rank::new(victim));
            let begun = tokio::time::Instant::now();
            let answers = call.await.expect("it does not panic");
            assert!(begun.elapsed() < Duration::from_secs(2), "it does not hang on the dead rank");
            is_right(&answers, victim, 11);
            // The others go on, by a tree without it.
            _ = tools.cast(&world.proc, Add(1)).await.complete().is_ok();
            let answers = tools.call(&world.proc, Add(0)).await;
            is_right(&answers, victim, 12);
        }
    }
}

type Answers = mesh_shape::ValueMesh<Result<u64, RankError>>;

fn is_right(answers: &Answers, victim: usize, sum: u64) {
    for (rank, answer) in answers.iter().enumerate() {
        let is_answered = *answer == Ok(10 * rank as u64 + sum);
        let has_ended = matches!(answer, Err(RankError::Ended(_)));
        assert!(is_answered || (rank == victim && has_ended), "{victim}, {rank}: {answer:?}");
    }
}

/// R1: a rank that hangs does not keep the answers of the others, nor those below it.
#[tokio::test(start_paused = true)]
async fn a_rank_that_hangs_keeps_nobody_else() {
    let world = world("procs=7").await;
    let tools = world.tools().await;
    let first = tools.slice("procs", 0..1).expect("there is one");
    first.cast(&world.proc, Hang).await.complete().expect("it is sent");
    let within = Duration::from_secs(3);
    let answers = tools.call(&world.proc, Add(1)).within(within).await;
    assert_eq!(answers.get(Rank::new(0)), Some(&Err(RankError::Deadline { within })));
    for rank in 1..7 {
        assert_eq!(answers.get(Rank::new(rank)), Some(&Ok(10 * rank as u64 + 1)));
    }
    // More than its mailbox and its queue take: whoever casts to all waits, and nobody else does.
    let to_all = tokio::spawn({
        let (proc, all) = (world.proc.clone(), tools.mesh_ref().clone());
        async move {
            loop {
                all.cast(&proc, Add(0)).await.complete().expect("it is sent");
            }
        }
    });
    tokio::time::sleep(within).await;
    let half = tools.slice("procs", 4..).expect("there are three");
    for _ in 0..200 {
        half.cast(&world.proc, Add(1)).await.complete().expect("it is sent");
    }
    assert_eq!(all(&half.call(&world.proc, Add(0)).await), [241, 251, 261]);
    to_all.abort();
}

/// A call that is dropped holds no room: more of them than the caster takes at once do no harm.
#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_make_room_for_others() {
    let world = world("procs=5").await;
    let tools = world.tools().await;
    let others = tools.slice("procs", 1..).expect("there are some");
    let first = tools.slice("procs", 0..1).expect("there is one");
    first.cast(&world.proc, Hang).await.complete().expect("it is sent");
    for _ in 0..200 {
        let call = tools.call(&world.proc, Add(1));
        let is_late = tokio::time::timeout(Duration::from_millis(20), call).await;
        assert!(is_late.is_err(), "the first hangs");
    }
    let answers = others.call(&world.proc, Add(0)).await;
    assert_eq!(all(&answers), [210, 220, 230, 240]);
}

/// R1, R2, RS1: on a bad network the process of each rank in turn is killed and comes back, while casts go on:
/// the others have all of them, and the next life what was cast to it.
#[tokio::test(start_paused = true)]
async fn a_forwarder_that_comes_back_takes_its_place_again() {
    const RANKS: usize = 7;
    let (backoff_min, backoff_max) = (Duration::from_millis(10), Duration::from_millis(50));
    let restart = RestartConfig { backoff_min, backoff_max, ..RestartConfig::on_failure(10) };
    for victim in 0..RANKS {
        let net = FaultNet::new(victim as u64, Faults::moderate());
        let proc = Proc::local().expect("there is a runtime");
        let made = AtomicUsize::new(0);
        let transports = Box::new(move || {
            let site = format!("site-{}", made.fetch_add(1, Ordering::Relaxed));
            Arc::new(net.transport(&site)) as Arc<dyn Transport>
        });
        let extent = format!("procs={RANKS}").parse().expect("it is an extent");
        let (name, registry) = ("homes".to_owned(), registry());
        let config = Config { restart, ..Config::local() };
        let spec = LocalSpec { name, extent, config, registry, transports, stalled_handler: None };
        let procs = LocalProcs::start_with(&proc, spec).await.expect("they start");
        let world = World { proc, procs };
        let tools = world.spawn(tens("tools").restart(restart)).await;
        for n in 0..20 {
            if n == 7 {
                world.procs.crash(Rank::new(victim));
            }
            _ = tools.cast(&world.proc, Add(1)).await.complete().is_ok();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while !tools.call(&world.proc, Add(0)).await.iter().all(Result::is_ok) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = all(&tools.call(&world.proc, Add(0)).await);
        assert!(tools.cast(&world.proc, Add(1)).await.is_empty(), "victim {victim}");
        let after = all(&tools.call(&world.proc, Add(0)).await);
        for rank in 0..RANKS {
            let has_all = before[rank] == 10 * rank as u64 + 20;
            assert!(has_all || rank == victim, "victim {victim}: {before:?}");
            assert_eq!(after[rank], before[rank] + 1, "victim {victim}: {after:?}");
        }
    }
}
