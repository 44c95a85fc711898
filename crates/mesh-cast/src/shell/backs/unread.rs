//! `Unread`: what has no way back in a process, and waits for its relay.

use mesh_runtime::{ActorRef, Handler, NoWayBack, Proc};
use tokio::sync::mpsc;

use super::Unhandled;
use super::kept::{ENDED, Kept, Room};

/// What was not handled in a process and has no way back, until it is read. When nobody reads it any more it is lost,
/// counted and logged.
pub(super) struct Unread {
    /// It holds no more than mailboxes did that have ended: what is read from it must find room.
    unhandled: mpsc::UnboundedReceiver<Box<NoWayBack>>,
    proc: Proc,
}

impl Unread {
    /// From now on it comes here.
    pub(super) fn of(proc: &Proc) -> Self {
        let (watcher, unhandled) = mpsc::unbounded_channel();
        proc.watch_ways_back(watcher);
        Self::new(unhandled, proc)
    }

    pub(super) fn new(unhandled: mpsc::UnboundedReceiver<Box<NoWayBack>>, proc: &Proc) -> Self {
        Self { unhandled, proc: proc.clone() }
    }

    /// Brings it to whoever passes it on, as far as there is room for it.
    pub(super) async fn read<A: Handler<Unhandled>>(mut self, to: ActorRef<A>, room: Room) {
        while let Some(back) = self.unhandled.recv().await {
            if let Some(kept) = Kept::new(*back, &self.proc, &room) {
                // What is not taken is dropped, which is counted.
                _ = to.cast(&self.proc, Unhandled(kept)).await.is_ok();
            }
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.unhandled.close();
        while let Ok(back) = self.unhandled.try_recv() {
            self.proc.lost_on_the_way_back(&*back, ENDED);
        }
    }
}
