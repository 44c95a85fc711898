//! Meshes of one actor on each of 8 to 256 processes, over TCP: sent to each by itself, and down a tree.

use std::time::{Duration, Instant};

use meshwarden::prelude::*;

use super::inside::{PING, cast, check};
use super::parts;
use super::tool::{Count, Counted, Counts, Tool, Woken, here};
use crate::measure::Effort;
use crate::path::floor::Floor;
use crate::path::tally::{Duel, Figure};
use crate::report::{Record, Stats};

/// To how many each process of a tree sends.
const FAN_OUT: usize = 8;

/// A mesh, and what it is called in the figures.
struct Side {
    by: &'static str,
    tools: ActorMesh<Tool>,
}

/// How much is done in a slice of a round.
///
/// As many casts follow each other at each size: the call that ends them counts as part of each, so sizes could not be
/// compared otherwise.
#[derive(Clone, Copy)]
struct Amount {
    n_calls: usize,
    n_casts: usize,
    n_slices: usize,
}

impl Amount {
    const fn of(n_procs: usize, effort: Effort) -> Self {
        match effort {
            Effort::Quick => Self { n_calls: 2, n_casts: 10, n_slices: 2 },
            Effort::Full if n_procs > 64 => Self { n_calls: 12, n_casts: 200, n_slices: 2 },
            Effort::Full if n_procs > 8 => Self { n_calls: 20, n_casts: 200, n_slices: 5 },
            Effort::Full => Self { n_calls: 50, n_casts: 200, n_slices: 10 },
        }
    }
}

/// Those who take turns, and what they have taken: direct first, then by a tree.
struct World<'a> {
    root: &'a Root,
    sides: [Side; 2],
    floor: Floor,
    calls: [Duel; 2],
    casts: [Duel; 2],
    parts: Parts,
}

/// A few of the processes at a time.
struct Parts {
    tools: Vec<ActorMeshRef<Tool>>,
    calls: Duel,
}

impl Parts {
    fn of(tools: &ActorMeshRef<Tool>, n_procs: usize) -> Result<Self, ClientError> {
        let work = format!("call of {FEW} of {n_procs} processes, in turn, and gather, 64 B");
        Ok(Self { tools: parts::of(tools, FEW)?, calls: Duel::new(work) })
    }
}

/// How many are few.
const FEW: usize = 8;

/// Calls and casts to a mesh of so many processes.
pub(crate) async fn measure(
    root: &Root,
    hosts: &HostMesh,
    (n_procs, effort): (usize, Effort),
) -> Result<Vec<Vec<Record>>, ClientError> {
    let procs = root.procs(extent!(procs = n_procs)?).actors()?.spawn(hosts).await?;
    let direct = procs.spawn::<Tool>("direct", ()).await?;
    let spec = ActorSpec::new("tree", &()).fan_out(FanOut::new(fan_out(n_procs))?);
    let tree = procs.spawn_as::<Tool>(spec).await?;
    let duels = |work: String| [Duel::new(&*work), Duel::new(&*work)];
    let mut world = World {
        root,
        parts: Parts::of(&direct, n_procs)?,
        sides: [Side { by: "ours", tools: direct }, Side { by: "ours, tree", tools: tree }],
        floor: Floor::start(n_procs).await?,
        calls: duels(format!("call of {n_procs} processes and gather, 64 B")),
        casts: duels(format!("pipelined cast to {n_procs} processes, 64 B")),
    };
    let amount = Amount::of(n_procs, effort);
    for _ in 0..=effort.rounds() {
        world.calls.iter_mut().chain(&mut world.casts).for_each(Duel::begin_round);
        world.parts.calls.begin_round();
        for _ in 0..amount.n_slices {
            world.call(amount.n_calls).await?;
            world.cast(amount.n_casts).await?;
        }
    }
    let mut found = world.records();
    found.extend(world.wakeups(n_procs).await?);
    found.extend(counts(root, &world.sides, n_procs).await?);
    Ok(found)
}

