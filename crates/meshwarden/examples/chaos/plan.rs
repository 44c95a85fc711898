//! What is done to whom, drawn from a seed.

use meshwarden::mesh_shape::Rank;

use crate::kind::{Core, Deed, Freezer, Kind, Program};

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// These deeds at once, to different ranks.
    Deeds(Vec<(Rank, Deed)>),
    /// The guard of this rank is killed.
    Guard(Rank),
    /// A program of its own is started, and this is done to it.
    Program(Program),
}

/// Draws steps from a shuffled deck, so that every kind comes in each hundred faults; the deeds to ranks
/// mostly alone, sometimes up to three at once.
#[derive(Debug)]
pub(crate) struct Plan {
    dice: Dice,
    n_ranks: usize,
    n_left: usize,
    /// What this machine cannot do, or this user may not: it is not drawn.
    without: Vec<Kind>,
    deck: Vec<Card>,
    /// Exit codes that were not drawn yet: each comes once before any comes again.
    codes: Vec<u8>,
}

/// A fault whose rank is not drawn yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Card {
    /// With the next of all codes.
    Exit,
    Deed(Deed),
    Guard,
    Program(Program),
}

/// A generator of numbers that a seed determines.
///
/// # Source
///
/// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

/// How often each fault is among a hundred.
const HUNDRED: [(Card, usize); 14] = [
    (Card::Exit, 30),
    (Card::Deed(Deed::Exit(0)), 6),
    (Card::Deed(Deed::Kill), 16),
    (Card::Deed(Deed::Terminate), 10),
    (Card::Deed(Deed::Segv(Core::Allowed)), 6),
    (Card::Deed(Deed::Segv(Core::Forbidden)), 6),
    (Card::Deed(Deed::OutOfMemory), 6),
    (Card::Deed(Deed::Suspend), 12),
    (Card::Deed(Deed::Freeze(Freezer::Two)), 1),
    (Card::Deed(Deed::Freeze(Freezer::One)), 1),
    (Card::Guard, 2),
    (Card::Program(Program::Kill), 2),
    (Card::Program(Program::Pause), 1),
    (Card::Program(Program::Abandon), 1),
];

impl Plan {
    /// Draws nothing yet, for a mesh of `n_ranks`.
    pub(crate) fn new(seed: u64, n_ranks: usize, without: Vec<Kind>) -> Self {
        let (deck, codes) = (Vec::new(), Vec::new());
        Self { dice: Dice(seed), n_ranks, n_left: 0, without, deck, codes }
    }

    /// Of `n_faults` more, beginning with a new deck.
    pub(crate) fn extend(&mut self, n_faults: usize) {
        self.n_left += n_faults;
        self.deck.clear();
    }

    /// What is to be done next; `None` if all were drawn.
    pub(crate) fn step(&mut self) -> Option<Step> {
        let card = self.card()?;
        let rank = Rank::new(self.dice.below(self.n_ranks));
        let deed = match card {
            Card::Exit => Deed::Exit(self.code()),
            Card::Deed(deed) => deed,
            Card::Guard => return Some(Step::Guard(rank)),
            Card::Program(program) => return Some(Step::Program(program)),
        };
        let n_wanted = match self.dice.below(4) {
            0 => 2 + self.dice.below(2),
            _ => 1,
        };
        let mut deeds = vec![(rank, deed)];
        while deeds.len() < n_wanted.min(self.n_ranks) {
            let rank = Rank::new(self.dice.below(self.n_ranks));
            if deeds.iter().any(|(other, _)| *other == rank) {
                continue;
            }
            let Some(deed) = self.deed() else { break };
            deeds.push((rank, deed));
        }
        Some(Step::Deeds(deeds))
    }

    fn card(&mut self) -> Option<Card> {
        self.n_left = self.n_left.checked_sub(1)?;
        if self.deck.is_empty() {
            let all = HUNDRED.iter().flat_map(|(card, n)| std::iter::repeat_n(*card, *n));
            let is_without = |card: &Card| match card {
                Card::Deed(deed) => self.without.contains(&deed.kind()),
                Card::Exit | Card::Guard | Card::Program(_) => false,
            };
            self.deck = all.filter(|card| !is_without(card)).collect();
            self.dice.shuffle(&mut self.deck);
        }
        self.deck.pop()
    }

