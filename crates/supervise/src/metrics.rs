//! Every metric of supervision: its name, unit and labels. Recorded here only; the core knows nothing
//! of it.
//!
//! Labels: `mesh_kind` (`host`, `proc`, `actor`, or yours), `mesh` (the name the user gave it),
//! `status`, `cause`. Never a rank.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mesh_core::{Failures, MeshLabel, StatusKind};
use metrics::{
    Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
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
const CAUSES: [&str; 13] = [
    "panic",
    "error",
    "exit",
    "signal",
    "oom",
    "orphaned",
    "lost",
    "launch",
    "not_ready",
    "inherited",
    "closed",
    "child",
    "timeout",
];

/// Gives the recorder the help and unit of each metric, and makes those that count from nothing show
/// at zero for every kind. Call it right after installing the recorder: meshes that are there by then are counted by it from
/// now on, and their ranks as many as they are.
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
    KINDS.into_iter().for_each(show);
    for ranks in meshes().iter().filter_map(Weak::upgrade) {
        locked(&ranks).are_recorded_anew();
    }
}

/// Of a kind of mesh, makes show what counts from nothing.
fn show(kind: &str) {
    let label = || kind.to_owned();
    for name in [STALLS, RESTARTS, LAGS, REFUSALS] {
        counter!(name, "mesh_kind" => label()).increment(0);
    }
    for cause in CAUSES {
        counter!(FAILURES, "mesh_kind" => label(), "cause" => cause).increment(0);
    }
    for name in [LATENESS, DETECTION] {
        _ = histogram!(name, "mesh_kind" => label());
    }
}

/// The ranks of the meshes that there are.
static MESHES: Mutex<Vec<Weak<Mutex<Ranks>>>> = Mutex::new(Vec::new());

fn meshes() -> MutexGuard<'static, Vec<Weak<Mutex<Ranks>>>> {
    MESHES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn locked(ranks: &Mutex<Ranks>) -> MutexGuard<'_, Ranks> {
    ranks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many ranks of one mesh are in each status, by a recorder. It is taken out again when this is dropped.
#[derive(Debug)]
struct Ranks {
    mesh: MeshLabel,
    gauges: [Gauge; StatusKind::ALL.len()],
    counts: [usize; StatusKind::ALL.len()],
}

impl Ranks {
    fn new(mesh: MeshLabel) -> Self {
        let gauges = Self::gauges(&mesh);
        Self { mesh, gauges, counts: [0; StatusKind::ALL.len()] }
    }

    /// Makes all that there is of a mesh show.
    fn gauges(mesh: &MeshLabel) -> [Gauge; StatusKind::ALL.len()] {
        show(mesh.kind());
        StatusKind::ALL.map(|status| {
            let (kind, name) = (mesh.kind().to_owned(), mesh.name().to_owned());
            let gauge =
                gauge!(RANKS, "mesh" => name, "mesh_kind" => kind, "status" => status.label());
            gauge.increment(0.0);
            gauge
        })
    }

    /// Moves the gauges to these counts, by the difference: other meshes may share them.
    fn tell(&mut self, counts: &[usize; StatusKind::ALL.len()]) {
        for ((gauge, old), new) in self.gauges.iter().zip(&mut self.counts).zip(counts) {
            if *old != *new {
                gauge.increment(*new as f64 - *old as f64);
                *old = *new;
            }
        }
    }

    /// There is a recorder that may not have been there before; or is the same, and counts them once all the same.
    fn are_recorded_anew(&mut self) {
        let counts = self.counts;
        self.tell(&[0; StatusKind::ALL.len()]);
        self.gauges = Self::gauges(&self.mesh);
        self.tell(&counts);
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        self.tell(&[0; StatusKind::ALL.len()]);
    }
}

/// The metrics of one mesh. But for its ranks they are looked up each time, as they are seldom counted: a mesh may be there
/// before the recorder is.
#[derive(Debug)]
pub(crate) struct MeshMetrics {
    kind: String,
    ranks: Arc<Mutex<Ranks>>,
}

impl MeshMetrics {
    pub(crate) fn new(mesh: &MeshLabel) -> Self {
        // Nobody describes a recorder between the look for it and the entry.
        let mut meshes = meshes();
        let ranks = Arc::new(Mutex::new(Ranks::new(mesh.clone())));
        if meshes.len() == meshes.capacity() {
            meshes.retain(|ranks| ranks.strong_count() > 0);
        }
        meshes.push(Arc::downgrade(&ranks));
        Self { kind: mesh.kind().to_owned(), ranks }
    }

    /// So many ranks are in each status now.
    pub(crate) fn ranks(&self, counts: &[usize; StatusKind::ALL.len()]) {
        locked(&self.ranks).tell(counts);
    }

    /// A check started this late.
    pub(crate) fn checked(&self, lateness: Duration) {
        histogram!(LATENESS, "mesh_kind" => self.kind.clone()).record(lateness);
    }

    pub(crate) fn stalled(&self) {
        self.count(STALLS, 1);
    }

    pub(crate) fn restarted(&self, ranks: usize) {
        self.count(RESTARTS, ranks);
    }

    pub(crate) fn lagged(&self) {
        self.count(LAGS, 1);
    }

    pub(crate) fn refused(&self) {
        self.count(REFUSALS, 1);
    }

    fn count(&self, name: &'static str, n: usize) {
        counter!(name, "mesh_kind" => self.kind.clone()).increment(n as u64);
    }

    pub(crate) fn failed(&self, failures: &Failures) {
        for change in &failures.changes {
            let Some(cause) = change.status.cause_label() else { continue };
            counter!(FAILURES, "mesh_kind" => self.kind.clone(), "cause" => cause)
                .increment(change.ranks.len() as u64);
        }
    }
}

/// Measures how long failures took to reach their owner, in a mesh of this kind.
#[derive(Clone, Debug)]
pub(crate) struct Detection(String);

impl Detection {
    pub(crate) fn new(mesh: &MeshLabel) -> Self {
        Self(mesh.kind().to_owned())
    }

    pub(crate) fn record(&self, failures: &Failures) {
        let seconds = histogram!(DETECTION, "mesh_kind" => self.0.clone());
        for change in &failures.changes {
            let age = change.age.saturating_add(failures.waited);
            seconds.record_many(age.as_secs_f64(), change.ranks.len());
        }
    }
}
