//! `Rolls`: who the ranks and relays of the meshes are that a process itself has cast to, by the tables that it had
//! for that: of what it is told to come back it believes what is so by these, also when the caster has ended.

use std::collections::BTreeMap;

use mesh_core::{ActorId, MeshId};
use mesh_runtime::Proc;
use tokio::time::Instant;

use super::relay_actor::FORGOTTEN_AFTER;
use super::table::Book;

/// One for each mesh that the process casts to, or did a while ago.
#[derive(Default)]
pub(super) struct Rolls(BTreeMap<MeshId, (Book, Instant)>);

/// A process casts by this table.
pub(super) fn note(proc: &Proc, book: &Book) {
    let now = Instant::now();
    proc.with_slot(|Rolls(rolls)| {
        rolls.retain(|_, (_, used)| now.duration_since(*used) <= FORGOTTEN_AFTER);
        rolls.insert(book.table().mesh, (book.bare(), now));
    });
}

/// There is a caster for that mesh.
pub(super) fn touch(proc: &Proc, mesh: MeshId) {
    proc.with_slot(|Rolls(rolls)| {
        if let Some((_, used)) = rolls.get_mut(&mesh) {
            *used = Instant::now();
        }
    });
}

/// Whether somebody may say what becomes of messages that the process has cast to an actor.
pub(super) fn vouches(proc: &Proc, mesh: MeshId, from: ActorId, of: ActorId) -> bool {
    proc.with_slot(|Rolls(rolls)| rolls.get(&mesh).is_some_and(|(book, _)| book.vouches(from, of)))
}