    /// The next fault, if it is one that is done to a rank.
    fn deed(&mut self) -> Option<Deed> {
        let is_deed = |card: &Card| matches!(card, Card::Exit | Card::Deed(_));
        if self.n_left == 0 || !self.deck.last().is_some_and(is_deed) {
            return None;
        }
        match self.card()? {
            Card::Exit => Some(Deed::Exit(self.code())),
            Card::Deed(deed) => Some(deed),
            Card::Guard | Card::Program(_) => None,
        }
    }

    fn code(&mut self) -> u8 {
        if self.codes.is_empty() {
            self.codes = (0..=u8::MAX).collect();
            self.dice.shuffle(&mut self.codes);
        }
        self.codes.pop().unwrap_or_default()
    }
}

impl Dice {
    /// A number below `bound`, which is not 0; the bias of the remainder is nothing to a fault.
    pub(crate) const fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// # Source
    ///
    /// Fisher and Yates, as in Knuth: The Art of Computer Programming, 3.4.2, algorithm P.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn steps(seed: u64, n_ranks: usize, n_faults: usize) -> Vec<Step> {
        steps_without(Plan::new(seed, n_ranks, Vec::new()), n_faults)
    }

    fn steps_without(mut plan: Plan, n_faults: usize) -> Vec<Step> {
        plan.extend(n_faults);
        std::iter::from_fn(|| plan.step()).collect()
    }

    fn deeds(steps: &[Step]) -> Vec<Deed> {
        let deeds = steps.iter().filter_map(|step| match step {
            Step::Deeds(deeds) => Some(deeds),
            Step::Guard(_) | Step::Program(_) => None,
        });
        deeds.flatten().map(|(_, deed)| *deed).collect()
    }

    #[test]
    fn a_seed_determines_everything() {
        assert_eq!(steps(7, 8, 100), steps(7, 8, 100));
        assert_ne!(steps(7, 8, 100), steps(8, 8, 100));
    }

    #[test]
    fn no_more_faults_are_drawn_than_asked_for_and_never_two_for_one_rank() {
        for n_ranks in [1, 2, 8] {
            let mut n_faults = 0;
            for step in steps(1, n_ranks, 401) {
                let Step::Deeds(deeds) = step else {
                    n_faults += 1;
                    continue;
                };
                n_faults += deeds.len();
                let ranks: BTreeSet<Rank> = deeds.iter().map(|(rank, _)| *rank).collect();
                assert_eq!(ranks.len(), deeds.len());
                assert!(ranks.iter().all(|rank| rank.index() < n_ranks) && deeds.len() <= 3);
            }
            assert_eq!(n_faults, 401);
        }
        assert!(steps(1, 8, 0).is_empty());
    }

    #[test]
    fn a_hundred_faults_are_of_every_kind() {
        assert_eq!(HUNDRED.iter().map(|(_, n)| n).sum::<usize>(), 100);
        for seed in 0..20 {
            let steps = steps(seed, 8, 100);
            let kinds: BTreeSet<Kind> = deeds(&steps).into_iter().map(Deed::kind).collect();
            assert_eq!(kinds.len(), 10, "{kinds:?}");
            for program in Program::ALL {
                assert!(steps.contains(&Step::Program(program)), "{}", program.label());
            }
            assert!(steps.iter().any(|step| matches!(step, Step::Guard(_))));
        }
    }

    #[test]
    fn every_exit_code_is_drawn_before_any_comes_again() {
        let codes = |n_faults| {
            let exits = deeds(&steps(3, 8, n_faults)).into_iter().filter_map(|deed| match deed {
                Deed::Exit(code) => Some(code),
                _ => None,
            });
            exits.collect::<Vec<u8>>()
        };
        assert_eq!(BTreeSet::from_iter(codes(1_000)).len(), 256);
        let few: Vec<u8> = codes(300).into_iter().filter(|code| *code != 0).collect();
        assert_eq!(BTreeSet::from_iter(&few).len(), few.len());
    }

    #[test]
    fn what_cannot_be_done_is_not_drawn_and_others_come_instead() {
        let without = vec![Kind::SegvCore, Kind::OutOfMemory, Kind::FreezeOne, Kind::FreezeTwo];
        let steps = steps_without(Plan::new(1, 8, without), 400);
        let deeds = deeds(&steps);
        let kinds: BTreeSet<Kind> = deeds.iter().copied().map(Deed::kind).collect();
        assert_eq!(kinds.len(), 6, "{kinds:?}");
        let n_others = steps.iter().filter(|step| !matches!(step, Step::Deeds(_))).count();
        assert_eq!(deeds.len() + n_others, 400);
    }
}
