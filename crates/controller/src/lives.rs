//! `Lives`: ranks by the life that they are in.

use std::collections::BTreeMap;

use mesh_core::Incarnation;
use mesh_shape::RankSet;

/// Ranks by the life that they are in, lowest life first: an order names one life only.
///
/// Ranks are added in the time that it takes to find their life, however many lives there are (H8).
#[derive(Clone, Debug, Default)]
pub(crate) struct Lives(BTreeMap<Incarnation, RankSet>);

impl Lives {
    pub(crate) fn add(&mut self, ranks: &RankSet, life: Incarnation) {
        if ranks.is_empty() {
            return;
        }
        let known = self.0.entry(life).or_default();
        ranks.runs().for_each(|range| known.insert_range(range));
    }

    pub(crate) fn contains(&self, ranks: &RankSet, life: Incarnation) -> bool {
        self.0.get(&life).is_some_and(|known| ranks.difference(known).is_empty())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<(RankSet, Incarnation)> {
        self.0.into_iter().map(|(life, ranks)| (ranks, life)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_one_life_are_together() {
        let mut lives = Lives::default();
        let life = Incarnation::new;
        for (ranks, number) in [(4..6, 7), (0..2, 3), (6..8, 7), (2..2, 9)] {
            lives.add(&RankSet::from(ranks), life(number));
        }
        let expected = [(RankSet::from(0..2), life(3)), (RankSet::from(4..8), life(7))];
        assert_eq!(lives.into_vec(), expected);
    }
}
