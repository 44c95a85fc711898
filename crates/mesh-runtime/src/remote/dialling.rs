//! `Dialling`: who is being dialled, one after the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh_core::{Lane, PeerId};
use tokio::sync::OwnedMutexGuard;

use super::routes::Way;

/// A turn for each way that somebody opens, or waits to open.
#[derive(Default)]
pub(crate) struct Dialling(Arc<Mutex<Turns>>);

type Turns = BTreeMap<Way, Arc<tokio::sync::Mutex<()>>>;

/// Somebody's turn to dial, or to wait for that.
pub(crate) struct Turn {
    turns: Arc<Mutex<Turns>>,
    way: Way,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Dialling {
    /// Waits for one's turn to dial a peer. A listener takes a second session of the same process for the
    /// successor of the first, which would end with all that is on its way by it.
    pub(crate) async fn turn(&self, way: Way) -> Turn {
        let ours = Arc::clone(lock(&self.0).entry(way).or_default());
        // Before it waits: it may be let go of then.
        let mut turn = Turn { turns: Arc::clone(&self.0), way, turn: None };
        turn.turn = Some(ours.lock_owned().await);
        turn
    }

    /// Whether a session with a peer is being opened from here.
    pub(crate) fn is_on(&self, peer: PeerId) -> bool {
        let turns = lock(&self.0);
        // Nothing is left of those who have.
        [Lane::Control, Lane::Data].into_iter().any(|lane| turns.contains_key(&(peer, lane)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = lock(&self.turns);
        drop(self.turn.take());
        // Who waits, or has waited, holds it too.
        if turns.get(&self.way).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.way);
        }
    }
}

/// A lock that is poisoned is as good as any: nothing that can panic runs under it.
fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use mesh_core::{Incarnation, ProcId};

    use super::*;

    #[tokio::test]
    async fn one_dials_after_the_other_and_nothing_is_left_of_those_who_have() {
        let dialling = Dialling::default();
        let peer = PeerId { proc: ProcId::from_random(1), life: Incarnation::FIRST };
        let way = (peer, Lane::Data);
        let first = dialling.turn(way).await;
        let mut second = Box::pin(dialling.turn(way));
        let mut third = Box::pin(dialling.turn(way));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert!(third.as_mut().poll(&mut cx).is_pending());
        drop(third);
        drop(first);
        assert!(dialling.is_on(peer), "the second has its turn");
        drop(second.await);
        assert!(!dialling.is_on(peer));
        assert!(lock(&dialling.0).is_empty());
        let first = dialling.turn(way).await;
        let mut second = Box::pin(dialling.turn(way));
        assert!(second.as_mut().poll(&mut cx).is_pending());
        drop(first);
        drop(second);
        assert!(lock(&dialling.0).is_empty(), "who waited was the last");
    }
}
