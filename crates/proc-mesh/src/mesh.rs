//! A mesh of processes, in the hands of its owner.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use controller::{Controller, Spec, SpecError};
use mesh_core::{
    AgentId, Brief, Epoch, Failures, Incarnation, Interest, MeshId, MeshLabel, MeshState, Plane,
    Procs, StopReason, SurroundingsError,
};
use mesh_runtime::ControlThread;
use mesh_shape::{Extent, Rank, RankSet, Region, ShapeError};
use supervise::{AskError, Clock, ControllerRef, Desk, MeshEvents, OwnerNews, Setup, Supervision};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use crate::agents::ProcAgents;
use crate::host::{HostMesh, HostOrder, HostRef, Opening, ProcSeat};
use crate::host_agent::boot_time;
use crate::launcher::HOSTS;
use crate::report::{ProcKind, ProcReport};
use crate::roster::{Homes, Roster};
use crate::unkillable::Unkillable;

mod letting_go;
mod readiness;
mod spec;

use letting_go::Holder;

pub use spec::{ProcSpec, Run};

/// More processes than that are a mistake.
pub const PROCS_MAX: usize = 1 << 20;

/// Messages of workers that may wait for the owner; then the workers do.
const NEWS: usize = 1024;

/// Processes that cannot be killed of which the owner may not have read yet; more go to the log.
const UNKILLABLE: usize = 1024;

/// How long the links of workers that have ended may take to close.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A mesh of processes that runs. Dropping it ends what still does (C2): at once, without a grace. Each of them is then told
/// as failed, once, unless it was being stopped (ST4), and so is each rank of the meshes of actors that lives there. Who
/// means to end all in good order drops those first, or [stops](Self::stop) the processes.
#[derive(Debug)]
pub struct ProcMesh {
    label: MeshLabel,
    extent: Extent,
    /// Whether a rank that ends before it runs is a mesh that could not be spawned.
    must_be_ready: bool,
    controller: ControllerRef<ProcReport>,
    owner: Holder,
    workers: mpsc::Receiver<WorkerNews>,
    /// Keeps the queue of `workers` open until every rank has ended. Each link has one of its own
    /// while its worker may still say something.
    news: Option<mpsc::Sender<WorkerNews>>,
    unkillable: mpsc::Receiver<Unkillable>,
    /// The end of the mesh, to be told after what the workers have said.
    finished: Option<MeshState>,
    hosts: Vec<(RankSet, HostRef)>,
    /// What meshes of actors see of it, if it is a home for some.
    homes: Option<Arc<dyn Procs>>,
}

/// What the owner of a mesh of processes is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcNews {
    /// Ranks failed; all that were found together (H6). Each exactly once (N1).
    Failed(Failures),
    /// A worker says something.
    Worker(WorkerNews),
    /// A process was killed and does not end; once for each that resists. It holds up nobody: a stop
    /// comes back without it, and its host takes other meshes.
    Unkillable(Unkillable),
    /// Every rank has ended and none starts again.
    Finished(MeshState),
}

/// What a worker or a program says to the owner of its mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerNews {
    /// Its `main` begins; again after each restart.
    Ready {
        /// Which worker.
        rank: Rank,
        /// Which life of it.
        incarnation: Incarnation,
    },
    /// It has sent a message.
    Message {
        /// Which worker.
        rank: Rank,
        /// Which life of it.
        incarnation: Incarnation,
        /// The message.
        message: Vec<u8>,
    },
    /// A program says how it is (`STATUS=…`, `STOPPING=1`), at most ten times a second. Told of the newest, and left out
    /// while the owner has much to read.
    Status {
        /// Which rank.
        rank: Rank,
        /// Which life of it.
        incarnation: Incarnation,
        /// What it says: 256 bytes at most, control characters escaped.
        text: String,
        /// Whether it has said that it ends (`STOPPING=1`), which is told at once. What the rank is does not
        /// change by that: nobody has asked it to.
        is_stopping: bool,
    },
}

