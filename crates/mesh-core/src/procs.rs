//! The seam between meshes of actors and whatever they live on: [`Procs`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mesh_shape::{Rank, Region, ShapeError};
use serde::{Deserialize, Serialize};

use crate::address::{ActorId, PortRef, ProcId};
use crate::envelope::PeerId;
use crate::ids::{Incarnation, MeshId, MeshLabel};
use crate::request::MeshRequest;
use crate::transport::Doors;

/// A mesh of processes that actors can be spawned on: all that a mesh of actors knows of where it lives.
///
/// # Contract
///
/// - Ranks are those of [`region`](Self::region), also of a slice.
/// - A [`seat`](Self::seat) is there from before its rank is told to run until after it is told to have
///   ended, and names the life that was told last. Whoever has it has a way there.
/// - [`home`](Self::home) takes [`Subscribe`](crate::Subscribe) and
///   [`Unsubscribe`](crate::Unsubscribe) too, and tells every end of every rank (N2). Where a controller of a higher
///   epoch adopts the processes, it is that one from then on (K3); the epochs of what they tell never go down.
/// - The processes live as long as what they were got from says; dropping an `Arc` of this ends none.
///
/// `mesh_testkit::procs_suite` checks it, but for what is said of a second controller: `cargo xtask sim --whole` lets one
/// adopt processes that meshes live on.
pub trait Procs: fmt::Debug + Send + Sync {
    /// Which mesh.
    fn label(&self) -> &MeshLabel;

    /// Its ranks, or those of the slice.
    fn region(&self) -> &Arc<Region>;

    /// Where the process of a rank is; `None` if it has not been ready in its present life, or if there is no
    /// such rank.
    fn seat(&self, rank: Rank) -> Option<ProcSeat>;

    /// The controller of the mesh, which tells what becomes of its processes: the one that has them now. Whoever
    /// follows one and hears nothing of it any more asks again (K3).
    fn home(&self) -> PortRef<MeshRequest>;

    /// How long nobody may be heard before the processes are given up: for so long their controller may be silent, or gone,
    /// and another one may take over (K3). So whoever supervises what lives on them gives that up no sooner.
    fn lease(&self) -> Duration;

    /// The same processes, but only those of `to`, a view of the same base.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if `to` is no part of the region.
    fn slice(&self, to: &Region) -> Result<Arc<dyn Procs>, ShapeError>;
}

/// Where one process is, and who answers there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcSeat {
    /// Which life of which process.
    pub peer: PeerId,
    /// Who spawns actors there.
    pub agent: ActorId,
    /// Where it takes sessions; `None` if everybody who can see it has one already.
    pub doors: Option<Doors>,
}

impl ProcId {
    /// The identity of the process of one rank. Nobody needs to be told it who knows the mesh.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_core::{MeshId, ProcId};
    /// use mesh_shape::Rank;
    ///
    /// let mesh = MeshId::from_random(7);
    /// assert_ne!(ProcId::of_rank(mesh, Rank::new(0)), ProcId::of_rank(mesh, Rank::new(1)));
    /// assert_eq!(ProcId::of_rank(mesh, Rank::new(1)), ProcId::of_rank(mesh, Rank::new(1)));
    /// ```
    #[must_use]
    pub const fn of_rank(mesh: MeshId, rank: Rank) -> Self {
        // The lowest 62 bits of a random id have no meaning of their own; a mesh has far fewer ranks.
        Self::from_random(mesh.bits().wrapping_add(rank.index() as u128))
    }

    /// Which rank of a mesh has this identity; `None` if it is the process of another mesh, or of none. Nobody needs to
    /// be told that either.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_core::{MeshId, ProcId};
    /// use mesh_shape::Rank;
    ///
    /// let (mesh, another) = (MeshId::from_random(7), MeshId::from_random(u128::MAX));
    /// let proc = ProcId::of_rank(mesh, Rank::new(9_999));
    /// assert_eq!(proc.rank_in(mesh), Some(Rank::new(9_999)));
    /// assert_eq!(proc.rank_in(another), None);
    /// ```
    #[must_use]
    pub fn rank_in(self, mesh: MeshId) -> Option<Rank> {
        let difference = self.bits().wrapping_sub(mesh.bits()) & ((1 << COUNTED_BITS) - 1);
        let rank = Rank::new(usize::try_from(difference).ok()?);
        (Self::of_rank(mesh, rank) == self).then_some(rank)
    }
}

/// How many bits of an id have no meaning of their own below the first one that has.
const COUNTED_BITS: u32 = 62;

impl PeerId {
    /// One life of the process of one rank.
    #[must_use]
    pub const fn of_rank(mesh: MeshId, rank: Rank, life: Incarnation) -> Self {
        Self { proc: ProcId::of_rank(mesh, rank), life }
    }
}
