//! `Doubts`: which ranks an agent that was started again may have forgotten.

use std::collections::BTreeMap;
use std::ops::Range;

use mesh_core::Incarnation;
use mesh_shape::RankSet;

#[cfg(test)]
use crate::cells::visits;

/// The ranks that lived when an agent was started again, each in its life, of which the agent has not
/// spoken since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubts {
    /// By the first rank of a run: where it ends, and its life.
    runs: BTreeMap<usize, (usize, Incarnation)>,
}

impl Doubts {
    /// The runs are in rank order, and do not overlap.
    pub(crate) fn of(runs: impl Iterator<Item = (Range<usize>, Incarnation)>) -> Self {
        Self { runs: runs.map(|(run, life)| (run.start, (run.end, life))).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The agent speaks of `named`. Returns those of them that were doubted, in rank order, for the last
    /// time. It costs what is named, and not what is left (H8).
    pub(crate) fn settle(&mut self, named: &RankSet) -> Vec<(Range<usize>, Incarnation)> {
        let mut settled = Vec::new();
        for named in named.runs() {
            let before = self.runs.range(..named.start).next_back().map(|(start, _)| *start);
            let from = before.unwrap_or(named.start);
            let met: Vec<usize> =
                self.runs.range(from..named.end).map(|(start, _)| *start).collect();
            for start in met {
                #[cfg(test)]
                visits::count(1);
                let Some((end, life)) = self.runs.remove(&start) else { continue };
                let inside = start.max(named.start)..end.min(named.end);
                if start < named.start {
                    self.runs.insert(start, (end.min(named.start), life));
                }
                if end > named.end {
                    self.runs.insert(named.end, (end, life));
                }
                settled.extend((!inside.is_empty()).then_some((inside, life)));
            }
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each doubted rank is settled when it is named first, in its life, and no other one is.
        #[test]
        fn what_is_named_is_settled_once(
            doubted in prop::collection::btree_map(0_usize..40, 0_u64..3, 0..40),
            named in prop::collection::vec(prop::collection::btree_set(0_usize..40, 0..20), 1..5),
        ) {
            let run = |(rank, life): (&usize, &u64)| (*rank..rank + 1, Incarnation::new(*life));
            let mut doubts = Doubts::of(doubted.iter().map(run));
            // Longer runs are cut where names begin and end.
            let longer = [(50..70, Incarnation::FIRST)];
            doubts.runs.extend(Doubts::of(longer.into_iter()).runs);
            let mut left: BTreeMap<usize, u64> = doubted;
            left.extend((50..70).map(|rank| (rank, 0)));
            for named in named {
                let ranks = named.iter().flat_map(|rank| [*rank, rank + 40]);
                let named: RankSet = ranks.map(mesh_shape::Rank::new).collect();
                let settled = doubts.settle(&named);
                prop_assert!(settled.is_sorted_by_key(|(run, _)| run.start));
                let each = settled.into_iter().flat_map(|(run, life)| run.map(move |rank| (rank, life.number())));
                let settled: BTreeMap<usize, u64> = each.collect();
                let is_named = |rank: &usize| named.contains(mesh_shape::Rank::new(*rank));
                let expected = left.extract_if(.., |rank, _| is_named(rank)).collect();
                prop_assert_eq!(settled, expected);
            }
            let each = doubts.runs.into_iter().flat_map(|(start, (end, life))| (start..end).map(move |rank| (rank, life.number())));
            prop_assert_eq!(each.collect::<BTreeMap<_, _>>(), left);
        }
    }
}
