//! What is done to actors and to whom, drawn from a seed.

use std::ops::Range;

use mesh_testkit::history::{End, FaultKind};
use meshwarden::mesh_core::Reason;
use meshwarden::mesh_shape::Rank;

use super::victim::{errored, panicked};
use crate::kind::Kind;
use crate::plan::Dice;

/// How an actor is told to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Cast,
    Call,
}

/// What is done to a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Panic(By),
    Error(By),
    /// A handler waits, until that was seen.
    Wait,
    /// A handler blocks its thread, until that was seen.
    Block,
    /// Its process is killed.
    HomeKill,
    /// The same, of one that others are sent to over.
    RelayKill,
    /// Such a process is suspended until that was seen and all was cast that was to be.
    RelayStop,
}

/// What is to be done next, while numbers are cast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Done at once, to different ranks; if there are none all ranks panic at one cast.
    pub(crate) acts: Vec<(Rank, Act)>,
    /// How many numbers are cast before.
    pub(crate) n_before: u64,
    /// How many are cast.
    pub(crate) n_numbers: u64,
}

/// Draws steps from a shuffled deck, so that every kind comes in each hundred faults; mostly alone, sometimes up to
/// three at once.
#[derive(Debug)]
pub(crate) struct Plan {
    dice: Dice,
    n_ranks: usize,
    relays: Vec<Rank>,
    n_left: usize,
    cards: &'static [(Card, usize)],
    deck: Vec<Card>,
}

/// A fault whose rank is not drawn yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Card {
    Act(Act),
    All,
}

/// How often each fault is among a hundred, to actors of processes.
pub(crate) const BETWEEN: &[(Card, usize)] = &[
    (Card::Act(Act::Panic(By::Cast)), 26),
    (Card::Act(Act::Panic(By::Call)), 14),
    (Card::Act(Act::Error(By::Cast)), 12),
    (Card::Act(Act::Error(By::Call)), 8),
    (Card::Act(Act::HomeKill), 16),
    (Card::Act(Act::RelayKill), 8),
    (Card::Act(Act::Wait), 6),
    (Card::Act(Act::Block), 4),
    (Card::Act(Act::RelayStop), 4),
    (Card::All, 2),
];

/// A mesh of more ranks is called, and not cast to.
const CAST_TO_MAX: usize = 100;

/// The same, to actors within this process: it is not killed.
pub(crate) const WITHIN: &[(Card, usize)] = &[
    (Card::Act(Act::Panic(By::Cast)), 40),
    (Card::Act(Act::Panic(By::Call)), 22),
    (Card::Act(Act::Error(By::Cast)), 20),
    (Card::Act(Act::Error(By::Call)), 12),
    (Card::Act(Act::Wait), 4),
    (Card::All, 2),
];

/// Q2: all ranks at one cast, and nothing else.
pub(crate) const AT_ONCE: &[(Card, usize)] = &[(Card::All, 100)];

impl Plan {
    /// Of `n_faults` to a mesh of `n_ranks`, whose casts fan out to `fan_out`.
    pub(crate) fn new(
        (seed, n_faults): (u64, usize),
        (n_ranks, fan_out): (usize, usize),
        cards: &'static [(Card, usize)],
    ) -> Self {
        let relays = relays(0..n_ranks, fan_out);
        Self { dice: Dice(seed), n_ranks, relays, n_left: n_faults, cards, deck: Vec::new() }
    }

    /// What is to be done next; `None` if all was drawn.
    pub(crate) fn step(&mut self) -> Option<Step> {
        let n_numbers = 8 + self.dice.below(25);
        let n_before = self.dice.below(n_numbers) as u64;
        // Many that die at once are not in the way of what is cast to many.
        let n_numbers = if self.n_ranks > CAST_TO_MAX { 0 } else { n_numbers as u64 };
        let n_before = n_before.min(n_numbers);
        let card = self.card()?;
        let mut acts = Vec::new();
        if let Card::Act(act) = card {
            acts.push((self.rank(act), act));
            let n_wanted = match self.dice.below(4) {
                0 => 2 + self.dice.below(2),
                _ => 1,
            };
            while acts.len() < n_wanted.min(self.n_ranks)
                && let Some(Card::Act(act)) = self.deck.last().copied()
                && self.n_left > 0
            {
                let rank = self.rank(act);
                if acts.iter().any(|(other, _)| *other == rank) {
                    break;
                }
                _ = self.card();
                acts.push((rank, act));
            }
        }
        Some(Step { acts, n_before, n_numbers })
    }

    fn rank(&mut self, act: Act) -> Rank {
        let relay = |dice: &mut Dice, relays: &[Rank]| {
            relays.get(dice.below(relays.len().max(1))).copied().unwrap_or(Rank::new(0))
        };
        match act {
            Act::RelayKill | Act::RelayStop => relay(&mut self.dice, &self.relays),
            _ => Rank::new(self.dice.below(self.n_ranks)),
        }
    }

