//! The address of a mesh of actors, or of a slice of it: what is cast to and called.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mesh_cast::FanOut;
use mesh_core::{
    ActorId, Epoch, MeshEvent, MeshLabel, MeshRequest, Message, News, Part, PeerId, PortRef,
    Trouble,
};
use mesh_runtime::{Actor, Handler, Proc, Sender};
use mesh_shape::{Extent, Point, Rank, Region, ShapeError, Slice};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::call::{Content, MeshCall, MeshCast, MeshReduce, MeshReplies, Target};
use crate::one_of::{Choice, OneOf, Turns};
use crate::reducer::Reducer;
use crate::view::{Homes, View};

mod caught_up;
mod missing;
mod renewal;
mod told;
mod waiting;
mod watch;

pub use missing::{Missing, NotSoFar};
pub use watch::WatchError;

/// The address of a mesh of actors of type `A`, or of a slice of it.
///
/// A plain value: it travels in messages, its size does not depend on the number of ranks, and it keeps
/// nothing alive. It stays good when ranks are started again: it follows the mesh from its first use on.
///
/// # Examples
///
/// See [`ActorMesh`](crate::ActorMesh).
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ActorMeshRef<A> {
    label: MeshLabel,
    /// The ranks of the mesh that it is of, in its own order.
    region: Arc<Region>,
    homes: Homes,
    /// A mesh of more processes is cast to by a tree.
    fan_out: usize,
    #[serde(skip)]
    views: Views,
    #[serde(skip)]
    pub(crate) turns: Arc<Turns>,
    #[serde(skip)]
    of: PhantomData<fn(A)>,
}

/// What is known of the mesh in each process that the ref is used in: most often one. Of each process only in
/// its newest life.
#[derive(Default)]
struct Views(Mutex<Vec<ViewIn>>);

/// A clone begins with none, and finds those of its process: it may be given to another process of the program, and
/// neither keeps what the other knows.
impl Clone for Views {
    fn clone(&self) -> Self {
        Self::default()
    }
}

type ViewIn = (PeerId, Arc<View>);

impl<A> ActorMeshRef<A> {
    pub(crate) fn new(
        label: MeshLabel,
        region: Arc<Region>,
        homes: Homes,
        fan_out: FanOut,
    ) -> Self {
        let (fan_out, views, turns) = (fan_out.get(), Views::default(), Arc::default());
        Self { label, region, homes, fan_out, views, turns, of: PhantomData }
    }

    /// Which mesh.
    #[must_use]
    pub const fn label(&self) -> &MeshLabel {
        &self.label
    }

    /// Its shape: that of the slice, if it is one.
    #[must_use]
    pub fn extent(&self) -> &Extent {
        self.region.extent()
    }

    /// Which ranks of the mesh it is of.
    #[must_use]
    pub const fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// The controller of the mesh: it answers [`MeshRequest`], [`Subscribe`](mesh_core::Subscribe) and
    /// [`Unsubscribe`](mesh_core::Unsubscribe).
    #[must_use]
    pub const fn home(&self) -> PortRef<MeshRequest> {
        self.homes.controller
    }

    /// The slice along one dim: an index drops the dim, a range keeps it.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if there is no such dim or index.
    pub fn slice(&self, dim: &str, slice: impl Into<Slice>) -> Result<Self, ShapeError> {
        Ok(self.with(self.region.slice(dim, slice)?))
    }

    /// The slice that a region is.
    ///
    /// # Errors
    ///
    /// [`ShapeError::NotSubset`] if it is no part of this one.
    pub fn part(&self, region: &Region) -> Result<Self, ShapeError> {
        if !region.is_subset(&self.region) {
            return Err(ShapeError::NotSubset);
        }
        Ok(self.with(region.clone()))
    }

    fn with(&self, region: Region) -> Self {
        Self { region: Arc::new(region), turns: Arc::default(), ..self.clone() }
    }

