//! `Duty`: a leg that a node has taken on, until it has answered for all of it.

use std::sync::Arc;

use mesh_shape::{Overlay, RankSet};

use super::Effect;
use super::own::Own;
use crate::gather::{At, Branch, Gather, WORD_TICKS};
use crate::plan::Plan;
use crate::wire::{Answer, Expect, Failure, Kind, Leg, LegId, Outcome, Part, Progress, Sender};

/// A leg that was taken on.
#[derive(Clone, Debug)]
pub(super) struct Duty<N, P, R> {
    pub(super) parent: N,
    pub(super) leg: Leg<P>,
    pub(super) plan: Arc<Plan<N>>,
    /// Whether this node itself is the first of the range.
    pub(super) is_own: bool,
    pub(super) gather: Gather<N, R>,
    /// Whether the parent knows that all of the range has the message.
    is_told: bool,
    /// For how many ticks nothing was said to the parent.
    n_quiet: u8,
    /// The ranks whose replies are being merged.
    merging: Option<RankSet>,
}

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Duty<N, P, R> {
    pub(super) fn new((parent, leg): (N, Leg<P>), plan: Arc<Plan<N>>, me: N) -> Self {
        let is_own = plan.members().node(leg.range.start) == Some(me);
        let gather = Gather::new(leg.kind);
        Self { parent, leg, plan, is_own, gather, is_told: false, n_quiet: 0, merging: None }
    }

    /// Sends the whole range on, but for this node itself.
    pub(super) fn spread(&mut self, at: &mut At<N>, effects: &mut Vec<Effect<N, P, R>>) {
        let start = self.leg.range.start + usize::from(self.is_own);
        let branches = self.gather.spread(&self.plan, start..self.leg.range.end, at);
        self.send(branches, effects);
    }

    pub(super) fn send(&self, branches: Vec<Branch<N>>, effects: &mut Vec<Effect<N, P, R>>) {
        effects.extend(branches.into_iter().map(|Branch { to, number, range }| {
            let leg = Leg {
                id: LegId { sender: Sender::Relay, number },
                expects: clip(&self.leg.expects, &range),
                range,
                region: self.leg.region.clone(),
                settled: self.leg.settled.clone(),
                payload: self.leg.payload.clone(),
                ..self.leg
            };
            Effect::Forward { to, leg }
        }));
    }

    /// Whether it is for others than this node, whose words it may keep.
    fn is_for_others(&self) -> bool {
        self.leg.range.len() > 1 || !self.is_own
    }

    /// Whether the whole range has the message, as far as can be.
    fn is_delivered(&self, own: &Own<P, R>) -> bool {
        self.gather.is_delivered() && (!self.is_own || own.has_arrived())
    }

    /// Whether nothing more will be said about the range.
    fn is_done(&self, own: &Own<P, R>) -> bool {
        self.gather.is_done() && (!self.is_own || own.is_complete())
    }

    /// Lets go of the message if nobody below needs it any more. Answers if there is nothing more to say,
    /// and returns whether that is so.
    pub(super) fn settle(&mut self, own: &Own<P, R>, effects: &mut Vec<Effect<N, P, R>>) -> bool {
        if self.gather.is_delivered() {
            self.leg.payload = None;
        }
        let is_done = self.is_done(own) && !self.must_merge(effects);
        if is_done {
            self.answer(Progress::Done, effects);
        }
        is_done
    }

    /// Whether replies are still to be merged, which is asked for once.
    fn must_merge(&mut self, effects: &mut Vec<Effect<N, P, R>>) -> bool {
        let Kind::Reduce(reducer) = self.leg.kind else { return false };
        if self.merging.is_none() && self.gather.n_parts() > 1 {
            let parts = self.gather.take_parts();
            let ranks = parts.iter().fold(RankSet::new(), |all, part| all.union(&part.ranks));
            self.merging = Some(ranks);
            let values = parts.into_iter().map(|part| part.value).collect();
            let (cast, to, leg) = (self.leg.cast, self.parent, self.leg.id);
            effects.push(Effect::Merge { cast, to, leg, reducer, values });
        }
        self.merging.is_some()
    }

    /// Takes what the replies were merged into, or why they could not be.
    pub(super) fn on_merged(&mut self, merged: Result<R, Failure>) {
        let Some(ranks) = self.merging.take() else { return };
        match merged {
            Ok(value) => self.gather.add_part(Part { ranks, value }),
            Err(failure) => {
                let failed = Outcome::Failed(failure);
                let runs = ranks.runs().map(|run| (run, failed.clone()));
                let mut outcomes = Overlay::new();
                runs.for_each(|(run, outcome)| outcomes.insert(run, outcome));
                self.gather.add(outcomes);
            }
        }
    }

    /// Whether the parent does not know all that is known here.
    pub(super) fn has_news(&self, own: &Own<P, R>) -> bool {
        self.gather.has_news() || (!self.is_told && self.is_delivered(own))
    }

    /// Says what is known so far.
    pub(super) fn flush(&mut self, own: &Own<P, R>, effects: &mut Vec<Effect<N, P, R>>) {
        if self.has_news(own) {
            self.is_told = self.is_delivered(own);
            let progress = if self.is_told { Progress::Delivered } else { Progress::Open };
            self.answer(progress, effects);
        }
    }

    /// Time passes: who waits for this node is told that it is there, and whoever says nothing is not waited for.
    pub(super) fn on_tick(&mut self, at: &mut At<N>, effects: &mut Vec<Effect<N, P, R>>) {
        self.n_quiet = self.n_quiet.saturating_add(1);
        if !self.is_told {
            self.answer(Progress::Open, effects);
        } else if self.is_for_others() && self.n_quiet >= WORD_TICKS {
            self.answer(Progress::Delivered, effects);
        }
        let branches = self.gather.on_tick(&self.plan, at);
        self.send(branches, effects);
    }

    pub(super) fn answer(&mut self, progress: Progress, effects: &mut Vec<Effect<N, P, R>>) {
        self.n_quiet = 0;
        let (mut outcomes, unreached) = self.gather.take();
        let (cast, leg) = (self.leg.cast, self.leg.id);
        // All that is replied goes up once, with the last answer: so that of no rank there are two parts, whoever
        // is lost meanwhile.
        let is_last = progress == Progress::Done && self.gather.n_parts() == 1;
        let part = is_last.then(|| self.gather.take_parts().pop()).flatten();
        if let Some(part) = &part {
            part.ranks.runs().for_each(|run| outcomes.insert(run, Outcome::Merged));
        }
        let merged = part.map(|part| part.value);
        let answer = Answer { cast, leg, progress, outcomes, unreached, merged };
        effects.push(Effect::Answer { to: self.parent, answer });
    }
}

/// What is said about the positions of `range`.
pub(crate) fn clip(expects: &Overlay<Expect>, range: &std::ops::Range<usize>) -> Overlay<Expect> {
    let mut clipped = Overlay::new();
    for (run, expect) in expects.runs() {
        clipped.insert(run.start.max(range.start)..run.end.min(range.end), *expect);
    }
    clipped
}
