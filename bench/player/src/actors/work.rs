//! The works: what is timed, and the proof that it was done.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::sync::oneshot;

use super::marks::all_started;
use super::{Actors, Job};
use crate::Failed;
use crate::resident::resident;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// One producer sends to one actor.
    One,
    /// Eight send to one.
    Eight,
    /// Eight send to an actor each.
    Pairs,
    /// One calls one, one call after the other.
    Call,
    /// Actors are spawned, and then idle.
    Spawn,
    /// Messages wait for an actor that handles none.
    Queued,
    /// Children panic.
    Panic,
    /// A message to many, and their answers.
    Broadcast,
}

impl Work {
    /// All, and the words that name them on a command line.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::One, "one"),
        (Self::Eight, "eight"),
        (Self::Pairs, "pairs"),
        (Self::Call, "call"),
        (Self::Spawn, "spawn"),
        (Self::Queued, "queued"),
        (Self::Panic, "panic"),
        (Self::Broadcast, "broadcast"),
    ];

    /// The one that is called so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, word)| *word == name).map(|(work, _)| work)
    }

    /// The word for it on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(work, _)| *work == self).map_or("", |(_, word)| word)
    }
}

impl Job {
    /// Does it. What is found depends on the work:
    ///
    /// - messages a second;
    /// - of calls, nanoseconds at the median and at the 99th percentile;
    /// - of spawning, nanoseconds and resident bytes for each actor;
    /// - of queued messages, resident bytes of all;
    /// - of the others, nanoseconds at the median, or nothing from those who cannot do it.
    pub(super) async fn measure<A: Actors>(self, actors: &A) -> Result<Vec<f64>, Failed> {
        match self.work {
            Work::One => self.rate(actors, (1, 1)).await,
            Work::Eight => self.rate(actors, (8, 1)).await,
            Work::Pairs => self.rate(actors, (8, 8)).await,
            Work::Call => self.calls(actors).await,
            Work::Spawn => self.spawns(actors).await,
            Work::Queued => self.queued(actors).await,
            Work::Panic => {
                let nanos = actors.panics(self.amount(500)).await?;
                Ok(if nanos.is_empty() { Vec::new() } else { vec![percentile(nanos, 50)] })
            }
            Work::Broadcast => self.broadcasts(actors).await,
        }
    }

    const fn amount(self, full: usize) -> usize {
        if self.is_quick { full.div_ceil(100) } else { full }
    }

    async fn rate<A: Actors>(self, actors: &A, (n, m): (usize, usize)) -> Result<Vec<f64>, Failed> {
        let each = self.amount(N_SENT) / n;
        let mut adders = Vec::new();
        for nth in 0..m {
            // The one who sends to an only actor begins on the other thread.
            let thread = if m == 1 { 1 } else { nth };
            adders.push(actors.spawn(thread).await?);
        }
        let (mut rates, mut total) = (Vec::new(), 0);
        let begin = Instant::now();
        // The first batch warms up.
        while rates.len() < 6 || begin.elapsed() < self.time() {
            let started = Instant::now();
            let producers = (0..n).map(|nth| {
                let to = adders[nth % m].clone();
                actors.on(nth, async move {
                    for number in 1..=each as u64 {
                        A::add(&to, number).await?;
                    }
                    Ok::<(), Failed>(())
                })
            });
            for sent in try_join_all(producers).await? {
                sent?;
            }
            let mut sum = 0;
            for adder in &adders {
                sum += A::ask(adder, 0).await?;
            }
            rates.push((each * n) as f64 / started.elapsed().as_secs_f64());
            total += (each * (each + 1) / 2 * n) as u64;
            check(sum, total)?;
        }
        rates.remove(0);
        rates.sort_by(f64::total_cmp);
        Ok(vec![rates[rates.len() / 2]])
    }