    /// What is known of the mesh in `proc`; the first use there begins to follow it.
    pub(crate) fn view(&self, proc: &Proc) -> Arc<View> {
        let mut views = self.views.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, view)) = views.iter().find(|(peer, _)| *peer == proc.peer()) {
            return Arc::clone(view);
        }
        let (mesh, size) = (self.label.id(), self.region.base().size());
        let view = View::of(proc, mesh, size, self.homes);
        views.retain(|(peer, _)| peer.proc != proc.id());
        views.push((proc.peer(), Arc::clone(&view)));
        view
    }

    /// Waits until nothing has been heard of the controller of the mesh for three of the periods that it states,
    /// and returns what is told of that, a [`Trouble::ControllerLost`](mesh_core::Trouble) of the mesh (N10).
    /// However many wait, each is told; one that comes later, at once. The next word of the controller ends it.
    /// `None` once the mesh has ended, or is known to be over.
    ///
    /// The same is told where there is no session with the process of the controller, and none is about to be opened
    /// ([`NoController::NoSession`](crate::NoController::NoSession)), and where a controller that has stated no period has
    /// not answered for as long as a call may take, having been asked more than once. It has the number 0 then and names the
    /// first epoch, since which controller it is nobody can say.
    ///
    /// The ranks are what they were, and may well answer: so a call goes on, and all that it lacks is word of
    /// those that fail meanwhile. Whoever does not want to wait for its deadline then waits for both.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use actor_mesh::{ActorMeshRef, RankError};
    /// # use mesh_core::Message;
    /// # use mesh_runtime::{Handler, Proc};
    /// # use mesh_shape::ValueMesh;
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Add(u64);
    /// # impl Message for Add { const NAME: &'static str = "doc.Add"; type Reply = u64; }
    /// async fn add<A: Handler<Add>>(
    ///     counters: &ActorMeshRef<A>,
    ///     proc: &Proc,
    /// ) -> Option<ValueMesh<Result<u64, RankError>>> {
    ///     tokio::select! {
    ///         totals = counters.call(proc, Add(1)) => Some(totals),
    ///         Some(_) = counters.controller_lost(proc) => None,
    ///     }
    /// }
    /// ```
    pub fn controller_lost<S: Sender>(
        &self,
        from: &S,
    ) -> impl Future<Output = Option<MeshEvent>> + Send + use<A, S> {
        // Whoever waits keeps the view, and so it is kept up to date.
        let (view, mesh) = (self.view(from.origin().proc()), self.label.clone());
        async move {
            let mut table = view.watch();
            let told = table.wait_for(|table| table.is_over || view.is_lost(table)).await.ok()?;
            (!told.is_over).then(|| told.silence.clone().unwrap_or_else(|| unheard(mesh)))
        }
    }

    /// Which rank an actor is, or was in one of the eight lives before, as of something that came back from it (R3);
    /// `None` if it is of another mesh or another slice, or has never been known here. It costs the same for all sizes of
    /// meshes.
    #[must_use]
    pub fn rank_of(&self, from: &impl Sender, actor: ActorId) -> Option<Rank> {
        let view = self.view(from.origin().proc());
        let table = view.watch();
        let base = table.borrow().known.as_ref()?.rank_of(actor)?;
        self.region.rank_of_base(base)
    }
}

impl<A: Actor> ActorMeshRef<A> {
    /// Sends a message to every rank, and waits while there is no room for it. It is encoded once, and not for ranks in
    /// this program, which have a clone each.
    ///
    /// It goes to each rank directly, and is there when this returns; or, if the mesh has more processes than
    /// its [fan-out](crate::ActorSpec::fan_out), down a tree of them, and is on its way: then it waits while one of
    /// the ranks has not taken too much of what was cast before. Either way what one sender casts to a mesh and its slices
    /// arrives in the order in which it was begun, and what it calls after what it has cast before (R2).
    ///
    /// Returns the ranks that it was not sent to, since they have ended, are not there yet, had no room in time, or do not
    /// take such a message, or that it is too large for; directly also those to which there is no way
    /// ([`NotSent`](crate::NotSent)). That does not come back besides.
    /// What is sent and cannot be delivered comes back to the actor that sent it (R3);
    /// [`rank_of`](Self::rank_of) names its rank. What waits in the mailbox of an actor whose process is killed ends with
    /// that: the end of the rank is all that is told. To another process a message may have 16 MiB, encoded, if the
    /// transport was not given another limit: a larger one is
    /// [too large](mesh_core::WhyUndelivered::TooLarge) to be delivered.
    pub fn cast<M>(&self, from: &impl Sender, message: M) -> MeshCast<M>
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
    {
        MeshCast::new(self.target(from), Content::same::<A>(message))
    }

