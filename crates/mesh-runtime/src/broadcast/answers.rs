//! `Answers`: what many are answered with, wherever they are.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};

use mesh_core::PeerId;
use slab::Slab;

use crate::gather::{Gather, Placed, Wakes};
use crate::proc::Proc;
use crate::reply::ReplyTo;
use crate::sender::Sender;

use super::Near;

/// The answers to many calls, in one place: a wake-up for all of them, and few allocations.
///
/// Dropped, those who have not begun to handle theirs need not.
pub struct Answers<R: Send + 'static> {
    gather: Arc<Gather<R>>,
    proc: Proc,
    key: usize,
}

/// Those who are called together, each in its place.
pub trait Callees: Send + Sync + 'static {
    /// How many places there are.
    fn size(&self) -> usize;

    /// The actor that is called past its session from a place, if one is: it has answered only as long as that session
    /// lasts. Asked for each answer, so it is to be found at once.
    fn near(&self, place: usize) -> Option<&Near>;
}

impl Callees for Vec<Option<Near>> {
    fn size(&self) -> usize {
        self.len()
    }

    fn near(&self, place: usize) -> Option<&Near> {
        self.get(place)?.as_ref()
    }
}

/// What of a process depends on its peers.
#[derive(Default)]
pub(crate) struct Gathers(Mutex<Slab<Weak<dyn Dependent>>>);

/// Something that waits for peers.
trait Dependent: Send + Sync {
    /// A session with this one has ended.
    fn lost(&self, peer: PeerId);
}

impl<R: Send> Dependent for Gather<R> {
    fn lost(&self, peer: PeerId) {
        self.lost(peer);
    }
}

impl<R: Send + 'static> Answers<R> {
    /// Place for one answer of each of `callees`. With the session that a [near](crate::Near) one is called past it is
    /// lost, once for all: what it says later is not heard (R1). Of others it is said otherwise if there is no answer.
    #[must_use]
    pub fn new(from: &impl Sender, callees: Arc<dyn Callees>, wakes: Wakes) -> Self {
        let proc = from.origin().proc.clone();
        let gather = Arc::new(Gather::of_callees(callees, wakes));
        let weak = Arc::downgrade(&gather) as Weak<dyn Dependent>;
        // Before anything is sent: a session that ends later tells it, and one that has ended before is seen to have.
        let key = proc.remote().gathers.lock().insert(weak);
        Self { gather, proc, key }
    }

    /// Where the answer goes that has this place.
    pub fn reply_to(&self, place: u32) -> ReplyTo<R> {
        ReplyTo::gathered(self.gather.slot(place))
    }

    /// The answers that have come since the last time, each with its place, in no order; `None` after the last.
    pub fn poll(&mut self, waker: &Waker) -> Poll<Option<Placed<R>>> {
        self.gather.poll_some(waker)
    }
}

impl<R: Send + 'static> Drop for Answers<R> {
    fn drop(&mut self) {
        self.proc.remote().gathers.lock().remove(self.key);
        drop(self.gather.abandon());
    }
}

impl<R: Send + 'static> fmt::Debug for Answers<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("proc", &self.proc).finish_non_exhaustive()
    }
}

impl Gathers {
    /// A session with a peer has ended.
    pub(crate) fn lost(&self, peer: PeerId) {
        // Not under the lock: whoever is woken may run at once.
        let all: Vec<_> = self.lock().iter().filter_map(|(_, it)| it.upgrade()).collect();
        all.iter().for_each(|it| it.lost(peer));
    }

    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, Slab<Weak<dyn Dependent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
