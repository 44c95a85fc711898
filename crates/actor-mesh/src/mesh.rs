//! A mesh of actors, in the hands of its owner.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use controller::{Config, Controlled, Controller, RestartConfig, Spec, SpecError, Times};
use mesh_cast::FanOut;
use mesh_core::{
    Brief, Change, EncodeError, Epoch, Failures, Interest, MeshEvent, MeshId, MeshLabel, MeshState,
    News, OwnerNews, Plane, PortRef, Procs, Progress, Refusal, RestartPolicy, StopReason,
    Subscribe,
};
use mesh_runtime::{Actor, CallError, Context, Port, Sender, codec};
use mesh_shape::{Point, RankSet, Region};
use serde::Serialize;
use serde::de::DeserializeOwned;
use supervise::{
    AskError, Clock, ControllerRef, Desk, MeshEvents, Owner, Setup, Supervision, supervise,
};
use tokio::time::timeout;

use crate::keeper::{ActorAgents, Breed, EVENTS, Keeper, Keeping, ParamsOf};
use crate::mesh_ref::ActorMeshRef;
use crate::owned::OwnedMesh;
use crate::registry::hash_of;
use crate::report::{ActorKind, ActorReport};
use crate::view::Homes;

/// How long ranks have to end when their mesh could not be spawned as a whole.
const ROLLBACK: Duration = Duration::from_secs(2);

/// What a mesh of actors of type `A` is to be.
///
/// Parameters travel by the control lane, whose frames are small (1 MiB over TCP): what is larger is better
/// cast when the actors are there.
pub struct ActorSpec<A: Actor> {
    name: String,
    params: ParamsOf,
    restart: RestartConfig,
    /// Those of its processes, if nothing is said.
    times: Option<Times>,
    ready_within: Duration,
    fan_out: FanOut,
    of: std::marker::PhantomData<fn(A)>,
}

impl<A> ActorSpec<A>
where
    A: Actor<Params: Serialize + DeserializeOwned>,
{
    /// One actor on each process, all created from the same parameters. They are encoded once.
    ///
    /// The name is in all reports of the mesh: a spawn is refused if it is empty, has more than
    /// [256](MeshLabel::NAME_MAX) characters, or one that controls something.
    #[must_use]
    pub fn new(name: impl Into<String>, params: &A::Params) -> Self {
        let params = codec::encode(A::NAME, params);
        Self::of(name.into(), ParamsOf::Same(params))
    }

    /// One actor on each process, each created from parameters of its own: what `params` says for its point,
    /// again whenever it is started again. It is called on the runtime of the user, and may take its time;
    /// one that panics is the failure of its rank alone.
    #[must_use]
    pub fn per_rank(
        name: impl Into<String>,
        params: impl Fn(Point<'_>) -> A::Params + Send + Sync + 'static,
    ) -> Self {
        let encode = move |point: Point<'_>| -> Result<Bytes, EncodeError> {
            codec::encode(A::NAME, &params(point))
        };
        Self::of(name.into(), ParamsOf::Each(Arc::new(encode)))
    }

    fn of(name: String, params: ParamsOf) -> Self {
        let (restart, ready_within) = (Config::local().restart, Duration::from_secs(30));
        let (times, fan_out, of) = (None, FanOut::ALL, std::marker::PhantomData);
        Self { name, params, restart, times, ready_within, fan_out, of }
    }

    /// What happens to actors that have ended; nothing if nothing is said. One that has ended well, as with a process that has
    /// exited with code 0, has not failed: `on_failure` does not start it again, unless that process begins again. Where a
    /// process has ended for good nothing is started again. That an actor begins again with a process that has failed counts
    /// as any other restart; with one that has ended well, as all do that begin together, it costs nothing.
    #[must_use]
    pub fn restart(mut self, restart: RestartConfig) -> Self {
        self.restart = restart;
        self
    }

    /// When silence means what. If nothing is said it is as of the [lease](Procs::lease) of the processes. With a shorter
    /// lease than theirs actors are given up while nobody says what becomes of their processes, which may be well.
    #[must_use]
    pub const fn times(mut self, times: Times) -> Self {
        self.times = Some(times);
        self
    }

    /// How many processes each one sends to; all if nothing is said. What is cast to a mesh of more goes down a
    /// tree of its processes, and what they reply comes up merged; also for a slice of it, so that what one
    /// sender sends keeps its order.
    ///
    /// A message that goes by the tree, and each reply, may have 16 MiB: a larger one is answered with
    /// [`TooLarge`](mesh_core::WhyUndelivered::TooLarge). It travels on the control lane, in pieces that fit there,
    /// beside what supervises: so it is for small ones all the same.
    #[must_use]
    pub const fn fan_out(mut self, fan_out: FanOut) -> Self {
        self.fan_out = fan_out;
        self
    }

    /// How long the actors may take to be created; 30 s if nothing is said. If some have not been by then, all are
    /// stopped before the spawn returns: it kills after 2 s more who has not ended, and gives up after some seconds whoever
    /// cannot be killed.
    #[must_use]
    pub fn ready_within(mut self, within: Duration) -> Self {
        self.ready_within = within;
        self
    }
}