    async fn calls<A: Actors>(self, actors: &A) -> Result<Vec<f64>, Failed> {
        let adder = actors.spawn(1).await?;
        let n = self.amount(N_CALLS);
        let calls = actors.on(0, async move {
            for nth in 1..=n as u64 {
                check(A::ask(&adder, 1).await?, nth)?;
            }
            let mut sum = n as u64;
            // Ten at once: to read the clock takes some 50 ns.
            let mut tens = Vec::with_capacity(n / 10);
            for _ in 0..n / 10 {
                let started = Instant::now();
                for _ in 0..10 {
                    sum += 1;
                    check(A::ask(&adder, 1).await?, sum)?;
                }
                tens.push(nanos_of(started.elapsed()));
            }
            let mut ones = Vec::with_capacity(n);
            for _ in 0..n {
                let started = Instant::now();
                sum += 1;
                check(A::ask(&adder, 1).await?, sum)?;
                ones.push(nanos_of(started.elapsed()));
            }
            Ok::<_, Failed>(vec![percentile(tens, 50) / 10.0, percentile(ones, 99)])
        });
        calls.await?
    }

    async fn spawns<A: Actors>(self, actors: &A) -> Result<Vec<f64>, Failed> {
        let (n, warm) = (self.amount(N_SPAWNED), self.amount(1_000));
        let spawner = actors.clone();
        let spawns = actors.on(0, async move {
            let mut adders = Vec::with_capacity(n + warm);
            for _ in 0..warm {
                adders.push(spawner.spawn(0).await?);
            }
            all_started(warm).await?;
            let (before, started) = (resident()?, Instant::now());
            for _ in 0..n {
                adders.push(spawner.spawn(0).await?);
            }
            all_started(n + warm).await?;
            let nanos = nanos_of(started.elapsed()) as f64 / n as f64;
            let bytes = resident()?.saturating_sub(before) as f64 / n as f64;
            for adder in adders.iter().step_by(1_000) {
                check(A::ask(adder, 3).await?, 3)?;
            }
            Ok::<_, Failed>(vec![nanos, bytes])
        });
        spawns.await?
    }

    async fn queued<A: Actors>(self, actors: &A) -> Result<Vec<f64>, Failed> {
        let adder = actors.spawn(1).await?;
        let n = self.amount(N_QUEUED) as u64;
        let queued = actors.on(0, async move {
            check(A::ask(&adder, 0).await?, 0)?;
            let (open, gate) = oneshot::channel();
            A::hold(&adder, gate).await?;
            let before = resident()?;
            for number in 1..=n {
                A::add(&adder, number).await?;
            }
            let bytes = resident()?.saturating_sub(before);
            open.send(()).map_err(|()| "it waits at the gate")?;
            check(A::ask(&adder, 0).await?, n * (n + 1) / 2)?;
            Ok::<_, Failed>(vec![bytes as f64])
        });
        queued.await?
    }

    async fn broadcasts<A: Actors>(self, actors: &A) -> Result<Vec<f64>, Failed> {
        let n = self.amount(N_BROADCAST) as u64;
        let mut all = Vec::new();
        for nth in 0..self.amount(1_000) {
            all.push(actors.spawn(nth).await?);
        }
        let broadcasts = actors.on(0, async move {
            let mut nanos = Vec::new();
            for nth in 1..=n {
                let started = Instant::now();
                let sum = A::ask_all(&all, 1).await?;
                if nth > n / 10 {
                    nanos.push(nanos_of(started.elapsed()));
                }
                check(sum, nth * all.len() as u64)?;
            }
            Ok::<_, Failed>(vec![percentile(nanos, 50)])
        });
        broadcasts.await?
    }

    /// How long messages are sent at least.
    const fn time(self) -> Duration {
        Duration::from_millis(if self.is_quick { 1 } else { 250 })
    }
}

/// All messages were handled, if both are the same.
fn check(found: u64, expected: u64) -> Result<(), Failed> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("the sum is {found}, not {expected}").into())
    }
}

/// Of numbers, at least one.
fn percentile(mut nanos: Vec<u64>, percent: usize) -> f64 {
    nanos.sort_unstable();
    nanos[(nanos.len() - 1) * percent / 100] as f64
}

fn nanos_of(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Messages of one batch.
const N_SENT: usize = 40_000;
const N_CALLS: usize = 20_000;
const N_SPAWNED: usize = 100_000;
const N_QUEUED: usize = 1_000_000;
const N_BROADCAST: usize = 100;
