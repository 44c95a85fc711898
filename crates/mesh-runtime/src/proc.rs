//! One process that takes part: its actors, its address table, its roots.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use mesh_core::{ActorId, End, Incarnation, Lane, PeerId, Plane, ProcId, Transport};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::actor::{Actor, Stop};
use crate::actor_ref::ActorRef;
use crate::child_failure::ChildFailure;
use crate::deadlines::Deadlines;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::inbound::Overflow;
use crate::kind::Kind;
use crate::metrics::ProcMetrics;
use crate::name::Name;
use crate::panics;
use crate::peers::{Detour, Watchers};
use crate::pulse::WatchList;
use crate::registry::Registry;
use crate::remote::{Company, Remote, Table};
use crate::sender::{Origin, Sender};
use crate::shared::{Parent, Shared};
use crate::slots::Slots;
use crate::stalls::Stalls;
use crate::task::ActorTask;
use crate::undelivered::{Undelivered, log_undelivered};
use crate::watchdog::Watchdog;

mod draws;

use draws::Draws;

/// One process that takes part: actors are spawned in it and found in it. Cheap to clone.
///
/// A program may have several, as tests do. What is spawned here has the process for its parent; a
/// failure that nobody handles ends at [`ProcConfig::on_failure`].
///
/// # Examples
///
/// See [`Actor`].
///
/// It has two [`Plane`]s: what is spawned lives on the user's runtime, and what is spawned through
/// [`on`](Self::on) where that says.
#[derive(Clone)]
pub struct Proc {
    inner: Arc<Inner>,
    plane: Plane,
}

/// A process that may have gone.
#[derive(Clone)]
pub(crate) struct WeakProc(Weak<Inner>);

impl WeakProc {
    pub(crate) fn upgrade(&self) -> Option<Proc> {
        self.0.upgrade().map(|inner| Proc { inner, plane: Plane::User })
    }
}

/// How a process is set up.
pub struct ProcConfig {
    /// Who it is.
    pub id: ProcId,
    /// Which life of it.
    pub life: Incarnation,
    /// The runtime of the actors that supervise; the one of all others if `None`.
    pub control: Option<Handle>,
    /// How long a call waits for its answer, unless it says otherwise. See [`Call::within`](crate::Call::within).
    pub call_within: Duration,
    /// How long a handler of an actor on the user's runtime may run until it is told as hanging, by
    /// [`Proc::stalls`]; `None` if nobody looks. More than zero.
    pub stalled_handler: Option<Duration>,
    /// Is told of every failure that no actor has handled (E2). It must not block.
    pub on_failure: Box<dyn Fn(&ChildFailure) + Send + Sync>,
    /// What is drawn in the process follows from this, so that a simulation can be repeated; at random if `None`.
    /// See [`Proc::draw`].
    pub seed: Option<u64>,
}

/// What happens in the life of an actor. See [`Proc::spawn_for`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// Its constructor has returned it.
    Created,
    /// It has ended, and so have its children. The last one.
    Ended(End),
}

/// There is no tokio runtime here to run actors on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no tokio runtime is entered here: call it within one, or give its handle to Proc::start")]
pub struct NoRuntime;

/// Actors that have not ended in time: how many of those that the process is the parent of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not ended: {n} of the actors; a handler of theirs, or of a child, does not return or await"
)]
pub struct StillRunning {
    /// How many.
    pub n: usize,
}

struct Inner {
    id: ProcId,
    life: Incarnation,
    call_within: Duration,
    on_failure: Box<dyn Fn(&ChildFailure) + Send + Sync>,
    user: Floor,
    /// The other one, if it has one.
    control: Option<Floor>,
    watchdog: Option<Arc<Watchdog>>,
    next_number: AtomicU64,
    draws: Draws,
    /// Whoever can be found by an address.
    listed: Table<NonZeroU64, Arc<dyn Endpoint>>,
    /// Whoever can be found by a name.
    registry: Registry,
    kinds: Arc<Kinds>,
    /// The living actors that have no actor for a parent.
    roots: Mutex<Roots>,
    root_ended: Notify,
    metrics: ProcMetrics,
    remote: Remote,
    overflow: Overflow,
    watchers: Watchers,
    detour: Detour,
    slots: Slots,
    /// What carries its sessions, if it has some, and the hash that it meets others with.
    transport: OnceLock<(Arc<dyn Transport>, u64)>,
}

