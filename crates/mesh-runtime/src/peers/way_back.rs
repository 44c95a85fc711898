//! `NoWayBack`: what came by way of others, was not handled, and cannot go back by a session with its sender.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use mesh_core::{ActorId, Body, Head, MeshId, Plane, PortId, WhyUndelivered};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::codec;
use crate::proc::Proc;

/// A message that was not handled and whose sender has sent by way of others, while its process has no session with that
/// one's: it can only go back by way of others, too (R3).
///
/// It is no message that an actor takes, so that nobody can send one: whoever has
/// [asked for these](Proc::watch_ways_back) gets them within the process, and whoever passes them on says so in words
/// of their own, which others believe or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoWayBack {
    /// Who sent it.
    pub to: ActorId,
    /// Whom it was for.
    pub of: ActorId,
    /// To which mesh it was cast. Its actor may be no rank of that any more.
    pub mesh: MeshId,
    /// For which port.
    pub port: PortId,
    /// Why it was not handled.
    pub why: WhyUndelivered,
    /// Its bytes.
    pub bytes: Bytes,
}

impl fmt::Display for NoWayBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, of, port, why, .. } = self;
        write!(f, "what {to} sent to port {port} of {of}, which is not handled ({why})")
    }
}

/// Who is told.
#[derive(Default)]
pub(crate) struct Detour(Mutex<Option<mpsc::UnboundedSender<Box<NoWayBack>>>>);

impl Detour {
    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn watcher(&self) -> Option<mpsc::UnboundedSender<Box<NoWayBack>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Proc {
    /// From now on what has no way back goes to `watcher`; whoever was it before gets no more. What waits there was
    /// in the mailboxes of this process before, which have bounds: a watcher takes it out as it comes, and bounds what
    /// it keeps itself.
    pub fn watch_ways_back(&self, watcher: mpsc::UnboundedSender<Box<NoWayBack>>) {
        *self.detour().0.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher);
    }

    /// Gives back to its sender, an actor of this process, what was not handled in another one. Only who has it from
    /// somebody that may say so does that: a session carries word of its own process alone.
    ///
    /// # Errors
    ///
    /// It comes back if its sender is not of this process.
    pub fn give_back_here(&self, back: NoWayBack) -> Result<(), Box<NoWayBack>> {
        if back.to.peer() != self.peer() {
            return Err(Box::new(back));
        }
        let NoWayBack { to, of, port, why, bytes, .. } = back;
        self.answer_here(Head::Returned { to, of, port, why }, Body::Bytes(bytes));
        Ok(())
    }

    /// Sends it by a session with the process of its sender, where there is one again (R3).
    pub fn send_back(&self, back: NoWayBack) {
        let NoWayBack { to, of, port, why, bytes, .. } = back;
        self.return_by_session(Head::Returned { to, of, port, why }, Body::Bytes(bytes));
    }

    /// Counts and logs what does not come back to who sent it, and why that is so: nothing is dropped silently (R3).
    pub fn lost_on_the_way_back(&self, what: &impl fmt::Display, reason: &str) {
        self.metrics().lost_return();
        tracing::warn!(%what, reason, "lost on its way back to who sent it");
    }

    /// The same of what a session was to bring back. On the control plane whoever sends deals with what is lost, and a
    /// mesh that ends well warns nobody.
    pub(crate) fn lost_with_session(&self, head: &Head, reason: &str) {
        let Head::Returned { to, of, port, why } = head else { return };
        let what =
            format_args!("what {to} sent to port {port} of {of}, which is not handled ({why})");
        match to.plane() {
            Plane::User => self.lost_on_the_way_back(&what, reason),
            Plane::Control => {
                self.metrics().lost_return();
                tracing::debug!(%what, reason, "lost on its way back to who sent it");
            }
        }
    }

    /// What was cast to a mesh, and came by way of others, was not handled: it goes back as it can, counted and logged.
    pub(crate) fn return_passed_on(&self, mesh: MeshId, head: Head, body: Body) {
        let Head::Returned { to, of, .. } = head else { return };
        if to.peer() == self.peer() {
            return self.return_away(head, body);
        }
        if self.has_way_to(to) {
            // Their session may be lost already, with nobody knowing: whoever was suspended for long finds that out later.
            self.remote().returns.note_detour((to, of), mesh);
            return self.return_away(head, body);
        }
        self.tell_returned(&head);
        let Some(bytes) = codec::encoded(body) else {
            return self.lost_with_session(&head, "it cannot be encoded");
        };
        if let Some((head, _)) = self.detour_by(mesh, head, bytes) {
            self.lost_with_session(&head, "nobody here passes it on");
        }
    }

    /// Whether somebody passes on here what has no way back.
    pub(crate) fn detours(&self) -> bool {
        self.detour().watcher().is_some_and(|watcher| !watcher.is_closed())
    }

    /// Gives what goes back to whoever passes it on here; it comes back if nobody does.
    pub(crate) fn detour_by(
        &self,
        mesh: MeshId,
        head: Head,
        bytes: Bytes,
    ) -> Option<(Head, Bytes)> {
        let (Some(watcher), &Head::Returned { to, of, port, why }) =
            (self.detour().watcher(), &head)
        else {
            return Some((head, bytes));
        };
        let back = Box::new(NoWayBack { to, of, mesh, port, why, bytes });
        watcher.send(back).err().map(|unsent| (head, unsent.0.bytes))
    }
}
