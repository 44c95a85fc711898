//! A mesh of processes within this one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use controller::{Config, SpecError};
use mesh_core::{
    Addr, Cause, Incarnation, MeshLabel, MeshRequest, MeshState, OwnerNews, PeerId, Plane, PortRef,
    ProcSeat, Procs, Progress, Reason, Status, Transport,
};
use mesh_runtime::{ChildFailure, LocalTransport, Network, Proc, ProcConfig, Watchdog};
use mesh_shape::{Extent, Rank, RankSet, Region, ShapeError};
use supervise::{
    AskError, ControllerRef, Desk, Life, Local, LocalRanks, Owner, RankOrder, Setup, Supervision,
    supervise,
};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::proc_agent::ProcAgent;
use crate::registry::{ActorRegistry, RegistryError};

/// How long the actors of a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// How long the processes may take to be there: they are tasks.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// How long processes that are let go of are waited for.
const KILLED_WITHIN: Duration = Duration::from_secs(1);

/// A mesh of processes within this one: each rank is a [`Proc`] of its own, with sessions to the others in
/// memory. They are supervised as real ones are, can fail, and are started again if that is asked for.
///
/// What is sent to a mesh of actors on it is cloned for each rank, and nothing is serialised but what goes down a tree
/// ([`ActorSpec::fan_out`](crate::ActorSpec::fan_out)), and what transports are to encode
/// ([`LocalTransport::encoding`]).
///
/// For tests, and for programs that need no other processes. From another process whoever has a ref of a mesh that lives here
/// can ask for its state, subscribe, wait and stop it; its actors are out of reach there, since sessions in memory end with
/// this process. Dropping it ends them (C2): at once, without a grace. Each
/// rank of the meshes of actors that still live there is then told as failed, once: it ended with its process, whose
/// owner has let go of it (ST2, ST3), unless that, or the rank, was being stopped already (ST4). Calls that wait are answered with that
/// (R1), and nothing more can be spawned. Who means to end all in good order drops the meshes of actors first, or
/// [stops](Self::stop) the processes: then what lives there is told as stopped.
///
/// # Thousands of ranks
///
/// With thousands of ranks use an allocator that sorts by size, such as mimalloc: then a call or a cast of 10,000 takes
/// about half of the time, or less. That of glibc puts side by side what was made one after the other, so what a message
/// touches of each rank is in pages of memory of its own, and a processor knows some thousands of pages.
///
/// # Examples
///
/// See [`ActorMesh`](crate::ActorMesh).
pub struct LocalProcs {
    homes: Homes,
    controller: ControllerRef<Status>,
    /// `None` once it is dropped.
    owner: Option<Owner>,
}

/// Why there is no such mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The configuration does not hold together.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// What is registered cannot be told apart.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A process could not be started.
    #[error("the process of rank {rank} does not run: {status}")]
    Rank {
        /// The first such rank.
        rank: Rank,
        /// What it is.
        status: Status,
    },
    /// The controller has ended.
    #[error(transparent)]
    Controller(#[from] AskError),
}

/// How a mesh of processes within this one is set up.
pub struct LocalSpec {
    /// The name in reports and metrics.
    pub name: String,
    /// The shape.
    pub extent: Extent,
    /// Times and restarts.
    pub config: Config,
    /// What can be spawned there.
    pub registry: ActorRegistry,
    /// Makes one transport for each process, which reaches all the others that it has made, at addresses like
    /// `local://name`.
    pub transports: Box<dyn Fn() -> Arc<dyn Transport> + Send + Sync>,
    /// How long a handler may run until its actor is `Stalled`; the lease if `None`.
    pub stalled_handler: Option<Duration>,
}

