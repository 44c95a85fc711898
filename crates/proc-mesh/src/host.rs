//! The hosts of a mesh: each has an agent, which launches and watches processes through its guard.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{
    AgentId, Answers, Epoch, Incarnation, Launcher, MeshId, MeshLabel, Request, Surroundings,
};
use mesh_runtime::ControlThread;
use mesh_shape::{Extent, Rank, RankSet};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::guard_link::{GuardError, GuardLink};
use crate::host_agent::HostAgent;
use crate::limits;
use crate::mesh::WorkerNews;
use crate::notify::Notify;
use crate::output::OutputSinks;
use crate::report::ProcReport;
use crate::roster::Roster;
use crate::stdin::Stdin;
use crate::unkillable::Unkillable;

/// Orders that may wait for one host agent. A controller sends one for each mesh and kind of order,
/// not for each rank.
const ORDERS: usize = 1024;

/// How long the guards may take to end everything when the hosts are closed.
const CLOSE: Duration = Duration::from_secs(10);

/// A row of hosts that live in this process: the default, without daemon or configuration.
///
/// Each host has an agent on the control thread and a guard, a small process that is the parent of
/// everything the host runs. When this process ends in any way, the guards kill what is left.
#[derive(Debug)]
pub struct HostMesh {
    hosts: Vec<HostRef>,
}

/// Talks to one host agent. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct HostRef {
    orders: mpsc::Sender<HostOrder>,
}

/// What a host agent is told to do.
pub(crate) enum HostOrder {
    Open(Box<Opening>),
    Perform {
        mesh: MeshId,
        request: Request,
    },
    /// A message to one worker; it comes back if there is no such worker.
    Send {
        mesh: MeshId,
        rank: Rank,
        message: Vec<u8>,
        sent: oneshot::Sender<Result<Incarnation, Vec<u8>>>,
    },
    Pids {
        mesh: MeshId,
        pids: oneshot::Sender<Vec<ProcSeat>>,
    },
    /// Suspend every process and every lease, or let them go on; answered when the guard was told.
    Suspend {
        is_suspended: bool,
        told: oneshot::Sender<()>,
    },
    /// The owner of a mesh wants it no more: whoever has not ended is killed, and tells why.
    LetGo {
        mesh: MeshId,
    },
    CloseMesh {
        mesh: MeshId,
    },
    Close {
        closed: oneshot::Sender<bool>,
    },
}

/// A mesh, as one of its hosts has to know it.
pub(crate) struct Opening {
    pub(crate) label: MeshLabel,
    pub(crate) extent: Extent,
    /// The ranks that live on this host.
    pub(crate) ranks: RankSet,
    pub(crate) epoch: Epoch,
    /// When the mesh began, before its controller does: a moment of the boot clock.
    pub(crate) since: Duration,
    pub(crate) lease: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) stalled_handler: Duration,
    /// What its controller calls this host.
    pub(crate) agent: AgentId,
    pub(crate) answers: Answers<ProcReport>,
    pub(crate) launch: Launch,
    pub(crate) sinks: OutputSinks,
    /// Whoever wants to know of processes that cannot be killed.
    pub(crate) unkillable: mpsc::Sender<Unkillable>,
}

/// What each process of a mesh is.
#[derive(Clone)]
pub(crate) struct Launch {
    pub(crate) launcher: Arc<dyn Launcher>,
    pub(crate) surroundings: Surroundings,
    pub(crate) role: Role,
}

/// What a process is to its agent.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Any program: it runs as soon as it is started, or when it says so.
    Program(ProgramRole),
    /// This program again: it runs when it says so, and talks.
    Worker(WorkerRole),
}

/// What a program is started as.
#[derive(Clone, Debug)]
pub(crate) struct ProgramRole {
    pub(crate) stdin: Option<Stdin>,
    /// How it is to speak for itself, if it is to.
    pub(crate) notify: Option<Notify>,
    pub(crate) news: mpsc::WeakSender<WorkerNews>,
}

impl Role {
    /// How long a process may take until it says that it is ready, if it has to.
    pub(crate) fn ready_within(&self) -> Option<Duration> {
        match self {
            Self::Program(role) => role.notify?.ready_within,
            Self::Worker(role) => Some(role.ready_within),
        }
    }
}