/// Why a mesh could not be spawned. Nothing of it is left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The configuration does not hold together.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// There can be no such surroundings.
    #[error(transparent)]
    Surroundings(#[from] SurroundingsError),
    /// The shape cannot be split by host.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// There are too many ranks for one machine.
    #[error("{size} processes are more than {PROCS_MAX}: check the extent")]
    TooMany {
        /// The number of ranks.
        size: usize,
    },
    /// The shape has another number of hosts than there are.
    #[error(
        "the dim `hosts` of the extent is {expected}, and the number of hosts that are there is {found}"
    )]
    Hosts {
        /// The hosts of the shape.
        expected: usize,
        /// The hosts that are there.
        found: usize,
    },
    /// Some ranks could not be started, or did not become ready; the others were stopped again (C4).
    #[error("not every rank could be started, the others were stopped: {}", Brief(.failures))]
    Ranks {
        /// The failed ranks, each with its cause.
        failures: Vec<Failures>,
    },
    /// The same, and some of the ranks have been killed and do not end: these are left.
    #[error(
        "not every rank could be started, and of the others not all can be ended: {}{}",
        Brief(.failures), Left(.left)
    )]
    Unkillable {
        /// The failed ranks, each with its cause.
        failures: Vec<Failures>,
        /// Those that do not end.
        left: Vec<Unkillable>,
    },
    /// The controller does not answer, or refuses.
    #[error(transparent)]
    Controller(#[from] AskError),
}

/// What does not end, one line each.
struct Left<'a>(&'a [Unkillable]);

impl fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|left| write!(f, "\n{left}"))
    }
}

/// A message to a worker that was not taken. It comes back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rank {rank} has no live worker to take the message")]
pub struct NoWorker {
    /// The rank.
    pub rank: Rank,
    /// The message; empty if the whole host has gone.
    pub message: Vec<u8>,
}

impl ProcMesh {
    /// Spawns a mesh on `hosts` and returns when every rank runs: [`start`](Self::start), then
    /// [`ready`](Self::ready).
    ///
    /// # Cancellation
    ///
    /// What was started is ended.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`]. If some ranks could not be started, the others are stopped first (C4).
    pub async fn spawn(
        hosts: &HostMesh,
        control: &ControlThread,
        spec: ProcSpec,
    ) -> Result<Self, SpawnError> {
        let mut mesh = Self::start(hosts, control, spec).await?;
        mesh.ready().await?;
        Ok(mesh)
    }

    /// Starts a mesh on `hosts`, supervised on `control`, and returns at once: its first ranks may
    /// not run yet.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`]: nothing was started.
    pub async fn start(
        hosts: &HostMesh,
        control: &ControlThread,
        spec: ProcSpec,
    ) -> Result<Self, SpawnError> {
        let size = spec.extent.size();
        if size > PROCS_MAX {
            return Err(SpawnError::TooMany { size });
        }
        spec.surroundings.validate()?;
        let stalled_handler =
            spec.config.times.stalled_handler(spec.stalled_handler).map_err(SpecError::from)?;
        let hosts = seat(&spec.extent, hosts)?;
        let controller = controller(&spec, hosts.iter().map(|(ranks, _)| ranks.clone()).collect())?;
        let label = controller.spec().mesh.clone();
        let refs: Vec<_> = hosts.iter().map(|(_, host)| host.clone()).collect();
        let agents = ProcAgents::new(label.id(), refs.clone());
        let setup = Setup { trace: spec.trace, ..Setup::new(controller, agents, Clock::start()) };
        let (supervision, run) = supervise::supervise(setup);
        let Supervision { controller, owner, answers } = supervision;
        let owner = Holder::new((label.id(), refs), control.handle().clone(), owner);
        let (news, workers) = mpsc::channel(NEWS);
        let (left, unkillable) = mpsc::channel(UNKILLABLE);
        // Not later than the loop begins to count (K1).
        let since = boot_time();
        let roster = spec.run.roster(&label);
        let launch = spec.run.launch(&news, roster.clone(), spec.surroundings);
        for (index, (ranks, host)) in hosts.iter().enumerate() {
            let opening = Opening {
                label: label.clone(),
                extent: spec.extent.clone(),
                ranks: ranks.clone(),
                epoch: Epoch::FIRST,
                since,
                lease: spec.config.times.lease,
                heartbeat: spec.config.times.heartbeat,
                stalled_handler,
                agent: AgentId::new(index),
                answers: answers.clone(),
                launch: launch.clone(),
                sinks: spec.output.clone(),
                unkillable: left.clone(),
            };
            // A host that is gone is silent, and found out by that.
            _ = host.send(HostOrder::Open(Box::new(opening))).await;
        }
        control.spawn(run);
        let homes = match roster {
            Some(roster) => {
                let lease = spec.config.times.lease;
                Some(open_homes((roster, lease), &spec.extent, &controller, control).await?)
            }
            None => None,
        };
        let (extent, news) = (spec.extent, Some(news));
        let must_be_ready = spec.run.says_that_it_is_ready();
        let (label, finished) = (label, None);
        Ok(Self {
            label,
            extent,
            must_be_ready,
            controller,
            owner,
            workers,
            news,
            unkillable,
            finished,
            hosts,
            homes,
        })
    }

