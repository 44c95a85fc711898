//! The ledger: what each rank has counted, and whose shard was lost.

use meshwarden::mesh_shape::Rank;

use crate::demo::tally::Tally;

/// What was counted so far. Pure.
#[derive(Debug)]
pub(crate) struct Ledger {
    tallies: Vec<Tally>,
    lost: Option<Rank>,
}

impl Ledger {
    /// Nothing is counted.
    pub(crate) fn new(n_ranks: usize) -> Self {
        Self { tallies: vec![Tally::default(); n_ranks], lost: None }
    }

    /// A rank has failed. What it had counted is lost with it: its shard is counted anew, whole.
    pub(crate) fn lose(&mut self, rank: Rank) {
        self.lost = Some(rank);
        if let Some(tally) = self.tallies.get_mut(rank.index()) {
            *tally = Tally::default();
        }
    }

    /// Whether the shard of a rank was lost: what its next life says of it does not count.
    pub(crate) fn is_lost(&self, rank: Rank) -> bool {
        self.lost == Some(rank)
    }

    /// A rank has counted something, of its shard or of a lost one.
    pub(crate) fn add(&mut self, rank: Rank, tally: &Tally) {
        if let Some(sum) = self.tallies.get_mut(rank.index()) {
            sum.merge(tally);
        }
    }

    /// The words that each rank has counted.
    pub(crate) fn words(&self) -> Vec<u64> {
        self.tallies.iter().map(Tally::words).collect()
    }

    /// All that was counted.
    pub(crate) fn total(&self) -> Tally {
        let mut total = Tally::default();
        for tally in &self.tallies {
            total.merge(tally);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        tally.count(text);
        tally
    }

    #[test]
    fn what_a_rank_counted_is_lost_with_it() {
        let mut ledger = Ledger::new(2);
        ledger.add(Rank::new(0), &tally("one"));
        ledger.add(Rank::new(1), &tally("two"));
        ledger.lose(Rank::new(1));
        assert!(ledger.is_lost(Rank::new(1)) && !ledger.is_lost(Rank::new(0)));
        ledger.add(Rank::new(0), &tally("two three"));
        assert_eq!(ledger.total(), tally("one two three"));
        assert_eq!(ledger.words(), [3, 0]);
    }
}
