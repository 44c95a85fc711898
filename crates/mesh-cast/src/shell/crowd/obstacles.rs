//! `Obstacles`: what stands in the way of each that waits.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::ActorId;
use mesh_shape::RankSet;

use super::doors::Doors;
use super::lines::Lines;
use super::thresholds::Thresholds;
use super::{Lack, Who};
use crate::caster::{News, Share, Until};

/// Whom each that waits stands behind, and whose obstacle may have gone.
///
/// In this order it is: what its sender cast before; one before it that is for the same ranks; a rank at which one before
/// it was refused; and that nothing can be cast at all before some ranks are reached. Who has none of these before him is
/// tried. If he is refused, others stand behind him until one of the ranks that refused him has room.
///
/// So an event costs what it makes room for; and at ranks at which one goes on whom others stand behind, or is refused no
/// more, one for each set of ranks that is waited for there, who may have to stand elsewhere. Where one is refused again
/// nobody else is looked at. That is `O(log n)` for each that is looked at, of those `n` that wait, and the runs of its
/// ranks.
#[derive(Debug)]
pub(super) struct Obstacles {
    waiting: BTreeMap<u64, Standing>,
    /// Those whose obstacle may have gone.
    due: BTreeSet<u64>,
    /// What waits of each actor, and has a place.
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
}

#[derive(Debug)]
struct Standing {
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
pub(super) enum Behind {
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

impl Obstacles {
    pub(super) const fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            due: BTreeSet::new(),
            senders: BTreeMap::new(),
            lines: Lines::new(),
            unreached: None,
            behind_unreached: BTreeSet::new(),
            full: Doors::new(),
            silent: Doors::new(),
            thresholds: Thresholds::new(),
        }
    }

