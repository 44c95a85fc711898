//! What an actor can do besides handling messages.

use std::fmt;
use std::sync::Arc;

use mesh_core::{ActorId, Message, PortRef};

use crate::actor::{Actor, Handler, Stop};
use crate::actor_ref::ActorRef;
use crate::attached::Attached;
use crate::child::Child;
use crate::child_spec::{ChildSpec, ParentOf, Seat};
use crate::name::Name;
use crate::proc::Proc;
use crate::sender::{Deputy, Origin, Sender};
use crate::shared::{Parent, Shared};

mod work;

/// The surroundings of one actor: its own address, its process, its children, and work that ends with
/// it. Whatever an actor sends, it sends through its context, so that what cannot be delivered comes
/// back to it.
pub struct Context<A: Actor> {
    me: ActorRef<A>,
    /// Who has sent the message that is handled.
    sender: Option<ActorId>,
    /// Made when something is attached: most actors have nothing.
    attached: Option<Box<Attached>>,
}

impl<A: Actor> Context<A> {
    pub(crate) const fn new(shared: Arc<Shared<A>>) -> Self {
        Self { me: ActorRef::new(shared), sender: None, attached: None }
    }

    /// The actor itself.
    #[must_use]
    pub const fn me(&self) -> &ActorRef<A> {
        &self.me
    }

    /// The identity of the actor. From now on it can be found by it.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.me.id()
    }

    /// The process that the actor lives in.
    #[must_use]
    pub fn proc(&self) -> &Proc {
        self.me.proc()
    }

    /// The actor that has cast the message that is being handled. That it lives in that process is known by
    /// the session that the message came by, whatever the message itself says; which actor of it, its process
    /// says.
    ///
    /// `None` for a message of a program that is no actor, for a call, for one that came by way of others as
    /// what goes down a tree does, and where no message is handled.
    #[must_use]
    pub const fn sender(&self) -> Option<ActorId> {
        self.sender
    }

    pub(crate) const fn set_sender(&mut self, sender: Option<ActorId>) {
        self.sender = sender;
    }

    /// Its own port for messages of type `M`, to be sent to others.
    #[must_use]
    pub fn port<M: Message>(&self) -> PortRef<M>
    where
        A: Handler<M>,
    {
        self.me.port()
    }

    /// Spawns a child, under the name of its type. It ends before this actor does, and its failure is
    /// told to [`on_failure`](Actor::on_failure).
    pub fn spawn<B: Actor>(&mut self, params: B::Params) -> ActorRef<B> {
        self.spawn_named(Name::of_type(B::NAME), params)
    }

    /// The same, under a name of its own.
    pub fn spawn_named<B: Actor>(
        &mut self,
        name: impl Into<Name>,
        params: B::Params,
    ) -> ActorRef<B> {
        let me = self.me.shared();
        let parent = Arc::clone(me) as Arc<dyn Parent>;
        self.proc().spawn_child(
            name.into(),
            || Ok(params),
            parent,
            |child| {
                me.family().adopt(child.index(), child);
            },
        )
    }

    /// Spawns a child that can be started again: if it fails, and [`on_failure`](Actor::on_failure) decides
    /// so ([`Verdict::Restart`](crate::Verdict::Restart)).
    ///
    /// It has its place among the other children by when it was spawned first, also in its later lives; one
    /// that has ended well keeps it, so what is done once is for [`spawn`](Self::spawn). It gives it up when it is
    /// [ended for good](Child::end).
    ///
    /// # Examples
    ///
    /// ```
    /// # use mesh_core::Message;
    /// use mesh_core::Strategy;
    /// use mesh_runtime::{
    ///     Actor, Child, ChildFailure, ChildSpec, Context, Failure, Intensity, Verdict,
    /// };
    ///
    /// # struct Cache;
    /// # impl Actor for Cache {
    /// #     const NAME: &'static str = "cache";
    /// #     type Params = usize;
    /// #     async fn start(_: usize, _: &mut Context<Self>) -> Result<Self, Failure> { Ok(Self) }
    /// # }
    /// struct Store { cache: Child<Cache> }
    ///
    /// impl Actor for Store {
    ///     const NAME: &'static str = "store";
    ///     const INTENSITY: Intensity = Intensity::new(3, std::time::Duration::from_secs(60));
    ///     type Params = ();
    ///
    ///     async fn start(_: (), cx: &mut Context<Self>) -> Result<Self, Failure> {
    ///         Ok(Self { cache: cx.supervise(ChildSpec::new(|| 1024)) })
    ///     }
    ///
    ///     async fn on_failure(&mut self, _: ChildFailure, _: &mut Context<Self>) -> Result<Verdict, Failure> {
    ///         Ok(Verdict::Restart(Strategy::OneForOne))
    ///     }
    /// }
    /// ```
    pub fn supervise<B: Actor>(&mut self, spec: ChildSpec<B>) -> Child<B> {
        let me = self.me.shared();
        let place = me.proc.next_index();
        let parent = Arc::new(ParentOf { place, parent: Arc::clone(me), is_awaited: false });
        let adopt = |child| me.family().adopt(place, child);
        let (seat, child) = Seat::taken(spec, &me.proc, parent, &adopt);
        me.family().seat(place, Arc::new(seat));
        child
    }

    /// The number of its children that live.
    #[must_use]
    pub fn n_children(&self) -> usize {
        self.me.shared().family().len()
    }

    /// Asks the actor itself to end, after the message that it handles.
    pub fn stop(&self, how: Stop) {
        self.me.stop(how);
    }

    /// Sends in the name of this actor: what cannot be delivered comes back to it.
    #[must_use]
    pub fn deputy(&self) -> Deputy {
        let me = self.me.shared();
        me.list();
        Deputy { proc: me.proc.clone(), actor: Some(me.index) }
    }
}

impl<A: Actor> Sender for Context<A> {
    fn origin(&self) -> Origin<'_> {
        let me = self.me.shared();
        // What comes back must find it.
        me.list();
        Origin { proc: &me.proc, actor: Some(me.index) }
    }
}

impl<A: Actor> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("me", &self.me).finish_non_exhaustive()
    }
}