    fn card(&mut self) -> Option<Card> {
        self.n_left = self.n_left.checked_sub(1)?;
        if self.deck.is_empty() {
            let all = self.cards.iter();
            self.deck = all.flat_map(|(card, n)| std::iter::repeat_n(*card, *n)).collect();
            self.dice.shuffle(&mut self.deck);
        }
        self.deck.pop()
    }
}

impl Act {
    /// Its kind.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Panic(_) => Kind::Panic,
            Self::Error(_) => Kind::Error,
            Self::Wait => Kind::Wait,
            Self::Block => Kind::Block,
            Self::HomeKill => Kind::HomeKill,
            Self::RelayKill => Kind::RelayKill,
            Self::RelayStop => Kind::RelayStop,
        }
    }

    /// The kind of what lets a rank go on that survives it.
    pub(crate) const fn relief(self) -> Option<Kind> {
        match self {
            Self::Wait | Self::Block => Some(Kind::Return),
            Self::RelayStop => Some(Kind::Continue),
            Self::Panic(_) | Self::Error(_) | Self::HomeKill | Self::RelayKill => None,
        }
    }

    /// What it does to the actor of a rank.
    pub(crate) fn effect(self, rank: Rank) -> FaultKind {
        match self {
            Self::Panic(_) => FaultKind::Ends(End::Failed(panicked())),
            Self::Error(_) => FaultKind::Ends(End::Failed(errored())),
            Self::HomeKill | Self::RelayKill => {
                FaultKind::Ends(End::Within { home: rank, reason: KILLED })
            }
            Self::Wait | Self::Block | Self::RelayStop => FaultKind::Suspends,
        }
    }

    /// What it does to the process of a rank, if anything.
    pub(crate) const fn effect_on_home(self) -> Option<(Kind, FaultKind)> {
        match self {
            Self::HomeKill | Self::RelayKill => {
                Some((Kind::Kill, FaultKind::Ends(End::Failed(KILLED))))
            }
            Self::RelayStop => Some((Kind::Suspend, FaultKind::Suspends)),
            Self::Block => Some((Kind::Block, FaultKind::Suspends)),
            Self::Panic(_) | Self::Error(_) | Self::Wait => None,
        }
    }
}

const KILLED: Reason = Reason::Signal { signal: 9, core: false };

/// The ranks that others are sent to over, where each one sends to at most `fan_out`: the first of each part that has
/// more.
fn relays(range: Range<usize>, fan_out: usize) -> Vec<Rank> {
    let n_parts = range.len().min(fan_out);
    let cut = |part: usize| range.start + range.len() * part / n_parts;
    let mut found = Vec::new();
    for part in (0..n_parts).map(|part| cut(part)..cut(part + 1)).filter(|part| part.len() > 1) {
        found.push(Rank::new(part.start));
        found.extend(relays(part.start + 1..part.end, fan_out));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn steps(seed: u64, n_ranks: usize, n_faults: usize) -> Vec<Step> {
        let mut plan = Plan::new((seed, n_faults), (n_ranks, 2), BETWEEN);
        std::iter::from_fn(|| plan.step()).collect()
    }

    #[test]
    fn a_seed_determines_everything() {
        assert_eq!(steps(7, 14, 100), steps(7, 14, 100));
        assert_ne!(steps(7, 14, 100), steps(8, 14, 100));
    }

    #[test]
    fn a_hundred_faults_are_of_every_kind_and_never_two_for_one_rank() {
        for cards in [BETWEEN, WITHIN, AT_ONCE] {
            assert_eq!(cards.iter().map(|(_, n)| n).sum::<usize>(), 100);
        }
        for seed in 0..20 {
            let steps = steps(seed, 14, 100);
            let n_faults: usize = steps.iter().map(|step| step.acts.len().max(1)).sum();
            assert_eq!(n_faults, 100);
            let acts = || steps.iter().flat_map(|step| &step.acts);
            let kinds: BTreeSet<Kind> = acts().map(|(_, act)| act.kind()).collect();
            assert_eq!(kinds.len(), 7, "{kinds:?}");
            assert_eq!(steps.iter().filter(|step| step.acts.is_empty()).count(), 2);
            for Step { acts, n_before, n_numbers } in &steps {
                let ranks: BTreeSet<Rank> = acts.iter().map(|(rank, _)| *rank).collect();
                assert!(ranks.len() == acts.len() && n_before < n_numbers);
            }
        }
    }

    #[test]
    fn a_mesh_of_many_is_not_cast_to_meanwhile() {
        let steps = steps(1, 1_000, 100);
        assert!(steps.iter().all(|step| (step.n_before, step.n_numbers) == (0, 0)));
    }

    #[test]
    fn those_that_others_are_sent_to_over_are_the_first_of_their_parts() {
        let found = |n_ranks, fan_out| -> Vec<usize> {
            relays(0..n_ranks, fan_out).into_iter().map(|rank| rank.index()).collect()
        };
        assert_eq!(found(14, 2), [0, 1, 4, 7, 8, 11]);
        assert_eq!(found(14, 14), [0; 0]);
        assert_eq!(found(2, 2), [0; 0]);
    }
}
