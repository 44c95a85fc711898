//! `Ends`: ends that answers have told of, which their controller may hear of only later.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mesh_core::Incarnation;
use mesh_shape::{Rank, Region};

use super::{Known, Table};

/// The last life of each rank that an answer has said to have ended: those of which the controller has said so too are
/// forgotten when somebody waits. Bound: the ranks.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<BTreeMap<Rank, Incarnation>>);

impl Ends {
    /// These lives of ranks of the mesh have ended.
    pub(crate) fn note(&self, ends: Vec<(Rank, Incarnation)>) {
        // As a rule: each call asks, and none has ended.
        if ends.is_empty() {
            return;
        }
        let mut noted = self.lock();
        for (rank, life) in ends {
            let last = noted.entry(rank).or_insert(life);
            *last = life.max(*last);
        }
    }

    /// Whether this life of a rank has ended, or an earlier one than one that has.
    pub(crate) fn has_ended(&self, rank: Rank, life: Incarnation) -> bool {
        self.lock().get(&rank).is_some_and(|last| *last >= life)
    }

    /// Whether all of a slice have been heard of. Those are forgotten that have.
    pub(crate) fn are_heard(&self, table: &Table, region: &Region) -> bool {
        let mut noted = self.lock();
        let known = table.known.as_ref();
        noted.retain(|rank, life| known.is_none_or(|known| !is_heard(known, *rank, *life)));
        noted.keys().all(|rank| region.rank_of_base(*rank).is_none())
    }

    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Rank, Incarnation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_heard(known: &Known, rank: Rank, life: Incarnation) -> bool {
    known.seen(rank).is_some_and(|seen| seen.is_past(life))
}
