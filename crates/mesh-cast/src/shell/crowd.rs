//! `Crowd`: what waits for room in a caster, and what stands in the way of each.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::ActorId;
use mesh_shape::RankSet;

use crate::caster::{Busy, News, Share, Until};
use crate::limits::Limits;

mod doors;
mod lines;
mod places;
mod thresholds;
mod turn;

pub(super) use places::Bound;
pub(super) use turn::{Lack, Refused, Turn, Who};

use doors::Doors;
use lines::Lines;
use places::{Places, Whose};
use thresholds::Thresholds;

/// What waits, in the order in which it came. Who passes it neither overtakes a cast of the same sender (R2) nor takes
/// its turn at a rank.
///
/// Programs that are no actors look alike: one that casts and does not wait has no order, also without a tree.
///
/// # State
///
/// Kept between looks: each that waits stands behind one thing that is in its way, and is looked at again when that has
/// gone. That is, in this order: what its sender cast before; one before it that is for the same ranks; a rank at which one
/// before it was refused; and that nothing can be cast at all before some ranks are reached. Who has none of these
/// before him is tried; if he is refused, it is he whom others stand behind, until one of the ranks that refused him has
/// room.
///
/// So an event costs what it makes room for; and where one whom others stand behind at some ranks goes on, or is refused at
/// others, one for each set of ranks that is waited for there, who may have to stand elsewhere. That is `O(log n)` for
/// each that is looked at, of those `n` that wait.
///
/// # Bounds
///
/// Those of [`Places`].
#[derive(Debug)]
pub(super) struct Crowd<T> {
    waiting: BTreeMap<u64, Waiting<T>>,
    /// Those whose obstacle may have gone.
    due: BTreeSet<u64>,
    places: Places,
    /// What waits of each actor.
    senders: BTreeMap<ActorId, BTreeSet<u64>>,
    /// Those that none of their sender is before.
    lines: Lines,
    /// Who was refused since nothing can be cast before some ranks are reached, and those ranks.
    unreached: Option<(u64, RankSet)>,
    /// Who stands behind that.
    behind_unreached: BTreeSet<u64>,
    /// The ranks that have too much to take.
    full: Doors,
    /// The ranks that have too many calls to answer.
    silent: Doors,
    thresholds: Thresholds,
    /// How often one was looked at.
    #[cfg(test)]
    n_looks: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    who: Who,
    /// `None` while it is tried.
    what: Option<T>,
    /// In whose line it has a place; `None` before it has one.
    whose: Option<Whose>,
    behind: Behind,
    /// At which ranks it was refused.
    refused: Option<RefusedAt>,
}

#[derive(Debug)]
struct RefusedAt {
    lack: Lack,
    ranks: RankSet,
    until: Until,
    /// Whether it was not tried there since: nobody passes it, but it says nothing of what is in its way now.
    is_old: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// It is due, or was refused itself.
    Nothing,
    /// Another one of its sender.
    Sender,
    /// Another one for the same ranks.
    Line,
    /// One that was refused at that rank.
    Rank(Lack, usize),
    /// One that was refused since some ranks are not reached.
    Unreached,
}

impl<T> Crowd<T> {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            waiting: BTreeMap::new(),
            due: BTreeSet::new(),
            places: Places::new(limits),
            senders: BTreeMap::new(),
            lines: Lines::new(),
            unreached: None,
            behind_unreached: BTreeSet::new(),
            full: Doors::new(),
            silent: Doors::new(),
            thresholds: Thresholds::new(),
            #[cfg(test)]
            n_looks: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// One more comes. Its number is higher than that of all before it.
    pub(super) fn come(&mut self, number: u64, who: Who, what: T) {
        let (behind, what) = (Behind::Nothing, Some(what));
        self.waiting.insert(number, Waiting { who, what, whose: None, behind, refused: None });
        self.due.insert(number);
    }