/// A mesh of actors that runs: one on each process of a mesh of those. Dropping it ends the actors (C2).
///
/// It is used as the [`ActorMeshRef`] that it dereferences to, which can be cloned, sliced and sent. What fails
/// is told by [`next`](Self::next), to whoever reads that, and nowhere else: failures that nobody reads are kept,
/// and end nothing. An actor that is to be asked about them, or to fail with them, [owns](Self::owned_by) it.
///
/// # Examples
///
/// ```
/// use actor_mesh::{ActorMesh, ActorRegistry, ActorSpec, LocalProcs};
/// use mesh_core::Message;
/// use mesh_runtime::{Actor, Context, Failure, Handler, Handlers, Proc};
/// use mesh_shape::extent;
/// use serde::{Deserialize, Serialize};
///
/// struct Counter(u64);
///
/// impl Actor for Counter {
///     const NAME: &'static str = "counter";
///     type Params = u64;
///
///     async fn start(first: u64, _: &mut Context<Self>) -> Result<Self, Failure> {
///         Ok(Self(first))
///     }
///
///     fn handlers(handlers: &mut Handlers<Self>) {
///         handlers.takes::<Add>();
///     }
/// }
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Add(u64);
///
/// impl Message for Add {
///     const NAME: &'static str = "doc.Add";
///     type Reply = u64;
/// }
///
/// impl Handler<Add> for Counter {
///     async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> Result<u64, Failure> {
///         self.0 += n;
///         Ok(self.0)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let proc = Proc::local()?;
/// let mut registry = ActorRegistry::new();
/// registry.actor::<Counter>();
/// let procs = LocalProcs::start(&proc, "homes", extent!(procs = 4)?, registry).await?;
///
/// let spec = ActorSpec::per_rank("counters", |point| point.rank().index() as u64 * 10);
/// let counters = ActorMesh::<Counter>::spawn(&proc, &procs.procs(), spec).await?;
/// let totals = counters.call(&proc, Add(1)).await;
/// assert_eq!(totals.iter().cloned().collect::<Result<Vec<_>, _>>()?, [1, 11, 21, 31]);
///
/// let half = counters.slice("procs", 2..)?;
/// let totals = half.call(&proc, Add(1)).await;
/// assert_eq!(totals.iter().cloned().collect::<Result<Vec<_>, _>>()?, [22, 32]);
/// # Ok(())
/// # }
/// ```
pub struct ActorMesh<A: Actor> {
    mesh: ActorMeshRef<A>,
    controller: ControllerRef<ActorReport>,
    owner: Owner,
}

/// Why a mesh of actors could not be spawned. Nothing of it is left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The configuration does not hold together.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The controller of the processes cannot be reached.
    #[error("the controller of the processes cannot be asked")]
    Procs(#[source] CallError),
    /// The controller of the processes refuses.
    #[error("the controller of the processes refuses")]
    Refused(#[source] Refusal),
    /// Some ranks could not be created; the others were stopped again (C4).
    #[error("not every rank could be created, the others were stopped: {}", Brief(.failures))]
    Ranks {
        /// The failed ranks, each with its cause.
        failures: Vec<Failures>,
    },
    /// Some ranks were not created in time; all were stopped again (C4).
    #[error("not created within {within:?}: {}{}", missing.in_words(), Meanwhile(.failures))]
    NotReady {
        /// The ranks.
        missing: RankSet,
        /// How long they had.
        within: Duration,
        /// What has failed until then: ranks that are started again whenever they fail are not given up.
        failures: Vec<Failures>,
    },
    /// The controller does not answer, or refuses.
    #[error(transparent)]
    Controller(#[from] AskError),
}

/// What has failed meanwhile, if anything has.
struct Meanwhile<'a>(&'a [Failures]);

impl fmt::Display for Meanwhile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; meanwhile: {}", Brief(self.0)) }
    }
}