impl World<'_> {
    /// Calls of everybody in turn.
    async fn call(&mut self, n: usize) -> Result<(), ClientError> {
        let floor = &mut self.floor;
        let pinged = timed(n, async || Ok(floor.ping_all().await?)).await?;
        for (Side { tools, .. }, duel) in self.sides.iter().zip(&mut self.calls) {
            pinged.iter().for_each(|elapsed| duel.floor.push(*elapsed));
            let call = async || Ok(check(&tools.call(self.root, PING).await)?);
            let called = timed(n, call).await?;
            called.into_iter().for_each(|elapsed| duel.ours.push(elapsed));
        }
        let Parts { tools, calls } = &mut self.parts;
        for part in 0..tools.len() {
            let started = Instant::now();
            floor.ping_some(part * FEW..(part + 1) * FEW).await?;
            calls.floor.push(started.elapsed());
        }
        for part in tools.iter() {
            let started = Instant::now();
            check(&part.call(self.root, PING).await)?;
            calls.ours.push(started.elapsed());
        }
        Ok(())
    }

    /// Casts of everybody in turn.
    async fn cast(&mut self, n: usize) -> Result<(), ClientError> {
        let n_each = u32::try_from(n)?;
        let started = Instant::now();
        self.floor.cast_all(n).await?;
        let elapsed = started.elapsed() / n_each;
        for (Side { tools, .. }, duel) in self.sides.iter().zip(&mut self.casts) {
            duel.floor.push(elapsed);
            let started = Instant::now();
            cast(tools, self.root, n).await?;
            duel.ours.push(started.elapsed() / n_each);
        }
        Ok(())
    }

    /// How often all processes together are woken for a call, and for one of many casts in a row: directly, by a tree, and
    /// where plain children read.
    async fn wakeups(&mut self, n_procs: usize) -> Result<[Vec<Record>; 2], ClientError> {
        let record = |what: &str, by: &str, n_woken: u64| {
            let work = format!("processes woken for a {what} {n_procs}");
            let each = Stats::of(vec![n_woken as f64 / N_WOKEN as f64]);
            Record::new(work, by, ("wake-ups", "times"), each)
        };
        let (mut calls, mut casts) = (Vec::new(), Vec::new());
        for Side { by, tools } in &self.sides {
            let first = n_woken(self.root, tools).await?;
            for _ in 0..N_WOKEN {
                check(&tools.call(self.root, PING).await)?;
            }
            let then = n_woken(self.root, tools).await?;
            calls.push(record("call of", by, then - first));
            cast(tools, self.root, N_WOKEN).await?;
            casts.push(record("cast to", by, n_woken(self.root, tools).await? - then));
        }
        let first = self.floor.n_woken()?;
        for _ in 0..N_WOKEN {
            self.floor.ping_all().await?;
        }
        let then = self.floor.n_woken()?;
        calls.push(record("call of", "floor", then - first));
        self.floor.cast_all(N_WOKEN).await?;
        casts.push(record("cast to", "floor", self.floor.n_woken()? - then));
        Ok([calls, casts])
    }

    fn records(&self) -> Vec<Vec<Record>> {
        let figures = [
            (&self.calls, Figure::P50, "; p50"),
            (&self.calls, Figure::P99, "; p99"),
            (&self.casts, Figure::P50, ""),
        ];
        let of = |([direct, tree], figure, suffix): (&[Duel; 2], _, _)| {
            direct.beside((self.sides[1].by, tree), figure, suffix)
        };
        let mut found: Vec<_> = figures.into_iter().map(of).collect();
        let parts = self.parts.calls.records(Figure::P50, "; p50");
        found.extend((!parts.is_empty()).then_some(parts));
        found
    }
}

/// A tree is one of more than one level, also where only a few processes are.
fn fan_out(n_procs: usize) -> usize {
    if n_procs > FAN_OUT { FAN_OUT } else { 2 }
}

/// How long each of some repetitions takes.
async fn timed(
    n: usize,
    mut work: impl AsyncFnMut() -> Result<(), ClientError>,
) -> Result<Vec<Duration>, ClientError> {
    let mut found = Vec::with_capacity(n);
    for _ in 0..n {
        let started = Instant::now();
        work().await?;
        found.push(started.elapsed());
    }
    Ok(found)
}

/// How often one message is written for a cast, and how often it is read for each rank, in all processes together.
async fn counts(
    root: &Root,
    sides: &[Side],
    n_procs: usize,
) -> Result<Vec<Vec<Record>>, ClientError> {
    let (mut written, mut read) = (Vec::new(), Vec::new());
    for Side { by, tools } in sides {
        let before = all(root, tools).await?;
        let not_sent = tools.cast(root, Count([1; 32], [2; 32])).await;
        if !not_sent.is_empty() {
            return Err("it is sent to all".into());
        }
        let after = all(root, tools).await?;
        if after.n_casts - before.n_casts != n_procs as u64 {
            return Err(format!("each handles it once: {before:?}, {after:?}").into());
        }
        let figure = |found: u64| Stats::of(vec![found as f64]);
        let work = format!("one cast to {n_procs} processes is written");
        let found = figure(after.n_written - before.n_written);
        written.push(Record::new(work, *by, ("serialisations", "times"), found));
        let work = format!("one cast to {n_procs} processes is read, by each");
        let found = Stats::of(vec![(after.n_read - before.n_read) as f64 / n_procs as f64]);
        read.push(Record::new(work, *by, ("deserialisations", "times"), found));
    }
    Ok(vec![written, read])
}

/// How often all processes of a mesh have been woken.
async fn n_woken(root: &Root, tools: &ActorMeshRef<Tool>) -> Result<u64, ClientError> {
    let mut sum = 0;
    for n_woken in tools.call(root, Woken).await.iter() {
        sum += n_woken.clone()?;
    }
    Ok(sum)
}

/// How many calls, and casts, wake-ups are counted for: so many that the one that asks for them counts for little.
const N_WOKEN: usize = 200;

/// The counts of this process and of those of a mesh, added up.
async fn all(root: &Root, tools: &ActorMeshRef<Tool>) -> Result<Counts, ClientError> {
    let mut sum = here();
    for counts in tools.call(root, Counted).await.iter() {
        let counts = counts.clone()?;
        sum.n_casts += counts.n_casts;
        sum.n_written += counts.n_written;
        sum.n_read += counts.n_read;
    }
    Ok(sum)
}
