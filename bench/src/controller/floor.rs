//! The floor: a plain `Vec<Status>`, compared with what is reported at each poll.

use std::hint::black_box;
use std::time::Instant;

use mesh_core::Status;

use super::work::Work;
use crate::measure::{Batch, Case};

/// Scans all ranks, and nothing more: nobody is told.
///
/// In turn what `work` changes comes and goes again, so that every scan finds as many changes.
pub(super) fn case(work: &Work, n_ranks: usize) -> Case<'static> {
    let mut known = vec![Status::Running; n_ranks];
    let mut changed = work.changed(n_ranks);
    changed.truncate(work.n_changed(changed.len()));
    let mut reports = [known.clone(), known.clone()];
    let n_changed = changed.len();
    for (rank, status) in changed {
        reports[0][rank] = status;
    }
    Case::new("floor", move || {
        let mut least = usize::MAX;
        let started = Instant::now();
        for report in reports.iter().cycle().take(N_SCANS) {
            let found = black_box(scan(black_box(&mut known), black_box(report)));
            least = least.min(found.len());
        }
        let elapsed = started.elapsed();
        assert_eq!(least, n_changed, "every scan finds every change");
        Batch { n: N_SCANS, elapsed }
    })
}

/// Takes over what has changed, and returns it.
fn scan(known: &mut [Status], reported: &[Status]) -> Vec<(usize, Status)> {
    let mut changed = Vec::new();
    for (rank, (known, reported)) in known.iter_mut().zip(reported).enumerate() {
        if known != reported {
            known.clone_from(reported);
            changed.push((rank, reported.clone()));
        }
    }
    changed
}

/// Even, so that each batch ends as it began.
const N_SCANS: usize = 16;
