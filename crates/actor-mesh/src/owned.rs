//! `OwnedMesh`: a mesh of actors that an actor owns.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use futures_util::stream;
use mesh_core::{Failures, Interest, MeshState, OwnerNews, StopReason};
use mesh_runtime::{Actor, Attachment, Context};
use supervise::{AskError, ControllerRef, MeshEvents, Owner};

use crate::mesh::ActorMesh;
use crate::mesh_ref::ActorMeshRef;
use crate::report::ActorReport;

/// A mesh of actors that an actor owns: what fails in it is told by
/// [`on_mesh_failure`](Actor::on_mesh_failure), and if nobody handles that the owner fails, and then whoever owns it
/// (E2). The mesh ends with its owner, or when this is dropped (C2).
///
/// # Examples
///
/// ```
/// use actor_mesh::{ActorMesh, ActorSpec, OwnedMesh};
/// # use std::sync::Arc;
/// # use mesh_core::Procs;
/// use mesh_core::Failures;
/// use mesh_runtime::{Actor, Context, Failure, Verdict};
///
/// # struct Worker;
/// # impl Actor for Worker {
/// #     const NAME: &'static str = "worker";
/// #     type Params = ();
/// #     async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> { Ok(Self) }
/// # }
/// struct Boss { workers: OwnedMesh<Worker>, n_lost: usize }
///
/// impl Actor for Boss {
///     const NAME: &'static str = "boss";
///     type Params = Arc<dyn Procs>;
///
///     async fn start(procs: Arc<dyn Procs>, cx: &mut Context<Self>) -> Result<Self, Failure> {
///         let workers = ActorMesh::spawn(cx, &procs, ActorSpec::new("workers", &())).await?;
///         Ok(Self { workers: workers.owned_by(cx), n_lost: 0 })
///     }
///
///     async fn on_mesh_failure(
///         &mut self,
///         failures: Failures,
///         _: &mut Context<Self>,
///     ) -> Result<Verdict, Failure> {
///         self.n_lost += failures.len();
///         let is_too_many = 2 * self.n_lost > self.workers.extent().size();
///         Ok(if is_too_many { Verdict::Escalate } else { Verdict::Handled })
///     }
/// }
/// ```
pub struct OwnedMesh<A: Actor> {
    mesh: ActorMeshRef<A>,
    controller: ControllerRef<ActorReport>,
    telling: Attachment,
}

impl<A: Actor> OwnedMesh<A> {
    pub(crate) fn new<O: Actor>(mesh: ActorMesh<A>, cx: &mut Context<O>) -> Self {
        let (mesh, controller, owner) = mesh.into_parts();
        let telling = cx.watch_failures(stream::unfold(owner, next_failures));
        Self { mesh, controller, telling }
    }

    /// The address of the mesh, to be cloned, sliced and sent.
    #[must_use]
    pub const fn mesh_ref(&self) -> &ActorMeshRef<A> {
        &self.mesh
    }

    /// Talks to the controller of the mesh: subscribes, asks, waits, stops.
    #[must_use]
    pub const fn controller(&self) -> &ControllerRef<ActorReport> {
        &self.controller
    }

    /// As [`ActorMesh::subscribe`].
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

    /// As [`ActorMesh::stop`].
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

/// The next failures; with the end of the mesh there are no more.
async fn next_failures(mut owner: Owner) -> Option<(Failures, Owner)> {
    match owner.next().await? {
        OwnerNews::Failed(failures) => Some((failures, owner)),
        OwnerNews::Finished(_) => None,
    }
}

impl<A: Actor> Drop for OwnedMesh<A> {
    fn drop(&mut self) {
        self.telling.cancel();
    }
}

impl<A: Actor> Deref for OwnedMesh<A> {
    type Target = ActorMeshRef<A>;

    fn deref(&self) -> &ActorMeshRef<A> {
        &self.mesh
    }
}

impl<A: Actor> fmt::Debug for OwnedMesh<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedMesh").field("mesh", &self.mesh).finish_non_exhaustive()
    }
}
