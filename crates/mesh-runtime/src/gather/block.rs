//! `Block`: some of the places of a gathering, under one lock.

use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

use mesh_core::Fault;

use super::{Hub, PEER_LOST, Placed};
use crate::sync::{self, Mutex, MutexGuard};

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

/// What it means that a place was settled.
#[derive(Clone, Copy)]
pub(super) struct Settled {
    /// Nothing else of the block is there to be taken.
    pub(super) is_first: bool,
    /// None of its places is missing any more.
    pub(super) is_last: bool,
    pub(super) is_fault: bool,
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

    /// Settles a place, and returns who is to be woken. The answer comes back if it is settled already.
    pub(super) fn settle(
        &self,
        index: u32,
        answer: Result<R, Fault>,
    ) -> Result<(Option<Waker>, Unheard<R>), Result<R, Fault>> {
        let mut places = self.lock();
        // Under the lock: who polls after the end of the session has been given the answer before, or never is.
        let is_lost = self.hub.is_lost(self.range.start + index);
        let (settled, unheard) = match is_lost && places.is_given(index) {
            true => (places.settle(index, Err(PEER_LOST))?, Some(answer)),
            false => (places.settle(index, answer)?, None),
        };
        Ok((self.hub.hear(self.number, settled), unheard))
    }

    /// The session has ended that a place was called past: if that is news, who is to be woken.
    pub(super) fn lose(&self, index: u32) -> Option<Option<Waker>> {
        let mut places = self.lock();
        if !places.is_given(index) {
            return None;
        }
        let settled = places.settle(index, Err(PEER_LOST)).ok()?;
        Some(self.hub.hear(self.number, settled))
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
    fn settle(
        &mut self,
        index: u32,
        answer: Result<R, Fault>,
    ) -> Result<Settled, Result<R, Fault>> {
        let is_fault = answer.is_err();
        match self.places.get_mut(index as usize) {
            Some(place @ (Place::Missing | Place::BySession)) => *place = Place::Settled(answer),
            Some(Place::Settled(_) | Place::Taken) | None => return Err(answer),
        }
        let is_first = self.fresh.is_empty();
        self.fresh.push(index);
        self.n_missing -= 1;
        Ok(Settled { is_first, is_last: self.n_missing == 0, is_fault })
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
