//! `NoWayBack`: what came by way of others, was not handled, and cannot go back by a session with its sender.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use mesh_core::{ActorId, Body, Credit, Head, Message, PortId, PortRef, WhyUndelivered};
use serde::{Deserialize, Serialize};

use crate::codec::Outgoing;
use crate::endpoint::Away;
use crate::proc::Proc;

/// A message that came by way of others and was not handled, while its process has no session with that of its
/// sender: it can only go back by way of others, too (R3). Whoever has
/// [asked for these](Proc::watch_ways_back) is cast it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoWayBack {
    /// Who sent it.
    pub to: ActorId,
    /// Whom it was for.
    pub of: ActorId,
    /// For which port.
    pub port: PortId,
    /// Why it was not handled.
    pub why: WhyUndelivered,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Message for NoWayBack {
    const NAME: &'static str = "meshwarden.NoWayBack";
    type Reply = ();
}

/// Who is told.
#[derive(Default)]
pub(crate) struct Detour(Mutex<Option<PortRef<NoWayBack>>>);

impl Proc {
    /// From now on this port of this process is cast what has no way back; whoever was it before is not.
    pub fn watch_ways_back(&self, watcher: PortRef<NoWayBack>) {
        *self.detour().0.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher);
    }

    /// Gives back to its sender, an actor of this process, what was not handled in another one. Only who has it from
    /// somebody that may say so does that: a session carries word of its own process alone.
    ///
    /// # Errors
    ///
    /// It comes back if its sender is not of this process.
    pub fn give_back_here(&self, back: NoWayBack) -> Result<(), NoWayBack> {
        if back.to.peer() != self.peer() {
            return Err(back);
        }
        let NoWayBack { to, of, port, why, bytes } = back;
        self.answer_here(Head::Returned { to, of, port, why }, Body::Bytes(bytes));
        Ok(())
    }

    /// What came by way of others was not handled: it goes back as it can, counted and logged.
    pub(crate) fn return_passed_on(&self, head: Head, mut body: Body) {
        let watcher = *self.detour().0.lock().unwrap_or_else(PoisonError::into_inner);
        let Head::Returned { to, of, port, why } = head else { return };
        let has_way = to.peer() == self.peer() || self.has_way_to(to);
        let Some(watcher) = watcher.filter(|_| !has_way) else {
            return self.return_away(head, body);
        };
        self.tell_returned(&head);
        // What cannot be encoded did not come from another process.
        let Ok(bytes) = body.bytes() else { return };
        let body = Body::Value(Box::new(Outgoing(NoWayBack { to, of, port, why, bytes })));
        let told = self.open((watcher.actor(), watcher.port()), body, Away::Word, Credit::NONE);
        if told.is_err() {
            tracing::warn!(%of, %to, "what was not handled has no way back to its sender and is lost");
        }
    }
}