    /// Its id, name and kind.
    #[must_use]
    pub const fn label(&self) -> &MeshLabel {
        &self.label
    }

    /// Its shape.
    #[must_use]
    pub const fn extent(&self) -> &Extent {
        &self.extent
    }

    /// What meshes of actors see of it; `None` unless it was spawned for [`Run::Actors`].
    #[must_use]
    pub fn homes(&self) -> Option<Arc<dyn Procs>> {
        self.homes.clone()
    }

    /// What is new, for the owner; `None` after the last.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<ProcNews> {
        if self.finished.is_none() {
            let news = tokio::select! {
                biased;
                news = self.owner.next() => news,
                Some(said) = self.workers.recv() => return Some(ProcNews::Worker(said)),
                Some(left) = self.unkillable.recv() => return Some(ProcNews::Unkillable(left)),
            };
            match news? {
                OwnerNews::Failed(failures) => return Some(ProcNews::Failed(failures)),
                OwnerNews::Finished(state) => self.finished = Some(state),
            }
        }
        self.news = None;
        // A link closes with its worker, unless something that the worker left behind holds it.
        match timeout(LAST_WORDS, self.workers.recv()).await {
            Ok(Some(said)) => Some(ProcNews::Worker(said)),
            Ok(None) | Err(_) => self.finished.take().map(ProcNews::Finished),
        }
    }

    /// Sends a message to the worker of `rank`, in whatever life it is; returns which that is.
    ///
    /// Waits while the worker has many messages to read. A message to a worker that dies is lost with
    /// it: the failure tells.
    ///
    /// # Errors
    ///
    /// [`NoWorker`] with the message if there is no live worker at this moment.
    pub async fn send(&self, rank: Rank, message: Vec<u8>) -> Result<Incarnation, NoWorker> {
        let (sent, is_sent) = oneshot::channel();
        let order = HostOrder::Send { mesh: self.label.id(), rank, message, sent };
        if let Some((_, host)) = self.hosts.iter().find(|(ranks, _)| ranks.contains(rank))
            && host.send(order).await
        {
            let lost = |_| Err(Vec::new());
            return is_sent
                .await
                .unwrap_or_else(lost)
                .map_err(|message| NoWorker { rank, message });
        }
        Err(NoWorker { rank, message: Vec::new() })
    }

    /// Subscribes to what happens; the first event is a snapshot.
    ///
    /// # Errors
    ///
    /// [`AskError::Ended`] if the controller has ended.
    pub async fn subscribe(&self, interest: Interest) -> Result<MeshEvents, AskError> {
        self.controller.subscribe(interest, None).await
    }

    /// Talks to the controller of the mesh: subscribes, asks, stops; also after the mesh has moved.
    #[must_use]
    pub const fn controller(&self) -> &ControllerRef<ProcReport> {
        &self.controller
    }

    /// The processes that run, in rank order.
    pub async fn seats(&self) -> Vec<ProcSeat> {
        let mut seats = Vec::new();
        for (_, host) in &self.hosts {
            let (pids, answer) = oneshot::channel();
            if host.send(HostOrder::Pids { mesh: self.label.id(), pids }).await {
                seats.extend(answer.await.unwrap_or_default());
            }
        }
        seats.sort_by_key(|seat| seat.rank);
        seats
    }

    /// Stops every rank: `SIGTERM`, and `SIGKILL` after `grace`. Returns the state of all (C1).
    ///
    /// A rank that does not end although it was killed is not waited for, two seconds after that if its host
    /// finds it to resist, and one lease after it in any case: it is
    /// [`Status::Stopping`](mesh_core::Status::Stopping) in what is returned, and
    /// [`next`](Self::next) tells why ([`ProcNews::Unkillable`]). Dropping the mesh does not wait for it
    /// either, and its hosts can be used at once.
    ///
    /// # Errors
    ///
    /// [`AskError::Ended`] if the controller has ended.
    pub async fn stop(&self, grace: Duration) -> Result<MeshState, AskError> {
        self.controller.stop(grace).await
    }

    /// The same, and whoever watches the mesh is told why, before any rank is touched (C1).
    ///
    /// # Errors
    ///
    /// [`AskError`] if the controller has ended, or refuses.
    pub async fn stop_because(
        &self,
        reason: impl Into<StopReason> + Send,
        grace: Duration,
    ) -> Result<MeshState, AskError> {
        self.controller.stop_because(reason, grace).await
    }
}

