//! The children of an actor, in the order in which they were spawned first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

use mesh_core::{End, RestartPolicy, Strategy};

use crate::actor::Stop;
use crate::child_spec::Respawn;
use crate::endpoint::Endpoint;

/// Those that live, and how those can be started again that can be. By their places: that of a child that is
/// started again stays the same.
#[derive(Default)]
pub(crate) struct Family {
    living: BTreeMap<NonZeroU64, Arc<dyn Endpoint>>,
    /// Made for the first one: most actors supervise nobody.
    seats: Option<Box<Seats>>,
}

#[derive(Default)]
struct Seats {
    by_place: BTreeMap<NonZeroU64, Arc<dyn Respawn>>,
    /// Those that live and have been let go.
    let_go: BTreeSet<NonZeroU64>,
}

/// What the end of a child means to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing.
    AsItMay,
    /// It was not to end, though it has not failed.
    Unwanted,
    /// It was to end, and whoever wanted that knows how it did.
    LetGo,
}

impl Family {
    pub(crate) fn adopt(&mut self, place: NonZeroU64, child: Arc<dyn Endpoint>) {
        self.living.insert(place, child);
    }

    /// The child in this place can be started again.
    pub(crate) fn seat(&mut self, place: NonZeroU64, seat: Arc<dyn Respawn>) {
        self.seats.get_or_insert_default().by_place.insert(place, seat);
    }

    /// A child has ended. One that ended well keeps its place, and begins again with others.
    pub(crate) fn ended(&mut self, place: NonZeroU64, end: &End) -> Ended {
        self.living.remove(&place);
        let Some(seats) = &mut self.seats else { return Ended::AsItMay };
        if seats.let_go.remove(&place) {
            return Ended::LetGo;
        }
        let policy = seats.by_place.get(&place).map(|seat| seat.policy());
        match (policy, end) {
            (Some(RestartPolicy::Permanent), End::Stopped | End::Killed | End::Lost) => {
                Ended::Unwanted
            }
            _ => Ended::AsItMay,
        }
    }

    pub(crate) fn can_restart(&self, place: NonZeroU64) -> bool {
        self.seat_in(place).is_some()
    }

    /// What the child in this place can be started again from.
    pub(crate) fn seat_in(&self, place: NonZeroU64) -> Option<&Arc<dyn Respawn>> {
        self.seats.as_ref()?.by_place.get(&place)
    }

    /// The child in this place is not started again. What it was to be started from is for the caller to drop,
    /// outside of any lock: it may be a user's.
    pub(crate) fn give_up(&mut self, place: NonZeroU64) -> Option<Arc<dyn Respawn>> {
        self.seats.as_mut()?.by_place.remove(&place)
    }

    /// The same; the child is asked to end, if it lives, and what its end means is not for its parent to decide.
    pub(crate) fn let_go(&mut self, place: NonZeroU64) -> Option<Arc<dyn Respawn>> {
        let seats = self.seats.as_mut()?;
        let seat = seats.by_place.remove(&place)?;
        if let Some(child) = self.living.get(&place) {
            seats.let_go.insert(place);
            child.stop(Stop::Now);
        }
        Some(seat)
    }

    /// None is started again.
    pub(crate) fn give_up_all(&mut self) -> Vec<Arc<dyn Respawn>> {
        let seats = self.seats.as_mut().map(|seats| std::mem::take(&mut seats.by_place));
        seats.into_iter().flat_map(BTreeMap::into_values).collect()
    }

    /// Those that are to be started, in order, after the one in `failed` did.
    pub(crate) fn to_restart(
        &self,
        strategy: Strategy,
        failed: NonZeroU64,
    ) -> VecDeque<NonZeroU64> {
        let places = self.seats.iter().flat_map(|seats| seats.by_place.keys().copied());
        places.filter(|place| covers(strategy, failed, *place)).collect()
    }

    /// The youngest that lives, of those that a strategy has end.
    pub(crate) fn youngest(
        &self,
        is_asked: impl Fn(NonZeroU64) -> bool,
    ) -> Option<(NonZeroU64, &Arc<dyn Endpoint>)> {
        let mut asked = self.living.iter().rev().filter(|(place, _)| is_asked(**place));
        asked.next().map(|(place, child)| (*place, child))
    }

    pub(crate) fn living(&self) -> impl Iterator<Item = &Arc<dyn Endpoint>> {
        self.living.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.living.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.living.is_empty()
    }
}

/// Whether a child is restarted, so, when the one in `failed` is.
pub(crate) fn covers(strategy: Strategy, failed: NonZeroU64, place: NonZeroU64) -> bool {
    match strategy {
        Strategy::OneForOne => place == failed,
        Strategy::OneForAll => true,
        Strategy::RestForOne => place >= failed,
    }
}