/// One [`Kind`] for each type of actor.
type Kinds = Table<TypeId, Arc<dyn Any + Send + Sync>>;

/// In the order in which they were spawned.
type Roots = BTreeMap<NonZeroU64, Arc<dyn Endpoint>>;

/// What each plane has of its own: a busy one must not hold up the other.
struct Floor {
    runtime: Handle,
    deadlines: Arc<Deadlines>,
    sweeper: AbortHandle,
}

impl Floor {
    /// `control` sees to what has deadlines, if there is one beside it.
    fn new(runtime: Handle, control: Option<&Handle>) -> Self {
        let deadlines = Arc::new(Deadlines::default());
        let (to_sweep, callers) = (Arc::clone(&deadlines), runtime.clone());
        let sweeper = match control.cloned() {
            Some(control) => runtime.spawn(to_sweep.sweep_from(control, callers)),
            None => runtime.spawn(to_sweep.sweep(callers)),
        };
        let sweeper = sweeper.abort_handle();
        Self { runtime, deadlines, sweeper }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

impl ProcConfig {
    /// A process of its own, with an identity drawn at random: calls wait for 10 s, a failure that nobody
    /// handles is logged, and nobody looks for handlers that hang.
    #[must_use]
    pub fn local() -> Self {
        let bits = Draws::new(None);
        let id = u128::from(bits.next()) << 64 | u128::from(bits.next());
        Self {
            id: ProcId::from_random(id),
            life: Incarnation::FIRST,
            control: None,
            call_within: Duration::from_secs(10),
            stalled_handler: None,
            on_failure: Box::new(|failure| tracing::error!("{}", failure.report())),
            seed: None,
        }
    }
}

impl Proc {
    /// A process of its own on the runtime that is entered here, as [`ProcConfig::local`] has it.
    ///
    /// # Errors
    ///
    /// [`NoRuntime`] if none is.
    pub fn local() -> Result<Self, NoRuntime> {
        let runtime = Handle::try_current().or(Err(NoRuntime))?;
        Ok(Self::start(ProcConfig::local(), runtime))
    }

    /// A process whose actors run on `runtime`.
    #[must_use]
    pub fn start(config: ProcConfig, runtime: Handle) -> Self {
        let watchdog = config.stalled_handler.map(|threshold| {
            let control = config.control.as_ref().unwrap_or(&runtime);
            Arc::new(Watchdog::start(threshold, &runtime, control))
        });
        Self::start_with(config, runtime, (watchdog, Arc::default(), Company::Alone))
    }

    /// The same, of one of many processes that live in one program with this one. What their actors of one type have
    /// in common they share, so that it is not read from memory for each process; and so they do `watchdog`, which
    /// looks at `runtime`: many would wake it again and again. [`ProcConfig::stalled_handler`] is not asked.
    #[must_use]
    pub fn start_beside(
        &self,
        config: ProcConfig,
        runtime: Handle,
        watchdog: &Arc<Watchdog>,
    ) -> Self {
        let shared = (Some(Arc::clone(watchdog)), Arc::clone(&self.inner.kinds), Company::OfMany);
        Self::start_with(config, runtime, shared)
    }

    fn start_with(
        config: ProcConfig,
        runtime: Handle,
        (watchdog, kinds, company): (Option<Arc<Watchdog>>, Arc<Kinds>, Company),
    ) -> Self {
        panics::install_hook();
        let user = Floor::new(runtime, config.control.as_ref());
        let control = config.control.map(|control| Floor::new(control, None));
        let inner = Inner {
            id: config.id,
            life: config.life,
            call_within: config.call_within,
            on_failure: config.on_failure,
            user,
            control,
            watchdog,
            next_number: AtomicU64::new(1),
            draws: Draws::new(config.seed),
            listed: company.table(),
            registry: Registry::default(),
            kinds,
            roots: Mutex::default(),
            root_ended: Notify::new(),
            metrics: ProcMetrics,
            remote: Remote::new(company),
            overflow: Overflow::default(),
            watchers: Watchers::default(),
            detour: Detour::default(),
            slots: Slots::default(),
            transport: OnceLock::new(),
        };
        Self { inner: Arc::new(inner), plane: Plane::User }
    }

    /// The same process, as those on `plane` use it: what is spawned through it lives there. On the control
    /// thread nothing may block. If the process has none, all actors live together.
    #[must_use]
    pub fn on(&self, plane: Plane) -> Self {
        let plane = if self.inner.control.is_some() { plane } else { Plane::User };
        Self { inner: Arc::clone(&self.inner), plane }
    }

    fn floor(&self) -> &Floor {
        match (self.plane, &self.inner.control) {
            (Plane::Control, Some(floor)) => floor,
            (Plane::Control, None) | (Plane::User, _) => &self.inner.user,
        }
    }

    /// Spawns an actor whose parent is the process, under the name of its type.
    pub fn spawn<A: Actor>(&self, params: A::Params) -> ActorRef<A> {
        self.spawn_named(Name::of_type(A::NAME), params)
    }

    /// The same, under a name of its own.
    pub fn spawn_named<A: Actor>(&self, name: impl Into<Name>, params: A::Params) -> ActorRef<A> {
        let parent = Arc::clone(&self.inner) as Arc<dyn Parent>;
        self.spawn_child(
            name.into(),
            || Ok(params),
            parent,
            |child| {
                self.inner.roots().insert(child.index(), child);
            },
        )
    }

    /// Spawns an actor that somebody else looks after than an actor of its plane: each [`Milestone`] of its
    /// life is given to `told`, which must not block, and its failure is told to nobody else.
    ///
    /// Its parameters are made where it lives, on its plane, as the first thing that it does: so whoever spawns
    /// it runs no code of a user, and is not held up by it.
    pub fn spawn_for<A: Actor>(
        &self,
        name: impl Into<Name>,
        params: impl FnOnce() -> Result<A::Params, Failure> + Send + 'static,
        told: impl Fn(Milestone) + Send + Sync + 'static,
    ) -> ActorRef<A> {
        let parent = Arc::new(Guardian { inner: Arc::clone(&self.inner), told: Box::new(told) });
        self.spawn_child(name.into(), params, parent, |child| {
            self.inner.roots().insert(child.index(), child);
        })
    }

    /// Ends every actor, the youngest first of those that have the process for a parent; those that
    /// have not ended after `grace` are killed. What they had not handled, and is to go back to processes that there is no
    /// session with, is counted as lost.
    ///
    /// # Errors
    ///
    /// [`StillRunning`] if even that did not end all of them within another `grace`: a handler that
    /// blocks its thread cannot be ended.
    pub async fn stop(&self, grace: Duration) -> Result<(), StillRunning> {
        let mut ended = self.end_roots(Stop::Now, grace).await;
        if ended.is_err() {
            ended = self.end_roots(Stop::Kill, grace).await;
        }
        // Whoever ends its actors is about to end itself.
        self.lose_returns();
        ended
    }

    /// Ends every actor at its next await, without waiting for that.
    pub fn kill(&self) {
        self.inner.roots().values().rev().for_each(|root| root.stop(Stop::Kill));
    }

    /// Who the process is.
    #[must_use]
    pub fn id(&self) -> ProcId {
        self.inner.id
    }

    /// Which life of the process it is.
    #[must_use]
    pub fn life(&self) -> Incarnation {
        self.inner.life
    }

    /// Which life of which process it is.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        PeerId { proc: self.inner.id, life: self.inner.life }
    }

    /// Whether messages for `actor` have a way: it is here and can be found, or there is a session with its
    /// process. Whether it is there still, in another process, only a message can tell.
    #[must_use]
    pub fn has_way_to(&self, actor: ActorId) -> bool {
        if actor.peer() == self.peer() {
            self.find(actor).is_some()
        } else {
            self.remote().routes.for_answers((actor.peer(), actor.plane().lane())).is_some()
        }
    }

    /// The runtime that its actors run on.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.floor().runtime
    }

