//! `Owing`: the ranks from which something of one cast is still to come.

use std::ops::Range;

use mesh_shape::RankSet;

/// Ranks that owe something, and those that have paid since that was last counted.
///
/// Whoever counts learns what has changed without comparing all of it with what it was.
#[derive(Clone, Debug)]
pub(super) struct Owing {
    ranks: RankSet,
    /// Invariant: none of them is among `ranks`.
    paid: RankSet,
}

impl Owing {
    pub(super) const fn new(ranks: RankSet) -> Self {
        Self { ranks, paid: RankSet::new() }
    }

    /// These owe nothing more. Returns which of them did.
    pub(super) fn pay_range(&mut self, range: Range<usize>) -> Vec<Range<usize>> {
        let paid: Vec<_> = self.ranks.runs_within(range.clone()).collect();
        if !paid.is_empty() {
            self.ranks.remove_range(range);
        }
        paid.iter().for_each(|run| self.paid.insert_range(run.clone()));
        paid
    }

    /// The same of many, which costs the runs of all.
    pub(super) fn pay(&mut self, ranks: &RankSet) -> RankSet {
        let paid = self.ranks.intersection(ranks);
        if !paid.is_empty() {
            self.ranks = self.ranks.difference(&paid);
            self.paid = self.paid.union(&paid);
        }
        paid
    }

    /// Those that have paid since this was asked last.
    pub(super) fn take_paid(&mut self) -> RankSet {
        std::mem::take(&mut self.paid)
    }

    pub(super) const fn ranks(&self) -> &RankSet {
        &self.ranks
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }
}
