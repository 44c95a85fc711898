//! `leaving`: what a keeper does when it ends.

use std::time::Duration;

use mesh_core::PortRef;
use mesh_runtime::{Port, Sender, TryCastError};
use mesh_shape::Rank;
use tokio::time::timeout;

use super::Keeper;
use crate::wire::CloseMesh;

/// How long an agent may have no room for word of that. While it has none its session lives, or it asks by itself.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// However the keeper ends, what is left of the mesh ends (C2).
impl Drop for Keeper {
    fn drop(&mut self) {
        let proc = self.deputy.origin().proc().clone();
        for (index, kept) in self.ranks.iter().enumerate() {
            let Some(seat) = self.procs.seat(Rank::new(index)) else { continue };
            // With a process that has ended all of it has ended.
            let is_there =
                !kept.proc.status.is_terminal() && seat.peer.life == kept.proc.incarnation;
            if !is_there || !proc.has_way_to(seat.agent) {
                // It finds out by itself that there is none.
                continue;
            }
            let door = PortRef::<CloseMesh>::of(seat.agent);
            let close = CloseMesh { mesh: self.label.id() };
            if let Err(TryCastError::Full { message, .. }) = door.try_cast(&self.deputy, close) {
                let deputy = self.deputy.clone();
                drop(proc.runtime().spawn(async move {
                    timeout(TOLD_WITHIN, door.cast(&deputy, message)).await.is_ok()
                }));
            }
        }
    }
}