    /// There may be more room than before.
    pub(super) fn hear(&mut self, news: &News, share: &Share) {
        for lack in [Lack::Full, Lack::Silent] {
            let mut refused = self.doors(lack).all_at(&news.ranks);
            // Of an old one it is something else that it waits for.
            refused.retain(|number| self.is_refused(*number));
            self.due.append(&mut refused);
        }
        self.due.extend(self.thresholds.reached(share));
        if news.has_arrived {
            self.due.extend(self.unreached.as_ref().map(|(number, _)| *number));
        }
    }

    /// Nothing is known any more of what is in the way: another caster goes on. What the one before it was trying, if it
    /// failed at that, has ended with it.
    pub(super) fn begin_anew(&mut self) {
        let tried = self.waiting.iter().filter(|(_, one)| one.what.is_none());
        for number in tried.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.done(number);
        }
        (self.full, self.silent, self.lines) = (Doors::new(), Doors::new(), Lines::new());
        (self.thresholds, self.unreached) = (Thresholds::new(), None);
        self.behind_unreached.clear();
        for one in self.waiting.values_mut() {
            (one.behind, one.refused) = (Behind::Nothing, None);
        }
        self.due = self.waiting.keys().copied().collect();
    }

    /// What is to be done next, in the order in which they came. `lacks` says of ranks at which something of so many bytes
    /// was refused what else may make room there, if all of them still have none.
    pub(super) fn next(
        &mut self,
        lacks: impl Fn(Lack, usize, &RankSet) -> Option<Until>,
    ) -> Option<Turn<T>> {
        while let Some(number) = self.due.pop_first() {
            #[cfg(test)]
            {
                self.n_looks += 1;
            }
            if self.is_still_refused(number, &lacks) {
                continue;
            }
            self.step_out(number);
            let Some(behind) = self.obstacle(number) else {
                let Some(one) = self.waiting.get_mut(&number) else { continue };
                let Some(what) = one.what.take() else { continue };
                return Some(Turn::Try(number, what));
            };
            self.give_way(number, behind == Behind::Unreached);
            if let Some(refused) = self.place(number, None) {
                return Some(Turn::Refuse(refused));
            }
            self.stand(number, behind);
        }
        None
    }

    /// One that was tried is on its way, or is not to be any more.
    pub(super) fn done(&mut self, number: u64) {
        drop(self.remove(number));
    }

    /// One that was tried found no room. It is refused if too many wait.
    pub(super) fn wait(
        &mut self,
        number: u64,
        what: T,
        (busy, until): (Busy, Until),
    ) -> Option<Refused<T>> {
        self.waiting.get_mut(&number)?.what = Some(what);
        if let Some(refused) = self.place(number, Some(busy.ranks())) {
            return Some(refused);
        }
        match busy {
            Busy::All(ranks) => {
                self.age(number);
                let before = self.unreached.replace((number, ranks));
                if let Some((later, _)) = before.filter(|(later, _)| *later != number) {
                    self.stand(later, Behind::Unreached);
                }
            }
            Busy::Ranks(ranks) => self.refuse_at(number, Lack::Full, (ranks, until)),
            Busy::Calls(ranks) => self.refuse_at(number, Lack::Silent, (ranks, until)),
        }
        None
    }

    /// Whoever waited for it has gone: it is taken away, unless it is being tried. Returns which ranks had no room for it,
    /// or for what stands before it; `None` if it is not there.
    pub(super) fn leave(&mut self, number: u64) -> Option<(RankSet, Option<T>)> {
        let is_tried = self.waiting.get(&number)?.what.is_none();
        let held_by = self.held_by(number);
        let what = if is_tried { None } else { self.remove(number) };
        Some((held_by, what))
    }

    /// Whether all ranks that have refused one still do.
    fn is_still_refused(
        &mut self,
        number: u64,
        lacks: impl Fn(Lack, usize, &RankSet) -> Option<Until>,
    ) -> bool {
        let Some(one) = self.waiting.get_mut(&number) else { return true };
        let Some(refused) = one.refused.as_mut().filter(|refused| !refused.is_old) else {
            return false;
        };
        let Some(until) = lacks(refused.lack, one.who.bytes, &refused.ranks) else { return false };
        let before = std::mem::replace(&mut refused.until, until);
        self.thresholds.remove(number, &before);
        self.thresholds.add(number, &until);
        true
    }

    /// What is in the way of one that is looked at.
    fn obstacle(&mut self, number: u64) -> Option<Behind> {
        let who = &self.waiting.get(&number)?.who;
        if self.first_of_sender(who).is_some_and(|first| first < number) {
            return Some(Behind::Sender);
        }
        if who.is_ahead {
            return None;
        }
        if self.lines.join(number, who) < number {
            return Some(Behind::Line);
        }
        let ranks = &who.ranks;
        let by_rank = |lack| {
            let mut before = self.doors(lack).at(ranks).filter(|(_, first)| *first < number);
            before.next().map(|(run, _)| Behind::Rank(lack, run.start))
        };
        let by_silent = || by_rank(Lack::Silent).filter(|_| who.is_call);
        let is_before = |(first, _): &(u64, RankSet)| *first < number;
        let by_all =
            || self.unreached.as_ref().filter(|it| is_before(it)).map(|_| Behind::Unreached);
        by_rank(Lack::Full).or_else(by_silent).or_else(by_all)
    }

    /// The ranks that have no room for one, or for what stands before it.
    fn held_by(&self, number: u64) -> RankSet {
        let Some(Waiting { who, .. }) = self.waiting.get(&number) else { return RankSet::new() };
        let before = self.first_of_sender(who).filter(|first| *first < number);
        let before = before.map_or_else(RankSet::new, |first| self.held_by(first));
        if who.is_ahead {
            return before;
        }
        let (ranks, mut all) = (&who.ranks, before);
        let is_now = |first: &u64| *first <= number && self.is_refused(*first);
        for lack in [Lack::Full, Lack::Silent] {
            let by = self.doors(lack).at(ranks).filter(|(_, first)| is_now(first));
            let counts = lack == Lack::Full || who.is_call;
            by.filter(|_| counts).for_each(|(run, _)| all.insert_range(run));
        }
        match &self.unreached {
            Some((first, ranks)) if *first <= number => all.union(ranks),
            _ => all,
        }
    }

    /// Whether one waits for ranks that have refused it.
    fn is_refused(&self, number: u64) -> bool {
        let refused = self.waiting.get(&number).and_then(|one| one.refused.as_ref());
        refused.is_some_and(|refused| !refused.is_old)
    }

    fn is_in_line(&self, number: u64) -> bool {
        self.waiting.get(&number).is_some_and(|one| one.behind == Behind::Line)
    }

    fn first_of_sender(&self, who: &Who) -> Option<u64> {
        self.senders.get(&who.from?)?.first().copied()
    }

    /// Gives one a place, if it has none. It comes back if there is none for it. These ranks have refused it, or else it
    /// stands behind others.
    fn place(&mut self, number: u64, refused_by: Option<&RankSet>) -> Option<Refused<T>> {
        if self.waiting.get(&number)?.whose.is_some() {
            return None;
        }
        let ranks = refused_by.cloned().unwrap_or_else(|| self.held_by(number));
        let one = self.waiting.get_mut(&number)?;
        let who = &one.who;
        let whose = Whose::of(who.from, &ranks, &who.ranks);
        let bound = self.places.refuses(whose, who.bytes).filter(|_| !who.is_ahead);
        if let Some(bound) = bound {
            let is_first = self.places.note_refused(whose, bound);
            let what = self.remove(number)?;
            return Some(Refused { what, ranks, bound, is_first });
        }
        one.whose = Some(whose);
        self.places.take(whose, who.bytes);
        if let Some(from) = who.from {
            self.senders.entry(from).or_default().insert(number);
        }
        None
    }

    fn stand(&mut self, number: u64, behind: Behind) {
        match behind {
            Behind::Nothing | Behind::Sender | Behind::Line => (),
            Behind::Rank(lack, rank) => self.doors_mut(lack).stand(rank, number),
            Behind::Unreached => _ = self.behind_unreached.insert(number),
        }
        if let Some(one) = self.waiting.get_mut(&number) {
            one.behind = behind;
        }
    }

    /// It stands behind nothing any more. Who stood behind it there is looked at, too, if nothing is in their way.
    fn step_out(&mut self, number: u64) {
        let Some(one) = self.waiting.get_mut(&number) else { return };
        match std::mem::replace(&mut one.behind, Behind::Nothing) {
            Behind::Nothing | Behind::Sender | Behind::Line => (),
            Behind::Rank(lack, rank) => {
                let next = self.doors_mut(lack).go(rank, number);
                self.due.extend(next);
            }
            Behind::Unreached => {
                self.behind_unreached.remove(&number);
                if self.unreached.is_none() {
                    self.due.extend(self.behind_unreached.first());
                }
            }
        }
    }

    /// One was refused at these ranks: those that came later and were refused there stand behind it.
    fn refuse_at(&mut self, number: u64, lack: Lack, (ranks, until): (RankSet, Until)) {
        self.give_way(number, false);
        for later in self.doors(lack).all_at(&ranks) {
            let Some(refused) = self.waiting.get(&later).and_then(|it| it.refused.as_ref()) else {
                continue;
            };
            let rank = refused.ranks.intersection(&ranks).first();
            self.give_way(later, false);
            self.step_out(later);
            self.stand(later, Behind::Rank(lack, rank.map_or(0, |rank| rank.index())));
        }
        self.doors_mut(lack).refuse(number, &ranks);
        self.thresholds.add(number, &until);
        if let Some(one) = self.waiting.get_mut(&number) {
            one.refused = Some(RefusedAt { lack, ranks, until, is_old: false });
        }
    }

    /// Nobody stands behind one any more, but at ranks, if it `keeps` them: whoever stands there would stand behind it
    /// elsewhere.
    fn give_way(&mut self, number: u64, keeps: bool) {
        if self.unreached.as_ref().is_some_and(|(first, _)| *first == number) {
            self.unreached = None;
            self.due.extend(self.behind_unreached.first());
        }
        if keeps {
            return self.age(number);
        }
        let refused = self.waiting.get_mut(&number).and_then(|one| one.refused.take());
        if let Some(RefusedAt { lack, ranks, until, .. }) = refused {
            self.thresholds.remove(number, &until);
            let first = self.doors_mut(lack).open(&ranks);
            self.due.extend(first);
        }
    }

    fn age(&mut self, number: u64) {
        let one = self.waiting.get_mut(&number);
        if let Some(refused) = one.and_then(|one| one.refused.as_mut()) {
            refused.is_old = true;
            self.thresholds.remove(number, &refused.until);
        }
    }

    fn remove(&mut self, number: u64) -> Option<T> {
        self.due.remove(&number);
        self.give_way(number, false);
        self.step_out(number);
        let Waiting { who, what, whose, .. } = self.waiting.remove(&number)?;
        let next = self.lines.leave(number, &who);
        // Another may stand elsewhere since before that one came into the line.
        self.due.extend(next.filter(|next| self.is_in_line(*next)));
        let Some(whose) = whose else { return what };
        self.places.free(whose, who.bytes);
        if let Some(from) = who.from
            && let Some(line) = self.senders.get_mut(&from)
        {
            let was_first = line.first() == Some(&number);
            line.remove(&number);
            self.due.extend(line.first().filter(|_| was_first));
            if line.is_empty() {
                self.senders.remove(&from);
            }
        }
        what
    }

    const fn doors(&self, lack: Lack) -> &Doors {
        match lack {
            Lack::Full => &self.full,
            Lack::Silent => &self.silent,
        }
    }

    const fn doors_mut(&mut self, lack: Lack) -> &mut Doors {
        match lack {
            Lack::Full => &mut self.full,
            Lack::Silent => &mut self.silent,
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;
