//! `Own`: what a node itself has of one cast.

use mesh_shape::{Overlay, RankSet};

use crate::wire::{Kind, Outcome};

/// What a node itself has of one cast.
#[derive(Clone, Debug)]
pub(super) enum Own<P, R> {
    /// Nothing that anybody waits for: it is not for this node, or the caster is done with it.
    Nothing,
    /// It is held back until the cast of number `need` was delivered.
    Held {
        kind: Kind,
        need: u64,
        ranks: RankSet,
        payload: P,
    },
    Delivered(Delivered<R>),
}

/// A cast that was handed to its ranks. What they said is kept until the caster is done with the cast:
/// whoever it was told to may be lost with it, and then it is asked for again.
#[derive(Clone, Debug)]
pub(super) struct Delivered<R> {
    /// The ranks that have not taken it.
    untaken: RankSet,
    /// The ranks that have not answered; none if no answer is wanted.
    waiting: RankSet,
    said: Overlay<Outcome<R>>,
}

impl<P, R: Clone + PartialEq> Own<P, R> {
    pub(super) const fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// Whether the message is not wanted here any more: it was handed over.
    pub(super) const fn has_arrived(&self) -> bool {
        !self.is_held()
    }

    /// Whether nothing more will be said.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Held { .. } => false,
            Self::Delivered(Delivered { untaken, waiting, .. }) => {
                untaken.is_empty() && waiting.is_empty()
            }
        }
    }

    /// What its ranks have said.
    pub(super) fn said(&self) -> Overlay<Outcome<R>> {
        match self {
            Self::Nothing | Self::Held { .. } => Overlay::new(),
            Self::Delivered(delivered) => delivered.said.clone(),
        }
    }

    /// Takes what ranks say. Returns what of it is new: each rank takes a cast once and answers once.
    pub(super) fn on_said(&mut self, outcomes: Overlay<Outcome<R>>) -> Overlay<Outcome<R>> {
        match self {
            Self::Nothing | Self::Held { .. } => Overlay::new(),
            Self::Delivered(delivered) => delivered.on_said(outcomes),
        }
    }
}

impl<R: Clone + PartialEq> Delivered<R> {
    pub(super) fn new(kind: Kind, ranks: RankSet) -> Self {
        let waiting = if kind.wants_reply() { ranks.clone() } else { RankSet::new() };
        let arrived = ranks.runs().map(|run| (run, Outcome::Arrived));
        let mut said = Overlay::new();
        arrived.for_each(|(run, outcome)| said.insert(run, outcome));
        Self { untaken: ranks, waiting, said }
    }

    fn on_said(&mut self, outcomes: Overlay<Outcome<R>>) -> Overlay<Outcome<R>> {
        let mut news = Overlay::new();
        for (range, outcome) in outcomes.into_runs() {
            let open = match outcome {
                // That much was said as it was handed over.
                Outcome::Arrived => RankSet::new(),
                Outcome::Taken => self.untaken.clone(),
                // What is merged here is no rank's own word.
                Outcome::Merged => RankSet::new(),
                Outcome::Replied(_) | Outcome::Failed(_) => self.untaken.union(&self.waiting),
            };
            for run in open.runs_within(range) {
                self.untaken.remove_range(run.clone());
                if outcome != Outcome::Taken {
                    self.waiting.remove_range(run.clone());
                }
                news.insert(run, outcome.clone());
            }
        }
        self.said.merge(news.clone());
        news
    }
}
