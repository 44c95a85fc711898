//! Revocation lists that are older than they say they would become: [`Overdue`].

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::metrics::OverdueLists;

/// When the next of each revocation list was to come. What is overdue is used all the same, since what was taken
/// back stays so, and is complained of: what was taken back since is not known.
pub(super) struct Overdue {
    /// In seconds since 1970.
    next: Vec<u64>,
    n_overdue: AtomicUsize,
    counted: OverdueLists,
}

impl Overdue {
    pub(super) fn new(next: Vec<u64>) -> Self {
        Self { next, n_overdue: AtomicUsize::new(0), counted: OverdueLists::default() }
    }

    /// How many are overdue, at this second since 1970. Complains of each once.
    pub(super) fn look(&self, now: u64) {
        let n_overdue = self.next.iter().filter(|next| **next <= now).count();
        let before = self.n_overdue.swap(n_overdue, Ordering::Relaxed);
        if n_overdue != before {
            self.counted.are(n_overdue);
        }
        if n_overdue > before {
            tracing::warn!(
                n_overdue,
                "revocation lists are overdue: who was taken back since is still let in; renew them"
            );
        }
    }
}