    /// How many of its actors live that have no actor for a parent.
    #[must_use]
    pub fn n_roots(&self) -> usize {
        self.inner.roots().len()
    }

    pub(crate) fn spawn_child<A: Actor>(
        &self,
        name: Name,
        params: impl FnOnce() -> Result<A::Params, Failure> + Send + 'static,
        parent: Arc<dyn Parent>,
        adopt: impl FnOnce(Arc<dyn Endpoint>),
    ) -> ActorRef<A> {
        let shared = Arc::new(Shared::<A>::new(self, name, parent.root()));
        // Before it runs: its end must find it among the children.
        adopt(Arc::clone(&shared) as Arc<dyn Endpoint>);
        let task = ActorTask::new(Arc::clone(&shared), parent, params);
        drop(self.runtime().spawn(task));
        ActorRef::new(shared)
    }

    pub(crate) fn next_index(&self) -> NonZeroU64 {
        let number = self.inner.next_number.fetch_add(1, Ordering::Relaxed);
        NonZeroU64::new(self.plane.index(number)).unwrap_or(NonZeroU64::MAX)
    }

    pub(crate) fn actor_id(&self, index: NonZeroU64) -> ActorId {
        ActorId { proc: self.inner.id, life: self.inner.life, index: index.get() }
    }

