//! The address of a mesh of actors, or of a slice of it: what is cast to and called.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use mesh_cast::FanOut;
use mesh_core::{ActorId, MeshEvent, MeshLabel, MeshRequest, Message, PeerId, PortRef};
use mesh_runtime::{Actor, Handler, Proc, Sender};
use mesh_shape::{Extent, Overlay, Rank, Region, ShapeError, Slice};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::call::{self, MeshCall, Target};
use crate::rank_error::RankError;
use crate::view::{Homes, Table, View};

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
    of: PhantomData<fn(A)>,
}

/// What is known of the mesh in each process that the ref is used in: most often one. Of each process only in
/// its newest life.
#[derive(Clone, Default)]
struct Views(Arc<Mutex<Vec<ViewIn>>>);

type ViewIn = (PeerId, Arc<View>);

impl<A> ActorMeshRef<A> {
    pub(crate) fn new(
        label: MeshLabel,
        region: Arc<Region>,
        homes: Homes,
        fan_out: FanOut,
    ) -> Self {
        let (fan_out, views) = (fan_out.get(), Views::default());
        Self { label, region, homes, fan_out, views, of: PhantomData }
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
        Self { region: Arc::new(region), ..self.clone() }
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
        let view = self.view(from.origin().proc());
        async move {
            let mut table = view.watch();
            let is_told = |table: &Table| table.silence.is_some() || table.is_over;
            let told = table.wait_for(is_told).await.ok()?;
            told.silence.clone().filter(|_| !told.is_over)
        }
    }

    /// Which rank an actor is, as of something that came back from it; `None` if it is of another mesh or
    /// another slice, or of a life that is over.
    #[must_use]
    pub fn rank_of(&self, from: &impl Sender, actor: ActorId) -> Option<Rank> {
        let view = self.view(from.origin().proc());
        let table = view.watch();
        let base = table.borrow().known.as_ref()?.rank_of(actor)?;
        self.region.rank_of_base(base)
    }
}

impl<A: Actor> ActorMeshRef<A> {
    /// Sends a message to every rank, and waits while there is no room for it. It is encoded once.
    ///
    /// It goes to each rank directly, and is there when this returns; or, if the mesh has more processes than
    /// its [fan-out](crate::ActorSpec::fan_out), down a tree of them, and is on its way: then it waits while one of
    /// the ranks has not taken too much of what was cast before. Either way what one sender sends to a mesh and its slices
    /// arrives in order (R2).
    ///
    /// Returns the ranks that it was not sent to, since they have ended or are not there yet. What is sent and
    /// cannot be delivered comes back to the actor that sent it (R3);
    /// [`rank_of`](Self::rank_of) names its rank.
    ///
    /// # Cancellation
    ///
    /// Dropped while it waits, some ranks have been sent the message and some have not; by a tree, none have.
    pub fn cast<M, S>(
        &self,
        from: &S,
        message: M,
    ) -> impl Future<Output = Overlay<RankError>> + Send + use<A, M, S>
    where
        A: Handler<M>,
        S: Sender,
        M: Message<Reply: Serialize + DeserializeOwned>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
    {
        call::cast(self.target(from), message)
    }

    /// Sends a message to every rank, and waits for the answers: one for each rank, failures among them (R1).
    /// It is encoded once.
    ///
    /// A rank that has failed is answered with its failure as soon as that is known, and with the deadline
    /// every rank is answered: nothing hangs.
    pub fn call<M>(&self, from: &impl Sender, message: M) -> MeshCall<M>
    where
        A: Handler<M>,
        M: Message<Reply: Serialize + DeserializeOwned + PartialEq>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
    {
        MeshCall::new(self.target(from), message)
    }

    fn target(&self, from: &impl Sender) -> Target {
        let origin = from.origin();
        let view = self.view(origin.proc());
        // By the size of the whole mesh: a slice goes the same way, or it would overtake.
        let caster = (self.region.base().size() > self.fan_out)
            .then(|| view.caster(origin.proc(), self.label.id()));
        Target { from: origin.deputy(), view, region: Arc::clone(&self.region), caster }
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
