//! The answers to many calls in one place: one wake-up and one deadline for all of them.
//!
//! The places stand in [blocks](block), each with a lock of its own: those who answer are on several threads, and most
//! often each of them is busy with other blocks.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Poll, Waker};

use mesh_core::{Fault, PeerId, WhyUndelivered};
use tokio::sync::Notify;

use crate::broadcast::Callees;
use crate::sync::{self, AtomicBool, Mutex, MutexGuard, Ordering};

use block::{Block, Settled};

mod block;

/// Where the answers go.
pub(crate) struct Gather<R> {
    hub: Arc<Hub>,
    blocks: Vec<Arc<Block<R>>>,
}

/// What the blocks of one gathering share.
struct Hub {
    /// Who was called past a session, and has answered only as long as that lasts.
    callees: Option<Arc<dyn Callees>>,
    wakes: Wakes,
    is_abandoned: AtomicBool,
    /// Some places were settled because a session has ended: whoever was to answer there need not.
    has_lost: AtomicBool,
    abandoned: Notify,
    desk: Mutex<Desk>,
}

/// What whoever gathers is told of.
struct Desk {
    /// How many blocks have a place that was not settled.
    n_open: usize,
    /// The blocks with something to take, each once.
    told: Vec<u32>,
    /// How many answers were taken.
    n_taken: usize,
    waker: Option<Waker>,
}

/// Answers that have come, each with its place.
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
    block: Arc<Block<R>>,
    /// In its block.
    index: u32,
}

impl<R> Gather<R> {
    pub(crate) fn of(n: u32) -> Self {
        Self::new(n, None, Wakes::AtTheEnd)
    }

    /// Answers of which some depend on a session: see [`lost`](Self::lost).
    pub(crate) fn of_callees(callees: Arc<dyn Callees>, wakes: Wakes) -> Self {
        let n = u32::try_from(callees.size()).unwrap_or(u32::MAX);
        Self::new(n, Some(callees), wakes)
    }

    fn new(n: u32, callees: Option<Arc<dyn Callees>>, wakes: Wakes) -> Self {
        let n_open = n.div_ceil(BLOCK) as usize;
        let desk = Desk { n_open, told: Vec::new(), n_taken: 0, waker: None };
        let (is_abandoned, has_lost) = (AtomicBool::new(false), AtomicBool::new(false));
        let (desk, abandoned) = (Mutex::new(desk), Notify::new());
        let hub = Arc::new(Hub { callees, wakes, is_abandoned, has_lost, abandoned, desk });
        let block = |number: u32| {
            let first = number * BLOCK;
            Arc::new(Block::new(&hub, number, first..n.min(first.saturating_add(BLOCK))))
        };
        let blocks = (0..n.div_ceil(BLOCK)).map(block).collect();
        Self { hub, blocks }
    }

    /// `None` if there is no such place.
    pub(crate) fn slot(&self, index: u32) -> Option<Slot<R>> {
        let block = self.blocks.get((index / BLOCK) as usize)?;
        let is_there = (index as usize) < block.end();
        is_there.then(|| Slot { block: Arc::clone(block), index: index % BLOCK })
    }