impl<A> ActorMesh<A>
where
    A: Actor<Params: Serialize + DeserializeOwned>,
{
    /// Spawns one actor on each process of `procs`, and returns when all have been created. They are
    /// supervised on the control plane of the process of `from`.
    ///
    /// # Cancellation
    ///
    /// What was spawned is ended.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`]. If some could not be created, the others are stopped first (C4).
    pub async fn spawn(
        from: &(impl Sender + Sync),
        procs: &Arc<dyn Procs>,
        spec: ActorSpec<A>,
    ) -> Result<Self, SpawnError> {
        let proc = from.origin().proc().on(Plane::Control);
        let ActorSpec { name, params, restart, times, ready_within, fan_out, .. } = spec;
        let times = times.unwrap_or_else(|| Times::from_lease(procs.lease()));
        let config = Config { restart, ..Config::from_times(times) };
        let random = u128::from(proc.draw()) << 64 | u128::from(proc.draw());
        let label = MeshLabel::new(MeshId::from_random(random), name, ActorKind::KIND);
        let region = Arc::new(Region::all(procs.region().extent().clone()));
        let machine = Controller::new(
            Spec {
                mesh: label.clone(),
                region: Arc::clone(&region),
                epoch: Epoch::FIRST,
                agents: [region.ranks()].into(),
                config,
                seed: random as u64,
            },
            ActorKind,
        )?;
        let events = proc.open_port::<MeshEvent>(EVENTS);
        let subscribe = Subscribe {
            to: events.port(),
            interest: Interest::All,
            region: Some(Arc::clone(procs.region())),
            again: false,
        };
        // Asked once: another one may adopt the processes meanwhile, and it is followed as any later one (K3).
        let heard = procs.home();
        let door = PortRef::<Subscribe>::of(heard.actor());
        let taken = door.call(&proc, subscribe).await.map_err(SpawnError::Procs)?;
        taken.map_err(SpawnError::Refused)?;

        let clock = Clock::start();
        let keeper = proc.spawn::<Keeper>(Keeping {
            label: label.clone(),
            procs: Arc::clone(procs),
            heard,
            events,
            breed: Breed {
                kind: A::NAME,
                kind_hash: hash_of::<A>(),
                may_restart: restart.policy != RestartPolicy::Temporary,
            },
            params,
            clock,
            heartbeat: times.heartbeat,
            fan_out,
        });
        let keeper_port = keeper.port();
        let setup = Setup::new(machine, ActorAgents(keeper), clock);
        let (Supervision { controller, owner, .. }, run) = supervise(setup);
        drop(proc.runtime().spawn(run));
        let desk = proc.spawn::<Desk<ActorReport>>(controller.clone());
        let homes = Homes { controller: desk.port(), keeper: keeper_port };
        let mesh = ActorMeshRef::new(label, region, homes, fan_out);
        let mut mesh = Self { mesh, controller, owner };
        mesh.ready(ready_within).await?;
        Ok(mesh)
    }

    /// Waits until every actor has been created, and stops them all if one cannot be.
    async fn ready(&mut self, within: Duration) -> Result<(), SpawnError> {
        let mut waiting = self.mesh.region().ranks();
        let events = self.controller.subscribe(Interest::All, None).await?;
        let is_settled = timeout(within, settle(events, &mut waiting)).await;
        if matches!(is_settled, Ok(Settled::Created)) {
            return Ok(());
        }
        self.controller.stop(ROLLBACK).await?;
        // A rank that cannot be ended, or not be reached, holds up only the word that all have ended.
        let mut failures = Vec::new();
        while let Ok(Some(OwnerNews::Failed(failed))) = timeout(ROLLBACK, self.owner.next()).await {
            failures.push(failed);
        }
        match is_settled {
            Ok(_) => Err(SpawnError::Ranks { failures }),
            Err(_) => Err(SpawnError::NotReady { missing: waiting, within, failures }),
        }
    }
}

/// How a mesh that is being spawned has turned out.
enum Settled {
    /// Every rank runs, or has been created and has stopped again by itself.
    Created,
    /// A rank has failed and is not started again.
    Failed,
}

/// Waits until every rank of `waiting` has been created, or one has failed for good.
async fn settle(mut events: MeshEvents, waiting: &mut RankSet) -> Settled {
    while !waiting.is_empty() {
        // A controller that has ended has nobody that it could tell.
        let Some(event) = events.next().await else { return Settled::Failed };
        let changes: Arc<[Change]> = match event.news {
            News::Snapshot(all) => [all.failed, all.stopped, all.alive].concat().into(),
            News::Changed(changes) => changes,
            News::Escalated(_) | News::Withdrawn(_) => return Settled::Failed,
            News::Closed => break,
            News::Heartbeat { .. }
            | News::Trouble(_)
            | News::Recalled { .. }
            | News::Stopping { .. } => continue,
        };
        for change in changes.iter().filter(|it| it.status.has_reached(Progress::Running)) {
            match (change.status.is_failure(), change.restart_in) {
                (true, None) => return Settled::Failed,
                // It begins again, and may not have been there before that.
                (_, Some(_)) => (),
                (false, None) => *waiting = waiting.difference(&change.ranks),
            }
        }
    }
    Settled::Created
}

