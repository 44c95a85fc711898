//! The deadlines of all calls that have no answer yet, in one table that one task sweeps: a timer for
//! each call would cost more than the call.
//!
//! Where there are many calls the sweeper looks every few milliseconds, and no call reads a clock: its time
//! counts from the first look that finds it. Most are answered before that.
//!
//! The sweeper is told of deadlines on the control thread, where there is one: each timer that a runtime has makes its
//! waits for sockets dearer, and so every call. What has passed is still settled by the runtime of those who
//! call, after it has looked at its sockets: where it was blocked, an answer may have come in time.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, yield_now};
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
    /// Not later than the earliest deadline that is known.
    earliest: Option<Instant>,
    /// The sweeper looks every [`LOOK`], because there are many calls.
    is_busy: bool,
    /// Those that no look has found yet.
    fresh: Vec<usize>,
    /// There were more of those than it is worth to know one by one.
    is_all_fresh: bool,
    /// How many calls have read a clock since the sweeper looked last.
    n_clocks: usize,
}

#[derive(Debug)]
struct Pending {
    due: Due,
    waker: Waker,
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    At(Instant),
    /// So long after it is found.
    In(Duration),
    /// It is past the end of time.
    Never,
}

impl Deadlines {
    /// Wakes those whose deadline has passed, for as long as it is run. They are on `callers`; the sweeper may be
    /// elsewhere.
    pub(crate) async fn sweep(self: Arc<Self>, callers: Handle) {
        let mut looks_at = None;
        loop {
            tokio::select! {
                biased;
                () = self.is_early.notified() => (),
                () = sleep_until_or_never(looks_at) => (),
            }
            let has_passed;
            (has_passed, looks_at) = self.lock().look(Instant::now());
            if has_passed {
                let soon = Instant::now() + LOOK;
                looks_at = match callers.spawn(Arc::clone(&self).settle()).await {
                    Ok((n_over, next)) if n_over > 0 => next,
                    // All were answered, or the clock of that runtime stands still.
                    Ok((_, next)) => next.map(|next| next.max(soon)),
                    // Nobody calls any more on a runtime that has ended.
                    Err(error) if error.is_cancelled() => return,
                    // Whoever was to be woken has panicked: the others have deadlines, too.
                    Err(_) => Some(soon),
                };
            }
        }
    }

    /// The same on `control`, and where that ends before `callers`, there. Whoever drops it ends it.
    pub(crate) async fn sweep_from(self: Arc<Self>, control: Handle, callers: Handle) {
        let sweep = control.spawn(Arc::clone(&self).sweep(callers.clone()));
        let _ends = Abort(sweep.abort_handle());
        _ = sweep.await.is_ok();
        self.sweep(callers).await;
    }

    /// Wakes those whose deadline has passed, after what has arrived before. Returns how many they are, and when to
    /// look again.
    async fn settle(self: Arc<Self>) -> (usize, Option<Instant>) {
        // Comes back after the runtime has looked at its sockets, behind whoever that has woken.
        yield_now().await;
        let (over, next) = self.lock().settle(Instant::now());
        let n_over = over.len();
        over.into_iter().for_each(Waker::wake);
        (n_over, next)
    }

