//! Every metric of this crate: its name, unit and labels.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use mesh_core::{End, WhyUndelivered};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

/// Actors that live, by `actor`, the name of their type.
const ACTORS: &str = "meshwarden_actors";
/// Actors that have failed, by `actor` and `cause`.
const FAILURES_TOTAL: &str = "meshwarden_actor_failures_total";
/// Messages that were begun, by `actor`.
const MESSAGES_TOTAL: &str = "meshwarden_actor_messages_total";
/// How long handlers ran, from their begin to their end, by `actor`: of the first message of each actor, and
/// of one in [`SAMPLED`] after it.
const HANDLER_SECONDS: &str = "meshwarden_actor_handler_seconds";
/// Messages that wait in the mailboxes of actors that do something, by `actor`, as a watchdog saw them last.
const MAILBOX_MESSAGES: &str = "meshwarden_actor_mailbox_messages";
/// How long something that a runtime could run had to wait for that, by `runtime`: what a watchdog gives it
/// while it is busy, and on the control thread the watchdog itself.
const LAG_SECONDS: &str = "meshwarden_runtime_lag_seconds";
/// Actors that were started again, by `actor`.
const RESTARTS_TOTAL: &str = "meshwarden_actor_restarts_total";
/// Messages that came back to their senders, by `reason`.
const UNDELIVERED_TOTAL: &str = "meshwarden_undelivered_messages_total";
/// Messages that were not handled and do not come back to their senders.
const LOST_RETURNS_TOTAL: &str = "meshwarden_lost_returns_total";
/// Calls whose deadline passed.
const DEADLINES_TOTAL: &str = "meshwarden_call_deadlines_total";

/// The histograms of what is short as a rule: they need [`BUCKETS_SECONDS`].
pub const SHORT_SECONDS: &[&str] = &[HANDLER_SECONDS, LAG_SECONDS];

/// Bounds of buckets for [`SHORT_SECONDS`], in seconds: from a microsecond, in which a small message is
/// handled, to a minute.
pub const BUCKETS_SECONDS: &[f64] = &[
    1e-6, 2.5e-6, 1e-5, 2.5e-5, 1e-4, 2.5e-4, 1e-3, 2.5e-3, 1e-2, 2.5e-2, 0.1, 0.25, 1.0, 2.5,
    10.0, 60.0,
];

/// Gives the recorder the unit and the help text of each metric. Call once, after installing it: actors that are there by
/// then are counted by it from now on.
pub fn describe() {
    describe_gauge!(ACTORS, Unit::Count, "Actors that live.");
    describe_counter!(FAILURES_TOTAL, Unit::Count, "Actors that have failed.");
    describe_counter!(MESSAGES_TOTAL, Unit::Count, "Messages that were begun.");
    describe_histogram!(HANDLER_SECONDS, Unit::Seconds, "How long handlers ran; sampled.");
    describe_gauge!(MAILBOX_MESSAGES, Unit::Count, "Messages that wait; sampled.");
    describe_histogram!(LAG_SECONDS, Unit::Seconds, "How late a runtime runs what it could.");
    describe_counter!(RESTARTS_TOTAL, Unit::Count, "Actors that were started again.");
    describe_counter!(UNDELIVERED_TOTAL, Unit::Count, "Messages that could not be delivered.");
    describe_counter!(
        LOST_RETURNS_TOTAL,
        Unit::Count,
        "Undelivered messages that do not come back."
    );
    describe_counter!(DEADLINES_TOTAL, Unit::Count, "Calls not answered within their deadline.");
    // They are there before anything is counted, so that a scraper sees each rise (Prometheus: "avoid missing metrics").
    for reason in WhyUndelivered::LABELS.into_iter().chain([NO_ROOM]) {
        counter!(UNDELIVERED_TOTAL, "reason" => reason).increment(0);
    }
    counter!(LOST_RETURNS_TOTAL).increment(0);
    counter!(DEADLINES_TOTAL).increment(0);
    for kind in kinds().iter().filter_map(Weak::upgrade) {
        kind.is_recorded_anew();
    }
}

/// The metrics of the types of actors that there are.
static KINDS: Mutex<Vec<Weak<KindMetrics>>> = Mutex::new(Vec::new());

fn kinds() -> MutexGuard<'static, Vec<Weak<KindMetrics>>> {
    KINDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The metrics of a process. They are looked up each time, as they are seldom counted: a process may be there before the
/// recorder is.
#[derive(Debug)]
pub(crate) struct ProcMetrics;

/// The reason of what was not sent for want of room.
const NO_ROOM: &str = "no_room";

impl ProcMetrics {
    pub(crate) fn undelivered(&self, why: WhyUndelivered) {
        counter!(UNDELIVERED_TOTAL, "reason" => why.label()).increment(1);
    }

    /// So many were not sent at all; for lack of room, if it is not said why.
    pub(crate) fn not_sent(&self, why: Option<WhyUndelivered>, n: usize) {
        let reason = why.map_or(NO_ROOM, |why| why.label());
        counter!(UNDELIVERED_TOTAL, "reason" => reason).increment(n as u64);
    }

    pub(crate) fn lost_return(&self) {
        counter!(LOST_RETURNS_TOTAL).increment(1);
    }

    pub(crate) fn deadline_passed(&self) {
        counter!(DEADLINES_TOTAL).increment(1);
    }
}