    /// Whom `id` names, if it is here.
    pub(crate) fn find(&self, id: ActorId) -> Option<Arc<dyn Endpoint>> {
        let index = NonZeroU64::new(id.index)?;
        Some(Arc::clone(&*self.inner.listed.get(&index)?))
    }

    pub(crate) fn list(&self, endpoint: Arc<dyn Endpoint>) {
        self.inner.listed.insert(endpoint.index(), endpoint);
    }

    pub(crate) fn unlist(&self, index: NonZeroU64) {
        self.inner.listed.remove(&index);
        self.inner.registry.ended(index);
    }

    /// What all actors of type `A` share.
    pub(crate) fn kind<A: Actor>(&self) -> Arc<Kind<A>> {
        let key = TypeId::of::<A>();
        let known = self.inner.kinds.get(&key).map(|kind| Arc::clone(&*kind));
        let kind = known.unwrap_or_else(|| {
            let new = || Arc::new(Kind::<A>::new()) as Arc<dyn Any + Send + Sync>;
            Arc::clone(&*self.inner.kinds.entry(key).or_insert_with(new))
        });
        kind.downcast().unwrap_or_else(|_| Arc::new(Kind::new()))
    }

    /// How long a call waits for its answer, unless it says otherwise. See [`Call::within`](crate::Call::within).
    #[must_use]
    pub fn call_within(&self) -> Duration {
        self.inner.call_within
    }

    /// What hangs in the process, and in those that it shares a watchdog with: changes when something does and when it goes on. `None` unless it was set
    /// up to be looked at.
    ///
    /// A handler is told between its threshold and 150 ms later, whether it keeps a thread or awaits
    /// something; a runtime that runs nothing may be told half a second later than that. If the user's runtime is all that the process has, and blocked, that is told late: who
    /// is to tell runs there.
    #[must_use]
    pub fn stalls(&self) -> Option<watch::Receiver<Arc<Stalls>>> {
        self.inner.watchdog.as_ref().map(|watchdog| watchdog.stalls())
    }

