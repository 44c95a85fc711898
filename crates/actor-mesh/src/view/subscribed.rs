//! `Subscribed`: a subscription of this process, which ends with whoever holds it.

use mesh_core::{MeshEvent, MeshRequest, PortRef, Unsubscribe};
use mesh_runtime::{Port, Proc};

/// A subscription, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Subscribed {
    proc: Proc,
    door: PortRef<Unsubscribe>,
    to: PortRef<MeshEvent>,
    /// It has ended, and perhaps its controller, too.
    pub(crate) is_over: bool,
}

impl Subscribed {
    /// The subscription of a port of `proc` with a controller.
    pub(crate) const fn new(
        proc: Proc,
        controller: PortRef<MeshRequest>,
        to: PortRef<MeshEvent>,
    ) -> Self {
        Self { proc, door: PortRef::of(controller.actor()), to, is_over: false }
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        if !self.is_over && self.proc.has_way_to(self.door.actor()) {
            // One that has no room finds out with the next event that nobody reads (N7).
            _ = self.door.try_cast(&self.proc, Unsubscribe { to: self.to }).is_ok();
        }
    }
}