/// The metrics of one type of actor in a process: they are counted too often to be looked up each time.
#[derive(Debug)]
pub(crate) struct KindMetrics {
    name: &'static str,
    n_alive: AtomicUsize,
    /// By the recorder that there was when the first of them was spawned.
    early: Recorded,
    /// By the one that was described after that.
    late: OnceLock<Recorded>,
}

/// Where a recorder keeps what it is told of one type of actor.
#[derive(Debug)]
struct Recorded {
    alive: Gauge,
    /// How many it was told that live.
    n_alive: AtomicUsize,
    restarts: Counter,
    messages: Counter,
    handler_seconds: Histogram,
}

impl Recorded {
    fn of(name: &'static str) -> Self {
        Self {
            alive: gauge!(ACTORS, "actor" => name),
            n_alive: AtomicUsize::new(0),
            restarts: counter!(RESTARTS_TOTAL, "actor" => name),
            messages: counter!(MESSAGES_TOTAL, "actor" => name),
            handler_seconds: histogram!(HANDLER_SECONDS, "actor" => name),
        }
    }

    /// So many live.
    fn tell_alive(&self, n: usize) {
        let told = self.n_alive.swap(n, Ordering::AcqRel);
        if n != told {
            self.alive.increment(n as f64 - told as f64);
        }
    }
}

impl KindMetrics {
    pub(crate) fn new(name: &'static str) -> Arc<Self> {
        // Nobody describes a recorder between the look for it and the entry.
        let mut kinds = kinds();
        let (n_alive, early, late) = (AtomicUsize::new(0), Recorded::of(name), OnceLock::new());
        let kind = Arc::new(Self { name, n_alive, early, late });
        if kinds.len() == kinds.capacity() {
            kinds.retain(|kind| kind.strong_count() > 0);
        }
        kinds.push(Arc::downgrade(&kind));
        kind
    }

    fn recorded(&self) -> &Recorded {
        self.late.get().unwrap_or(&self.early)
    }

    /// There is a recorder that may not have been there before; or is the same, and then has counted them once.
    fn is_recorded_anew(&self) {
        self.late.get_or_init(|| Recorded::of(self.name));
        self.early.tell_alive(0);
        self.tell_alive();
    }

    pub(crate) fn alive(self: &Arc<Self>) -> Alive {
        self.n_alive.fetch_add(1, Ordering::AcqRel);
        self.tell_alive();
        Alive(Arc::clone(self))
    }

    /// Tells how many there are. Whoever changes the number tells, so the last one tells the truth; and whoever was overtaken,
    /// by that or by another recorder, tells again.
    fn tell_alive(&self) {
        loop {
            // Either the recorder is seen that has just come, or who brings it sees the number that has just changed.
            fence(Ordering::SeqCst);
            let (recorded, n) = (self.recorded(), self.n_alive.load(Ordering::Acquire));
            recorded.tell_alive(n);
            fence(Ordering::SeqCst);
            if !std::ptr::eq(recorded, self.recorded()) {
                recorded.tell_alive(0);
            } else if self.n_alive.load(Ordering::Acquire) == n {
                return;
            }
        }
    }

    /// So many more messages were begun.
    pub(crate) fn begun(&self, n: usize) {
        self.recorded().messages.increment(n as u64);
    }

    pub(crate) fn handled_in(&self, time: Duration) {
        self.recorded().handler_seconds.record(time.as_secs_f64());
    }

    pub(crate) fn restarted(&self) {
        self.recorded().restarts.increment(1);
    }
}

/// One message in so many is timed: a clock that is read twice costs as much as a small message.
pub(crate) const SAMPLED: u8 = 64;

/// How late a runtime is, by its name: looked up each time, as the metrics of a process are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lag(&'static str);

impl Lag {
    pub(crate) const fn of_user() -> Self {
        Self("user")
    }

    pub(crate) const fn of_control() -> Self {
        Self("control")
    }

    pub(crate) fn record(&self, late: Duration) {
        histogram!(LAG_SECONDS, "runtime" => self.0).record(late.as_secs_f64());
    }
}

/// How many messages wait, by the type of their actors: of one process, as it was seen last.
#[derive(Debug, Default)]
pub(crate) struct Waiting(BTreeMap<&'static str, (Gauge, usize)>);

impl Waiting {
    /// So many wait now, and none for other types.
    pub(crate) fn update(&mut self, now: &BTreeMap<&'static str, usize>) {
        for (name, n) in now {
            let fresh = || (gauge!(MAILBOX_MESSAGES, "actor" => *name), 0);
            let (gauge, before) = self.0.entry(name).or_insert_with(fresh);
            gauge.increment(*n as f64 - std::mem::replace(before, *n) as f64);
        }
        for (name, (gauge, before)) in &mut self.0 {
            if !now.contains_key(name) {
                gauge.decrement(std::mem::take(before) as f64);
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.update(&BTreeMap::new());
    }
}

/// One living actor.
#[derive(Debug)]
pub(crate) struct Alive(Arc<KindMetrics>);

impl Alive {
    /// It has ended.
    pub(crate) fn ended(&self, end: &End) {
        if let End::Failed(cause) = end {
            let cause = cause.reason.label();
            counter!(FAILURES_TOTAL, "actor" => self.0.name, "cause" => cause).increment(1);
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.n_alive.fetch_sub(1, Ordering::AcqRel);
        self.0.tell_alive();
    }
}
