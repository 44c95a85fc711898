//! `Doors`: at which ranks something waits, and who stands behind it there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mesh_shape::RankSet;

/// Of each rank at most one that was refused there, and those behind it. Invariant: where nobody was refused, whoever
/// stands is due.
#[derive(Debug)]
pub(super) struct Doors {
    /// Who was refused, by the first rank of a run of them: up to which rank, and who.
    refused: BTreeMap<usize, (usize, u64)>,
    behind: BTreeSet<(usize, u64)>,
}

impl Doors {
    pub(super) const fn new() -> Self {
        Self { refused: BTreeMap::new(), behind: BTreeSet::new() }
    }

    /// At which of some ranks somebody was refused, and who.
    pub(super) fn at(&self, ranks: &RankSet) -> impl Iterator<Item = (Range<usize>, u64)> {
        ranks.runs().flat_map(|run| self.refused_within(run))
    }

    /// Who was refused at some of these ranks.
    pub(super) fn all_at(&self, ranks: &RankSet) -> BTreeSet<u64> {
        self.at(ranks).map(|(_, who)| who).collect()
    }

    /// One was refused at these ranks, where nobody else was.
    pub(super) fn refuse(&mut self, number: u64, ranks: &RankSet) {
        self.refused.extend(ranks.runs().map(|run| (run.start, (run.end, number))));
    }

    /// Whoever was refused at these ranks is not any more. Returns who is first there.
    pub(super) fn open(&mut self, ranks: &RankSet) -> Vec<u64> {
        let mut first = Vec::new();
        for run in ranks.runs() {
            self.refused.remove(&run.start);
            let mut at = run.start;
            while let Some((rank, number)) = self.behind.range((at, 0)..(run.end, 0)).next() {
                first.push(*number);
                at = rank + 1;
            }
        }
        first
    }

    pub(super) fn stand(&mut self, rank: usize, number: u64) {
        self.behind.insert((rank, number));
    }

    /// One stands there no more. Returns who is due, if nobody is refused there.
    pub(super) fn go(&mut self, rank: usize, number: u64) -> Option<u64> {
        self.behind.remove(&(rank, number));
        if self.refused_within(rank..rank + 1).next().is_some() {
            return None;
        }
        self.behind.range((rank, 0)..(rank + 1, 0)).next().map(|(_, number)| *number)
    }

    fn refused_within(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, u64)> {
        let Range { start, end } = range;
        let before = self.refused.range(..start).next_back().filter(|(_, (to, _))| *to > start);
        let all = before.into_iter().chain(self.refused.range(start..end));
        all.map(move |(from, (to, who))| ((*from).max(start)..(*to).min(end), *who))
    }
}