/// What all ranks share.
struct Town {
    /// Of all of them: each with its own would wake their runtime for each look at each rank. It ends with the last of
    /// them, and not with the last who knows of the mesh.
    watchdog: Weak<Watchdog>,
    label: OnceLock<MeshLabel>,
    owner: Network,
    registry: Arc<ActorRegistry>,
    transports: Box<dyn Fn() -> Arc<dyn Transport> + Send + Sync>,
    seats: Mutex<BTreeMap<Rank, ProcSeat>>,
    /// How often each rank was told to crash.
    crashes: watch::Sender<BTreeMap<Rank, Incarnation>>,
    /// Those that their owner had not asked to end when he wanted none of them any more; nothing before that.
    let_go: OnceLock<RankSet>,
}

impl LocalProcs {
    /// Starts a process for each rank, and returns when all are there. Nothing is restarted.
    ///
    /// # Errors
    ///
    /// [`LocalError`]; then nothing is left.
    pub async fn start(
        proc: &Proc,
        name: impl Into<String>,
        extent: Extent,
        registry: ActorRegistry,
    ) -> Result<Self, LocalError> {
        let board = LocalTransport::default();
        let transports = Box::new(move || Arc::new(board.another()) as Arc<dyn Transport>);
        let (name, config) = (name.into(), Config::local());
        let spec = LocalSpec { name, extent, config, registry, transports, stalled_handler: None };
        Self::start_with(proc, spec).await
    }

    /// The same, with everything said.
    ///
    /// # Cancellation
    ///
    /// Dropped while it waits, nothing is left.
    ///
    /// # Errors
    ///
    /// [`LocalError`]; then nothing is left.
    pub async fn start_with(proc: &Proc, spec: LocalSpec) -> Result<Self, LocalError> {
        let LocalSpec { name, extent, config, registry, transports, stalled_handler } = spec;
        registry.check()?;
        let lease = config.times.lease;
        let stalled_handler =
            config.times.stalled_handler(stalled_handler).map_err(SpecError::from)?;
        let [user, control] = [Plane::User, Plane::Control].map(|plane| proc.on(plane));
        let watchdog = Watchdog::start(stalled_handler, user.runtime(), control.runtime());
        let watchdog = Arc::new(watchdog);
        let town = Arc::new(Town {
            watchdog: Arc::downgrade(&watchdog),
            label: OnceLock::new(),
            owner: Network::new(proc.clone(), transports(), registry.hash()),
            registry: Arc::new(registry),
            transports,
            seats: Mutex::default(),
            crashes: watch::Sender::default(),
            let_go: OnceLock::new(),
        });
        let live = {
            let town = Arc::clone(&town);
            move |life| Arc::clone(&town).live(life)
        };
        let ranks = LocalRanks { kind: Local, unknown: Status::NotExist, live };
        let bits = || proc.draw();
        let setup = Setup::local_drawn(&name, extent.clone(), (config, ranks), bits)?;
        let label = setup.controller.spec().mesh.clone();
        _ = town.label.set(label.clone()).is_ok();
        let (Supervision { controller, owner, .. }, run) = supervise(setup);
        drop(control.runtime().spawn(async move {
            run.await;
            drop(watchdog);
        }));
        let desk = control.spawn::<Desk<Status>>(controller.clone());
        let all = extent.ranks();
        let region = Arc::new(Region::all(extent));
        let homes = Homes { label, town, region, home: desk.port(), lease };
        let (_, state) = controller.wait(all, Progress::Running, READY_WITHIN).await?;
        let mut each = state.ranks.iter().enumerate();
        match each.find(|(_, rank)| rank.status != Status::Running) {
            Some((index, rank)) => {
                Err(LocalError::Rank { rank: Rank::new(index), status: rank.status.clone() })
            }
            None => Ok(Self { homes, controller, owner: Some(owner) }),
        }
    }

    /// What meshes of actors see of it.
    #[must_use]
    pub fn procs(&self) -> Arc<dyn Procs> {
        Arc::new(self.homes.clone())
    }