    /// Where actors of this plane are put when they begin something. Nothing blocks on the other one.
    pub(crate) fn watch_list(&self) -> Option<Arc<WatchList>> {
        let watchdog = self.inner.watchdog.as_ref().filter(|_| self.plane == Plane::User);
        watchdog.map(|watchdog| Arc::clone(&watchdog.list))
    }

    pub(crate) fn deadlines(&self) -> Arc<Deadlines> {
        Arc::clone(&self.floor().deadlines)
    }

    pub(crate) const fn lane(&self) -> Lane {
        self.plane.lane()
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.inner.remote
    }

    pub(crate) fn transport(&self) -> &OnceLock<(Arc<dyn Transport>, u64)> {
        &self.inner.transport
    }

    pub(crate) fn overflow(&self) -> &Overflow {
        &self.inner.overflow
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.inner.slots
    }

    pub(crate) fn detour(&self) -> &Detour {
        &self.inner.detour
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.inner.watchers
    }

    /// The same process, without keeping it alive.
    pub(crate) fn downgrade(&self) -> WeakProc {
        WeakProc(Arc::downgrade(&self.inner))
    }

    pub(crate) fn metrics(&self) -> &ProcMetrics {
        &self.inner.metrics
    }

    /// A message could not be delivered: it is counted, logged, and goes back to who sent it (R3).
    pub(crate) fn give_back(&self, undelivered: Undelivered) {
        self.inner.metrics.undelivered(undelivered.why);
        log_undelivered(undelivered.to, &undelivered);
        if let Some(sender) = undelivered.from.and_then(|from| self.find(from)) {
            sender.returned(undelivered);
        }
    }

    /// Asks the roots to end, the youngest first, and waits for all of them until `grace` is over.
    async fn end_roots(&self, how: Stop, grace: Duration) -> Result<(), StillRunning> {
        let until = Instant::now().checked_add(grace);
        self.inner.roots().values().rev().for_each(|root| root.stop(how));
        loop {
            let ended = self.inner.root_ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            let n = self.n_roots();
            if n == 0 {
                return Ok(());
            }
            match until {
                Some(until) if timeout_at(until, ended.as_mut()).await.is_err() => {
                    return Err(StillRunning { n });
                }
                Some(_) => (),
                None => ended.await,
            }
        }
    }
}

impl Drop for Inner {
    /// What waits for sessions is not dropped silently (R3).
    fn drop(&mut self) {
        for head in self.remote.returns.take_all() {
            self.metrics.lost_return();
            tracing::warn!(?head, "lost on its way back to who sent it: this process has ended");
        }
    }
}

impl Inner {
    fn roots(&self) -> MutexGuard<'_, Roots> {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parent for Inner {
    /// What nobody has handled ends here (E2).
    fn child_ended(&self, index: NonZeroU64, name: &Name, end: &End) {
        self.roots().remove(&index);
        self.root_ended.notify_waiters();
        if let End::Failed(cause) = end {
            let id = ActorId { proc: self.id, life: self.life, index: index.get() };
            (self.on_failure)(&ChildFailure { child: name.clone(), id, cause: Arc::clone(cause) });
        }
    }
}

/// Who looks after an actor from outside of its process.
struct Guardian {
    inner: Arc<Inner>,
    told: Box<dyn Fn(Milestone) + Send + Sync>,
}

impl Parent for Guardian {
    fn child_created(&self) {
        (self.told)(Milestone::Created);
    }

    fn child_ended(&self, index: NonZeroU64, _: &Name, end: &End) {
        self.inner.roots().remove(&index);
        self.inner.root_ended.notify_waiters();
        (self.told)(Milestone::Ended(end.clone()));
    }
}

impl Sender for Proc {
    fn origin(&self) -> Origin<'_> {
        Origin { proc: self, actor: None }
    }
}

impl fmt::Debug for Proc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proc").field("id", &self.inner.id).field("life", &self.inner.life).finish()
    }
}

impl fmt::Debug for ProcConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcConfig")
            .field("id", &self.id)
            .field("life", &self.life)
            .field("call_within", &self.call_within)
            .finish_non_exhaustive()
    }
}
