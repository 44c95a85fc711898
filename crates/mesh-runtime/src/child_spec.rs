//! How a child is started, so that it can be started again.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use mesh_core::{End, RestartPolicy};
use tokio::sync::watch;

use crate::actor::Actor;
use crate::actor_ref::ActorRef;
use crate::child::Child;
use crate::endpoint::Endpoint;
use crate::name::Name;
use crate::proc::Proc;
use crate::shared::{Control, Parent, Shared};

/// A child that can be started again: from what, under which name, and after which ends.
///
/// See [`Context::supervise`](crate::Context::supervise).
///
/// # Examples
///
/// ```
/// # use mesh_runtime::{Actor, Context, Failure};
/// # struct Db;
/// # impl Actor for Db {
/// #     const NAME: &'static str = "db";
/// #     type Params = &'static str;
/// #     async fn start(_: &'static str, _: &mut Context<Self>) -> Result<Self, Failure> { Ok(Self) }
/// # }
/// use mesh_runtime::ChildSpec;
///
/// let spec = ChildSpec::<Db>::new(|| "/var/lib/db").named("primary").permanent();
/// assert_eq!(format!("{spec:?}"), r#"ChildSpec { name: "primary", policy: Permanent }"#);
/// ```
///
/// # Source
///
/// The child specification of a supervisor in Erlang/OTP.
pub struct ChildSpec<A: Actor> {
    name: Name,
    policy: RestartPolicy,
    params: Arc<dyn Fn() -> A::Params + Send + Sync>,
}

impl<A: Actor> ChildSpec<A> {
    /// A child under the name of its type, that may be restarted when it fails (OTP: transient; but to be
    /// killed is no failure here, since somebody has asked for it). `params` is asked for the parameters of each
    /// life, on the child's own task: a panic of it is the child's failure.
    #[must_use]
    pub fn new(params: impl Fn() -> A::Params + Send + Sync + 'static) -> Self {
        let name = Name::of_type(A::NAME);
        Self { name, policy: RestartPolicy::Transient, params: Arc::new(params) }
    }

    /// The same, under a name of its own.
    #[must_use]
    pub fn named(self, name: impl Into<Name>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// It is not to end at all (OTP: permanent): any end is a failure unless it comes of its parent's end,
    /// or of a restart of others with it.
    #[must_use]
    pub fn permanent(self) -> Self {
        Self { policy: RestartPolicy::Permanent, ..self }
    }
}

/// The place of a child that can be started again.
pub(crate) struct Seat<A: Actor> {
    spec: ChildSpec<A>,
    current: watch::Sender<ActorRef<A>>,
}

/// A [`Seat`] of a child of any type.
pub(crate) trait Respawn: Send + Sync {
    fn policy(&self) -> RestartPolicy;

    /// Starts the next life of the child. Before it runs, `adopt` is given it.
    fn respawn(&self, proc: &Proc, parent: Arc<dyn Parent>, adopt: &dyn Fn(Arc<dyn Endpoint>));
}

impl<A: Actor> Seat<A> {
    /// Starts the first life.
    pub(crate) fn taken(
        spec: ChildSpec<A>,
        proc: &Proc,
        parent: Arc<dyn Parent>,
        adopt: &dyn Fn(Arc<dyn Endpoint>),
    ) -> (Self, Child<A>) {
        let (current, child) = watch::channel(spec.spawn(proc, Arc::clone(&parent), adopt));
        (Self { spec, current }, Child::new(child, parent))
    }
}

impl<A: Actor> ChildSpec<A> {
    fn spawn(
        &self,
        proc: &Proc,
        parent: Arc<dyn Parent>,
        adopt: &dyn Fn(Arc<dyn Endpoint>),
    ) -> ActorRef<A> {
        let params = Arc::clone(&self.params);
        proc.spawn_child(self.name.clone(), move || Ok(params()), parent, adopt)
    }
}

impl<A: Actor> Respawn for Seat<A> {
    fn policy(&self) -> RestartPolicy {
        self.spec.policy
    }

    fn respawn(&self, proc: &Proc, parent: Arc<dyn Parent>, adopt: &dyn Fn(Arc<dyn Endpoint>)) {
        let life = self.spec.spawn(proc, parent, adopt);
        life.shared().kind.metrics().restarted();
        tracing::info!(actor = %self.spec.name, "a child is started again");
        self.current.send_replace(life);
    }
}

/// The parent, as each life of a child that can be started again sees it: whatever its own number is, it is
/// in the same place.
pub(crate) struct ParentOf<P: Actor> {
    pub(crate) place: NonZeroU64,
    pub(crate) parent: Arc<Shared<P>>,
    /// Others are started when this life has been created.
    pub(crate) is_awaited: bool,
}

impl<P: Actor> Parent for ParentOf<P> {
    fn root(&self) -> Option<NonZeroU64> {
        Parent::root(&*self.parent)
    }

    fn child_created(&self) {
        if self.is_awaited {
            self.parent.control(Control::ChildCreated { place: self.place });
        }
    }

    fn child_ended(&self, index: NonZeroU64, name: &Name, end: &End) {
        let (place, name, end) = (self.place, name.clone(), end.clone());
        self.parent.control(Control::ChildEnded { place, index, name, end });
    }

    fn let_go(&self) {
        self.parent.control(Control::LetGo { place: self.place });
    }
}

impl<A: Actor> fmt::Debug for ChildSpec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("name", &self.name).field("policy", &self.policy).finish()
    }
}
