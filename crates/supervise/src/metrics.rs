//! Every metric of supervision: its name, unit and labels. Recorded here only; the core knows nothing
//! of it.
//!
//! Labels: `mesh_kind` (`host`, `proc`, `actor`, or yours), `mesh` (the name the user gave it),
//! `status`, `cause`. Never a rank.

use std::time::Duration;

use mesh_core::{Failures, MeshLabel, StatusKind};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

/// Checks that started more than one period late, by `mesh_kind` (L4).
pub const STALLS: &str = "meshwarden_controller_stalls_total";
/// How late each check started, by `mesh_kind`.
pub const LATENESS: &str = "meshwarden_controller_lateness_seconds";
/// Ranks by `mesh`, `mesh_kind` and `status`.
pub const RANKS: &str = "meshwarden_ranks";
/// Ranks told as failed to their owner, by `mesh_kind` and `cause`.
pub const FAILURES: &str = "meshwarden_rank_failures_total";
/// Ranks started again, by `mesh_kind`.
pub const RESTARTS: &str = "meshwarden_restarts_total";
/// From the evidence of a failure until its owner's handler was entered, by `mesh_kind`.
pub const DETECTION: &str = "meshwarden_detection_seconds";
/// Times that a subscriber was too slow and got a snapshot instead, by `mesh_kind` (N7).
pub const LAGS: &str = "meshwarden_subscriber_lags_total";
/// Subscriptions and questions that were refused, by `mesh_kind`.
pub const REFUSALS: &str = "meshwarden_refusals_total";

/// The bounds of the buckets of every histogram here, in seconds: an exporter must set them.
pub const BUCKETS_SECONDS: &[f64] =
    &[0.000_1, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The kinds of mesh that Meshwarden itself supervises.
const KINDS: [&str; 3] = ["host", "proc", "actor"];

/// The values of the label `cause`.
const CAUSES: [&str; 11] = [
    "panic",
    "error",
    "exit",
    "signal",
    "oom",
    "orphaned",
    "lost",
    "launch",
    "not_ready",
    "closed",
    "timeout",
];

/// Gives the recorder the help and unit of each metric, and makes those that count from nothing show
/// at zero for every kind. Call it right after installing the recorder.
pub fn describe() {
    describe_counter!(
        STALLS,
        Unit::Count,
        "Checks of a controller that started more than one period late."
    );
    describe_histogram!(LATENESS, Unit::Seconds, "How late each check of a controller started.");
    describe_gauge!(RANKS, Unit::Count, "Ranks of each mesh by status.");
    describe_counter!(FAILURES, Unit::Count, "Ranks told as failed to their owner, by cause.");
    describe_counter!(RESTARTS, Unit::Count, "Ranks that were started again.");
    describe_histogram!(
        DETECTION,
        Unit::Seconds,
        "From the evidence of a failure until the handler of its owner was entered."
    );
    describe_counter!(
        LAGS,
        Unit::Count,
        "Times that a subscriber was too slow and got a snapshot instead."
    );
    describe_counter!(REFUSALS, Unit::Count, "Subscriptions and questions that were refused.");
    for kind in KINDS {
        _ = KindMetrics::new(kind);
    }
}

/// The handles that all meshes of a kind share.
#[derive(Clone, Debug)]
struct KindMetrics {
    kind: String,
    stalls: Counter,
    lateness: Histogram,
    restarts: Counter,
    lags: Counter,
    refusals: Counter,
}

impl KindMetrics {
    fn new(kind: &str) -> Self {
        let label = || kind.to_owned();
        let metrics = Self {
            kind: label(),
            stalls: counter!(STALLS, "mesh_kind" => label()),
            lateness: histogram!(LATENESS, "mesh_kind" => label()),
            restarts: counter!(RESTARTS, "mesh_kind" => label()),
            lags: counter!(LAGS, "mesh_kind" => label()),
            refusals: counter!(REFUSALS, "mesh_kind" => label()),
        };
        metrics.stalls.increment(0);
        metrics.restarts.increment(0);
        metrics.lags.increment(0);
        metrics.refusals.increment(0);
        for cause in CAUSES {
            counter!(FAILURES, "mesh_kind" => label(), "cause" => cause).increment(0);
        }
        _ = histogram!(DETECTION, "mesh_kind" => label());
        metrics
    }
}

/// The metrics of one mesh. What its gauges hold is taken out again when it is dropped.
#[derive(Debug)]
pub(crate) struct MeshMetrics {
    of_kind: KindMetrics,
    ranks: [Gauge; StatusKind::ALL.len()],
    counts: [usize; StatusKind::ALL.len()],
}

impl MeshMetrics {
    pub(crate) fn new(mesh: &MeshLabel) -> Self {
        let ranks = StatusKind::ALL.map(|status| {
            let (kind, name) = (mesh.kind().to_owned(), mesh.name().to_owned());
            gauge!(RANKS, "mesh" => name, "mesh_kind" => kind, "status" => status.label())
        });
        for gauge in &ranks {
            gauge.increment(0.0);
        }
        Self { of_kind: KindMetrics::new(mesh.kind()), ranks, counts: [0; StatusKind::ALL.len()] }
    }

    /// Moves the gauges to these counts, by the difference: other meshes may share them.
    pub(crate) fn ranks(&mut self, counts: &[usize; StatusKind::ALL.len()]) {
        for ((gauge, old), new) in self.ranks.iter().zip(&mut self.counts).zip(counts) {
            if *old != *new {
                gauge.increment(*new as f64 - *old as f64);
                *old = *new;
            }
        }
    }

    /// A check started this late.
    pub(crate) fn checked(&self, lateness: Duration) {
        self.of_kind.lateness.record(lateness);
    }

    pub(crate) fn stalled(&self) {
        self.of_kind.stalls.increment(1);
    }

    pub(crate) fn restarted(&self, ranks: usize) {
        self.of_kind.restarts.increment(ranks as u64);
    }

    pub(crate) fn lagged(&self) {
        self.of_kind.lags.increment(1);
    }

    pub(crate) fn refused(&self) {
        self.of_kind.refusals.increment(1);
    }

    pub(crate) fn failed(&self, failures: &Failures) {
        for change in &failures.changes {
            let Some(cause) = change.status.cause_label() else { continue };
            counter!(FAILURES, "mesh_kind" => self.of_kind.kind.clone(), "cause" => cause)
                .increment(change.ranks.len() as u64);
        }
    }
}

impl Drop for MeshMetrics {
    fn drop(&mut self) {
        self.ranks(&[0; StatusKind::ALL.len()]);
    }
}

/// Measures how long failures took to reach their owner.
#[derive(Clone, Debug)]
pub(crate) struct Detection(Histogram);

impl Detection {
    pub(crate) fn new(mesh: &MeshLabel) -> Self {
        Self(histogram!(DETECTION, "mesh_kind" => mesh.kind().to_owned()))
    }

    pub(crate) fn record(&self, failures: &Failures) {
        for change in &failures.changes {
            let age = change.age.saturating_add(failures.waited);
            self.0.record_many(age.as_secs_f64(), change.ranks.len());
        }
    }
}
