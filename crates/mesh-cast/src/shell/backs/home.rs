//! What has come back to the process that it was sent from: [`give_back`].

use mesh_core::{ActorId, Plane};
use mesh_runtime::{NoWayBack, Proc};

use super::super::message::Back;
use super::super::rolls;
use super::seen::Seen;

/// Gives something back to its sender here, once, if whoever says so may: a relay of a mesh that this process has cast
/// to, of an actor in a process of that. Anything else changes nothing.
pub(in super::super) fn give_back(Back { back, id, .. }: Back, from: Option<ActorId>, proc: &Proc) {
    let NoWayBack { to, of, mesh, .. } = back;
    let is_true = from.is_some_and(|from| rolls::vouches(proc, mesh, from, of));
    if !is_true || to.plane() != Plane::User {
        return refuse(&back, proc);
    }
    if !proc.with_slot(|seen: &mut Seen| seen.is_first(id)) {
        // A session was lost, and nobody knew whether it had arrived.
        return tracing::debug!(%back, "it has come back before");
    }
    if let Err(back) = proc.give_back_here(back) {
        proc.lost_on_the_way_back(&back, "it has come to a process that did not send it");
    }
}

/// What is not believed is counted and logged, and nothing else.
pub(super) fn refuse(back: &NoWayBack, proc: &Proc) {
    proc.lost_on_the_way_back(back, "whoever passes it on may not, as far as is known here");
}
