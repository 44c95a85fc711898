//! How many bytes a mesh of values holds.

use mesh_core::Status;
use mesh_shape::ValueMesh;

use crate::heap::Heap;
use crate::measure::Effort;
use crate::report::{Record, Report, Stats};

/// Counts everything; of the heap there is nothing that differs between rounds.
pub(crate) fn count(effort: Effort, heap: Heap) -> Vec<Vec<Record>> {
    let n_ranks = 1_000_000;
    let each_round = |by: &str, count: &dyn Fn() -> usize| {
        let samples = (0..effort.rounds()).map(|_| count() as f64).collect();
        Record::new(
            "struct and heap of 10^6 equal statuses",
            by,
            ("memory", "B"),
            Stats::of(samples),
        )
    };
    let ours = || {
        let (mesh, held) = heap.held(|| ValueMesh::uniform(n_ranks, Status::Running));
        held + size_of_val(&mesh)
    };
    let floor = || {
        let (plain, held) = heap.held(|| vec![Status::Running; n_ranks]);
        held + size_of_val(&plain)
    };
    vec![vec![each_round("ours", &ours), each_round("floor", &floor)]]
}

/// Shows what was counted, and judges it.
pub(super) fn show(found: Vec<Vec<Record>>, report: &mut Report) {
    for records in found {
        if let Some(ours) = records.first() {
            report.judge(ours.work(), ours.median(), (BYTES_MAX, "B"));
        }
        report.add(records);
    }
}

const BYTES_MAX: f64 = 200.0;
