//! Meshes of 10 to 10,000 actors in one process, and as many tasks that read channels.

use std::slice::SliceIndex;
use std::time::{Duration, Instant};

use meshwarden::actor_mesh::{ActorRegistry, LocalProcs};
use meshwarden::mesh_runtime::{Proc, ProcConfig, Sender};
use meshwarden::prelude::*;
use meshwarden_bench_player::Failed;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::parts;
use super::tool::{Count, Counted, Ping, Tool};
use crate::measure::Effort;
use crate::path::tally::{Duel, Figure};
use crate::report::Record;

/// Everything, on two threads.
pub(crate) fn measure(effort: Effort, allocator: Option<&str>) -> Result<Vec<Vec<Record>>, Failed> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // A task: what is blocked on runs on no thread of the runtime.
    let found = runtime.block_on(async move {
        let all = tokio::spawn(async move {
            let mut found = Vec::new();
            for &n_actors in sizes(effort) {
                found.extend(of_size(n_actors, effort).await?);
            }
            Ok::<_, Failed>(found)
        });
        all.await?
    })?;
    let renamed = found.into_iter().map(|records| match allocator {
        Some(name) => records.into_iter().map(|record| record.with(name)).collect(),
        None => records,
    });
    Ok(renamed.collect())
}

/// How many actors a mesh has.
const fn sizes(effort: Effort) -> &'static [usize] {
    match effort {
        Effort::Full => &[10, 100, 1_000, 10_000],
        Effort::Quick => &[10],
    }
}

/// How much is done in a round.
///
/// As many calls follow each other, and as many casts, at each size: the first of a slice finds what others have left in
/// the caches, and the call that ends a row of casts counts as part of each, so sizes could not be compared otherwise.
#[derive(Clone, Copy)]
struct Amount {
    n_calls: usize,
    n_slices: usize,
    n_casts: usize,
}

impl Amount {
    const fn of(n_actors: usize, effort: Effort) -> Self {
        match effort {
            Effort::Quick => Self { n_calls: 2, n_slices: 1, n_casts: 2 },
            Effort::Full if n_actors > 1_000 => Self { n_calls: 8, n_slices: 2, n_casts: 200 },
            Effort::Full if n_actors > 100 => Self { n_calls: 8, n_slices: 16, n_casts: 200 },
            Effort::Full => Self { n_calls: 8, n_slices: 50, n_casts: 200 },
        }
    }
}

/// A mesh of so many actors, and as many tasks; in turn, in each round.
async fn of_size(n: usize, effort: Effort) -> Result<Vec<Vec<Record>>, Failed> {
    let proc = Proc::start(ProcConfig::local(), Handle::current());
    let (homes, tools) = start(&proc, n).await?;
    let floor = Floor::start(n);
    let mut calls = Duel::new(format!("call of {n} actors in one process and gather"));
    let mut casts = Duel::new(format!("cast to {n} actors in one process"));
    let amount = Amount::of(n, effort);
    for _ in 0..=effort.rounds() {
        call_round((&tools, &proc), &floor, (amount, &mut calls)).await?;
        cast_round((&tools, &proc), &floor, (amount, &mut casts)).await?;
    }
    let parts = match n > MANY {
        true => in_parts((&tools, &proc), &floor, (amount, effort)).await?,
        false => Vec::new(),
    };
    _ = homes.stop(GRACE).await?;
    floor.end().await?;
    let mut found = vec![calls.records(Figure::P50, "; p50")];
    if amount.n_calls * amount.n_slices >= 100 {
        found.push(calls.records(Figure::P99, "; p99"));
    }
    found.push(casts.records(Figure::P50, ""));
    found.extend(parts);
    found.push(lives(&proc, n, effort).await?);
    Ok(found)
}

/// Calls of a few at a time, and casts to them, until each was in as many as in those of all.
async fn in_parts(
    (tools, proc): (&ActorMesh<Tool>, &Proc),
    floor: &Floor,
    (amount, effort): (Amount, Effort),
) -> Result<Vec<Vec<Record>>, Failed> {
    let n = tools.extent().size();
    let parts = parts::of(tools, FEW)?;
    let mut calls =
        Duel::new(format!("call of {FEW} of {n} actors in one process, in turn, and gather"));
    let mut casts = Duel::new(format!("cast to {FEW} of {n} actors in one process, in turn"));
    let n_casts = u32::try_from(amount.n_casts * parts.len())?;
    for _ in 0..=effort.rounds() {
        calls.begin_round();
        casts.begin_round();
        for _ in 0..amount.n_slices {
            for part in 0..parts.len() {
                let started = Instant::now();
                floor.call(part * FEW..(part + 1) * FEW).await?;
                calls.floor.push(started.elapsed());
            }
            for part in &parts {
                let started = Instant::now();
                check(&part.call(proc, PING).await)?;
                calls.ours.push(started.elapsed());
            }
        }
        let started = Instant::now();
        for _ in 0..amount.n_casts {
            for part in 0..parts.len() {
                floor.cast(part * FEW..(part + 1) * FEW).await?;
            }
        }
        floor.call(..).await?;
        casts.floor.push(started.elapsed() / n_casts);
        let started = Instant::now();
        for _ in 0..amount.n_casts {
            for part in &parts {
                cast_once(part, proc).await?;
            }
        }
        check(&tools.call(proc, Counted).await)?;
        casts.ours.push(started.elapsed() / n_casts);
    }
    Ok(vec![calls.records(Figure::P50, "; p50"), casts.records(Figure::P50, "")])
}