    /// Ends the process of a rank as if it were killed: its sessions are cut, and its actors are dropped.
    pub fn crash(&self, rank: Rank) {
        let seats = self.homes.town.seats();
        if let Some(seat) = seats.get(&rank) {
            let life = seat.peer.life;
            self.homes.town.crashes.send_modify(|crashes| _ = crashes.insert(rank, life));
        }
    }

    /// What is new, for the owner: each failure once (N1); `None` after the last.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<OwnerNews> {
        self.owner.as_mut()?.next().await
    }

    /// Talks to the controller of the mesh.
    #[must_use]
    pub const fn controller(&self) -> &ControllerRef<Status> {
        &self.controller
    }

    /// Stops every process with its actors. Returns the state of all (C1).
    ///
    /// # Cancellation
    ///
    /// Dropped once it was polled, all are stopped all the same.
    ///
    /// # Errors
    ///
    /// [`AskError`] if the controller has ended.
    pub async fn stop(&self, grace: Duration) -> Result<MeshState, AskError> {
        self.controller.stop(grace).await
    }
}

impl Town {
    /// One life of the process of one rank.
    async fn live(self: Arc<Self>, mut life: Life<Local>) -> Status {
        let (rank, incarnation) = (life.rank(), life.incarnation());
        let begun = tokio::select! {
            biased;
            // In a box: what is needed to begin is not to take room for as long as it lives.
            begun = Box::pin(self.begin(rank, incarnation)) => begun,
            order = life.ordered() => Err(self.ended(rank, order)),
        };
        let (running, unhandled) = match begun {
            Ok(begun) => begun,
            Err(status) => return status,
        };
        let mut crashes = self.crashes.subscribe();
        life.report(Status::Running);
        tokio::select! {
            biased;
            () = told(&mut crashes, rank, incarnation) => {
                Status::failed(Cause::new(Reason::Signal { signal: 9, core: false }))
            }
            order = life.ordered() => {
                if order == RankOrder::Stop {
                    stopped(&running, &mut life).await;
                }
                self.ended(rank, order)
            }
            Ok(failure) = unhandled => {
                // As a program that nobody's handler saves: it ends (E2).
                failed(failure.report())
            }
        }
    }

    /// Starts a life of the process of one rank. Who is given with it tells of what no actor of it has handled.
    ///
    /// # Errors
    ///
    /// What the rank then is.
    async fn begin(
        &self,
        rank: Rank,
        incarnation: Incarnation,
    ) -> Result<(Running, oneshot::Receiver<ChildFailure>), Status> {
        let (Some(label), Some(watchdog)) = (self.label.get(), self.watchdog.upgrade()) else {
            return Err(Status::NotExist);
        };
        let peer = PeerId::of_rank(label.id(), rank, incarnation);
        let (tell, unhandled) = once();
        let user = self.owner.proc().on(Plane::User);
        let config = ProcConfig {
            id: peer.proc,
            life: incarnation,
            control: Some(self.owner.proc().on(Plane::Control).runtime().clone()),
            call_within: user.call_within(),
            stalled_handler: None,
            on_failure: Box::new(tell),
            seed: self.owner.proc().draw_seed(),
        };
        let proc = self.owner.proc().start_beside(config, user.runtime().clone(), &watchdog);
        let running =
            Running { network: Network::new(proc, (self.transports)(), self.registry.hash()) };
        let at = Addr::Local { name: format!("{}-{rank}-{incarnation}", label.id()) };
        let doors = running.network.listen(&at).await.map_err(failed)?;
        let agent = ProcAgent::start(running.network.proc(), Arc::clone(&self.registry));
        self.owner.dial(peer, &doors).await.map_err(failed)?;
        self.seats().insert(rank, ProcAgent::seat(&agent, Some(doors)));
        Ok((running, unhandled))
    }

    /// Kills all; of those who had not been asked to end it is told why.
    async fn kill_all(&self, controller: &ControllerRef<Status>) {
        let Ok(state) = controller.state().await else { return };
        let unasked = state.ranks.ranks_where(|rank| rank.status != Status::Stopping);
        _ = self.let_go.set(unasked).is_ok();
        _ = controller.kill().await.is_ok();
    }