    /// Sends a message to every rank, and waits for the answers: one for each rank, failures among them (R1).
    /// It is encoded once, and not for ranks in this program, which have a clone each.
    ///
    /// A rank that has failed is answered with its failure as soon as that is known, and with the deadline
    /// every rank is answered: nothing hangs. Where nobody can be asked where the ranks are all are answered with that
    /// ([`NoController`](crate::NoController)), as soon as it is certain: not while a session with the process of the
    /// controller is being opened, or was lost less than five seconds ago. [`MeshCall::replies`] tells each answer as it comes.
    ///
    /// A call that is given up need not be handled by those that have not begun with it. Down a tree it may be all the same,
    /// by those that it has reached before that word does.
    ///
    /// Message and answers may have 16 MiB, as what is [cast](Self::cast): a rank that was sent more, or has answered
    /// more, is answered for with that.
    ///
    /// Of neighbours with equal answers, as their `PartialEq` says, the first is kept for all
    /// ([`ValueMesh`](mesh_shape::ValueMesh)).
    pub fn call<M>(&self, from: &impl Sender, message: M) -> MeshCall<M>
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned + PartialEq>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
    {
        MeshCall::new(self.target(from), Content::same::<A>(message))
    }

    /// The answers to a call as they come: the same as [`call`](Self::call) and [`MeshCall::replies`].
    pub fn call_stream<M>(&self, from: &impl Sender, message: M) -> MeshReplies<M>
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
    {
        MeshCall::new(self.target(from), Content::same::<A>(message)).replies()
    }

