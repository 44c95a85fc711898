//! `Doors`: at which ranks something waits, and who stands behind it there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mesh_shape::RankSet;

/// Of each rank at most one that was refused there, and those behind it. Invariants: where nobody was refused, whoever
/// stands is due; and two runs that touch are of two that were refused.
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

    /// One was refused at these ranks, where nobody was; it may have been at others before.
    pub(super) fn refuse(&mut self, number: u64, ranks: &RankSet) {
        for Range { mut start, mut end } in ranks.runs() {
            if let Some((from, to_and_who)) = self.refused.range(..start).next_back()
                && *to_and_who == (start, number)
            {
                start = *from;
            }
            if let Some((to, _)) = self.refused.get(&end).copied().filter(|(_, who)| *who == number)
            {
                self.refused.remove(&end);
                end = to;
            }
            self.refused.insert(start, (end, number));
        }
    }

    /// One that was refused at these ranks is not any more; it may still be at others. Returns who is first there.
    pub(super) fn open(&mut self, ranks: &RankSet) -> Vec<u64> {
        let mut first = Vec::new();
        for run in ranks.runs() {
            self.open_run(&run);
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

    fn open_run(&mut self, run: &Range<usize>) {
        let before = self.refused.range(..=run.start).next_back();
        let Some((from, (to, who))) = before.map(|(from, to_and_who)| (*from, *to_and_who)) else {
            return;
        };
        self.refused.remove(&from);
        let rest =
            [(from, run.start), (run.end, to)].into_iter().filter(|(start, end)| start < end);
        self.refused.extend(rest.map(|(start, end)| (start, (end, who))));
    }

    fn refused_within(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, u64)> {
        let Range { start, end } = range;
        let before = self.refused.range(..start).next_back().filter(|(_, (to, _))| *to > start);
        let all = before.into_iter().chain(self.refused.range(start..end));
        all.map(move |(from, (to, who))| ((*from).max(start)..(*to).min(end), *who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or a broadcast that is refused by other ranks each time would cost more each time.
    #[test]
    fn where_one_was_refused_is_the_same_however_it_came_to_that() {
        let mut doors = Doors::new();
        let mut step = |opened: Range<usize>, refused: Range<usize>| {
            assert_eq!(doors.open(&opened.into()), []);
            doors.refuse(1, &refused.into());
            doors.at(&(0..9).into()).collect::<Vec<_>>()
        };
        assert_eq!(step(0..0, 2..8), [(2..8, 1)]);
        assert_eq!(step(4..6, 0..0), [(2..4, 1), (6..8, 1)]);
        assert_eq!(step(2..3, 8..9), [(3..4, 1), (6..9, 1)]);
        assert_eq!(step(0..0, 4..6), [(3..9, 1)]);
        assert_eq!(step(3..9, 0..3), [(0..3, 1)]);
    }
}
