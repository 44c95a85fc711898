//! `Block`: some of the places of a gathering, under one lock.

use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use mesh_core::Fault;

use super::{Hub, PEER_LOST, Placed};
use crate::sync;

/// Places that follow each other.
pub(super) struct Block<R> {
    hub: Arc<Hub>,
    number: u32,
    /// Which they are.
    range: Range<u32>,
    places: Mutex<Places<R>>,
}

struct Places<R> {
    places: Vec<Place<R>>,
    /// Those that were settled and not taken yet, in that order.
    fresh: Vec<u32>,
    n_missing: usize,
}

/// What has become of one call.
enum Place<R> {
    Missing,
    /// The same; the call went by a session, which says itself what becomes of it, also where the callee is near.
    BySession,
    Settled(Result<R, Fault>),
    Taken,
}

/// What whoever gathers may have to be told, since a place was settled.
#[derive(Clone, Copy)]
pub(super) struct Told {
    /// No place of the block is missing any more.
    pub(super) is_complete: bool,
    pub(super) is_fault: bool,
    /// Nothing else is there to be taken.
    pub(super) is_first: bool,
}

/// An answer that is not heard, since another one is given in its place.
type Unheard<R> = Option<Result<R, Fault>>;

impl<R> Block<R> {
    pub(super) fn new(hub: &Arc<Hub>, number: u32, range: Range<u32>) -> Self {
        let places: Vec<_> = range.clone().map(|_| Place::Missing).collect();
        let (n_missing, fresh) = (places.len(), Vec::with_capacity(places.len()));
        let places = Mutex::new(Places { places, fresh, n_missing });
        Self { hub: Arc::clone(hub), number, range, places }
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Behind its last place.
    pub(super) const fn end(&self) -> usize {
        self.range.end as usize
    }

    /// Settles a place. The answer comes back if it is settled already.
    pub(super) fn settle(
        &self,
        index: u32,
        answer: Result<R, Fault>,
    ) -> Result<(Told, Unheard<R>), Result<R, Fault>> {
        let mut places = self.lock();
        // Under the lock: who polls after the end of the session has been given the answer before, or never is.
        let is_lost = self.hub.is_lost(self.range.start + index);
        match is_lost && places.is_given(index) {
            true => Ok((places.settle(index, Err(PEER_LOST))?, Some(answer))),
            false => Ok((places.settle(index, answer)?, None)),
        }
    }

    /// The session has ended that a place was called past.
    pub(super) fn lose(&self, index: u32) -> Option<Told> {
        let mut places = self.lock();
        if !places.is_given(index) {
            return None;
        }
        places.settle(index, Err(PEER_LOST)).ok()
    }

    /// Whoever gathers is told, without the lock.
    pub(super) fn tell(&self, told: Told) {
        self.hub.hear(self.number, told);
    }

    pub(super) fn goes_by_session(&self, index: u32) {
        if let Some(place @ Place::Missing) = self.lock().places.get_mut(index as usize) {
            *place = Place::BySession;
        }
    }

    pub(super) fn is_missing(&self, index: u32) -> bool {
        let places = self.lock();
        matches!(places.places.get(index as usize), Some(Place::Missing | Place::BySession))
    }

    /// Takes what was settled since the last time.
    pub(super) fn take_fresh(&self, some: &mut Placed<R>) {
        let mut guard = self.lock();
        let Places { places, fresh, .. } = &mut *guard;
        some.reserve(fresh.len());
        let take =
            |index: u32| Some((self.range.start + index, places.get_mut(index as usize)?.take()?));
        some.extend(fresh.drain(..).filter_map(take));
    }

    /// Takes all there is, in the order of the places.
    pub(super) fn take_all(&self, all: &mut Vec<Option<Result<R, Fault>>>) {
        let places = mem::take(&mut self.lock().places);
        all.extend(places.into_iter().map(|mut place| place.take()));
    }

    fn lock(&self) -> MutexGuard<'_, Places<R>> {
        sync::lock(&self.places)
    }
}

impl<R> Places<R> {
    fn settle(&mut self, index: u32, answer: Result<R, Fault>) -> Result<Told, Result<R, Fault>> {
        let is_fault = answer.is_err();
        match self.places.get_mut(index as usize) {
            Some(place @ (Place::Missing | Place::BySession)) => *place = Place::Settled(answer),
            Some(Place::Settled(_) | Place::Taken) | None => return Err(answer),
        }
        let is_first = self.fresh.is_empty();
        self.fresh.push(index);
        self.n_missing -= 1;
        Ok(Told { is_complete: self.n_missing == 0, is_fault, is_first })
    }

    /// Whether it is missing, and the call did not go by a session.
    fn is_given(&self, index: u32) -> bool {
        matches!(self.places.get(index as usize), Some(Place::Missing))
    }
}

impl<R> Place<R> {
    fn take(&mut self) -> Option<Result<R, Fault>> {
        match mem::replace(self, Self::Taken) {
            Self::Settled(answer) => Some(answer),
            Self::Missing | Self::BySession | Self::Taken => None,
        }
    }
}