    /// One more waits: it is looked at.
    pub(super) fn come(&mut self, number: u64) {
        self.waiting.insert(number, Standing::NEW);
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

    /// Nothing is known any more, but who is behind whom of one sender.
    pub(super) fn begin_anew(&mut self) {
        let waiting = std::mem::take(&mut self.waiting).into_keys();
        let senders = std::mem::take(&mut self.senders);
        *self = Self { senders, ..Self::new() };
        waiting.for_each(|number| self.come(number));
    }

    /// The first of those whose obstacle may have gone.
    pub(super) fn next_due(&mut self) -> Option<u64> {
        self.due.pop_first()
    }

    /// Whether all ranks that have refused one still do, as `lacks` says of them.
    pub(super) fn still_refuse(
        &mut self,
        number: u64,
        lacks: impl Fn(Lack, &RankSet) -> Option<Until>,
    ) -> bool {
        let refused = self.waiting.get_mut(&number).and_then(|one| one.refused.as_mut());
        let Some(refused) = refused.filter(|refused| !refused.is_old) else { return false };
        let Some(until) = lacks(refused.lack, &refused.ranks) else { return false };
        let before = std::mem::replace(&mut refused.until, until);
        self.thresholds.remove(number, &before);
        self.thresholds.add(number, &until);
        true
    }

    /// What is in the way of one that is looked at. It stands behind nothing meanwhile; and where there is something it
    /// gives way, since whoever stands behind it would stand behind that.
    pub(super) fn before(&mut self, number: u64, who: &Who) -> Option<Behind> {
        self.step_out(number);
        let behind = self.obstacle(number, who)?;
        if behind == Behind::Unreached {
            // Whoever stands behind it at ranks would stand behind it elsewhere.
            self.pass(number);
            self.age(number);
        } else {
            self.give_way(number);
        }
        Some(behind)
    }

    /// One stands behind that from now on.
    pub(super) fn stand(&mut self, number: u64, behind: Behind) {
        match behind {
            Behind::Nothing | Behind::Sender | Behind::Line => (),
            Behind::Rank(lack, rank) => self.doors_mut(lack).stand(rank, number),
            Behind::Unreached => _ = self.behind_unreached.insert(number),
        }
        if let Some(one) = self.waiting.get_mut(&number) {
            one.behind = behind;
        }
    }

    /// One has a place: what its sender casts after it stands behind it.
    pub(super) fn follow(&mut self, number: u64, who: &Who) {
        if let Some(from) = who.from {
            self.senders.entry(from).or_default().insert(number);
        }
    }

    /// One was refused since nothing can be cast before these ranks are reached: those that came later and were refused so
    /// stand behind it.
    pub(super) fn refuse_all(&mut self, number: u64, ranks: RankSet) {
        self.age(number);
        let before = self.unreached.replace((number, ranks));
        if let Some((later, _)) = before.filter(|(later, _)| *later != number) {
            self.stand(later, Behind::Unreached);
        }
    }

    /// One was refused at these ranks: those that came later and were refused there stand behind it. Where it was before,
    /// whoever stands behind it stays there.
    pub(super) fn refuse_at(&mut self, number: u64, lack: Lack, (ranks, until): (RankSet, Until)) {
        self.pass(number);
        let added = match self.take_refused(number) {
            Some(before) if before.lack == lack => {
                self.open(lack, &before.ranks.difference(&ranks));
                ranks.difference(&before.ranks)
            }
            Some(before) => {
                self.open(before.lack, &before.ranks);
                ranks.clone()
            }
            None => ranks.clone(),
        };
        self.displace(lack, &added);
        self.doors_mut(lack).refuse(number, &added);
        self.thresholds.add(number, &until);
        if let Some(one) = self.waiting.get_mut(&number) {
            one.refused = Some(RefusedAt { lack, ranks, until, is_old: false });
        }
    }

    /// One waits no longer. Who stood behind it is looked at.
    pub(super) fn leave(&mut self, number: u64, who: &Who) {
        self.due.remove(&number);
        self.give_way(number);
        self.step_out(number);
        self.waiting.remove(&number);
        let next = self.lines.leave(number, who);
        // Another may stand elsewhere since before that one came into the line.
        self.due.extend(next.filter(|next| self.is_in_line(*next)));
        let Some(from) = who.from else { return };
        let Some(line) = self.senders.get_mut(&from) else { return };
        let was_first = line.first() == Some(&number);
        line.remove(&number);
        self.due.extend(line.first().filter(|_| was_first));
        if line.is_empty() {
            self.senders.remove(&from);
        }
    }

    /// The first that waits of the same sender, if it came before.
    pub(super) fn before_of_sender(&self, number: u64, who: &Who) -> Option<u64> {
        let first = self.senders.get(&who.from?)?.first().copied();
        first.filter(|first| *first < number)
    }

    /// The ranks that have no room for one, or for those before it that are no others of its sender.
    pub(super) fn ranks_before(&self, number: u64, who: &Who) -> RankSet {
        let mut all = RankSet::new();
        if who.is_ahead {
            return all;
        }
        let is_now = |first: &u64| *first <= number && self.is_refused(*first);
        for lack in [Lack::Full, Lack::Silent] {
            let by = self.doors(lack).at(&who.ranks).filter(|(_, first)| is_now(first));
            let counts = lack == Lack::Full || who.is_call;
            by.filter(|_| counts).for_each(|(run, _)| all.insert_range(run));
        }
        match &self.unreached {
            Some((first, ranks)) if *first <= number => all.union(ranks),
            _ => all,
        }
    }

    fn obstacle(&mut self, number: u64, who: &Who) -> Option<Behind> {
        if self.before_of_sender(number, who).is_some() {
            return Some(Behind::Sender);
        }
        if who.is_ahead {
            return None;
        }
        if self.lines.join(number, who) < number {
            return Some(Behind::Line);
        }
        let by_rank = |lack| {
            let mut before = self.doors(lack).at(&who.ranks).filter(|(_, first)| *first < number);
            before.next().map(|(run, _)| Behind::Rank(lack, run.start))
        };
        let by_silent = || by_rank(Lack::Silent).filter(|_| who.is_call);
        let is_before = |(first, _): &(u64, RankSet)| *first < number;
        let by_all =
            || self.unreached.as_ref().filter(|it| is_before(it)).map(|_| Behind::Unreached);
        by_rank(Lack::Full).or_else(by_silent).or_else(by_all)
    }

    /// Whether one waits for ranks that have refused it.
    fn is_refused(&self, number: u64) -> bool {
        let refused = self.waiting.get(&number).and_then(|one| one.refused.as_ref());
        refused.is_some_and(|refused| !refused.is_old)
    }

    fn is_in_line(&self, number: u64) -> bool {
        self.waiting.get(&number).is_some_and(|one| one.behind == Behind::Line)
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

    /// Nobody stands behind one any more.
    fn give_way(&mut self, number: u64) {
        self.pass(number);
        if let Some(refused) = self.take_refused(number) {
            self.open(refused.lack, &refused.ranks);
        }
    }

    /// Because of one nothing is kept from being cast at all any more.
    fn pass(&mut self, number: u64) {
        if self.unreached.as_ref().is_some_and(|(first, _)| *first == number) {
            self.unreached = None;
            self.due.extend(self.behind_unreached.first());
        }
    }

    fn take_refused(&mut self, number: u64) -> Option<RefusedAt> {
        let refused = self.waiting.get_mut(&number)?.refused.take()?;
        self.thresholds.remove(number, &refused.until);
        Some(refused)
    }

    /// Whoever was refused at these ranks is not any more. Who stands behind it there is looked at.
    fn open(&mut self, lack: Lack, ranks: &RankSet) {
        let first = self.doors_mut(lack).open(ranks);
        self.due.extend(first);
    }

    /// Those that were refused at these ranks stand behind another.
    fn displace(&mut self, lack: Lack, ranks: &RankSet) {
        for later in self.doors(lack).all_at(ranks) {
            let refused = self.waiting.get(&later).and_then(|it| it.refused.as_ref());
            let rank = refused.and_then(|it| it.ranks.intersection(ranks).first());
            let Some(rank) = rank else { continue };
            self.give_way(later);
            self.step_out(later);
            self.stand(later, Behind::Rank(lack, rank.index()));
        }
    }

    fn age(&mut self, number: u64) {
        let one = self.waiting.get_mut(&number);
        if let Some(refused) = one.and_then(|one| one.refused.as_mut()) {
            refused.is_old = true;
            self.thresholds.remove(number, &refused.until);
        }
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

impl Standing {
    const NEW: Self = Self { behind: Behind::Nothing, refused: None };
}
