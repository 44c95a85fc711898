//! The two meshes of the way of actors, and everybody who is told of them.

use std::sync::Arc;

use anyhow::{Result, bail};
use meshwarden::controller::RestartConfig;
use meshwarden::mesh_core::{Failures, Interest, MeshLabel, OwnerNews, PortRef};
use meshwarden::mesh_runtime::ActorRef;
use meshwarden::prelude::{ActorMesh, ActorMeshRef, ActorSpec, FanOut, Homes, ProcNews, Rank};
use meshwarden::proc_mesh::ProcSeat;
use tokio::sync::mpsc;

use crate::demo::actors::counter::{AtWork, Counter, Share};
use crate::demo::actors::foreman::{Asked, Foreman};
use crate::demo::farewell::stop_and_hear_out;
use crate::demo::log::Log;
use crate::demo::patience::{GRACE, RESTARTS, patiently};
use crate::demo::stage::{Stage, procs_not_spawned};
use crate::demo::subscriber::{HEARD, Heard, listen};

/// How many processes each one calls.
const FAN_OUT: usize = 2;

/// A mesh of processes and one of counters on them, and what is heard of both.
pub(crate) struct Crew {
    counters: ActorMesh<Counter>,
    procs: Homes,
    foreman: ActorRef<Foreman>,
    asked: mpsc::Receiver<Asked>,
    /// Both subscribers.
    heard: mpsc::Receiver<Heard>,
    ears: Ears,
}

/// Who may still be told something.
struct Ears {
    procs: bool,
    counters: bool,
    subscribers: bool,
}

/// What there is to be done.
enum Woken {
    Failed(Failures),
    Heard(Heard),
    Asked(Asked),
    /// Nothing, for the driver.
    Nothing,
}

impl Crew {
    /// Spawns the meshes, and a subscriber of each on a task of its own.
    ///
    /// # Errors
    ///
    /// If they cannot be spawned; nothing of them is left then.
    pub(crate) async fn spawn(stage: &Stage<'_>, log: &mut Log) -> Result<Self> {
        let restart = RestartConfig::on_failure(RESTARTS);
        let procs = stage.root.procs(stage.extent.clone()).name("demo").restart(restart);
        let spawning = procs.actors()?.spawn(stage.hosts);
        let procs =
            patiently("the processes to start", spawning).await?.map_err(procs_not_spawned)?;
        log.procs_spawned(procs.label(), procs.extent(), procs.seats().await)?;
        let shards = Arc::clone(&stage.shards);
        let spec = ActorSpec::<Counter>::per_rank("counters", move |point| {
            let rank = point.rank();
            let batches = shards.get(rank.index()).map(|shard| shard.batches.clone());
            Share { rank, batches: batches.unwrap_or_default() }
        });
        // So that also a mesh of a few ranks is called by a tree, and the one that is killed may be part of it.
        let spec = spec.restart(restart).fan_out(FanOut::new(FAN_OUT)?);
        let spawning = procs.spawn_as(spec);
        let counters = patiently("the counters to start", spawning).await??;
        log.spawned(counters.label(), counters.extent())?;

        let (hear, heard) = mpsc::channel(HEARD);
        tokio::spawn(listen(procs.subscribe(Interest::All).await?, hear.clone()));
        tokio::spawn(listen(counters.subscribe(Interest::All).await?, hear));
        let (ask, asked) = mpsc::channel(stage.extent.size().max(1));
        let foreman = stage.root.actors().spawn::<Foreman>(ask);
        let ears = Ears { procs: true, counters: true, subscribers: true };
        Ok(Self { counters, procs, foreman, asked, heard, ears })
    }

    /// The counters, to be called.
    pub(crate) fn counters(&self) -> &ActorMeshRef<Counter> {
        self.counters.mesh_ref()
    }

    /// Which mesh the counters are.
    pub(crate) fn label(&self) -> &MeshLabel {
        self.counters.label()
    }

    /// Which mesh they live on.
    pub(crate) fn procs_label(&self) -> &MeshLabel {
        self.procs.label()
    }

    /// Whom counters ask whether they may answer.
    pub(crate) fn foreman(&self) -> PortRef<AtWork> {
        self.foreman.port()
    }

