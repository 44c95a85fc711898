//! The deadlines of all calls that have no answer yet, in one table that one task sweeps: a timer for
//! each call would cost more than the call.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The pending calls of a process.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    table: Mutex<Table>,
    /// Told when the sweeper sleeps longer than it should.
    is_early: Notify,
}

/// Pure: time comes in as an argument.
#[derive(Debug, Default)]
struct Table {
    pending: Slab<Pending>,
    /// When the sweeper is going to look. Not later than the earliest deadline.
    wakes_at: Option<Instant>,
}

#[derive(Debug)]
struct Pending {
    at: Instant,
    waker: Waker,
    is_over: bool,
}

impl Deadlines {
    /// Wakes those whose deadline has passed, for as long as it is run.
    pub(crate) async fn sweep(self: Arc<Self>) {
        loop {
            let wakes_at = self.lock().wakes_at;
            tokio::select! {
                () = self.is_early.notified() => continue,
                () = sleep_until_or_never(wakes_at) => (),
            }
            let over = self.lock().sweep(Instant::now());
            over.into_iter().for_each(Waker::wake);
        }
    }

    /// From now on `waker` is woken when the deadline has passed.
    fn insert(&self, at: Instant, waker: Waker) -> usize {
        let (key, is_early) = self.lock().insert(at, waker);
        if is_early {
            self.is_early.notify_one();
        }
        key
    }

    /// A table that is poisoned is as good as any: nothing that can panic runs under its lock.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Returns the key, and whether the sweeper is to look earlier than it meant to.
    fn insert(&mut self, at: Instant, waker: Waker) -> (usize, bool) {
        let key = self.pending.insert(Pending { at, waker, is_over: false });
        let is_early = self.wakes_at.is_none_or(|wakes_at| at < wakes_at);
        if is_early {
            self.wakes_at = Some(at);
        }
        (key, is_early)
    }

    /// Whether its deadline has passed; if not, `waker` is woken when it has.
    fn is_over(&mut self, key: usize, waker: &Waker) -> bool {
        let Some(pending) = self.pending.get_mut(key) else { return false };
        if !pending.is_over && !pending.waker.will_wake(waker) {
            pending.waker = waker.clone();
        }
        pending.is_over
    }

    /// Those whose deadline has passed, each once. What is left decides when to look again.
    fn sweep(&mut self, now: Instant) -> Vec<Waker> {
        let mut over = Vec::new();
        self.wakes_at = None;
        for (_, pending) in self.pending.iter_mut().filter(|(_, pending)| !pending.is_over) {
            if pending.at <= now {
                pending.is_over = true;
                over.push(mem::replace(&mut pending.waker, Waker::noop().clone()));
            } else if self.wakes_at.is_none_or(|wakes_at| pending.at < wakes_at) {
                self.wakes_at = Some(pending.at);
            }
        }
        over
    }
}

/// The deadline of one call. It counts from the first time that it is asked.
#[derive(Debug)]
pub(crate) struct Deadline {
    deadlines: Arc<Deadlines>,
    within: Duration,
    key: Option<usize>,
}

impl Deadline {
    pub(crate) const fn new(deadlines: Arc<Deadlines>, within: Duration) -> Self {
        Self { deadlines, within, key: None }
    }

    /// How long the call may take.
    pub(crate) const fn within(&self) -> Duration {
        self.within
    }

    /// Gives the call another time. Before it is asked for the first time.
    pub(crate) const fn set(&mut self, within: Duration) {
        self.within = within;
    }

    /// Whether it has passed; if not, `waker` is woken when it has.
    pub(crate) fn is_over(&mut self, waker: &Waker) -> bool {
        match self.key {
            Some(key) => self.deadlines.lock().is_over(key, waker),
            None => {
                // A deadline past the end of time never comes.
                let Some(at) = Instant::now().checked_add(self.within) else { return false };
                self.key = Some(self.deadlines.insert(at, waker.clone()));
                false
            }
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.deadlines.lock().pending.try_remove(key);
        }
    }
}

async fn sleep_until_or_never(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as it should be: look at everything, always.
    #[derive(Default)]
    struct Naive(Vec<(usize, Instant)>);

    #[tokio::test(start_paused = true)]
    async fn the_sweeper_looks_when_the_earliest_deadline_passes() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut table = Table::default();
        let mut naive = Naive::default();
        let mut add = |table: &mut Table, ms| {
            let (key, is_early) = table.insert(at(ms), Waker::noop().clone());
            let earliest = naive.0.iter().map(|(_, at)| *at).min();
            naive.0.push((key, at(ms)));
            assert_eq!(is_early, earliest.is_none_or(|earliest| at(ms) < earliest));
            key
        };
        let [late, early, later] = [add(&mut table, 50), add(&mut table, 20), add(&mut table, 90)];
        assert_eq!(table.wakes_at, Some(at(20)));

        assert_eq!(table.sweep(at(60)).len(), 2, "two have passed");
        assert_eq!(table.wakes_at, Some(at(90)));
        let over = [late, early, later].map(|key| table.is_over(key, Waker::noop()));
        assert_eq!(over, [true, true, false]);
        assert_eq!(table.sweep(at(60)).len(), 0, "each is woken once");
        table.pending.remove(later);
        table.sweep(at(90));
        assert_eq!(table.wakes_at, None, "nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_deadline_leaves_nothing_behind() {
        let deadlines = Arc::new(Deadlines::default());
        let mut deadline = Deadline::new(Arc::clone(&deadlines), Duration::from_secs(1));
        assert!(!deadline.is_over(Waker::noop()));
        assert_eq!(deadlines.lock().pending.len(), 1);
        drop(deadline);
        assert_eq!(deadlines.lock().pending.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_past_the_end_of_time_never_comes() {
        let mut deadline = Deadline::new(Arc::default(), Duration::MAX);
        assert!(!deadline.is_over(Waker::noop()));
    }
}
