//! The answers to many calls in one place: one allocation, one wake-up and one deadline for all of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use mesh_core::Fault;
use tokio::sync::Notify;

/// Where the answers go.
#[derive(Debug)]
pub(crate) struct Gather<R> {
    state: Mutex<State<R>>,
    is_abandoned: AtomicBool,
    abandoned: Notify,
}

#[derive(Debug)]
struct State<R> {
    answers: Vec<Option<Result<R, Fault>>>,
    n_missing: usize,
    waker: Option<Waker>,
}

/// The place of one answer.
#[derive(Debug)]
pub(crate) struct Slot<R> {
    gather: Arc<Gather<R>>,
    index: u32,
}

impl<R> Gather<R> {
    pub(crate) fn of(n: u32) -> Arc<Self> {
        let answers: Vec<Option<Result<R, Fault>>> = (0..n).map(|_| None).collect();
        let state = State { n_missing: answers.len(), answers, waker: None };
        let (is_abandoned, abandoned) = (AtomicBool::new(false), Notify::new());
        Arc::new(Self { state: Mutex::new(state), is_abandoned, abandoned })
    }

    pub(crate) fn slot(self: &Arc<Self>, index: u32) -> Slot<R> {
        Slot { gather: Arc::clone(self), index }
    }

    /// All answers, once all are there; `waker` is woken then.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Vec<Option<Result<R, Fault>>>> {
        let mut state = self.lock();
        if state.n_missing == 0 {
            return Poll::Ready(std::mem::take(&mut state.answers));
        }
        if state.waker.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        Poll::Pending
    }

    /// Nobody waits any more. What has been answered so far.
    pub(crate) fn abandon(&self) -> Vec<Option<Result<R, Fault>>> {
        self.is_abandoned.store(true, Ordering::Release);
        self.abandoned.notify_waiters();
        std::mem::take(&mut self.lock().answers)
    }

    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Slot<R> {
    /// Answers. It comes back if nobody waits for it any more.
    pub(crate) fn settle(&self, answer: Result<R, Fault>) -> Result<(), Result<R, Fault>> {
        let mut state = self.gather.lock();
        match state.answers.get_mut(self.index as usize) {
            Some(slot @ None) => *slot = Some(answer),
            Some(Some(_)) | None => return Err(answer),
        }
        state.n_missing -= 1;
        let waker = if state.n_missing == 0 { state.waker.take() } else { None };
        drop(state);
        // Outside of the lock: whoever is woken may run at once.
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.gather.is_abandoned.load(Ordering::Acquire)
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
