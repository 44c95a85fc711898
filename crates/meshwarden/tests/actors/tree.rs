//! tree: casts and calls that go from process to process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshwarden::prelude::*;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::support::{AT_ONCE, Outcome, World, all, next_failures, tens};
use crate::tool::{Add, Pause, Pid};

/// How many processes: two levels below the program.
const PROCS: usize = 7;

/// R2
pub(crate) async fn every_process_is_reached_over_others_in_order(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, &format!("procs={PROCS}")).await?;
    let tools = world.procs.spawn_as(tens("tree").fan_out(FanOut::new(2)?)).await?;
    let mut sum = 0;
    for n in 0..300 {
        assert!(tools.cast(&*root, Add(n)).await.is_empty());
        sum += n;
    }
    let sums = all(&tools.call(&*root, Add(0)).await)?;
    let expected: Vec<u64> = (0..PROCS as u64).map(|rank| sum + 10 * rank).collect();
    assert_eq!(sums, expected);
    let upper = tools.slice("procs", 3..)?;
    let pids = all(&upper.call(&*root, Pid).await)?;
    assert_eq!(pids, all(&tools.call(&*root, Pid).await)?[3..]);
    drop(tools);
    world.close().await
}

fn only_the_first_was_killed(answers: &ValueMesh<Result<(), RankError>>) -> Outcome {
    for (rank, answer) in answers.iter().enumerate() {
        match answer {
            Ok(()) => assert_ne!(rank, 0, "it was killed"),
            Err(RankError::Ended(ended)) => {
                assert_eq!(rank, 0, "{ended}");
                assert!(ended.to_string().contains("signal 9"), "{ended}");
            }
            Err(error) => return Err(format!("rank {rank}: {error}").into()),
        }
    }
    Ok(())
}

/// R1, R2: those below it are adopted, and answer; it is answered with its end.
pub(crate) async fn a_forwarder_that_is_killed_in_mid_call_holds_nobody_up(
    root: Arc<Root>,
) -> Outcome {
    let world = World::new(&root, &format!("procs={PROCS}")).await?;
    let mut tools = world.procs.spawn_as(tens("tree").fan_out(FanOut::new(2)?)).await?;
    all(&tools.call(&*root, Add(0)).await)?;
    // The first of the ranks is one that others are reached over.
    let call =
        tools.call(&*root, Pause(Duration::from_millis(300))).within(Duration::from_secs(50));
    let call = tokio::spawn(call);
    sleep(Duration::from_millis(100)).await;
    let killed = Instant::now();
    world.signal(0, Signal::KILL).await?;
    let answers = call.await?;
    assert!(killed.elapsed() < AT_ONCE, "{:?}", killed.elapsed());
    only_the_first_was_killed(&answers)?;
    assert_eq!(next_failures(&mut tools).await?.len(), 1);
    let sums = tools.call(&*root, Add(1)).await;
    let sums: Vec<u64> = sums.iter().filter_map(|sum| sum.as_ref().ok().copied()).collect();
    assert_eq!(sums, (1..PROCS as u64).map(|rank| 10 * rank + 1).collect::<Vec<_>>());
    drop(tools);
    world.close().await
}

/// R2, H7: those below it are reached without it, and what it was sent it has when it goes on.
pub(crate) async fn a_forwarder_that_is_suspended_holds_nobody_up(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, &format!("procs={PROCS}")).await?;
    let tools = world.procs.spawn_as(tens("tree").fan_out(FanOut::new(2)?)).await?;
    all(&tools.call(&*root, Add(0)).await)?;
    world.signal(0, Signal::STOP).await?;
    assert!(tools.cast(&*root, Add(1)).await.is_empty());
    let mut answers = tools.call(&*root, Add(1)).within(Duration::from_secs(40)).replies();
    let asked = Instant::now();
    let mut sums = Vec::new();
    for _ in 1..PROCS {
        let (rank, sum) = answers.next().await.ok_or("all but one answer")?;
        sums.push((rank.index() as u64, sum?));
    }
    // Far less than its process has until it is given up, and than the deadline.
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    sums.sort_unstable();
    let expected: Vec<_> = (1..PROCS as u64).map(|rank| (rank, 10 * rank + 2)).collect();
    assert_eq!(sums, expected);
    world.signal(0, Signal::CONT).await?;
    let (rank, sum) = answers.next().await.ok_or("and that one does now")?;
    assert_eq!((rank, sum?), (Rank::new(0), 2));
    drop((answers, tools));
    world.close().await
}

/// R1: replies are merged in the processes on the way, also when one of them is killed meanwhile.
pub(crate) async fn replies_are_merged_in_processes_on_the_way(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, &format!("procs={PROCS}")).await?;
    let tools = world.procs.spawn_as(tens("tree").fan_out(FanOut::new(2)?)).await?;
    let sum = tools.reduce(&*root, Add(1), Sum).await.complete()?;
    assert_eq!(sum, Some(10 * 21 + 7));
    world.signal(0, Signal::KILL).await?;
    let sum = tools.reduce(&*root, Add(1), Sum).await;
    assert_eq!((sum.value, sum.ranks), (Some(10 * 21 + 12), RankSet::from(1..PROCS)));
    assert_eq!(sum.failed.iter().map(|(rank, _)| rank.index()).collect::<Vec<_>>(), [0]);
    drop(tools);
    world.close().await
}
