//! The answers to many calls in one place: one allocation, one wake-up and one deadline for all of them.

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use mesh_core::{Fault, PeerId, WhyUndelivered};
use tokio::sync::Notify;

use crate::broadcast::Callees;

/// Where the answers go.
pub(crate) struct Gather<R> {
    state: Mutex<State<R>>,
    /// Who was called past a session, and has answered only as long as that lasts.
    callees: Option<Arc<dyn Callees>>,
    wakes: Wakes,
    is_abandoned: AtomicBool,
    /// Some places were settled because a session has ended: whoever was to answer there need not.
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
    /// The same; the call went by a session, which says itself what becomes of it, also where the callee is near.
    BySession,
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
pub(crate) struct Slot<R> {
    gather: Arc<Gather<R>>,
    index: u32,
}

impl<R> Gather<R> {
    pub(crate) fn of(n: u32) -> Arc<Self> {
        Self::new(n, None, Wakes::AtTheEnd)
    }

    /// Answers of which some depend on a session: see [`lost`](Self::lost).
    pub(crate) fn of_callees(callees: Arc<dyn Callees>, wakes: Wakes) -> Arc<Self> {
        let n = u32::try_from(callees.size()).unwrap_or(u32::MAX);
        Self::new(n, Some(callees), wakes)
    }

    fn new(n: u32, callees: Option<Arc<dyn Callees>>, wakes: Wakes) -> Arc<Self> {
        let places: Vec<Place<R>> = (0..n).map(|_| Place::Missing).collect();
        let (n_missing, fresh) = (places.len(), Vec::with_capacity(places.len()));
        let state = State { places, fresh, n_missing, waker: None };
        let (is_abandoned, has_lost) = (AtomicBool::new(false), AtomicBool::new(false));
        let (state, abandoned) = (Mutex::new(state), Notify::new());
        Arc::new(Self { state, callees, wakes, is_abandoned, has_lost, abandoned })
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

    /// A session with a peer has ended: what was called past it and is still to come will not, and whoever was to answer
    /// is told that nobody waits.
    pub(crate) fn lost(&self, peer: PeerId) {
        let Some(callees) = &self.callees else { return };
        let is_lost = |place: &usize| {
            callees.near(*place).is_some_and(|near| near.peer() == peer && !near.is_open())
        };
        // Without the lock: of most peers nobody was called.
        let mut lost = (0..callees.size()).filter(is_lost).peekable();
        if lost.peek().is_none() {
            return;
        }
        let mut state = self.lock();
        let (mut waker, mut is_settled) = (None, false);
        for index in lost.filter_map(|place| u32::try_from(place).ok()) {
            if state.is_given(index) && state.settle(index, Err(PEER_LOST)).is_ok() {
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

    /// Whether the session has ended that this one was called past, if it was. It has before anybody is told so.
    fn is_lost(&self, index: u32) -> bool {
        let near = self.callees.as_ref().and_then(|callees| callees.near(index as usize));
        near.is_some_and(|near| !near.is_open())
    }

    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> State<R> {
    fn settle(&mut self, index: u32, answer: Result<R, Fault>) -> Result<(), Result<R, Fault>> {
        match self.places.get_mut(index as usize) {
            Some(place @ (Place::Missing | Place::BySession)) => *place = Place::Settled(answer),
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
        matches!(self.places.get(index as usize), Some(Place::Missing | Place::BySession))
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

impl<R> Slot<R> {
    /// Answers. It comes back if nobody waits for it any more, or if the session has ended that the call was given past:
    /// then that is the answer, though nobody may have noticed it yet.
    pub(crate) fn settle(&self, answer: Result<R, Fault>) -> Result<(), Result<R, Fault>> {
        let mut state = self.gather.lock();
        // Under the lock: who polls after the end of the session has been given the answer before, or never is.
        let is_lost = self.gather.is_lost(self.index);
        let (answer, unheard) = match is_lost && state.is_given(self.index) {
            true => (Err(PEER_LOST), Err(answer)),
            false => (answer, Ok(())),
        };
        let is_fault = answer.is_err();
        state.settle(self.index, answer)?;
        let is_woken = match self.gather.wakes {
            Wakes::AtTheEnd => is_fault || state.n_missing == 0,
            Wakes::ForEach => true,
        };
        let waker = if is_woken { state.waker.take() } else { None };
        drop(state);
        wake(waker);
        unheard
    }

    /// The call goes by a session after all.
    pub(crate) fn goes_by_session(&self) {
        let mut state = self.gather.lock();
        if let Some(place @ Place::Missing) = state.places.get_mut(self.index as usize) {
            *place = Place::BySession;
        }
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

impl<R> fmt::Debug for Slot<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Outside of the lock: whoever is woken may run at once.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// What is heard of who was called past a session that has ended.
const PEER_LOST: Fault = Fault::Undelivered(WhyUndelivered::PeerLost);

#[cfg(test)]
mod tests;