/// What a worker is started as.
#[derive(Clone)]
pub(crate) struct WorkerRole {
    pub(crate) entry: String,
    pub(crate) seed: Bytes,
    pub(crate) ready_within: Duration,
    pub(crate) news: mpsc::WeakSender<WorkerNews>,
    pub(crate) roster: Option<Arc<Roster>>,
}

impl fmt::Debug for WorkerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerRole").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// Where the process of a rank is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcSeat {
    /// The rank.
    pub rank: Rank,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Its process id on its host.
    pub pid: u32,
}

impl HostMesh {
    /// Starts `n_hosts` hosts in this process: their agents run on `control`, and the output of what
    /// they run is read on `output`.
    ///
    /// # Errors
    ///
    /// [`GuardError`] if a guard could not be started; those that were are ended again.
    pub async fn local(
        n_hosts: usize,
        control: &ControlThread,
        output: &Handle,
    ) -> Result<Self, GuardError> {
        let mut hosts = Vec::with_capacity(n_hosts);
        for _ in 0..n_hosts {
            hosts.push(HostRef::start(control, output.clone()).await?);
        }
        limits::raise_open_files();
        Ok(Self { hosts })
    }

    /// The number of hosts.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    pub(crate) fn hosts(&self) -> &[HostRef] {
        &self.hosts
    }

    /// Suspends every process and the time of every lease, for an owner that is about to be suspended
    /// itself; or lets them go on. Returns when every guard was told.
    pub async fn suspend(&self, is_suspended: bool) {
        for host in &self.hosts {
            let (told, is_told) = oneshot::channel();
            // A host that is gone has nothing to suspend.
            if host.orders.send(HostOrder::Suspend { is_suspended, told }).await.is_ok() {
                _ = is_told.await.is_ok();
            }
        }
    }

    /// Ends the hosts and everything they run, and waits until nothing is left. Returns whether every
    /// guard says so. Meshes that are still alive end with them, and are told so: what they run has failed
    /// ([`Reason::Closed`](mesh_core::Reason::Closed)), unless it was being stopped, and so have actors on them. A restart that
    /// was promised before is taken back ([`Withdrawal`](mesh_core::Withdrawal)).
    ///
    /// Hosts that are dropped end later: each mesh keeps its own, so they are there until none is left.
    pub async fn close(self) -> bool {
        let mut all_closed = true;
        let mut waiting = Vec::with_capacity(self.hosts.len());
        for host in &self.hosts {
            let (closed, is_closed) = oneshot::channel();
            if host.orders.send(HostOrder::Close { closed }).await.is_ok() {
                waiting.push(is_closed);
            }
        }
        for is_closed in waiting {
            all_closed &= is_closed.await.unwrap_or(false);
        }
        all_closed
    }
}

impl HostRef {
    async fn start(control: &ControlThread, output: Handle) -> Result<Self, GuardError> {
        let (started, is_started) = oneshot::channel();
        let (orders, requests) = mpsc::channel(ORDERS);
        control.spawn(async move {
            match GuardLink::start(Path::new("/proc/self/exe")).await {
                Ok(guard) => {
                    _ = started.send(Ok(())).is_ok();
                    HostAgent::new(guard, output).run(requests).await;
                }
                Err(error) => _ = started.send(Err(error)).is_ok(),
            }
        });
        is_started.await.unwrap_or(Err(GuardError::Gone))?;
        Ok(Self { orders })
    }

    pub(crate) fn try_send(&self, order: HostOrder) -> bool {
        self.orders.try_send(order).is_ok()
    }

    pub(crate) async fn send(&self, order: HostOrder) -> bool {
        self.orders.send(order).await.is_ok()
    }

    /// Like `try_send`, for an order that must arrive: it is carried by a task if there is no room.
    pub(crate) fn post(&self, order: HostOrder) {
        if let Err(mpsc::error::TrySendError::Full(order)) = self.orders.try_send(order) {
            let orders = self.orders.clone();
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(async move { orders.send(order).await.is_ok() });
            }
        }
    }
}

/// How long a closed guard is waited for.
pub(crate) const fn close_deadline() -> Duration {
    CLOSE
}
