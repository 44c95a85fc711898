//! `Moving`: which ranks have moved since which version of the members of a mesh. Pure.

use std::collections::BTreeMap;

use mesh_shape::Rank;

/// Counts the versions of where the ranks of a mesh are: each rank that moves makes a new one.
pub(super) struct Moving {
    version: u64,
    /// By which version each rank has moved last, if it has. Whoever knows an earlier one has to be told of it.
    last: BTreeMap<u64, Rank>,
    /// The same, by rank; 0 if it has not.
    by_rank: Box<[u64]>,
}

impl Moving {
    /// Nobody has moved.
    pub(super) fn new(size: usize) -> Self {
        Self { version: 1, last: BTreeMap::new(), by_rank: vec![0; size].into() }
    }

    /// A rank is elsewhere than it was.
    pub(super) fn note(&mut self, rank: Rank) {
        let Some(last) = self.by_rank.get_mut(rank.index()) else { return };
        self.version += 1;
        self.last.remove(last);
        *last = self.version;
        self.last.insert(self.version, rank);
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// The ranks that have moved since a version, at most so many, those first that have first; and the version of which
    /// all is known then.
    pub(super) fn since(&self, version: u64, n_max: usize) -> (Vec<Rank>, u64) {
        let moved = self.last.range(version.saturating_add(1)..);
        let (versions, ranks): (Vec<u64>, Vec<Rank>) =
            moved.take(n_max).map(|(version, rank)| (*version, *rank)).unzip();
        let last = versions.last().copied().filter(|_| ranks.len() == n_max);
        (ranks, last.unwrap_or(self.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H7, H8: however often one rank moves, it is told of once, and nobody is told of others again.
    #[test]
    fn whoever_knows_a_version_is_told_what_has_moved_since() {
        let ranks = |these: &[usize]| these.iter().copied().map(Rank::new).collect::<Vec<_>>();
        let mut moving = Moving::new(3);
        assert_eq!(moving.since(1, 8), (ranks(&[]), 1));
        for rank in [0, 1, 0, 2, 0, 9] {
            moving.note(Rank::new(rank));
        }
        assert_eq!(moving.since(1, 8), (ranks(&[1, 2, 0]), 6));
        assert_eq!(moving.since(3, 8), (ranks(&[2, 0]), 6));
        assert_eq!(moving.since(6, 8), (ranks(&[]), 6));
        assert_eq!(moving.since(1, 2), (ranks(&[1, 2]), 5), "the rest is asked for next");
        assert_eq!(moving.since(5, 2), (ranks(&[0]), 6));
    }
}
