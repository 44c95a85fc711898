//! `Thresholds`: who has room as soon as one rank may have more, though none has taken anything.

use std::collections::BTreeSet;

use crate::caster::{Share, Until};

#[derive(Debug)]
pub(super) struct Thresholds {
    n: BTreeSet<(usize, u64)>,
    bytes: BTreeSet<(usize, u64)>,
    n_calls: BTreeSet<(usize, u64)>,
}

impl Thresholds {
    pub(super) const fn new() -> Self {
        Self { n: BTreeSet::new(), bytes: BTreeSet::new(), n_calls: BTreeSet::new() }
    }

    pub(super) fn add(&mut self, number: u64, until: &Until) {
        self.n.extend(until.n.map(|n| (n, number)));
        self.bytes.extend(until.bytes.map(|bytes| (bytes, number)));
        self.n_calls.extend(until.n_calls.map(|n| (n, number)));
    }

    pub(super) fn remove(&mut self, number: u64, until: &Until) {
        until.n.map(|n| self.n.remove(&(n, number)));
        until.bytes.map(|bytes| self.bytes.remove(&(bytes, number)));
        until.n_calls.map(|n| self.n_calls.remove(&(n, number)));
    }

    /// For whom so much is enough.
    pub(super) fn reached(&self, share: &Share) -> impl Iterator<Item = u64> {
        let n = self.n.range(..(share.n, 0));
        let bytes = self.bytes.range(..=(share.bytes, u64::MAX));
        let n_calls = self.n_calls.range(..(share.n_calls, 0));
        n.chain(bytes).chain(n_calls).map(|(_, number)| *number)
    }
}
