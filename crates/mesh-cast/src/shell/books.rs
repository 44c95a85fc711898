//! `Books`: the tables of the meshes that are cast to by way of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{ActorId, MeshId};
use tokio::time::Instant;

use super::table::{Book, Table};
use crate::wire::StreamId;

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
    ///
    /// Whoever casts to a mesh may bring one, and need not be of it. But one that makes `me`, the relay of this process,
    /// no relay was made for others, or up: and one that does has none but processes of the mesh that this one is of
    /// itself, since their ids follow from each other. So nobody else makes himself a relay. Nor does anybody shut
    /// those out
    /// who relay: a newer table has the same processes, none of them in an earlier life, and in the same life the same
    /// relay. One that is not taken changes nothing, nor is a table in use since another one was offered.
    pub(super) fn learn(&mut self, table: Table, me: ActorId) {
        let (mesh, version) = (table.mesh, table.version);
        let known = self.get(mesh);
        let is_known = known.is_some_and(|known| known.table().version >= version);
        let has_room = self.books.len() < self.books_max || self.books.contains_key(&mesh);
        if is_known || !has_room {
            return;
        }
        if known.is_some_and(|known| !known.table().is_before(&table)) {
            return tracing::warn!(?mesh, version, "a table shuts out who relays: dropped");
        }
        match Book::new(Arc::new(table)) {
            Some(book) if book.has_relay(me) => {
                self.books.insert(mesh, (book, Instant::now()));
            }
            Some(_) => tracing::warn!(?mesh, version, "a table has another relay here: dropped"),
            None => tracing::warn!(?mesh, version, "a table does not hold together: dropped"),
        }
    }

    /// The book of a mesh.
    pub(super) fn get(&self, mesh: MeshId) -> Option<&Book> {
        self.books.get(&mesh).map(|(book, _)| book)
    }

    /// The book of a mesh, if it is not older than that. It is in use.
    fn of(&mut self, mesh: MeshId, version: u64) -> Option<&mut Book> {
        let (book, used) = self.books.get_mut(&mesh)?;
        *used = Instant::now();
        (book.table().version >= version).then_some(book)
    }

    /// The same for somebody who says something of a stream, if he may: its caster may, and whoever relays for its mesh.
    pub(super) fn of_stream(
        &mut self,
        stream: StreamId,
        version: u64,
        from: ActorId,
    ) -> Option<&mut Book> {
        let book = self.of(stream.mesh, version)?;
        (from == stream.caster || book.has_relay(from)).then_some(book)
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
    use crate::plan::FanOut;

    fn table(mesh: u128, size: usize) -> Table {
        let extent = Extent::new([("r", size)]).expect("its size is allowed");
        let seat = Seat { life: Incarnation::FIRST, relay: Some(1), actor: Some(2), since: 0 };
        let proc = ProcId::from_random(1);
        Table {
            mesh: MeshId::from_random(mesh),
            version: 1,
            fan_out: FanOut::new(2).expect("at least two"),
            procs: MeshId::from_random(1),
            region: Arc::new(Region::all(extent)),
            seats: ValueMesh::uniform(size, seat),
            directory: ActorId { proc, life: Incarnation::FIRST, index: 1 },
        }
    }

    /// The relay of the process of the first rank.
    fn me() -> ActorId {
        table(7, 1).relay(mesh_shape::Rank::new(0)).expect("it is there")
    }

    /// Word of a mesh goes to all its processes, also to those that nothing else of it goes to.
    #[tokio::test(start_paused = true)]
    async fn what_nothing_is_heard_of_for_long_makes_room() {
        let after = Duration::from_secs(600);
        let (one, other) = (MeshId::from_random(7), MeshId::from_random(8));
        let mut books = Books::new(1);
        books.learn(table(7, 3), me());
        books.learn(table(8, 3), me());
        assert!(books.get(one).is_some() && books.get(other).is_none(), "there is room for one");
        tokio::time::advance(after).await;
        books.sweep(&BTreeSet::new(), after);
        assert!(books.of(one, 1).is_some(), "not yet");
        tokio::time::advance(after + Duration::from_secs(1)).await;
        books.sweep(&BTreeSet::from([one]), after);
        assert!(books.get(one).is_some(), "it is cast to");
        books.sweep(&BTreeSet::new(), after);
        books.learn(table(8, 3), me());
        assert!(books.get(one).is_none() && books.get(other).is_some());
    }

    /// A table of one run says of any number of ranks where they are.
    #[tokio::test]
    async fn a_table_of_more_ranks_than_anybody_casts_to_is_dropped() {
        let mut books = Books::new(1);
        books.learn(table(7, usize::MAX >> 2), me());
        assert!(books.get(MeshId::from_random(7)).is_none());
    }

    /// R2, R3: a table that is newer and has another relay in the life of a process, or none, is dropped, and so is one of
    /// an earlier life; what honest relays and casters say is still believed. Processes that were started again, and relays
    /// that were not known, are news.
    #[tokio::test]
    async fn a_newer_table_shuts_out_none_of_those_who_relay() {
        let mesh = MeshId::from_random(7);
        let seat =
            Seat { life: Incarnation::FIRST.next(), relay: Some(1), actor: Some(2), since: 0 };
        let with = |version, last| {
            let seats = [seat, seat, last].into_iter().collect();
            Table { version, seats, ..table(7, 3) }
        };
        let me = with(1, seat).relay(mesh_shape::Rank::new(0)).expect("it is there");
        let shut_out = [
            Seat { relay: Some(3), ..seat },
            Seat { relay: None, ..seat },
            Seat { life: Incarnation::FIRST, ..seat },
        ];
        for last in shut_out {
            let mut books = Books::new(1);
            books.learn(with(1, seat), me);
            books.learn(with(u64::MAX, last), me);
            assert_eq!(books.get(mesh).map(|book| book.table().version), Some(1), "{last:?}");
        }
        let mut books = Books::new(1);
        books.learn(with(1, Seat { relay: None, ..seat }), me);
        let news = [seat, Seat { actor: None, ..seat }, Seat { life: seat.life.next(), ..seat }];
        for (version, last) in (2..).zip(news) {
            books.learn(with(version, last), me);
            assert_eq!(books.get(mesh).map(|book| book.table().version), Some(version));
        }
    }

    /// R3: who is no process of the mesh makes himself a relay by no table, however new.
    #[tokio::test]
    async fn a_table_by_which_others_relay_here_is_dropped() {
        let mesh = MeshId::from_random(7);
        let stranger = MeshId::from_random(5 << 64);
        let seat = Seat { life: Incarnation::FIRST, relay: Some(3), actor: Some(2), since: 0 };
        let forged = [
            Table { version: 2, procs: stranger, ..table(7, 3) },
            Table { version: 2, seats: ValueMesh::uniform(3, seat), ..table(7, 3) },
        ];
        for forged in forged {
            let mut books = Books::new(1);
            books.learn(forged.clone(), me());
            assert!(books.get(mesh).is_none(), "{forged:?}");
            books.learn(table(7, 3), me());
            books.learn(forged, me());
            assert_eq!(books.get(mesh).map(|book| book.table().version), Some(1));
        }
    }
}
