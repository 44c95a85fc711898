//! A subscriber of the mesh, on a task of its own.

use meshwarden::mesh_core::{MeshEvent, Timestamp};
use meshwarden::supervise::{Clock, MeshEvents};
use tokio::sync::mpsc;

use crate::ledger::Observer;

/// What a subscriber was told, and when it had it in hand.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) observer: Observer,
    pub(crate) at: Timestamp,
    pub(crate) event: MeshEvent,
}

/// Passes on what a subscriber is told, with the time at which it had it.
pub(crate) async fn watch(
    observer: Observer,
    mut events: MeshEvents,
    clock: Clock,
    told: mpsc::Sender<Seen>,
) {
    while let Some(event) = events.next().await {
        let at = clock.now();
        if told.send(Seen { observer, at, event }).await.is_err() {
            return;
        }
    }
}
