//! The subscriber: a task of its own that hears what happens to a mesh.

use std::time::Instant;

use meshwarden::mesh_core::{Change, Incarnation, MeshEvent, MeshLabel, News, Status};
use meshwarden::supervise::MeshEvents;
use tokio::sync::mpsc;

/// What the subscriber heard, and when it had it in hand.
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) changes: Vec<Change>,
    pub(crate) mesh: MeshLabel,
}

/// Hears everything, and passes on failures, and restarts if it hears of them, with the time at which it
/// had them.
pub(crate) async fn listen(mut events: MeshEvents, hear: mpsc::Sender<Heard>) {
    while let Some(event) = events.next().await {
        let at = Instant::now();
        let MeshEvent { mesh, news, .. } = event;
        let mut changes = match news {
            News::Changed(changes) => changes.to_vec(),
            News::Snapshot(all) => [all.failed, all.alive].concat(),
            News::Heartbeat { .. }
            | News::Trouble(_)
            | News::Escalated(_)
            | News::Recalled { .. }
            | News::Withdrawn(_)
            | News::Stopping { .. }
            | News::Closed => continue,
        };
        changes.retain(|change| change.status.is_failure() || is_restart(change));
        if !changes.is_empty() && hear.send(Heard { at, changes, mesh }).await.is_err() {
            return;
        }
    }
}

/// Whether ranks run in a later life than their first.
pub(crate) fn is_restart(change: &Change) -> bool {
    change.incarnation > Incarnation::FIRST && change.status == Status::Running
}

/// Events that may wait for the driver.
pub(crate) const HEARD: usize = 64;
