//! The answers to many calls in one place: one allocation, one wake-up and one deadline for all of them.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use mesh_core::{Fault, PeerId, WhyUndelivered};
use tokio::sync::Notify;

/// Where the answers go.
#[derive(Debug)]
pub(crate) struct Gather<R> {
    state: Mutex<State<R>>,
    /// Whose session each of them depends on, in the order of the places; of those behind the last, nobody's.
    peers: Vec<Option<PeerId>>,
    wakes: Wakes,
    is_abandoned: AtomicBool,
    /// Some places were settled because a peer was lost: whoever was to answer there need not.
    has_lost: AtomicBool,
    abandoned: Notify,
}

#[derive(Debug)]
struct State<R> {
    places: Vec<Place<R>>,
    /// The places that were settled and not taken yet, in that order.
    fresh: Vec<u32>,
    n_missing: usize,
    waker: Option<Waker>,
}

/// What has become of one call.
#[derive(Debug)]
enum Place<R> {
    Missing,
    Settled(Result<R, Fault>),
    Taken,
}

/// Answers that have come, each with its place, in the order in which they came.
pub type Placed<R> = Vec<(u32, Result<R, Fault>)>;

/// When whoever gathers is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakes {
    /// When all is there, and at each fault: what it means may have to be found out.
    AtTheEnd,
    /// For each answer, unless it was woken since it looked last.
    ForEach,
}

/// The place of one answer.
#[derive(Debug)]
pub(crate) struct Slot<R> {
    gather: Arc<Gather<R>>,
    index: u32,
}

impl<R> Gather<R> {
    pub(crate) fn of(n: u32) -> Arc<Self> {
        Self::from_peers(n, Vec::new(), Wakes::AtTheEnd)
    }

    /// Answers of which some depend on a session with a peer: see [`lost`](Self::lost).
    pub(crate) fn from_peers(n: u32, peers: Vec<Option<PeerId>>, wakes: Wakes) -> Arc<Self> {
        let places: Vec<Place<R>> = (0..n).map(|_| Place::Missing).collect();
        let (n_missing, fresh) = (places.len(), Vec::with_capacity(places.len()));
        let state = State { places, fresh, n_missing, waker: None };
        let (is_abandoned, has_lost) = (AtomicBool::new(false), AtomicBool::new(false));
        let (state, abandoned) = (Mutex::new(state), Notify::new());
        Arc::new(Self { state, peers, wakes, is_abandoned, has_lost, abandoned })
    }

    pub(crate) fn slot(self: &Arc<Self>, index: u32) -> Slot<R> {
        Slot { gather: Arc::clone(self), index }
    }

    /// All answers, once all are there; `waker` is woken then.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Vec<Option<Result<R, Fault>>>> {
        let mut state = self.lock();
        if state.n_missing == 0 {
            return Poll::Ready(state.take_all());
        }
        state.register(waker);
        Poll::Pending
    }

    /// The answers that have come since the last time, each with its place; `None` after the last.
    pub(crate) fn poll_some(&self, waker: &Waker) -> Poll<Option<Placed<R>>> {
        let mut state = self.lock();
        if state.fresh.is_empty() {
            if state.n_missing == 0 {
                return Poll::Ready(None);
            }
            state.register(waker);
            return Poll::Pending;
        }
        let State { places, fresh, .. } = &mut *state;
        let take = |index: u32| Some((index, places.get_mut(index as usize)?.take()?));
        let mut some = Vec::with_capacity(fresh.len());
        some.extend(fresh.drain(..).filter_map(take));
        Poll::Ready(Some(some))
    }

    /// Nobody waits any more. What has been answered so far.
    pub(crate) fn abandon(&self) -> Vec<Option<Result<R, Fault>>> {
        self.is_abandoned.store(true, Ordering::Release);
        self.abandoned.notify_waiters();
        self.lock().take_all()
    }

    /// Nothing leads to a peer any more: what is still to come from there will not, and whoever was to answer is told
    /// that nobody waits.
    pub(crate) fn lost(&self, peer: PeerId) {
        let mut state = self.lock();
        let (mut waker, mut is_settled) = (None, false);
        for (index, _) in (0..).zip(&self.peers).filter(|(_, of)| **of == Some(peer)) {
            let fault = Fault::Undelivered(WhyUndelivered::PeerLost);
            if state.settle(index, Err(fault)).is_ok() {
                waker = waker.or_else(|| state.waker.take());
                is_settled = true;
            }
        }
        if is_settled {
            self.has_lost.store(true, Ordering::Release);
        }
        drop(state);
        if is_settled {
            self.abandoned.notify_waiters();
        }
        wake(waker);
    }

    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> State<R> {
    fn settle(&mut self, index: u32, answer: Result<R, Fault>) -> Result<(), Result<R, Fault>> {
        match self.places.get_mut(index as usize) {
            Some(place @ Place::Missing) => *place = Place::Settled(answer),
            Some(Place::Settled(_) | Place::Taken) | None => return Err(answer),
        }
        self.fresh.push(index);
        self.n_missing -= 1;
        Ok(())
    }

    fn register(&mut self, waker: &Waker) {
        if self.waker.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }

    fn take_all(&mut self) -> Vec<Option<Result<R, Fault>>> {
        mem::take(&mut self.places).into_iter().map(|mut place| place.take()).collect()
    }

    fn is_missing(&self, index: u32) -> bool {
        matches!(self.places.get(index as usize), Some(Place::Missing))
    }
}

impl<R> Place<R> {
    fn take(&mut self) -> Option<Result<R, Fault>> {
        match mem::replace(self, Self::Taken) {
            Self::Settled(answer) => Some(answer),
            Self::Missing | Self::Taken => None,
        }
    }
}

impl<R> Slot<R> {
    /// Answers. It comes back if nobody waits for it any more.
    pub(crate) fn settle(&self, answer: Result<R, Fault>) -> Result<(), Result<R, Fault>> {
        let is_fault = answer.is_err();
        let mut state = self.gather.lock();
        state.settle(self.index, answer)?;
        let is_woken = match self.gather.wakes {
            Wakes::AtTheEnd => is_fault || state.n_missing == 0,
            Wakes::ForEach => true,
        };
        let waker = if is_woken { state.waker.take() } else { None };
        drop(state);
        wake(waker);
        Ok(())
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.gather.is_abandoned.load(Ordering::Acquire)
            || self.gather.has_lost.load(Ordering::Acquire)
                && !self.gather.lock().is_missing(self.index)
    }

    /// Waits until nobody waits any more.
    pub(crate) async fn abandoned(&self) {
        loop {
            let told = self.gather.abandoned.notified();
            if self.is_abandoned() {
                return;
            }
            told.await;
        }
    }
}

/// Outside of the lock: whoever is woken may run at once.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