/// Opens what meshes of actors see of a mesh of processes.
async fn open_homes(
    (roster, lease): (Arc<Roster>, Duration),
    extent: &Extent,
    controller: &ControllerRef<ProcReport>,
    control: &ControlThread,
) -> Result<Arc<dyn Procs>, SpawnError> {
    let proc = roster.network().proc().on(Plane::Control);
    let desk = proc.spawn::<Desk<ProcReport>>(controller.clone());
    let events = controller.subscribe(Interest::Terminal, None).await?;
    control.spawn(Arc::clone(&roster).follow(events));
    let region = Arc::new(Region::all(extent.clone()));
    Ok(Arc::new(Homes { roster, region, home: desk.port(), lease }))
}

/// The controller of the mesh that `spec` describes, whose ranks live with `agents`.
fn controller(spec: &ProcSpec, agents: Arc<[RankSet]>) -> Result<Controller<ProcKind>, SpecError> {
    let random = Uuid::new_v4().as_u128();
    Controller::new(
        Spec {
            mesh: MeshLabel::new(MeshId::from_random(random), spec.name.as_str(), "proc"),
            region: Region::all(spec.extent.clone()).into(),
            epoch: Epoch::FIRST,
            agents,
            config: spec.config,
            seed: random as u64,
        },
        ProcKind,
    )
}

/// Which ranks live on which host: by the dim `hosts`, or all on the only one. That a dim is misspelt is not to
/// leave hosts without a rank.
fn seat(extent: &Extent, hosts: &HostMesh) -> Result<Vec<(RankSet, HostRef)>, SpawnError> {
    let found = hosts.len();
    let Some(expected) = extent.size_of(HOSTS) else {
        let [only] = hosts.hosts() else { return Err(SpawnError::Hosts { expected: 1, found }) };
        return Ok(vec![(extent.ranks(), only.clone())]);
    };
    if expected != found {
        return Err(SpawnError::Hosts { expected, found });
    }
    let all = Region::all(extent.clone());
    let mut seats = Vec::with_capacity(found);
    for (index, host) in hosts.hosts().iter().enumerate() {
        let index = isize::try_from(index).unwrap_or(isize::MAX);
        seats.push((all.slice(HOSTS, index)?.ranks(), host.clone()));
    }
    Ok(seats)
}