    /// The processes that run, in rank order.
    pub(crate) async fn seats(&self) -> Vec<ProcSeat> {
        self.procs.seats().await
    }

    /// Waits for the answers of a call, and hears what happens meanwhile. The process of `victim` is killed
    /// when its counter asks whether it may answer: it is in mid-call then, and stays there.
    ///
    /// # Errors
    ///
    /// If there are no answers, a rank fails for good, or a mesh ends.
    pub(crate) async fn hear<T>(
        &mut self,
        log: &mut Log,
        victim: Option<Rank>,
        call: impl Future<Output = T>,
    ) -> Result<T> {
        // It is not answered while its process lives.
        let mut kept = None;
        let hearing = async {
            tokio::pin!(call);
            loop {
                let woken = tokio::select! {
                    biased;
                    answers = &mut call => return Ok(answers),
                    woken = self.woken() => woken?,
                };
                match woken {
                    Woken::Asked((rank, reply)) if Some(rank) == victim => {
                        log.kill(rank)?;
                        kept = Some(reply);
                    }
                    woken => self.on_woken(log, woken).await?,
                }
            }
        };
        let answers = patiently("the answers of a call", hearing).await?;
        drop(kept);
        answers
    }

    /// Hears the next that happens.
    ///
    /// # Errors
    ///
    /// If nothing happens, a rank fails for good, or a mesh ends.
    pub(crate) async fn wake(&mut self, log: &mut Log) -> Result<()> {
        let woken = patiently("news of the meshes", self.woken()).await??;
        self.on_woken(log, woken).await
    }

    /// Stops the counters and then their processes, and hears what there still is to hear.
    ///
    /// # Errors
    ///
    /// If they do not end.
    pub(crate) async fn stop(mut self, log: &mut Log) -> Result<()> {
        patiently("the counters to stop", self.counters.stop(GRACE)).await??;
        while self.ears.counters {
            let woken = patiently("the last news of the counters", self.next()).await?;
            self.on_woken(log, woken).await?;
        }
        let Self { counters, mut procs, mut heard, .. } = self;
        // As long as there is a way to the processes, so that they are told.
        drop(counters);
        stop_and_hear_out(&mut procs, &mut heard, log).await
    }

    /// The next that happens while both meshes go on.
    async fn woken(&mut self) -> Result<Woken> {
        let woken = self.next().await;
        if !(self.ears.procs && self.ears.counters && self.ears.subscribers) {
            bail!("a mesh has ended before all was counted");
        }
        if let Woken::Failed(failures) = &woken
            && (!failures.withdrawn.is_empty()
                || failures.changes.iter().any(|change| change.restart_in.is_none()))
        {
            bail!("a rank has failed for good:\n{failures}");
        }
        Ok(woken)
    }

    /// The next that happens.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    async fn next(&mut self) -> Woken {
        let Self { counters, procs, asked, heard, ears, .. } = self;
        tokio::select! {
            news = procs.next(), if ears.procs => match news {
                Some(ProcNews::Failed(failures)) => return Woken::Failed(failures),
                Some(ProcNews::Worker(_) | ProcNews::Unkillable(_)) => (),
                Some(ProcNews::Finished(_)) | None => ears.procs = false,
            },
            news = counters.next(), if ears.counters => match news {
                Some(OwnerNews::Failed(failures)) => return Woken::Failed(failures),
                Some(OwnerNews::Finished(_)) | None => ears.counters = false,
            },
            said = heard.recv(), if ears.subscribers => match said {
                Some(said) => return Woken::Heard(said),
                None => ears.subscribers = false,
            },
            Some(asked) = asked.recv() => return Woken::Asked(asked),
        }
        Woken::Nothing
    }

    async fn on_woken(&mut self, log: &mut Log, woken: Woken) -> Result<()> {
        match woken {
            Woken::Failed(failures) => log.owner_told(&failures),
            Woken::Heard(heard) => {
                log.subscriber_told(&heard, self.procs.extent());
                log.restarted(&heard, &self.procs.seats().await);
            }
            // Whoever asked may be gone.
            Woken::Asked((_, reply)) => _ = reply.send(()).is_ok(),
            Woken::Nothing => (),
        }
        Ok(())
    }
}