impl<A: Actor> ActorMesh<A> {
    /// The address of the mesh, to be cloned, sliced and sent.
    #[must_use]
    pub const fn mesh_ref(&self) -> &ActorMeshRef<A> {
        &self.mesh
    }

    /// An actor owns the mesh from here on: its [`on_mesh_failure`](Actor::on_mesh_failure) is asked about what fails,
    /// and it fails with what nobody handles (E2). What has failed before and was not read is told it as well.
    #[must_use = "dropped, the mesh ends"]
    pub fn owned_by<O: Actor>(self, cx: &mut Context<O>) -> OwnedMesh<A> {
        OwnedMesh::new(self, cx)
    }

    pub(crate) fn into_parts(self) -> (ActorMeshRef<A>, ControllerRef<ActorReport>, Owner) {
        let Self { mesh, controller, owner } = self;
        (mesh, controller, owner)
    }

    /// What is new, for the owner: each failure once (N1), and the end of the mesh; `None` after that. It has the mesh to
    /// itself: what calls meanwhile has a clone of its [ref](Self::mesh_ref).
    ///
    /// A rank that ends well is no failure, and nothing is told of it: that its process exits with code 0 is a clean stop,
    /// also where an actor there has called `std::process::exit(0)`, and is started again only by
    /// [`RestartPolicy::Permanent`]. Subscribers are told of it.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use actor_mesh::ActorMesh;
    /// # use mesh_core::{Message, OwnerNews};
    /// # use mesh_runtime::{Handler, Proc};
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Add(u64);
    /// # impl Message for Add { const NAME: &'static str = "doc.Add"; type Reply = u64; }
    /// /// Adds until it has done so a hundred times, or something has failed.
    /// async fn add<A: Handler<Add>>(mut counters: ActorMesh<A>, proc: &Proc) -> Option<OwnerNews> {
    ///     let all = counters.mesh_ref().clone();
    ///     let adding = async {
    ///         for _ in 0..100 {
    ///             println!("{:?}", all.call(proc, Add(1)).await);
    ///         }
    ///     };
    ///     tokio::select! {
    ///         () = adding => None,
    ///         news = counters.next() => news,
    ///     }
    /// }
    /// ```
    pub async fn next(&mut self) -> Option<OwnerNews> {
        self.owner.next().await
    }

    /// As [`ActorMeshRef::subscribe`], from the controller itself: the owner says nobody who asks.
    ///
    /// # Cancellation
    ///
    /// It unsubscribes.
    ///
    /// # Errors
    ///
    /// [`AskError`] if the controller has ended, or refuses.
    pub async fn subscribe(&self, interest: Interest) -> Result<MeshEvents, AskError> {
        self.controller.subscribe(interest, None).await
    }

    /// Talks to the controller of the mesh: subscribes, asks, waits, stops.
    #[must_use]
    pub const fn controller(&self) -> &ControllerRef<ActorReport> {
        &self.controller
    }

    /// Stops every actor after the message that it handles, and kills those that have not ended after
    /// `grace`. Returns the state of all (C1). Others stop it by [`ActorMeshRef::stop`].
    ///
    /// An actor is killed at an `await` of its handler: one that keeps its thread, as in a loop or a call that blocks,
    /// cannot be, and one whose process is suspended does not hear of it. This then returns all the same, up to a lease of
    /// the mesh after `grace`, with such ranks and the mesh as `Stopping`, and
    /// [`next`](Self::next) waits until they have ended; what ends them is to stop their processes.
    ///
    /// # Cancellation
    ///
    /// Dropped once it was polled, all are stopped all the same.
    ///
    /// # Errors
    ///
    /// [`AskError`] if the controller has ended, or refuses.
    pub async fn stop(&self, grace: Duration) -> Result<MeshState, AskError> {
        self.controller.stop(grace).await
    }

    /// The same, and whoever watches the mesh is told why, before any actor is touched (C1).
    ///
    /// # Cancellation
    ///
    /// Dropped once it was polled, all are stopped all the same.
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

impl<A: Actor> Deref for ActorMesh<A> {
    type Target = ActorMeshRef<A>;

    fn deref(&self) -> &ActorMeshRef<A> {
        &self.mesh
    }
}

impl<A: Actor> fmt::Debug for ActorMesh<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorMesh").field("mesh", &self.mesh).finish_non_exhaustive()
    }
}

impl<A: Actor> fmt::Debug for ActorSpec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorSpec").field("name", &self.name).finish_non_exhaustive()
    }
}