    /// What a rank is that ends as it is ordered (ST4).
    fn ended(&self, rank: Rank, order: RankOrder) -> Status {
        match order {
            RankOrder::Kill if self.let_go.get().is_some_and(|it| it.contains(rank)) => {
                Status::failed(Cause::new(Reason::Closed))
            }
            RankOrder::Stop | RankOrder::Kill => Status::Stopped,
        }
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<Rank, ProcSeat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops a process in good order. A kill that comes meanwhile ends it at once.
async fn stopped(running: &Running, life: &mut Life<Local>) {
    tokio::select! {
        _ = Box::pin(running.network.proc().stop(GRACE)) => (),
        _ = life.ordered() => (),
    }
}

/// Hears of one failure. One is enough: the first ends the process.
fn once() -> (impl Fn(&ChildFailure) + Send + Sync, oneshot::Receiver<ChildFailure>) {
    let (tell, told) = oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let hear = move |failure: &ChildFailure| {
        let first = tell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(first) = first {
            _ = first.send(failure.clone()).is_ok();
        }
    };
    (hear, told)
}

/// Waits until this life of a rank is told to crash.
async fn told(
    crashes: &mut watch::Receiver<BTreeMap<Rank, Incarnation>>,
    rank: Rank,
    life: Incarnation,
) {
    let is_told = |crashes: &BTreeMap<Rank, Incarnation>| crashes.get(&rank) >= Some(&life);
    if crashes.wait_for(is_told).await.is_err() {
        // Nobody is left who could tell.
        std::future::pending::<()>().await;
    }
}

fn failed(why: impl fmt::Display) -> Status {
    Status::failed(Cause::new(Reason::Error { message: why.to_string() }))
}

/// A process that runs. However its life ends, its actors end and its sessions are cut.
struct Running {
    network: Network,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.network.proc().kill();
        self.network.leave();
    }
}

impl Drop for LocalProcs {
    /// The processes are killed (C2); and only then does their controller end, so that whoever follows them hears how
    /// they have ended, and need not find out by silence. Before that it is asked who was to end anyway.
    fn drop(&mut self) {
        let Self { homes, controller, owner } = self;
        let (town, controller, owner) = (Arc::clone(&homes.town), controller.clone(), owner.take());
        let control = town.owner.proc().on(Plane::Control);
        drop(control.runtime().spawn(async move {
            _ = timeout(KILLED_WITHIN, town.kill_all(&controller)).await.is_ok();
            drop(owner);
        }));
    }
}

/// The mesh as meshes of actors see it, or a slice of it.
#[derive(Clone)]
struct Homes {
    label: MeshLabel,
    town: Arc<Town>,
    region: Arc<Region>,
    home: PortRef<MeshRequest>,
    lease: Duration,
}

impl Procs for Homes {
    fn label(&self) -> &MeshLabel {
        &self.label
    }

    fn region(&self) -> &Arc<Region> {
        &self.region
    }

    fn seat(&self, rank: Rank) -> Option<ProcSeat> {
        self.town.seats().get(&self.region.base_rank(rank)?).cloned()
    }

    fn home(&self) -> PortRef<MeshRequest> {
        self.home
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    fn slice(&self, to: &Region) -> Result<Arc<dyn Procs>, ShapeError> {
        if !to.is_subset(&self.region) {
            return Err(ShapeError::NotSubset);
        }
        Ok(Arc::new(Self { region: Arc::new(to.clone()), ..self.clone() }))
    }
}

impl fmt::Debug for Homes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Homes").field("label", &self.label).finish_non_exhaustive()
    }
}

impl fmt::Debug for LocalProcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalProcs").field("homes", &self.homes).finish_non_exhaustive()
    }
}

impl fmt::Debug for LocalSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
