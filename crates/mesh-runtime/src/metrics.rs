//! Every metric of this crate: its name, unit and labels.

use mesh_core::{End, WhyUndelivered};
use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Actors that live, by `actor`, the name of their type.
const ACTORS: &str = "meshwarden_actors";
/// Actors that have failed, by `actor` and `cause`.
const FAILURES_TOTAL: &str = "meshwarden_actor_failures_total";
/// Actors that were started again, by `actor`.
const RESTARTS_TOTAL: &str = "meshwarden_actor_restarts_total";
/// Messages that came back to their senders, by `reason`.
const UNDELIVERED_TOTAL: &str = "meshwarden_undelivered_messages_total";
/// Calls whose deadline passed.
const DEADLINES_TOTAL: &str = "meshwarden_call_deadlines_total";

/// Gives the recorder the unit and the help text of each metric. Call once, after installing it.
pub fn describe() {
    describe_gauge!(ACTORS, Unit::Count, "Actors that live.");
    describe_counter!(FAILURES_TOTAL, Unit::Count, "Actors that have failed.");
    describe_counter!(RESTARTS_TOTAL, Unit::Count, "Actors that were started again.");
    describe_counter!(UNDELIVERED_TOTAL, Unit::Count, "Messages that could not be delivered.");
    describe_counter!(DEADLINES_TOTAL, Unit::Count, "Calls not answered within their deadline.");
}

/// The metrics of a process. Made with it, after the recorder was installed.
#[derive(Debug)]
pub(crate) struct ProcMetrics {
    undelivered: [(WhyUndelivered, Counter); WhyUndelivered::ALL.len()],
    deadlines: Counter,
}

impl ProcMetrics {
    pub(crate) fn new() -> Self {
        Self {
            undelivered: WhyUndelivered::ALL
                .map(|why| (why, counter!(UNDELIVERED_TOTAL, "reason" => why.label()))),
            deadlines: counter!(DEADLINES_TOTAL),
        }
    }

    pub(crate) fn undelivered(&self, why: WhyUndelivered) {
        for (reason, counter) in &self.undelivered {
            if *reason == why {
                counter.increment(1);
            }
        }
    }

    pub(crate) fn deadline_passed(&self) {
        self.deadlines.increment(1);
    }
}

/// The metrics of one type of actor.
#[derive(Debug)]
pub(crate) struct KindMetrics {
    name: &'static str,
    alive: Gauge,
    restarts: Counter,
}

impl KindMetrics {
    pub(crate) fn new(name: &'static str) -> Self {
        let restarts = counter!(RESTARTS_TOTAL, "actor" => name);
        Self { name, alive: gauge!(ACTORS, "actor" => name), restarts }
    }

    pub(crate) fn alive(&self) -> Alive {
        self.alive.increment(1.0);
        Alive { name: self.name, gauge: self.alive.clone() }
    }

    pub(crate) fn restarted(&self) {
        self.restarts.increment(1);
    }
}

/// One living actor.
#[derive(Debug)]
pub(crate) struct Alive {
    name: &'static str,
    gauge: Gauge,
}

impl Alive {
    /// It has ended.
    pub(crate) fn ended(&self, end: &End) {
        if let End::Failed(cause) = end {
            let cause = cause.reason.label();
            counter!(FAILURES_TOTAL, "actor" => self.name, "cause" => cause).increment(1);
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}
