//! `PeerLost`: word of a session that has ended, for actors that keep account of what they sent by it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mesh_core::{Body, Credit, Message, PeerId, PortRef};
use serde::{Deserialize, Serialize};

use crate::codec::Outgoing;
use crate::endpoint::Away;
use crate::proc::Proc;

mod way_back;

pub(crate) use way_back::Detour;
pub use way_back::NoWayBack;

/// A session with a peer has ended: of what is on its way there nobody knows. There may be another one.
///
/// It arrives after everything that has arrived by that session, and both ends are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerLost {
    /// With which life of which process.
    pub peer: PeerId,
}

impl Message for PeerLost {
    const NAME: &'static str = "meshwarden.PeerLost";
    type Reply = ();
}

/// Who is told of sessions that end.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Vec<PortRef<PeerLost>>>);

impl Watchers {
    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, Vec<PortRef<PeerLost>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proc {
    /// From now on a port of this process is told of every session that ends, until its actor has ended.
    pub fn watch_peers(&self, watcher: PortRef<PeerLost>) {
        let mut watchers = self.watchers().lock();
        watchers.retain(|known| *known != watcher && self.find(known.actor()).is_some());
        watchers.push(watcher);
    }

    /// Tells whoever watches, behind what has come by the session and still waits for room.
    pub(crate) fn tell_lost(&self, peer: PeerId) {
        let watchers = self.watchers().lock().clone();
        for watcher in watchers {
            let body = Body::Value(Box::new(Outgoing(PeerLost { peer })));
            let to = (watcher.actor(), watcher.port());
            // One that has ended need not be told.
            _ = self.open(to, body, Away::Word, Credit::NONE).is_ok();
        }
    }
}