/// Slices of calls, in turn.
async fn call_round(
    (tools, proc): (&ActorMesh<Tool>, &Proc),
    floor: &Floor,
    (amount, calls): (Amount, &mut Duel),
) -> Result<(), Failed> {
    calls.begin_round();
    for _ in 0..amount.n_slices {
        for _ in 0..amount.n_calls {
            let started = Instant::now();
            floor.call(..).await?;
            calls.floor.push(started.elapsed());
        }
        for _ in 0..amount.n_calls {
            let started = Instant::now();
            check(&tools.call(proc, PING).await)?;
            calls.ours.push(started.elapsed());
        }
    }
    Ok(())
}

/// A row of casts, and a call, each.
async fn cast_round(
    (tools, proc): (&ActorMesh<Tool>, &Proc),
    floor: &Floor,
    (amount, casts): (Amount, &mut Duel),
) -> Result<(), Failed> {
    casts.begin_round();
    let n_casts = u32::try_from(amount.n_casts)?;
    let started = Instant::now();
    for _ in 0..n_casts {
        floor.cast(..).await?;
    }
    floor.call(..).await?;
    casts.floor.push(started.elapsed() / n_casts);
    let started = Instant::now();
    cast(tools, proc, amount.n_casts).await?;
    casts.ours.push(started.elapsed() / n_casts);
    Ok(())
}

/// So many processes in this one, with an actor each.
async fn start(proc: &Proc, n: usize) -> Result<(LocalProcs, ActorMesh<Tool>), Failed> {
    let mut registry = ActorRegistry::new();
    registry.actor::<Tool>();
    let homes = LocalProcs::start(proc, "homes", extent!(procs = n)?, registry).await?;
    let spec = ActorSpec::<Tool>::new("tools", &());
    let tools = ActorMesh::<Tool>::spawn(proc, &homes.procs(), spec).await?;
    Ok((homes, tools))
}

/// Meshes that come, are called once, and go; and as many tasks that do.
async fn lives(proc: &Proc, n: usize, effort: Effort) -> Result<Vec<Record>, Failed> {
    let mut lives = Duel::new(format!("start of {n} actors in one process, and their end"));
    for _ in 0..=effort.rounds() {
        lives.begin_round();
        let started = Instant::now();
        let floor = Floor::start(n);
        floor.call(..).await?;
        floor.end().await?;
        lives.floor.push(started.elapsed());
        let started = Instant::now();
        let (homes, tools) = start(proc, n).await?;
        check(&tools.call(proc, PING).await)?;
        _ = homes.stop(GRACE).await?;
        lives.ours.push(started.elapsed());
    }
    Ok(lives.records(Figure::P50, ""))
}

/// Casts one after another, and a call that comes after them: then all were handled.
pub(crate) async fn cast(
    tools: &ActorMeshRef<Tool>,
    from: &(impl Sender + Sync),
    n: usize,
) -> Result<(), Failed> {
    for _ in 0..n {
        cast_once(tools, from).await?;
    }
    check(&tools.call(from, Counted).await)
}

async fn cast_once(tools: &ActorMeshRef<Tool>, from: &(impl Sender + Sync)) -> Result<(), Failed> {
    match tools.cast(from, Count([1; 32], [2; 32])).await.is_empty() {
        true => Ok(()),
        false => Err("it is sent to all".into()),
    }
}

/// Fails unless all have answered.
pub(crate) fn check<T>(replies: &ValueMesh<Result<T, RankError>>) -> Result<(), Failed>
where
    T: Serialize + DeserializeOwned,
{
    match replies.iter().find_map(|reply| reply.as_ref().err()) {
        Some(error) => Err(error.clone().into()),
        None => Ok(()),
    }
}

/// So many actors are called and cast to a few at a time, too.
const MANY: usize = 1_000;

/// How many are few.
const FEW: usize = 100;

/// How long a mesh may take to end.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) const PING: Ping = Ping([1; 32], [2; 32]);

/// What anybody needs for the same: a task of tokio for each, that reads a channel of tokio.
struct Floor {
    tasks: Vec<Task>,
    ended: Vec<JoinHandle<u64>>,
}

type Task = mpsc::Sender<Word>;

enum Word {
    Ping(Ping, oneshot::Sender<Ping>),
    Count(Count),
}

impl Floor {
    fn start(n: usize) -> Self {
        let mut ended = Vec::with_capacity(n);
        let start = |_| {
            let (task, mut words) = mpsc::channel(1024);
            ended.push(tokio::spawn(async move {
                let mut n_casts = 0_u64;
                while let Some(word) = words.recv().await {
                    match word {
                        Word::Ping(ping, answer) => _ = answer.send(ping).is_ok(),
                        Word::Count(Count(..)) => n_casts += 1,
                    }
                }
                n_casts
            }));
            task
        };
        let tasks = (0..n).map(start).collect();
        Self { tasks, ended }
    }

    /// Waits until all have ended.
    async fn end(self) -> Result<(), Failed> {
        let Self { tasks, ended } = self;
        drop(tasks);
        for one in ended {
            _ = one.await?;
        }
        Ok(())
    }

    async fn call(&self, which: impl SliceIndex<[Task], Output = [Task]>) -> Result<(), Failed> {
        let tasks = self.tasks.get(which).unwrap_or_default();
        let mut answers = Vec::with_capacity(tasks.len());
        for task in tasks {
            let (answer, answered) = oneshot::channel();
            task.send(Word::Ping(PING, answer)).await.or(Err("the task lives"))?;
            answers.push(answered);
        }
        for answer in answers {
            answer.await?;
        }
        Ok(())
    }

    async fn cast(&self, which: impl SliceIndex<[Task], Output = [Task]>) -> Result<(), Failed> {
        for task in self.tasks.get(which).unwrap_or_default() {
            let word = Word::Count(Count([1; 32], [2; 32]));
            task.send(word).await.or(Err("the task lives"))?;
        }
        Ok(())
    }
}
