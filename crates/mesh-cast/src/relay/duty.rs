//! `Duty`: a leg that a node has taken on, until it has answered for all of it.

use std::sync::Arc;

use mesh_shape::Overlay;

use super::Effect;
use super::own::Own;
use crate::gather::{Branch, Gather};
use crate::plan::Plan;
use crate::wire::{Answer, Expect, Leg, LegId, Progress, Sender};

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
}

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Duty<N, P, R> {
    pub(super) fn new((parent, leg): (N, Leg<P>), plan: Arc<Plan<N>>, me: N) -> Self {
        let is_own = plan.members().node(leg.range.start) == Some(me);
        Self { parent, leg, plan, is_own, gather: Gather::new(), is_told: false }
    }

    /// Sends the whole range on, but for this node itself.
    pub(super) fn spread(&mut self, last_leg: &mut u64, effects: &mut Vec<Effect<N, P, R>>) {
        let start = self.leg.range.start + usize::from(self.is_own);
        let branches = self.gather.spread(&self.plan, start..self.leg.range.end, last_leg);
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
        let is_done = self.is_done(own);
        if is_done {
            self.answer(Progress::Done, effects);
        }
        is_done
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

    pub(super) fn answer(&mut self, progress: Progress, effects: &mut Vec<Effect<N, P, R>>) {
        let (outcomes, unreached) = self.gather.take();
        let (cast, leg) = (self.leg.cast, self.leg.id);
        let answer = Answer { cast, leg, progress, outcomes, unreached };
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