    /// From now on `waker` is woken when the deadline has passed.
    fn insert(&self, within: Duration, waker: Waker) -> usize {
        let (key, is_early) = self.lock().insert(within, waker, Instant::now);
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

/// Ends a task when it is dropped.
struct Abort(AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Table {
    /// Returns the key, and whether the sweeper is to look earlier than it meant to.
    fn insert(
        &mut self,
        within: Duration,
        waker: Waker,
        now: impl FnOnce() -> Instant,
    ) -> (usize, bool) {
        if self.is_busy && within >= LONG {
            let key = self.pending.insert(Pending { due: Due::In(within), waker, is_over: false });
            // More than there are calls have ended since, and it costs no more to look at all.
            if self.fresh.len() < self.pending.len().max(FRESH) {
                self.fresh.push(key);
            } else {
                self.is_all_fresh = true;
            }
            return (key, false);
        }
        let due = Due::of(now(), within);
        let key = self.pending.insert(Pending { due, waker, is_over: false });
        self.n_clocks += 1;
        self.is_busy |= self.n_clocks >= MANY;
        (key, self.is_earliest(due) || self.n_clocks == MANY)
    }

    /// Notes a deadline. Whether it is the earliest one.
    fn is_earliest(&mut self, due: Due) -> bool {
        let Due::At(at) = due else { return false };
        let is_earliest = self.earliest.is_none_or(|earliest| at < earliest);
        if is_earliest {
            self.earliest = Some(at);
        }
        is_earliest
    }

    /// Whether its deadline has passed; if not, `waker` is woken when it has.
    fn is_over(&mut self, key: usize, waker: &Waker) -> bool {
        let Some(pending) = self.pending.get_mut(key) else { return false };
        if !pending.is_over && !pending.waker.will_wake(waker) {
            pending.waker = waker.clone();
        }
        pending.is_over
    }

    /// Whether any deadline has passed, and when to look again.
    fn look(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let n_found = self.fresh.len() + self.n_clocks;
        self.is_busy = n_found >= MANY;
        self.n_clocks = 0;
        let mut fresh = mem::take(&mut self.fresh);
        if mem::take(&mut self.is_all_fresh) {
            fresh.clear();
            self.find_all(now);
        }
        for key in fresh.drain(..) {
            if let Some(pending) = self.pending.get_mut(key) {
                let due = pending.due.found(now);
                pending.due = due;
                self.is_earliest(due);
            }
        }
        self.fresh = fresh;
        let has_passed = self.earliest.is_some_and(|earliest| earliest <= now);
        (has_passed, self.next_look(now))
    }

    /// Those whose deadline has passed, each once, and when to look again.
    fn settle(&mut self, now: Instant) -> (Vec<Waker>, Option<Instant>) {
        let mut over = Vec::new();
        let unsettled = self.pending.iter_mut().filter(|(_, pending)| !pending.is_over);
        for (_, pending) in unsettled.filter(|(_, pending)| pending.due.has_passed(now)) {
            pending.is_over = true;
            over.push(mem::replace(&mut pending.waker, Waker::noop().clone()));
        }
        self.find_all(now);
        (over, self.next_look(now))
    }

    /// Looks at all. What is left decides which is the earliest.
    fn find_all(&mut self, now: Instant) {
        self.earliest = None;
        for (_, pending) in self.pending.iter_mut().filter(|(_, pending)| !pending.is_over) {
            pending.due = pending.due.found(now);
            let Due::At(at) = pending.due else { continue };
            if self.earliest.is_none_or(|earliest| at < earliest) {
                self.earliest = Some(at);
            }
        }
    }

    fn next_look(&self, now: Instant) -> Option<Instant> {
        let next = self.is_busy.then(|| now + LOOK);
        [self.earliest, next].into_iter().flatten().min()
    }
}

impl Due {
    fn of(now: Instant, within: Duration) -> Self {
        now.checked_add(within).map_or(Self::Never, Self::At)
    }

    fn has_passed(self, now: Instant) -> bool {
        matches!(self, Self::At(at) if at <= now)
    }

    /// The same, once it has been found.
    fn found(self, now: Instant) -> Self {
        match self {
            Self::In(within) => Self::of(now, within),
            Self::At(_) | Self::Never => self,
        }
    }
}

/// The deadline of one call. It counts from the first time that it is asked, or where there are many calls from a
/// few milliseconds later; never from before.
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
                self.key = Some(self.deadlines.insert(self.within, waker.clone()));
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

/// How often the sweeper looks where there are many calls: so much longer than it says a deadline may last.
const LOOK: Duration = Duration::from_millis(5);

/// So many calls between two looks are many.
const MANY: usize = 32;

/// Shorter deadlines are always counted by the clock.
const LONG: Duration = Duration::from_millis(500);

/// So many fresh ones are known one by one, however few calls there are.
const FRESH: usize = 64;

async fn sleep_until_or_never(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noop() -> Waker {
        Waker::noop().clone()
    }

    /// How many deadlines have passed, and when to look again.
    fn looked(table: &mut Table, now: Instant) -> (usize, Option<Instant>) {
        let (has_passed, next) = table.look(now);
        if !has_passed {
            return (0, next);
        }
        let (over, next) = table.settle(now);
        (over.len(), next)
    }

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
            let (key, is_early) = table.insert(Duration::from_millis(ms), noop(), || start);
            let earliest = naive.0.iter().map(|(_, at)| *at).min();
            naive.0.push((key, at(ms)));
            assert_eq!(is_early, earliest.is_none_or(|earliest| at(ms) < earliest));
            key
        };
        let [late, early, later] = [add(&mut table, 50), add(&mut table, 20), add(&mut table, 90)];
        assert_eq!(table.look(at(1)).1, Some(at(20)));

        assert_eq!(looked(&mut table, at(60)), (2, Some(at(90))), "two have passed");
        let over = [late, early, later].map(|key| table.is_over(key, Waker::noop()));
        assert_eq!(over, [true, true, false]);
        assert_eq!(looked(&mut table, at(60)).0, 0, "each is woken once");
        table.pending.remove(later);
        assert_eq!(looked(&mut table, at(90)), (0, None), "nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_calls_none_reads_a_clock_and_each_deadline_counts_from_the_next_look() {
        let (start, within) = (Instant::now(), Duration::from_secs(10));
        let mut table = Table::default();
        let calls = (1..=MANY).map(|_| table.insert(within, noop(), || start));
        let are_early: Vec<bool> = calls.map(|(_, is_early)| is_early).collect();
        let told: Vec<usize> = (0..MANY).filter(|nth| are_early[*nth]).collect();
        assert_eq!(told, [0, MANY - 1], "of the first deadline, and that there are many");
        assert_eq!(table.look(start).1, Some(start + LOOK));

        let no_clock = || panic!("a clock is read");
        let (found, is_early) = table.insert(within, noop(), no_clock);
        assert!(!is_early);
        // One that has an answer before the look, and one more in its place.
        let (gone, _) = table.insert(within, noop(), no_clock);
        table.pending.remove(gone);
        assert_eq!(table.insert(within, noop(), no_clock).0, gone);
        let (_, is_early) = table.insert(LONG / 2, noop(), || start);
        assert!(is_early, "a short one is not late");

        let look = start + LOOK;
        assert_eq!(looked(&mut table, look), (0, Some(start + LONG / 2)), "they are few again");
        let (n_over, _) = looked(&mut table, start + within);
        assert_eq!(n_over, MANY + 1, "those that have read the clock");
        let last = look + within;
        assert!(!table.is_over(found, Waker::noop()));
        assert_eq!(looked(&mut table, last - LOOK / 2), (0, Some(last)));
        assert_eq!(looked(&mut table, last).0, 2);
        assert!(table.is_over(found, Waker::noop()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_look_has_found_is_bounded_by_what_is_pending() {
        let (start, within) = (Instant::now(), Duration::from_secs(10));
        let mut table = Table { is_busy: true, ..Table::default() };
        for _ in 0..10 * FRESH {
            let (key, _) = table.insert(within, noop(), || start);
            table.pending.remove(key);
        }
        let (key, _) = table.insert(within, noop(), || start);
        assert_eq!((table.fresh.len(), table.pending.len()), (FRESH, 1));
        assert_eq!(looked(&mut table, start), (0, Some(start + LOOK)));
        assert_eq!(looked(&mut table, start + LOOK), (0, Some(start + within)));
        looked(&mut table, start + within);
        assert!(table.is_over(key, Waker::noop()), "it was found with all others");
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
        let start = Instant::now();
        for is_busy in [false, true] {
            let mut table = Table { is_busy, ..Table::default() };
            table.insert(Duration::MAX, noop(), || start);
            assert_eq!(looked(&mut table, start + 1000 * LONG), (0, None));
        }
    }
}
