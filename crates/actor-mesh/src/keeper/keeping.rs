//! `Keeping`: what a keeper is created from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mesh_cast::FanOut;
use mesh_core::{MeshEvent, MeshLabel, MeshRequest, PortRef, Procs};
use mesh_runtime::PortReceiver;
use supervise::Clock;

use super::ParamsOf;

/// What a [`Keeper`] is created from.
pub(crate) struct Keeping {
    pub(crate) label: MeshLabel,
    pub(crate) procs: Arc<dyn Procs>,
    /// The controller of the processes that was subscribed with.
    pub(crate) heard: PortRef<MeshRequest>,
    /// What it says of them, from the snapshot on.
    pub(crate) events: PortReceiver<MeshEvent>,
    pub(crate) breed: Breed,
    pub(crate) params: ParamsOf,
    pub(crate) clock: Clock,
    pub(crate) heartbeat: Duration,
    pub(crate) fan_out: FanOut,
}

/// What the actors of a mesh are, as their agents are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breed {
    /// The name of their type.
    pub(crate) kind: &'static str,
    /// A hash of that, and of what it takes.
    pub(crate) kind_hash: u64,
    /// Whether ranks were to be started again when the mesh was made.
    pub(crate) may_restart: bool,
}

impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping").field("label", &self.label).finish_non_exhaustive()
    }
}
