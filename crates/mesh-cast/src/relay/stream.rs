//! `Stream`: the casts of one sender to one mesh, as one node has them: which were delivered, which are
//! held back, and for which of them others are answered for.

use std::collections::{BTreeMap, BTreeSet};

use mesh_shape::{Overlay, Rank, RankSet};

use super::Effect;
use super::duty::Duty;
use super::own::{Delivered, Own};
use crate::wire::{CastId, Expect, Leg, Outcome, Progress, Settled, StreamId, Unreached};

/// The casts of one stream.
///
/// Invariants: of what was addressed to this node, everything up to `last` was delivered or given up, and
/// nothing after it was delivered; what is held back comes after `last`. `open` and `news` say of every cast what its
/// legs are: whoever changes one [notes](Self::note) it.
#[derive(Clone, Debug)]
pub(super) struct Stream<N, P, R> {
    id: StreamId,
    last: u64,
    entries: BTreeMap<u64, Entry<N, P, R>>,
    /// The casts that legs are open for.
    open: BTreeSet<u64>,
    /// Those of them of which a parent does not know all that is known here.
    news: BTreeSet<u64>,
}

/// One cast.
#[derive(Clone, Debug)]
pub(super) struct Entry<N, P, R> {
    own: Own<P, R>,
    pub(super) duties: Vec<Duty<N, P, R>>,
}

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Stream<N, P, R> {
    pub(super) const fn new(id: StreamId) -> Self {
        Self { id, last: 0, entries: BTreeMap::new(), open: BTreeSet::new(), news: BTreeSet::new() }
    }

    pub(super) fn entry(&self, number: u64) -> Option<&Entry<N, P, R>> {
        self.entries.get(&number)
    }

    pub(super) fn entry_mut(&mut self, number: u64) -> Option<&mut Entry<N, P, R>> {
        self.entries.get_mut(&number)
    }

    /// The casts that legs are open for.
    pub(super) fn open(&self) -> Vec<u64> {
        self.open.iter().copied().collect()
    }

    /// How many casts there is anything to remember of.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets what the caster is done with, and gives up what it has given up.
    pub(super) fn settle(&mut self, settled: &Settled, effects: &mut Vec<Effect<N, P, R>>) {
        let over = self.entries.range(..=settled.through).map(|(number, _)| *number);
        for number in over.filter(|number| settled.is_over(*number)).collect::<Vec<_>>() {
            let Some(mut entry) = self.entries.remove(&number) else { continue };
            // The caster needs no answer, but a parent may wait for one.
            for duty in &mut entry.duties {
                duty.answer(Progress::Done, effects);
            }
            self.note(number);
        }
        self.skip_to(settled.through, effects);
    }

    /// Nothing up to `number` will be delivered any more.
    fn skip_to(&mut self, number: u64, effects: &mut Vec<Effect<N, P, R>>) {
        if number <= self.last {
            return;
        }
        let skipped = self.entries.range_mut(self.last + 1..=number);
        let held = skipped.filter(|(_, entry)| entry.own.is_held());
        let mut given_up = Vec::new();
        for (number, entry) in held {
            entry.own = Own::Nothing;
            given_up.push(*number);
        }
        self.last = number;
        for number in given_up {
            self.finish(number, effects);
        }
        self.release(effects);
    }

    /// Takes on a leg that was not seen before.
    pub(super) fn take_on(&mut self, mut duty: Duty<N, P, R>, effects: &mut Vec<Effect<N, P, R>>) {
        let number = duty.leg.cast.number;
        if duty.is_own {
            let position = duty.leg.range.start;
            let ranks = duty.plan.ranks(position);
            let expect = duty.leg.expects.get(Rank::new(position)).copied();
            if let Some(Expect::From(given_up)) = expect {
                self.skip_to(given_up, effects);
            }
            if !self.admit(&duty.leg, (ranks, expect)) {
                // What it says is for whoever tries it next.
                duty.is_own = false;
                duty.gather.add_unreached(position, Unreached::Lost);
            }
        }
        let entry = self.entries.entry(number);
        let entry = entry.or_insert_with(|| Entry { own: Own::Nothing, duties: Vec::new() });
        if duty.is_own {
            duty.gather.add(entry.own.said());
        }
        entry.duties.push(duty);
        self.release(effects);
        self.finish(number, effects);
    }

    /// Holds a cast back, if it is not there yet. Returns whether it is there now, or was.
    fn admit(&mut self, leg: &Leg<P>, (ranks, expect): (RankSet, Option<Expect>)) -> bool {
        let number = leg.cast.number;
        let is_held = self.entries.get(&number).is_some_and(|entry| entry.own.is_held());
        if number <= self.last || is_held {
            return true;
        }
        let Some(payload) = leg.payload.clone() else { return false };
        let need = match expect {
            None => 0,
            Some(Expect::After(need) | Expect::From(need)) => need,
        };
        let own = Own::Held { kind: leg.kind, need, ranks, payload };
        let entry = self.entries.entry(number);
        entry.or_insert_with(|| Entry { own: Own::Nothing, duties: Vec::new() }).own = own;
        true
    }

    /// Delivers what need not be held back any longer, in order.
    fn release(&mut self, effects: &mut Vec<Effect<N, P, R>>) {
        while let Some(number) = self.release_one(effects) {
            self.finish(number, effects);
        }
    }

    /// Only the first that is held back can be next: all others wait for it at least.
    fn release_one(&mut self, effects: &mut Vec<Effect<N, P, R>>) -> Option<u64> {
        let mut after = self.entries.range_mut(self.last.saturating_add(1)..);
        let (number, entry) = after.find(|(_, entry)| entry.own.is_held())?;
        match std::mem::replace(&mut entry.own, Own::Nothing) {
            Own::Held { kind, need, ranks, payload } if need <= self.last => {
                entry.own = Own::Delivered(Delivered::new(kind, ranks.clone()));
                let arrived = entry.own.said();
                for duty in entry.duties.iter_mut().filter(|duty| duty.is_own) {
                    duty.gather.add(arrived.clone());
                }
                self.last = *number;
                let cast = CastId { stream: self.id, number: *number };
                effects.push(Effect::Deliver { cast, kind, ranks, payload });
                Some(*number)
            }
            held @ (Own::Held { .. } | Own::Nothing | Own::Delivered(_)) => {
                entry.own = held;
                None
            }
        }
    }

    /// Takes what ranks of this node say.
    pub(super) fn on_said(
        &mut self,
        (number, outcomes): (u64, Overlay<Outcome<R>>),
        effects: &mut Vec<Effect<N, P, R>>,
    ) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        let news = entry.own.on_said(outcomes);
        for duty in entry.duties.iter_mut().filter(|duty| duty.is_own) {
            duty.gather.add(news.clone());
        }
        self.finish(number, effects);
    }

    /// Answers every leg of a cast about which there is nothing more to say, and forgets the cast if
    /// nothing is left of it. Follows every change of a cast.
    pub(super) fn finish(&mut self, number: u64, effects: &mut Vec<Effect<N, P, R>>) {
        let Some(Entry { own, duties }) = self.entries.get_mut(&number) else { return };
        duties.retain_mut(|duty| !duty.settle(own, effects));
        if duties.is_empty() && matches!(own, Own::Nothing) {
            self.entries.remove(&number);
        }
        self.note(number);
    }

    /// Sees what the legs of a cast are now.
    fn note(&mut self, number: u64) {
        let entry = self.entries.get(&number);
        put(&mut self.open, number, entry.is_some_and(|entry| !entry.duties.is_empty()));
        put(&mut self.news, number, entry.is_some_and(Entry::has_news));
    }

    /// Whether there is nothing to remember of any cast: its caster is done with all that were here.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether somebody waits for an answer.
    pub(super) fn has_duties(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether a parent does not know all that is known here.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Tells every parent what is known so far.
    pub(super) fn flush(&mut self, effects: &mut Vec<Effect<N, P, R>>) {
        for number in std::mem::take(&mut self.news) {
            let Some(Entry { own, duties }) = self.entries.get_mut(&number) else { continue };
            duties.iter_mut().for_each(|duty| duty.flush(own, effects));
            self.note(number);
        }
    }

    /// Nothing of it is wanted any more: whoever waits for an answer is told that there is none.
    pub(super) fn close(self, effects: &mut Vec<Effect<N, P, R>>) {
        for mut duty in self.entries.into_values().flat_map(|entry| entry.duties) {
            duty.answer(Progress::Done, effects);
        }
    }
}

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Entry<N, P, R> {
    fn has_news(&self) -> bool {
        self.duties.iter().any(|duty| duty.has_news(&self.own))
    }
}

#[cfg(test)]
impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Stream<N, P, R> {
    /// What is noted, and what a look at all casts shows: for which legs are open, and of which there is news.
    pub(super) fn noted_and_seen(&self) -> [(Vec<u64>, Vec<u64>); 2] {
        let noted = (self.open(), self.news.iter().copied().collect());
        let that = |is_so: fn(&Entry<N, P, R>) -> bool| {
            let entries = self.entries.iter().filter(move |(_, entry)| is_so(entry));
            entries.map(|(number, _)| *number).collect()
        };
        [noted, (that(|entry| !entry.duties.is_empty()), that(Entry::has_news))]
    }
}

/// Puts something into a set, or takes it out.
pub(super) fn put<T: Ord>(set: &mut BTreeSet<T>, it: T, is_in: bool) {
    if is_in {
        set.insert(it);
    } else {
        set.remove(&it);
    }
}
