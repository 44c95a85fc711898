//! `Table`: what a process looks up for each message, on whatever thread.

use std::hash::Hash;

use dashmap::DashMap;
use foldhash::fast::RandomState;

/// Most are asked for each message, so the hash is a fast one. It is seeded, and only those who have proved that they
/// belong to the mesh choose keys.
pub(crate) type Table<K, V> = DashMap<K, V, RandomState>;

/// Whose tables they are.
#[derive(Clone, Copy)]
pub(crate) enum Company {
    /// Of a process that has a program to itself.
    Alone,
    /// Of one of many in one program: what is ready for many threads at once takes half a KiB for each processor of the
    /// machine and for each table, empty or not.
    OfMany,
}

impl Company {
    /// An empty one.
    pub(crate) fn table<K: Eq + Hash, V>(self) -> Table<K, V> {
        match self {
            Self::Alone => DashMap::default(),
            Self::OfMany => DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS),
        }
    }
}

/// As few as there can be.
const SHARDS: usize = 2;
