//! `Crowd`: what waits for room in a caster, in the order in which it came.

use std::collections::BTreeMap;

use mesh_shape::RankSet;

use crate::caster::{Busy, News, Share, Until};
use crate::limits::Limits;

mod doors;
mod lines;
mod obstacles;
mod places;
mod thresholds;
mod turn;

pub(super) use places::Bound;
pub(super) use turn::{Lack, Refused, Turn, Who};

use obstacles::Obstacles;
use places::{Places, Whose};

/// What waits. Who passes it neither overtakes a cast of the same sender (R2) nor takes its turn at a rank.
///
/// Programs that are no actors look alike: one that casts and does not wait has no order, also without a tree.
///
/// # State
///
/// Kept between looks: each that waits stands behind one thing that is in its way ([`Obstacles`]), and is looked at again
/// when that has gone. Who has nothing before him is tried; if he is refused, it is he whom others stand behind.
///
/// # Bounds
///
/// Those of [`Places`].
#[derive(Debug)]
pub(super) struct Crowd<T> {
    waiting: BTreeMap<u64, Waiting<T>>,
    places: Places,
    obstacles: Obstacles,
}

#[derive(Debug)]
struct Waiting<T> {
    who: Who,
    /// `None` while it is tried.
    what: Option<T>,
    /// In whose line it has a place; `None` before it has one.
    whose: Option<Whose>,
}

impl<T> Crowd<T> {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { waiting: BTreeMap::new(), places: Places::new(limits), obstacles: Obstacles::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// One more comes. Its number is higher than that of all before it.
    pub(super) fn come(&mut self, number: u64, who: Who, what: T) {
        self.waiting.insert(number, Waiting { who, what: Some(what), whose: None });
        self.obstacles.come(number);
    }

    /// There may be more room than before.
    pub(super) fn hear(&mut self, news: &News, share: &Share) {
        self.obstacles.hear(news, share);
    }

    /// Nothing is known any more of what is in the way: another caster goes on. What the one before it was trying, if it
    /// failed at that, has ended with it.
    pub(super) fn begin_anew(&mut self) {
        let tried = self.waiting.iter().filter(|(_, one)| one.what.is_none());
        for number in tried.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.done(number);
        }
        self.obstacles.begin_anew();
    }

    /// What is to be done next, in the order in which they came. `lacks` says of ranks at which something of so many bytes
    /// was refused what else may make room there, if all of them still have none.
    pub(super) fn next(
        &mut self,
        lacks: impl Fn(Lack, usize, &RankSet) -> Option<Until>,
    ) -> Option<Turn<T>> {
        while let Some(number) = self.obstacles.next_due() {
            let turn = self.look_at(number, &lacks);
            if turn.is_some() {
                return turn;
            }
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
            Busy::All(ranks) => self.obstacles.refuse_all(number, ranks),
            Busy::Ranks(ranks) => self.obstacles.refuse_at(number, Lack::Full, (ranks, until)),
            Busy::Calls(ranks) => self.obstacles.refuse_at(number, Lack::Silent, (ranks, until)),
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

    /// Tries one whose obstacle may have gone, or has it stand behind the next.
    fn look_at(
        &mut self,
        number: u64,
        lacks: &impl Fn(Lack, usize, &RankSet) -> Option<Until>,
    ) -> Option<Turn<T>> {
        let Waiting { who, what, .. } = self.waiting.get_mut(&number)?;
        let lacks = |lack, ranks: &RankSet| lacks(lack, who.bytes, ranks);
        if self.obstacles.still_refuse(number, lacks) {
            return None;
        }
        let Some(behind) = self.obstacles.before(number, who) else {
            return what.take().map(|what| Turn::Try(number, what));
        };
        if let Some(refused) = self.place(number, None) {
            return Some(Turn::Refuse(refused));
        }
        self.obstacles.stand(number, behind);
        None
    }

    /// The ranks that have no room for one, or for what stands before it.
    fn held_by(&self, number: u64) -> RankSet {
        let Some(Waiting { who, .. }) = self.waiting.get(&number) else { return RankSet::new() };
        let before = self.obstacles.before_of_sender(number, who);
        let all = before.map_or_else(RankSet::new, |before| self.held_by(before));
        all.union(&self.obstacles.ranks_before(number, who))
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
        self.obstacles.follow(number, who);
        None
    }

    fn remove(&mut self, number: u64) -> Option<T> {
        let Waiting { who, what, whose } = self.waiting.remove(&number)?;
        self.obstacles.leave(number, &who);
        if let Some(whose) = whose {
            self.places.free(whose, who.bytes);
        }
        what
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;
