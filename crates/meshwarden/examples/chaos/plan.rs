//! What is done to whom, drawn from a seed.

use mesh_testkit::history::End;
use meshwarden::mesh_core::Reason;
use meshwarden::mesh_shape::Rank;

/// What is done to a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It is told to exit with this code.
    Exit(u8),
    /// `SIGKILL`.
    Kill,
    /// `SIGTERM`, which nobody of its mesh asked for.
    Terminate,
    /// `SIGSTOP`, and `SIGCONT` as soon as that was seen.
    Suspend,
}

/// The kinds of faults that are told apart in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Exit,
    CleanExit,
    Kill,
    Terminate,
    Suspend,
    Continue,
    /// The end of the run: the mesh is stopped.
    Stop,
}

/// Draws rounds of deeds: mostly one, sometimes up to three at once.
#[derive(Debug)]
pub(crate) struct Plan {
    dice: Dice,
    n_ranks: usize,
    n_left: usize,
}

/// A generator of numbers that a seed determines.
///
/// # Source
///
/// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug)]
struct Dice(u64);

impl Deed {
    /// How a life that it is done to ends; `None` if it goes on.
    pub(crate) const fn end(self) -> Option<End> {
        match self {
            Self::Exit(0) => Some(End::Stopped),
            Self::Exit(code) => Some(End::Failed(Reason::Exit { code: code as i32 })),
            Self::Kill => Some(End::Failed(Reason::Signal { signal: 9, core: false })),
            Self::Terminate => Some(End::Failed(Reason::Signal { signal: 15, core: false })),
            Self::Suspend => None,
        }
    }

    /// Its kind.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Exit(0) => Kind::CleanExit,
            Self::Exit(_) => Kind::Exit,
            Self::Kill => Kind::Kill,
            Self::Terminate => Kind::Terminate,
            Self::Suspend => Kind::Suspend,
        }
    }
}

impl Kind {
    /// Every kind, in the order of the report.
    pub(crate) const ALL: [Self; 7] = [
        Self::Exit,
        Self::CleanExit,
        Self::Kill,
        Self::Terminate,
        Self::Suspend,
        Self::Continue,
        Self::Stop,
    ];

    /// What the report calls it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Exit => "exit 1..=255",
            Self::CleanExit => "exit 0",
            Self::Kill => "SIGKILL",
            Self::Terminate => "SIGTERM",
            Self::Suspend => "SIGSTOP",
            Self::Continue => "SIGCONT",
            Self::Stop => "stop of the mesh",
        }
    }
}

impl Plan {
    /// Draws `n_faults` in all, for a mesh of `n_ranks`.
    pub(crate) const fn new(seed: u64, n_ranks: usize, n_faults: usize) -> Self {
        Self { dice: Dice(seed), n_ranks, n_left: n_faults }
    }

    /// The deeds to be done at once, to different ranks; none if all were drawn.
    pub(crate) fn round(&mut self) -> Vec<(Rank, Deed)> {
        let n_wanted = match self.dice.below(4) {
            0 => 2 + self.dice.below(2),
            _ => 1,
        };
        let n = n_wanted.min(self.n_left).min(self.n_ranks);
        self.n_left -= n;
        let mut deeds: Vec<(Rank, Deed)> = Vec::with_capacity(n);
        while deeds.len() < n {
            let rank = Rank::new(self.dice.below(self.n_ranks));
            if deeds.iter().all(|(other, _)| *other != rank) {
                deeds.push((rank, self.deed()));
            }
        }
        deeds
    }

    fn deed(&mut self) -> Deed {
        match self.dice.below(10) {
            0..3 => Deed::Exit(u8::try_from(1 + self.dice.below(255)).unwrap_or(u8::MAX)),
            3 => Deed::Exit(0),
            4 | 5 => Deed::Kill,
            6 | 7 => Deed::Terminate,
            _ => Deed::Suspend,
        }
    }
}

impl Dice {
    /// A number below `bound`, which is not 0; the bias of the remainder is nothing to a fault.
    const fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rounds(mut plan: Plan) -> Vec<Vec<(Rank, Deed)>> {
        std::iter::from_fn(|| Some(plan.round()).filter(|round| !round.is_empty())).collect()
    }

    #[test]
    fn a_seed_determines_everything() {
        assert_eq!(rounds(Plan::new(7, 8, 100)), rounds(Plan::new(7, 8, 100)));
        assert_ne!(rounds(Plan::new(7, 8, 100)), rounds(Plan::new(8, 8, 100)));
    }

    #[test]
    fn no_more_faults_are_drawn_than_asked_for_and_never_two_for_one_rank() {
        for n_ranks in [1, 2, 8] {
            let rounds = rounds(Plan::new(1, n_ranks, 101));
            assert_eq!(rounds.iter().map(Vec::len).sum::<usize>(), 101);
            for round in rounds {
                let ranks: BTreeSet<Rank> = round.iter().map(|(rank, _)| *rank).collect();
                assert_eq!(ranks.len(), round.len());
                assert!(ranks.iter().all(|rank| rank.index() < n_ranks) && round.len() <= 3);
            }
        }
        assert!(rounds(Plan::new(1, 8, 0)).is_empty());
    }

    #[test]
    fn every_kind_and_every_exit_code_is_drawn() {
        let drawn = rounds(Plan::new(3, 8, 20_000)).concat();
        let codes: BTreeSet<u8> = drawn
            .iter()
            .filter_map(|(_, deed)| match deed {
                Deed::Exit(code) => Some(*code),
                _ => None,
            })
            .collect();
        assert_eq!(codes.len(), 256);
        let kinds: BTreeSet<Kind> = drawn.iter().map(|(_, deed)| deed.kind()).collect();
        assert_eq!(kinds.len(), 5);
    }
}
