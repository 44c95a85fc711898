//! `Walk`: what a crowd does, by looking at all that waits each time. The model of its tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::{ActorId, PeerId};
use mesh_shape::{Rank, RankSet};

use super::places::{Places, Whose};
use super::{Bound, Who};
use crate::caster::{Busy, Caster, News, Until};
use crate::limits::Limits;
use crate::plan::Plan;
use crate::wire::Kind;

pub(super) type TestCaster = Caster<PeerId, (), ()>;
pub(super) type Effect = crate::caster::Effect<PeerId, (), ()>;

/// What becomes of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Came {
    /// It is on its way.
    Cast(u64, Vec<Effect>),
    /// It may not wait.
    Refused(u64, Bound),
}

/// What waits, in the order in which it came.
pub(super) struct Walk {
    queue: Vec<Item>,
    places: Places,
    /// The tree over all ranks.
    whole: Arc<Plan<PeerId>>,
    /// Whether somebody who was refused by ranks is tried only when one of them has room. If not, he is tried each time,
    /// and so is refused by what has got full meanwhile as well: for who sends more than others that makes a difference.
    is_patient: bool,
}

struct Item {
    number: u64,
    who: Who,
    whose: Option<Whose>,
    busy: Option<Busy>,
}

/// Those that were looked at, as those behind them see it.
#[derive(Default)]
struct Before {
    unreached: Option<RankSet>,
    silent: RankSet,
    full: RankSet,
    senders: BTreeMap<ActorId, RankSet>,
}

impl Walk {
    pub(super) const fn new(limits: Limits, whole: Arc<Plan<PeerId>>, is_patient: bool) -> Self {
        Self { queue: Vec::new(), places: Places::new(limits), whole, is_patient }
    }

    pub(super) fn come(&mut self, number: u64, who: Who) {
        self.queue.push(Item { number, who, whose: None, busy: None });
    }

    pub(super) fn leave(&mut self, number: u64) {
        let gone = self.queue.extract_if(.., |item| item.number == number);
        gone.for_each(|item| free(&mut self.places, &item));
    }

    /// Another caster goes on.
    pub(super) fn begin_anew(&mut self) {
        self.queue.iter_mut().for_each(|item| item.busy = None);
    }

    /// Looks at all that waits.
    pub(super) fn look(&mut self, caster: &mut TestCaster, news: &News) -> Vec<Came> {
        let (mut before, mut came) = (Before::default(), Vec::new());
        for mut item in std::mem::take(&mut self.queue) {
            let held_by = before.holds(&item.who);
            let held_by = match held_by {
                _ if self.is_patient && item.stays(&before, caster, news) => {
                    item.busy.as_ref().map(|busy| busy.ranks().clone())
                }
                Some(held_by) => {
                    item.busy = None;
                    Some(held_by)
                }
                None => match cast(caster, &self.whole, &item.who) {
                    Ok(effects) => {
                        came.push(Came::Cast(item.number, effects));
                        free(&mut self.places, &item);
                        continue;
                    }
                    Err((busy, _)) => {
                        item.busy = Some(busy.clone());
                        Some(busy.ranks().clone())
                    }
                },
            };
            let held_by = held_by.unwrap_or_default();
            if let Some(bound) = self.place(&mut item, &held_by) {
                came.push(Came::Refused(item.number, bound));
                continue;
            }
            before.follow(&item, held_by);
            self.queue.push(item);
        }
        came
    }

    fn place(&mut self, item: &mut Item, held_by: &RankSet) -> Option<Bound> {
        let who = &item.who;
        if item.whose.is_some() {
            return None;
        }
        let whose = Whose::of(who.from, held_by, &who.ranks);
        let refused = self.places.refuses(whose, who.bytes).filter(|_| !who.is_ahead);
        if refused.is_none() {
            self.places.take(whose, who.bytes);
            item.whose = Some(whose);
        }
        refused
    }
}

impl Item {
    /// Whether it is not tried again, since none of those that have refused it has room.
    fn stays(&self, before: &Before, caster: &TestCaster, news: &News) -> bool {
        match &self.busy {
            Some(Busy::All(_)) => !news.has_arrived && before.unreached.is_none(),
            Some(Busy::Ranks(ranks)) => {
                let is_full = caster.still_full(ranks, self.who.bytes).is_some();
                is_full && !before.full.intersects(ranks)
            }
            Some(Busy::Calls(ranks)) => {
                caster.still_silent(ranks).is_some() && !before.silent.intersects(ranks)
            }
            None => false,
        }
    }
}

impl Before {
    fn holds(&self, who: &Who) -> Option<RankSet> {
        let by_sender = who.from.and_then(|from| self.senders.get(&from).cloned());
        if who.is_ahead {
            return by_sender;
        }
        let ranks = &who.ranks;
        let by_silent = Some(self.silent.intersection(ranks)).filter(|_| who.is_call);
        let by_full = Some(self.full.intersection(ranks));
        let by_ranks = [by_silent, by_full].map(|by| by.filter(|by| !by.is_empty()));
        let all = by_ranks.into_iter().chain([self.unreached.clone(), by_sender]);
        all.flatten().reduce(|one, other| one.union(&other))
    }

    fn follow(&mut self, item: &Item, held_by: RankSet) {
        match &item.busy {
            Some(Busy::All(ranks)) => self.unreached = Some(ranks.clone()),
            Some(Busy::Calls(ranks)) => self.silent = self.silent.union(ranks),
            Some(Busy::Ranks(ranks)) => self.full = self.full.union(ranks),
            None => (),
        }
        if let Some(from) = item.who.from {
            let line = self.senders.entry(from).or_default();
            *line = line.union(&held_by);
        }
    }
}

fn free(places: &mut Places, item: &Item) {
    if let Some(whose) = item.whose {
        places.free(whose, item.who.bytes);
    }
}

/// Casts one, which is for neighbours.
pub(super) fn cast(
    caster: &mut TestCaster,
    whole: &Plan<PeerId>,
    who: &Who,
) -> Result<Vec<Effect>, (Busy, Until)> {
    let start = who.ranks.first().map_or(0, Rank::index);
    let plan = Arc::new(whole.within(start..start + who.ranks.len()));
    if who.is_ahead {
        return Ok(caster.cast_ahead(plan, (), who.bytes).1);
    }
    let kind = if who.is_call { Kind::Call } else { Kind::Cast };
    let sent = caster.cast_if(plan, kind, ((), who.bytes), || true);
    let effects = |sent: Option<(_, Vec<Effect>)>| sent.expect("it is claimed").1;
    sent.map(effects).map_err(|full| (full.busy, full.until))
}