    /// All answers, once all are there; `waker` is woken then.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Vec<Option<Result<R, Fault>>>> {
        let mut desk = self.hub.lock();
        if desk.n_open == 0 {
            drop(desk);
            return Poll::Ready(self.take_all());
        }
        let old = desk.register(waker);
        drop(desk);
        drop(old);
        Poll::Pending
    }

    /// The answers that have come since the last time, each with its place; `None` after the last. One at a time asks.
    pub(crate) fn poll_some(&self, waker: &Waker) -> Poll<Option<Placed<R>>> {
        let mut desk = self.hub.lock();
        if desk.told.is_empty() {
            if desk.n_taken == self.size() {
                return Poll::Ready(None);
            }
            let old = desk.register(waker);
            drop(desk);
            drop(old);
            return Poll::Pending;
        }
        let told = mem::take(&mut desk.told);
        drop(desk);
        let mut some = Vec::new();
        let told = told.iter().filter_map(|number| self.blocks.get(*number as usize));
        told.for_each(|block| block.take_fresh(&mut some));
        self.hub.lock().n_taken += some.len();
        Poll::Ready(Some(some))
    }

    /// Nobody waits any more. What has been answered so far.
    pub(crate) fn abandon(&self) -> Vec<Option<Result<R, Fault>>> {
        self.hub.is_abandoned.store(true, Ordering::Release);
        self.hub.abandoned.notify_waiters();
        // Those that hold a place may do so for long.
        let waker = self.hub.lock().waker.take();
        drop(waker);
        self.take_all()
    }

    /// A session with a peer has ended: what was called past it and is still to come will not, and whoever was to answer
    /// is told that nobody waits.
    pub(crate) fn lost(&self, peer: PeerId) {
        let Some(callees) = &self.hub.callees else { return };
        let is_lost = |place: &u32| {
            callees.near(*place as usize).is_some_and(|it| it.peer() == peer && !it.is_open())
        };
        // Without a lock: of most peers nobody was called.
        let lost = (0..u32::try_from(self.size()).unwrap_or(u32::MAX)).filter(is_lost);
        let (mut wakers, mut is_any) = (Vec::new(), false);
        for Slot { block, index } in lost.filter_map(|place| self.slot(place)) {
            if let Some(waker) = block.lose(index) {
                is_any = true;
                wakers.extend(waker);
            }
        }
        if is_any {
            self.hub.has_lost.store(true, Ordering::Release);
            self.hub.abandoned.notify_waiters();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    fn take_all(&self) -> Vec<Option<Result<R, Fault>>> {
        let mut all = Vec::with_capacity(self.size());
        self.blocks.iter().for_each(|block| block.take_all(&mut all));
        all
    }

    fn size(&self) -> usize {
        self.blocks.last().map_or(0, |last| last.end())
    }
}

impl Hub {
    /// Whether the session has ended that this one was called past, if it was. It has before anybody is told so.
    fn is_lost(&self, place: u32) -> bool {
        let near = self.callees.as_ref().and_then(|callees| callees.near(place as usize));
        near.is_some_and(|near| !near.is_open())
    }

    /// A place of a block was settled. Returns who is to be woken, without a lock. Under that of the block: what can be
    /// taken is told of, and whoever takes it has all.
    fn hear(&self, block: u32, settled: Settled) -> Option<Waker> {
        let Settled { is_first, is_last, is_fault } = settled;
        if !is_first && !is_last && !is_fault {
            return None;
        }
        let mut desk = self.lock();
        desk.n_open -= usize::from(is_last);
        if is_first {
            desk.told.push(block);
        }
        let is_woken = match self.wakes {
            Wakes::AtTheEnd => is_fault || desk.n_open == 0,
            Wakes::ForEach => is_first,
        };
        if is_woken { desk.waker.take() } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        sync::lock(&self.desk)
    }
}

impl Desk {
    /// Whoever is to be woken. Returns who was before, to be dropped without the lock.
    fn register(&mut self, waker: &Waker) -> Option<Waker> {
        match &self.waker {
            Some(known) if known.will_wake(waker) => None,
            _ => self.waker.replace(waker.clone()),
        }
    }
}

impl<R> Slot<R> {
    /// Answers. It comes back if nobody waits for it any more, or if the session has ended that the call was given past:
    /// then that is the answer, though nobody may have noticed it yet.
    pub(crate) fn settle(&self, answer: Result<R, Fault>) -> Result<(), Result<R, Fault>> {
        let (waker, unheard) = self.block.settle(self.index, answer)?;
        // Whoever is woken may run at once.
        if let Some(waker) = waker {
            waker.wake();
        }
        unheard.map_or(Ok(()), Err)
    }

    /// The call goes by a session after all.
    pub(crate) fn goes_by_session(&self) {
        self.block.goes_by_session(self.index);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        let hub = self.block.hub();
        hub.is_abandoned.load(Ordering::Acquire)
            || hub.has_lost.load(Ordering::Acquire) && !self.block.is_missing(self.index)
    }

    /// Waits until nobody waits any more.
    pub(crate) async fn abandoned(&self) {
        loop {
            let told = self.block.hub().abandoned.notified();
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

/// How many places share a lock: some kilobytes of answers, as a rule.
const BLOCK: u32 = 64;

/// What is heard of who was called past a session that has ended.
const PEER_LOST: Fault = Fault::Undelivered(WhyUndelivered::PeerLost);

#[cfg(test)]
mod tests;
