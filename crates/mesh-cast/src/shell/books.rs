//! `Books`: the tables of the meshes that are cast to by way of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{ActorId, MeshId};
use tokio::time::Instant;

use super::table::{Book, Table};

/// The newest table of each mesh.
#[derive(Debug)]
pub(super) struct Books {
    books: BTreeMap<MeshId, (Book, Instant)>,
    books_max: usize,
}

impl Books {
    pub(super) const fn new(books_max: usize) -> Self {
        Self { books: BTreeMap::new(), books_max }
    }

    /// Takes a table, if it is newer than what is known and there is room for it.
    pub(super) fn learn(&mut self, table: Table) {
        let (mesh, version) = (table.mesh, table.version);
        let is_known = self.of(mesh, version).is_some();
        let has_room = self.books.len() < self.books_max || self.books.contains_key(&mesh);
        if is_known || !has_room {
            return;
        }
        match Book::new(Arc::new(table)) {
            Some(book) => _ = self.books.insert(mesh, (book, Instant::now())),
            None => tracing::warn!(?mesh, version, "a table does not hold together: dropped"),
        }
    }

    /// The book of a mesh.
    pub(super) fn get(&self, mesh: MeshId) -> Option<&Book> {
        self.books.get(&mesh).map(|(book, _)| book)
    }

    /// The book of a mesh, if it is not older than that. It is in use.
    pub(super) fn of(&mut self, mesh: MeshId, version: u64) -> Option<&mut Book> {
        let (book, used) = self.books.get_mut(&mesh)?;
        *used = Instant::now();
        (book.table().version >= version).then_some(book)
    }

    /// The mesh that an actor is a rank of.
    pub(super) fn mesh_of(&self, actor: ActorId) -> Option<MeshId> {
        let book = self.books.iter().find(|(_, (book, _))| book.has_actor(actor));
        book.map(|(mesh, _)| *mesh)
    }

    /// Forgets those that nothing was heard of for so long, and that no caster in `heard` casts to.
    pub(super) fn sweep(&mut self, heard: &BTreeSet<MeshId>, after: Duration) {
        self.books.retain(|mesh, (_, used)| heard.contains(mesh) || used.elapsed() <= after);
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::{Incarnation, ProcId};
    use mesh_shape::{Extent, Region, ValueMesh};

    use super::super::table::Seat;
    use super::*;

    fn table(mesh: u128, size: usize) -> Table {
        let extent = Extent::new([("r", size)]).expect("its size is allowed");
        let seat = Seat { life: Incarnation::FIRST, relay: Some(1), actor: Some(2) };
        let proc = ProcId::from_random(1);
        Table {
            mesh: MeshId::from_random(mesh),
            version: 1,
            fan_out: 2,
            procs: MeshId::from_random(1),
            region: Arc::new(Region::all(extent)),
            seats: ValueMesh::uniform(size, seat),
            directory: ActorId { proc, life: Incarnation::FIRST, index: 1 },
        }
    }

    /// Word of a mesh goes to all its processes, also to those that nothing else of it goes to.
    #[tokio::test(start_paused = true)]
    async fn what_nothing_is_heard_of_for_long_makes_room() {
        let after = Duration::from_secs(600);
        let (one, other) = (MeshId::from_random(7), MeshId::from_random(8));
        let mut books = Books::new(1);
        books.learn(table(7, 3));
        books.learn(table(8, 3));
        assert!(books.get(one).is_some() && books.get(other).is_none(), "there is room for one");
        tokio::time::advance(after).await;
        books.sweep(&BTreeSet::new(), after);
        assert!(books.of(one, 1).is_some(), "not yet");
        tokio::time::advance(after + Duration::from_secs(1)).await;
        books.sweep(&BTreeSet::from([one]), after);
        assert!(books.get(one).is_some(), "it is cast to");
        books.sweep(&BTreeSet::new(), after);
        books.learn(table(8, 3));
        assert!(books.get(one).is_none() && books.get(other).is_some());
    }

    /// A table of one run says of any number of ranks where they are.
    #[tokio::test]
    async fn a_table_of_more_ranks_than_anybody_casts_to_is_dropped() {
        let mut books = Books::new(1);
        books.learn(table(7, usize::MAX >> 2));
        assert!(books.get(MeshId::from_random(7)).is_none());
    }
}
