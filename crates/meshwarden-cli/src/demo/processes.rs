//! The way of processes: workers that are handed batches; one is killed, starts again, and does its shard
//! anew.

mod job;
mod worker;

use std::time::Instant;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use meshwarden::controller::RestartConfig;
use meshwarden::mesh_core::{Incarnation, Interest};
use meshwarden::mesh_shape::Rank;
use meshwarden::prelude::{ProcMesh, ProcNews, Registry, WorkerNews};
use meshwarden::proc_mesh::ProcSeat;
use tokio::sync::mpsc;

use crate::counted::counted;
use crate::demo::farewell::stop_and_hear_out;
use crate::demo::log::Log;
use crate::demo::patience::{RESTARTS, patiently};
use crate::demo::stage::{Outcome, Stage, bar, procs_not_spawned};
use crate::demo::subscriber::{HEARD, Heard, listen};
use crate::demo::tally::Tally;
use crate::demo::verdict::{Ending, Expected, Supervised};
use job::{Job, Step};
use worker::{ENTRY, Reply, encode};

/// Registers the workers.
pub(crate) fn register(registry: &mut Registry) {
    registry.worker(ENTRY, worker::count);
}

/// Counts, and loses a process to `SIGKILL` in mid-run.
///
/// # Errors
///
/// What kept it from its end.
pub(crate) async fn count(stage: &Stage<'_>, log: &mut Log) -> Result<Outcome> {
    Driver::spawn(stage, log).await?.count(stage).await
}

/// The owner of the mesh and what it keeps.
struct Driver<'a> {
    mesh: ProcMesh,
    job: Job,
    log: &'a mut Log,
    heard: mpsc::Receiver<Heard>,
    bar: ProgressBar,
}

/// What the driver woke up for.
enum Woken {
    Owner(Option<ProcNews>),
    Subscriber(Option<Heard>),
}

impl<'a> Driver<'a> {
    /// Spawns the mesh, and a subscriber on a task of its own.
    async fn spawn(stage: &Stage<'_>, log: &'a mut Log) -> Result<Self> {
        let spawning = stage
            .root
            .procs(stage.extent.clone())
            .name("demo")
            .restart(RestartConfig::on_failure(RESTARTS))
            .worker(ENTRY)
            .spawn(stage.hosts);
        let mesh = patiently("the workers to start", spawning).await?.map_err(procs_not_spawned)?;
        log.procs_spawned(mesh.label(), mesh.extent(), mesh.seats().await)?;
        let events = mesh.subscribe(Interest::Terminal).await?;
        let (hear, heard) = mpsc::channel(HEARD);
        tokio::spawn(listen(events, hear));
        let job = Job::new(stage.shards.clone(), stage.victim);
        let bar = bar(log.story.is_json(), job.n_batches_of_all());
        Ok(Self { mesh, job, log, heard, bar })
    }

    /// Counts until all is counted and everybody has heard of the kill; then stops the mesh and hears
    /// it out.
    async fn count(mut self, stage: &Stage<'_>) -> Result<Outcome> {
        let mesh = self.mesh.label().id();
        while !(self.job.is_done() && self.log.n_told_to_all(mesh) > 0) {
            match self.wake().await? {
                Woken::Owner(Some(ProcNews::Worker(news))) => self.on_worker(news).await?,
                Woken::Owner(Some(ProcNews::Failed(failures))) => {
                    self.log.owner_told(&failures);
                    let is_left = !failures.withdrawn.is_empty();
                    if is_left || failures.changes.iter().any(|it| it.restart_in.is_none()) {
                        bail!("a rank has failed for good:\n{failures}");
                    }
                }
                Woken::Owner(Some(ProcNews::Unkillable(left))) => bail!("{left}"),
                Woken::Owner(Some(ProcNews::Finished(_)) | None) => {
                    bail!("the mesh has ended before all was counted");
                }
                Woken::Subscriber(Some(heard)) => {
                    self.log.subscriber_told(&heard, self.mesh.extent());
                }
                Woken::Subscriber(None) => bail!("the subscriber has heard the last too early"),
            }
            self.bar.set_position(self.job.n_counted() as u64);
        }
        self.bar.finish_and_clear();
        self.log.counted(&self.job.total(), stage.serial);
        stop_and_hear_out(&mut self.mesh, &mut self.heard, self.log).await?;
        self.outcome(stage)
    }

    fn outcome(&self, stage: &Stage<'_>) -> Result<Outcome> {
        let mesh =
            Supervised::new(self.mesh.label(), vec![Ending::killed(stage.victim, stage.extent)?]);
        let expected = Expected {
            n_ranks: stage.extent.size(),
            victim: stage.victim.index(),
            faulty: None,
            meshes: vec![mesh],
        };
        let heading =
            format!("counted by {}", counted(stage.extent.size(), ["process", "processes"]));
        Ok(Outcome { heading, words: self.job.words().collect(), expected })
    }

    async fn wake(&mut self) -> Result<Woken> {
        let Self { mesh, heard, .. } = self;
        let woken = async {
            tokio::select! {
                news = mesh.next() => Woken::Owner(news),
                heard = heard.recv() => Woken::Subscriber(heard),
            }
        };
        patiently("news of the mesh", woken).await
    }

    async fn on_worker(&mut self, news: WorkerNews) -> Result<()> {
        match news {
            WorkerNews::Ready { rank, incarnation } => {
                if incarnation > Incarnation::FIRST {
                    self.on_restarted(rank, incarnation).await;
                }
                if let Some(step) = self.job.on_ready(rank, incarnation) {
                    self.perform(step).await?;
                }
            }
            // Only programs say that.
            WorkerNews::Status { .. } => (),
            WorkerNews::Message { rank, incarnation, message } => {
                let reply: Reply =
                    postcard::from_bytes(&message).context("a worker's answer is unreadable")?;
                let tally: Tally = reply.counted?;
                for step in self.job.on_counted((rank, incarnation), reply.batch, &tally) {
                    self.perform(step).await?;
                }
            }
        }
        Ok(())
    }

    async fn on_restarted(&mut self, rank: Rank, incarnation: Incarnation) {
        let at = Instant::now();
        let seats = self.mesh.seats().await;
        let is_it = |seat: &&ProcSeat| seat.rank == rank && seat.incarnation == incarnation;
        // If it is gone already, its failure tells.
        let Some(seat) = seats.iter().find(is_it) else { return };
        let life = (rank, incarnation.number());
        self.log.restarted_at(at, self.mesh.label(), life, seat.pid);
    }

    async fn perform(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Hand { rank, batch } => {
                let shard = self.job.shards().get(rank.index());
                let handed = shard.and_then(|shard| shard.batches.get(batch));
                let message = encode(batch, handed.context("there is no such batch")?)?;
                // One that has just died is handed everything again in its next life.
                _ = patiently("a worker to take a batch", self.mesh.send(rank, message))
                    .await?
                    .is_ok();
                Ok(())
            }
            Step::Kill { rank } => self.log.kill(rank),
        }
    }
}
