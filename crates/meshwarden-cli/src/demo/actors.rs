//! The way of actors: counters are called together, round by round. The process of one is killed in mid-call,
//! and what it had counted is counted again by a slice of the others. Then one panics, and its process
//! lives on.

mod counter;
mod crew;
mod foreman;
mod ledger;
mod survivors;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use meshwarden::mesh_shape::{Rank, Region};
use meshwarden::prelude::{ActorMeshRef, RankError, Registry, ValueMesh};
use tokio::time::sleep;

use crate::demo::log::Log;
use crate::demo::patience::{PATIENCE, patiently};
use crate::demo::shard::{Batch, Shard, Unread};
use crate::demo::stage::{Outcome, Stage, bar};
use crate::demo::story::Event;
use crate::demo::tally::Tally;
use crate::demo::verdict::{Ending, Expected, Supervised};
use counter::{BUG, Count, CountLost, Counter, Panic, Share, WhichProcess};
use crew::Crew;
use ledger::Ledger;

/// Registers the counters.
pub(crate) fn register(registry: &mut Registry) {
    registry.actor::<Counter>();
}

/// Whether each shard fits into the message that creates its counter.
///
/// # Errors
///
/// If one does not: it has more files than can be named.
pub(crate) fn check(shards: &[Shard]) -> Result<()> {
    for (rank, shard) in shards.iter().enumerate() {
        let share = Share { rank: Rank::new(rank), batches: shard.batches.clone() };
        let n_bytes = postcard::experimental::serialized_size(&share)?;
        ensure!(
            n_bytes <= SHARE_BYTES_MAX,
            "the names of the {} files of rank {rank} are too long for one message: use more ranks \
             (--extent), or --processes",
            shard.n_files
        );
    }
    Ok(())
}

/// Counts, and loses a process in mid-call, and an actor to a panic.
///
/// # Errors
///
/// What kept it from its end.
pub(crate) async fn count(stage: &Stage<'_>, log: &mut Log) -> Result<Outcome> {
    let crew = Crew::spawn(stage, log).await?;
    let n_batches = stage.shards.iter().map(|shard| shard.batches.len()).sum();
    let ledger = Ledger::new(stage.extent.size());
    let bar = bar(log.story.is_json(), n_batches);
    let mut driver = Driver { stage, log, crew, ledger, bar, ended: Vec::new() };
    driver.count_all().await?;
    driver.count_lost().await?;
    driver.bar.finish_and_clear();
    driver.panic().await?;
    driver.call_the_roll().await?;
    driver.log.counted(&driver.ledger.total(), stage.serial);
    driver.finish().await
}

/// The entries of the answers of a call that counts.
type Counted = ValueMesh<Result<Result<Tally, Unread>, RankError>>;

/// Whoever calls the counters, and what it keeps.
struct Driver<'a> {
    stage: &'a Stage<'a>,
    log: &'a mut Log,
    crew: Crew,
    ledger: Ledger,
    bar: ProgressBar,
    /// How each actor that has failed has ended, as must be told.
    ended: Vec<Ending>,
}

