//! `Door`: who casts comes in one after the other, and no more than may wait.
//!
//! A caster takes what it is sent at once, and keeps what there is no room for; so what it keeps has its bound here, in
//! count and in bytes. Whoever finds no room waits at the door, in turn.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// The door of the casters of one process for one mesh.
#[derive(Debug)]
pub(super) struct Door {
    /// A permit for each byte that may wait.
    room: Arc<Semaphore>,
    room_max: u32,
    /// How many bytes the smallest message takes.
    least: u32,
}

/// The room that a message takes while it waits.
pub(super) type Pass = OwnedSemaphorePermit;

impl Door {
    pub(super) fn new(limits: &Limits) -> Self {
        let room_max = u32::try_from(limits.waiting_bytes).unwrap_or(u32::MAX).max(1);
        let waiting = u32::try_from(limits.waiting).unwrap_or(u32::MAX).max(1);
        let room = Arc::new(Semaphore::new(room_max as usize));
        Self { room, room_max, least: (room_max / waiting).max(1) }
    }

    /// Comes in with a message of so many bytes, if nobody waits for that.
    pub(super) fn try_enter(&self, bytes: usize) -> Option<Pass> {
        Arc::clone(&self.room).try_acquire_many_owned(self.size(bytes)).ok()
    }

    /// Comes in with a message of so many bytes, in turn. Never `None`: the door is not closed.
    pub(super) async fn enter(&self, bytes: usize) -> Option<Pass> {
        Arc::clone(&self.room).acquire_many_owned(self.size(bytes)).await.ok()
    }

    /// How much of the room a message takes: one that is larger than all of it, all.
    fn size(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).clamp(self.least, self.room_max)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn door(waiting: usize, waiting_bytes: usize) -> Door {
        Door::new(&Limits { waiting, waiting_bytes, ..Limits::default() })
    }

    async fn waits(entered: impl Future<Output = Option<Pass>>) -> bool {
        timeout(Duration::ZERO, entered).await.is_err()
    }

    /// R2
    #[tokio::test(start_paused = true)]
    async fn nobody_passes_who_waits_at_the_door() {
        let door = door(4, 100);
        let one = door.try_enter(25).expect("there is room");
        let other = door.try_enter(50).expect("there is room");
        let mut first = pin!(door.enter(90));
        assert!(waits(first.as_mut()).await);
        let mut second = pin!(door.enter(1));
        drop(one);
        assert!(waits(second.as_mut()).await, "it is behind the first");
        assert!(door.try_enter(1).is_none(), "both are before it");
        drop(other);
        let first = first.await.expect("there is room");
        assert!(waits(second.as_mut()).await, "what is left is too little");
        drop(first);
        assert!(second.await.is_some());
    }

    #[test]
    fn what_may_wait_has_a_bound_in_count_and_in_bytes() {
        let n_passes = |bytes: usize| {
            let door = door(4, 100);
            let passes = std::iter::from_fn(|| door.try_enter(bytes));
            passes.collect::<Vec<_>>().len()
        };
        assert_eq!([0, 25, 26, 51, 100, 1000].map(n_passes), [4, 4, 3, 1, 1, 1]);
    }
}
