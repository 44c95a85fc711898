//! `Ahead`: casts that are taken before the caster has looked whether there is room, since it keeps some for them.
//!
//! Who casts one after the other need not be woken for each, and the casts are so close to each other that they travel
//! together. Small ones only; and a cast that nobody waits for is in its place among those of its sender (R2): there is
//! room for it, so nothing that comes after it can pass it.

use std::sync::Arc;

use mesh_core::WhyUndelivered;
use mesh_runtime::Proc;
use mesh_shape::Rank;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::casters::Cast;
use crate::wire::Kind;

/// How many casts of one process to one mesh may be made ahead and not be over: a part of
/// [`Limits::window`](crate::Limits::window) and of [`Limits::rank`](crate::Limits::rank).
pub(super) const AHEAD: usize = 16;

/// How large they may be.
const AHEAD_BYTES: usize = 4 << 10;

/// One cast that was taken so. Dropped before it is on its way it comes back (R3).
pub(super) struct Ahead {
    cast: Option<Cast>,
    proc: Proc,
    place: Place,
}

/// The place of a cast, until that is over.
pub(super) type Place = Option<OwnedSemaphorePermit>;

impl Ahead {
    /// The places for casts of one process to one mesh.
    pub(super) fn places() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(AHEAD))
    }

    /// Takes a place for a cast, if there is one for it.
    pub(super) fn try_new(cast: &Cast, proc: &Proc, places: &Arc<Semaphore>) -> Option<Self> {
        if cast.kind != Kind::Cast || cast.payload.body.n_bytes() > AHEAD_BYTES {
            return None;
        }
        let place = Arc::clone(places).try_acquire_owned().ok()?;
        Some(Self { cast: Some(cast.clone()), proc: proc.clone(), place: Some(place) })
    }

    /// It is on its way, or whoever cast it knows that it is not. Its place is to be kept until it is over.
    pub(super) fn settle(mut self) -> Place {
        self.cast = None;
        self.place.take()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let Some(cast) = self.cast.take() else { return };
        let Cast { table, region, range, name, payload, .. } = cast;
        let all: Box<dyn Iterator<Item = Rank>> = match &region {
            Some(region) => Box::new(region.iter()),
            None => Box::new((0..table.seats.size()).map(Rank::new)),
        };
        let is_meant = |rank: &Rank| {
            let is_within = range.as_ref().is_none_or(|range| range.contains(&rank.index()));
            is_within && !payload.except.contains(*rank)
        };
        for rank in all.filter(is_meant) {
            if let Some(to) = table.actor(rank) {
                let bytes = payload.body.of(rank).unwrap_or_default();
                self.proc.not_passed_on((payload.from, to), name, WhyUndelivered::Ended, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests;