    /// Sends to each rank a message of its own: what `messages` says for its point in this slice, which is asked
    /// for all of them before anything is sent. Otherwise as [`cast`](Self::cast), and in order with it.
    ///
    /// By a tree each process is sent the messages for those below it, and not the others.
    ///
    /// # Examples
    ///
    /// ```
    /// # use actor_mesh::{ActorMeshRef, Unsent};
    /// # use mesh_core::Message;
    /// # use mesh_runtime::{Handler, Proc};
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Work(Vec<u64>);
    /// # impl Message for Work { const NAME: &'static str = "doc.Work"; type Reply = u64; }
    /// async fn share<A: Handler<Work>>(
    ///     workers: &ActorMeshRef<A>,
    ///     proc: &Proc,
    ///     work: &[u64],
    /// ) -> Result<(), Unsent> {
    ///     let size = work.len().div_ceil(workers.extent().size()).max(1);
    ///     let shares: Vec<_> = work.chunks(size).collect();
    ///     let share = |rank: usize| shares.get(rank).map_or(Vec::new(), |share| share.to_vec());
    ///     let sent = workers.scatter(proc, |point| Work(share(point.rank().index())));
    ///     sent.await.complete()
    /// }
    /// ```
    pub fn scatter<M>(
        &self,
        from: &impl Sender,
        messages: impl FnMut(Point<'_>) -> M,
    ) -> MeshCast<M>
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
    {
        MeshCast::new(self.target(from), self.each(messages))
    }

    /// Sends to each rank a message of its own, as [`scatter`](Self::scatter) does, and waits for the answers, as
    /// [`call`](Self::call) does.
    pub fn scatter_call<M>(
        &self,
        from: &impl Sender,
        messages: impl FnMut(Point<'_>) -> M,
    ) -> MeshCall<M>
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
    {
        MeshCall::new(self.target(from), self.each(messages))
    }

    /// Sends a message to every rank, and waits for one answer: their replies, merged. By a tree they are merged
    /// on the way, so that what arrives here does not grow with the ranks. The price: replies go up when all below a
    /// process have answered, so one rank that is late makes others late that are below the same one
    /// ([`RankError::Withheld`](crate::RankError::Withheld)). Where part of the replies is worth something, give it time, or
    /// [`call`](Self::call).
    ///
    /// # Examples
    ///
    /// ```
    /// # use actor_mesh::{ActorMeshRef, Incomplete};
    /// # use mesh_core::Message;
    /// # use mesh_runtime::{Handler, Proc};
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Count;
    /// # impl Message for Count { const NAME: &'static str = "doc.Count"; type Reply = u64; }
    /// use actor_mesh::Sum;
    ///
    /// async fn total<A: Handler<Count>>(
    ///     counters: &ActorMeshRef<A>,
    ///     proc: &Proc,
    /// ) -> Result<u64, Incomplete> {
    ///     Ok(counters.reduce(proc, Count, Sum).await.complete()?.unwrap_or(0))
    /// }
    /// ```
    pub fn reduce<M, R>(&self, from: &impl Sender, message: M, by: R) -> MeshReduce<M, R>
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
        R: Reducer<M::Reply>,
    {
        drop(by);
        MeshReduce::new(self.target(from), Content::same::<A>(message))
    }

    /// One of the ranks, chosen anew for whatever is sent to it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use actor_mesh::{ActorMeshRef, OneError};
    /// # use mesh_core::Message;
    /// # use mesh_runtime::{Handler, Proc};
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Get(String);
    /// # impl Message for Get { const NAME: &'static str = "doc.Get"; type Reply = Option<String>; }
    /// use actor_mesh::Choice;
    ///
    /// /// Each key lives at one rank.
    /// async fn get<A: Handler<Get>>(
    ///     store: &ActorMeshRef<A>,
    ///     proc: &Proc,
    ///     key: String,
    /// ) -> Result<Option<String>, OneError> {
    ///     let (_rank, value) = store.choose(Choice::by_key(&key)).call(proc, Get(key)).await?;
    ///     Ok(value)
    /// }
    /// ```
    #[must_use]
    pub fn choose(&self, choice: Choice) -> OneOf<A> {
        OneOf::new(self.clone(), choice)
    }

    /// One given rank of the mesh, or of the slice, which is called and cast to as one that was
    /// [chosen](Self::choose) is: with the same deadlines, directly also where the mesh has a tree, and in whatever life
    /// it is. One that has ended answers with how, and one that does not exist that it does not.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::error::Error;
    /// # use actor_mesh::ActorMeshRef;
    /// # use mesh_core::Message;
    /// # use mesh_runtime::{Handler, Proc};
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Load;
    /// # impl Message for Load { const NAME: &'static str = "doc.Load"; type Reply = u64; }
    /// /// How busy the first process of the second host is.
    /// async fn load<A: Handler<Load>>(
    ///     workers: &ActorMeshRef<A>,
    ///     proc: &Proc,
    /// ) -> Result<u64, Box<dyn Error>> {
    ///     let rank = workers.extent().ravel(&[1, 0])?;
    ///     let (_, load) = workers.at(rank).call(proc, Load).await?;
    ///     Ok(load)
    /// }
    /// ```
    #[must_use]
    pub fn at(&self, rank: Rank) -> OneOf<A> {
        self.choose(Choice::Rank(rank))
    }

    fn each<M>(&self, messages: impl FnMut(Point<'_>) -> M) -> Content<M>
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned> + Serialize + DeserializeOwned,
    {
        Content::each::<A>(self.region.extent().points().map(messages).collect())
    }

    fn target(&self, from: &impl Sender) -> Target {
        let mut target = self.target_of(from, None);
        // By the size of the whole mesh: a slice goes the same way, or it would overtake.
        if self.region.base().size() > self.fan_out {
            let caster = target.view.caster(from.origin().proc(), self.label.id());
            target.caster = Some(caster);
        }
        target
    }

    /// All ranks, or one of them, each to be sent to directly.
    pub(crate) fn target_of(&self, from: &impl Sender, only: Option<Rank>) -> Target {
        let origin = from.origin();
        let (view, region) = (self.view(origin.proc()), Arc::clone(&self.region));
        Target { from: origin.deputy(), view, region, only, caster: None }
    }
}

// By hand, because deriving would ask the same of `A`.
impl<A> Clone for ActorMeshRef<A> {
    fn clone(&self) -> Self {
        Self {
            label: self.label.clone(),
            region: Arc::clone(&self.region),
            homes: self.homes,
            fan_out: self.fan_out,
            views: self.views.clone(),
            turns: Arc::clone(&self.turns),
            of: PhantomData,
        }
    }
}

/// By what they name.
impl<A> PartialEq for ActorMeshRef<A> {
    fn eq(&self, other: &Self) -> bool {
        (self.label.id(), &self.region) == (other.label.id(), &other.region)
    }
}

impl<A> Eq for ActorMeshRef<A> {}

impl<A> fmt::Debug for ActorMeshRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorMeshRef")
            .field("label", &self.label)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl<A> fmt::Display for ActorMeshRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.label, self.extent())
    }
}

/// What is told of the silence of a controller that cannot be heard, and may never have been.
fn unheard(mesh: MeshLabel) -> MeshEvent {
    let (reporter, news) = (Epoch::FIRST, News::Trouble(Trouble::ControllerLost));
    MeshEvent { mesh, reporter, seq: 0, waited: Duration::ZERO, part: Part::WHOLE, news }
}