impl Driver<'_> {
    /// All counters count their shards, a batch in each round; in the second the victim is killed.
    async fn count_all(&mut self) -> Result<()> {
        let n_rounds = self.stage.shards.iter().map(|shard| shard.batches.len()).max();
        for round in 0..n_rounds.unwrap_or(0) {
            let is_fatal = round == FATAL_ROUND;
            let ask = is_fatal.then(|| self.crew.foreman());
            let message = Count { batch: round, ask };
            let call = self.crew.counters().call(self.stage.root, message).within(PATIENCE);
            let victim = is_fatal.then_some(self.stage.victim);
            let answers = self.crew.hear(self.log, victim, call).await?;
            if is_fatal {
                self.lose_victim(&answers)?;
            }
            self.add(&answers, None)?;
        }
        Ok(())
    }

    /// Finds the victim's failure in its entry.
    fn lose_victim(&mut self, answers: &Counted) -> Result<()> {
        let Stage { victim, extent, .. } = self.stage;
        let error = match answers.get(*victim) {
            Some(Err(error)) => error.to_string(),
            _ => bail!("rank {victim} has answered although it was killed before"),
        };
        let whom = (*victim, extent.unravel(*victim)?.to_string());
        self.log.answered(self.crew.label(), whom, error);
        self.ended.push(Ending::killed(*victim, extent)?.inherited(self.crew.procs_label()));
        self.ledger.lose(*victim);
        // A batch in each round before this one.
        self.bar.set_position(self.bar.position().saturating_sub(FATAL_ROUND as u64));
        Ok(())
    }

    /// Adds what the ranks of a slice, or all, have counted.
    fn add(&mut self, answers: &Counted, among: Option<&Region>) -> Result<()> {
        for (index, answer) in answers.iter().enumerate() {
            let rank = match among {
                Some(among) => among.base_rank(Rank::new(index)).context("it is in the slice")?,
                // What is said by a later life of who has lost its shard does not count.
                None if self.ledger.is_lost(Rank::new(index)) => continue,
                None => Rank::new(index),
            };
            match answer {
                Ok(counted) => self.ledger.add(rank, counted.as_ref().map_err(Clone::clone)?),
                Err(error) => bail!("rank {rank} has not counted its words: {error}"),
            }
        }
        let n_counted = answers.iter().filter(|it| matches!(it, Ok(Ok(it)) if it.words() > 0));
        self.bar.inc(n_counted.count() as u64);
        Ok(())
    }

    /// What the victim has lost is counted again, by a slice of the survivors. Where there are none it does
    /// so itself, once it runs again.
    async fn count_lost(&mut self) -> Result<()> {
        let Stage { victim, extent, shards, .. } = self.stage;
        let among = match survivors::without(extent, *victim)? {
            Some(survivors) => survivors,
            None => {
                self.call_the_roll().await?;
                Region::all((*extent).clone())
            }
        };
        let slice = self.crew.counters().part(&among)?;
        let batches = shards.get(victim.index()).map_or(&[][..], |shard| &shard.batches);
        let among = Arc::new(among);
        for batches in batches.chunks(among.size()) {
            let answers = self.recount(&slice, &among, batches).await?;
            self.add(&answers, Some(&among))?;
        }
        let (rank, by, n_ranks) = (victim.index(), among.to_string(), among.size());
        self.log.story.tell(Instant::now(), Event::Recounted { rank, by, n_ranks });
        Ok(())
    }

    async fn recount(
        &mut self,
        slice: &ActorMeshRef<Counter>,
        among: &Arc<Region>,
        batches: &[Batch],
    ) -> Result<Counted> {
        let message = CountLost { among: Arc::clone(among), batches: batches.to_vec() };
        let call = slice.call(self.stage.root, message).within(PATIENCE);
        self.crew.hear(self.log, None, call).await
    }

    /// One counter panics: a survivor, if there are some. Everybody has heard of the first fault before.
    async fn panic(&mut self) -> Result<()> {
        self.settle().await?;
        let Stage { extent, victim, .. } = self.stage;
        let survivors = survivors::without(extent, *victim)?;
        let rank = survivors.and_then(|slice| slice.base_rank(Rank::new(0))).unwrap_or(*victim);
        let incarnation = u64::from(rank == *victim);
        let pid = self.call_the_roll().await?.get(rank.index()).copied();
        let event = Event::Panicked { rank: rank.index(), pid: pid.context("it was called")? };
        let counter = self.crew.counters().part(&survivors::only(extent, rank)?)?;
        self.log.fault(Instant::now(), event);
        let call = counter.call(self.stage.root, Panic).within(PATIENCE);
        let answers = self.crew.hear(self.log, None, call).await?;
        let error = match answers.get(Rank::new(0)) {
            Some(Err(error)) => error.to_string(),
            _ => bail!("rank {rank} has answered although it has panicked"),
        };
        let whom = (rank, extent.unravel(rank)?.to_string());
        self.log.answered(self.crew.label(), whom, error);
        self.ended.push(Ending::panicked((rank, incarnation), extent, BUG)?);
        self.settle().await
    }

    /// Waits until everybody was told of every failure so far, and what has failed runs again.
    async fn settle(&mut self) -> Result<()> {
        let (procs, actors) = (self.crew.procs_label().id(), self.crew.label().id());
        let n_actors = self.ended.len();
        let is_settled = |log: &Log| {
            [(procs, N_KILLED), (actors, n_actors)]
                .iter()
                .all(|(mesh, n)| log.n_told_to_all(*mesh) >= *n && log.n_restarted(*mesh) >= *n)
        };
        let settling = async {
            while !is_settled(self.log) {
                self.crew.wake(self.log).await?;
            }
            Ok(())
        };
        patiently("everybody to be told, and what has failed to run again", settling).await?
    }

    /// Calls all until each has answered from the process that is its own now. Returns their pids.
    async fn call_the_roll(&mut self) -> Result<Vec<u32>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let call = self.crew.counters().call(self.stage.root, WhichProcess).within(PATIENCE);
            let answers = self.crew.hear(self.log, None, call).await?;
            let pids: Result<Vec<u32>, &RankError> =
                answers.iter().map(|answer| answer.as_ref().copied()).collect();
            match pids {
                Ok(pids) => {
                    let seats = self.crew.seats().await;
                    ensure!(
                        seats.iter().map(|seat| seat.pid).eq(pids.iter().copied()),
                        "the counters answer from the processes {pids:?}, not from theirs: {seats:?}"
                    );
                    return Ok(pids);
                }
                Err(error) if Instant::now() > until => bail!("a counter does not answer: {error}"),
                // Who has just failed starts again.
                Err(_) => patiently("a counter to start again", sleep(AGAIN)).await?,
            }
        }
    }

    /// Stops everything. Returns what was counted, and what must have been told.
    async fn finish(self) -> Result<Outcome> {
        let Stage { extent, victim, .. } = self.stage;
        let faulty = self.ended.last().map(Ending::rank);
        let killed = vec![Ending::killed(*victim, extent)?];
        let meshes = vec![
            Supervised::new(self.crew.procs_label(), killed),
            Supervised::new(self.crew.label(), self.ended),
        ];
        let (n_ranks, victim) = (extent.size(), victim.index());
        let expected = Expected { n_ranks, victim, faulty, meshes };
        self.crew.stop(self.log).await?;
        let heading = format!("counted by {n_ranks} actors, each on a process of its own");
        Ok(Outcome { heading, words: self.ledger.words(), expected })
    }
}

/// The round in which the victim is killed: it has counted something by then, and has a batch in hand.
const FATAL_ROUND: usize = 1;
/// Processes that are killed.
const N_KILLED: usize = 1;
/// The most bytes that name what a counter counts: half of what a message may have.
const SHARE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// When a counter that does not run is called again.
const AGAIN: Duration = Duration::from_millis(5);
