//! `Dialling`: who is being dialled, one after the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh_core::{Lane, PeerId};
use tokio::sync::OwnedMutexGuard;

use super::routes::Way;

/// A turn for each way that somebody opens, or waits to open.
#[derive(Default)]
pub(crate) struct Dialling(Mutex<Turns>);

type Turns = BTreeMap<Way, Arc<tokio::sync::Mutex<()>>>;

impl Dialling {
    /// Waits for one's turn to dial a peer. A listener takes a second session of the same process for the
    /// successor of the first, which would end with all that is on its way by it.
    pub(crate) async fn turn(&self, way: Way) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.lock();
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(way).or_default())
        };
        turn.lock_owned().await
    }

    /// Whether a session with a peer is being opened from here.
    pub(crate) fn is_on(&self, peer: PeerId) -> bool {
        let turns = self.lock();
        let is_dialled =
            |lane| turns.get(&(peer, lane)).is_some_and(|it| Arc::strong_count(it) > 1);
        [Lane::Control, Lane::Data].into_iter().any(is_dialled)
    }

    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
