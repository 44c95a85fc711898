//! `Roster`: whom to send to in a mesh, worked out once for all that is sent to a rank until something changes there.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mesh_core::{ActorId, Incarnation};
use mesh_runtime::{Callees, Near, WayTo};
use mesh_shape::{Rank, RankSet, Region};

use super::Known;
use crate::call::find;
use crate::no_controller::NoController;
use crate::rank_error::RankError;
use crate::ways::Ways;

/// Of how many slices it is kept at once which of their ranks can be sent to.
const SLICES_MAX: usize = 16;

/// What can be sent to each rank of a mesh, by what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    known: Arc<Known>,
    /// By the ranks of the mesh; each is looked at when something is sent there first.
    ranks: Box<[OnceLock<Result<Seated, RankError>>]>,
    open: OpenIn,
}

/// The ranks of a slice that can be sent to, in its own ranks.
#[derive(Debug, Default)]
pub(crate) struct Open {
    pub(crate) running: RankSet,
    /// Those too that hang, or are silent.
    pub(crate) all: RankSet,
}

/// The same of each slice that was asked for since something has changed.
#[derive(Debug, Default)]
struct OpenIn(Mutex<Vec<(Arc<Region>, Arc<Open>)>>);

/// For what is known then it is worked out anew.
impl Clone for OpenIn {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A rank that something can be sent to.
#[derive(Clone, Debug)]
pub(crate) struct Seated {
    pub(crate) actor: ActorId,
    pub(crate) life: Incarnation,
    /// The way past its session, once there is one.
    near: OnceLock<Near>,
}

/// How an actor is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    /// Past its session.
    Near(&'a Near),
    /// It could be past its session, if nothing of the same sender waited before that: so it is behind it, and by the
    /// session.
    Behind,
    /// By a session, or within the process.
    Open,
    /// Not before something is opened.
    Missing,
}

/// Ranks of a roster that are called together, each in its place.
pub(crate) struct Called {
    pub(crate) roster: Arc<Roster>,
    /// Those that are called past their sessions.
    pub(crate) places: Vec<Option<Rank>>,
}

impl Callees for Called {
    fn size(&self) -> usize {
        self.places.len()
    }

    fn near(&self, place: usize) -> Option<&Near> {
        let base = (*self.places.get(place)?)?;
        self.roster.find(base).ok()?.near.get()
    }
}

impl Roster {
    pub(super) fn of(known: Arc<Known>) -> Self {
        let ranks = (0..known.ranks.size()).map(|_| OnceLock::new()).collect();
        Self { known, ranks, open: OpenIn::default() }
    }

    pub(super) fn is_of(&self, known: &Arc<Known>) -> bool {
        Arc::ptr_eq(&self.known, known)
    }

    /// Something has changed: what is known of all others stays.
    pub(super) fn learn(&mut self, known: &Arc<Known>) {
        for rank in known.changed_since(&self.known).iter() {
            if let Some(found) = self.ranks.get_mut(rank.index()) {
                *found = OnceLock::new();
            }
        }
        self.known = Arc::clone(known);
        self.open = OpenIn::default();
    }

    /// Where a rank is, in which life, or why nothing can be sent there.
    pub(crate) fn find(&self, base: Rank) -> Result<&Seated, &RankError> {
        let Some(found) = self.ranks.get(base.index()) else {
            return Err(&RankError::NoController(NoController::Ended));
        };
        found.get_or_init(|| look(&self.known, base)).as_ref()
    }
}

impl Roster {
    /// The ranks of a slice that can be sent to: worked out once for all that is sent until something changes (H8).
    pub(crate) fn open(&self, region: &Arc<Region>) -> Arc<Open> {
        let mut kept = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, open)) = kept.iter().find(|(of, _)| of == region) {
            return Arc::clone(open);
        }
        if kept.len() >= SLICES_MAX {
            kept.remove(0);
        }
        let open = Arc::new(self.known.open_in(region));
        kept.push((Arc::clone(region), Arc::clone(&open)));
        open
    }
}

impl Seated {
    /// The way there. What is known of it is asked for once where it leads past a session, as long as that is open.
    pub(crate) fn way(&self, ways: &Ways) -> Way<'_> {
        if let Some(near) = self.near.get().filter(|near| near.is_open()) {
            return Way::Near(near);
        }
        match ways.to(self.actor) {
            WayTo::Near(near) if self.near.get().is_none() => {
                Way::Near(self.near.get_or_init(|| near))
            }
            // Its process has met us again: by the session, for this once.
            WayTo::Near(_) => {
                ways.met_again();
                Way::Open
            }
            WayTo::Open => Way::Open,
            WayTo::Missing => Way::Missing,
        }
    }
}

fn look(known: &Known, base: Rank) -> Result<Seated, RankError> {
    let (actor, life) = find(known, base)?;
    Ok(Seated { actor, life, near: OnceLock::new() })
}

#[cfg(test)]
mod tests;
