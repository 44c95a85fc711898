//! Who is told what: a snapshot first, then numbered messages without a gap (N2 to N7).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{
    Change, Epoch, Escalation, Interest, MeshEvent, MeshLabel, News, Part, SubscriberId, Withdrawal,
};
use mesh_shape::{Overlay, Rank, RankSet, Region, ValueMesh};

use crate::event::{Effect, Subscription};

/// The subscribers of one mesh.
#[derive(Clone, Debug)]
pub(crate) struct Subscribers {
    mesh: MeshLabel,
    reporter: Epoch,
    by_id: BTreeMap<SubscriberId, Subscriber>,
}

#[derive(Clone, Debug)]
struct Subscriber {
    view: View,
    /// The number of the last message sent.
    seq: u64,
}

/// What a subscriber wants to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) interest: Interest,
    /// The part of the mesh that it hears of; everything if `None`.
    region: Option<Arc<Region>>,
}

impl Subscribers {
    pub(crate) const fn new(mesh: MeshLabel, reporter: Epoch) -> Self {
        Self { mesh, reporter, by_id: BTreeMap::new() }
    }

    pub(crate) fn contains(&self, id: SubscriberId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// `whole` is the region of the mesh.
    pub(crate) fn add(&mut self, subscription: Subscription, whole: &Region) {
        let Subscription { id, interest, region, again: _ } = subscription;
        // The whole mesh in its own order needs no arithmetic.
        let region = region.filter(|region| **region != *whole);
        self.by_id.insert(id, Subscriber { view: View { interest, region }, seq: 0 });
    }

    pub(crate) fn remove(&mut self, id: SubscriberId) {
        self.by_id.remove(&id);
    }

    pub(crate) fn view(&self, id: SubscriberId) -> Option<&View> {
        self.by_id.get(&id).map(|subscriber| &subscriber.view)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Tells each subscriber of the changes that meet its region and its interest. Those who want the
    /// same share it. `whole` is the region of the mesh.
    pub(crate) fn tell_changes(
        &mut self,
        changes: &[Change],
        whole: &Region,
        effects: &mut Vec<Effect>,
    ) {
        if changes.is_empty() {
            return;
        }
        let mut last: Option<(View, Arc<[Change]>)> = None;
        for (id, subscriber) in &mut self.by_id {
            let mine = match &last {
                Some((view, mine)) if *view == subscriber.view => Arc::clone(mine),
                Some(_) | None => {
                    let mine: Arc<[Change]> = subscriber.view.select(changes, whole).into();
                    last = Some((subscriber.view.clone(), Arc::clone(&mine)));
                    mine
                }
            };
            if !mine.is_empty() {
                let from = (&self.mesh, self.reporter);
                effects.push(subscriber.next(*id, from, News::Changed(mine)));
            }
        }
    }

    /// Tells those whose region they meet of ranks that had ended, and begin again in this time.
    pub(crate) fn tell_recalled(
        &mut self,
        (ranks, restart_in): (&RankSet, Duration),
        whole: &Region,
        effects: &mut Vec<Effect>,
    ) {
        for (id, subscriber) in &mut self.by_id {
            let ranks = subscriber.view.ranks(ranks, whole);
            if !ranks.is_empty() {
                let news = News::Recalled { ranks, restart_in };
                effects.push(subscriber.next(*id, (&self.mesh, self.reporter), news));
            }
        }
    }

    /// Tells those whose region they meet of ranks that had ended, and do not begin again as they were to.
    pub(crate) fn tell_withdrawn(
        &mut self,
        withdrawn: &[Withdrawal],
        whole: &Region,
        effects: &mut Vec<Effect>,
    ) {
        if withdrawn.is_empty() {
            return;
        }
        for (id, subscriber) in &mut self.by_id {
            let own = withdrawn.iter().map(|it| {
                let ranks = subscriber.view.ranks(&it.ranks, whole);
                Withdrawal { ranks, ..it.clone() }
            });
            let own: Arc<[Withdrawal]> = own.filter(|it| !it.ranks.is_empty()).collect();
            if !own.is_empty() {
                let news = News::Withdrawn(own);
                effects.push(subscriber.next(*id, (&self.mesh, self.reporter), news));
            }
        }
    }

    /// Tells every subscriber, whatever its region, that restarts cannot mend the mesh; each of the ranks of its region, as
    /// it counts them (N6).
    pub(crate) fn tell_escalation(
        &mut self,
        escalation: &Escalation,
        whole: &Region,
        effects: &mut Vec<Effect>,
    ) {
        for (id, subscriber) in &mut self.by_id {
            let own = |ranks: &RankSet| subscriber.view.ranks(ranks, whole);
            let (failed, starting) = (own(&escalation.failed), own(&escalation.starting));
            let news = News::Escalated(Escalation { failed, starting, ..*escalation });
            effects.push(subscriber.next(*id, (&self.mesh, self.reporter), news));
        }
    }

    /// Tells every subscriber the same, whatever its region.
    pub(crate) fn tell_all(&mut self, news: &News, effects: &mut Vec<Effect>) {
        for (id, subscriber) in &mut self.by_id {
            effects.push(subscriber.next(*id, (&self.mesh, self.reporter), news.clone()));
        }
    }

    /// Tells one subscriber. A snapshot has the number of the last message before it (N5).
    pub(crate) fn tell(&mut self, id: SubscriberId, news: News, effects: &mut Vec<Effect>) {
        let Some(subscriber) = self.by_id.get_mut(&id) else { return };
        if matches!(news, News::Snapshot(_)) {
            let (mesh, reporter, waited) = (self.mesh.clone(), self.reporter, Duration::ZERO);
            let event =
                MeshEvent { mesh, reporter, seq: subscriber.seq, waited, part: Part::WHOLE, news };
            effects.push(Effect::Tell { to: id, event });
        } else {
            effects.push(subscriber.next(id, (&self.mesh, self.reporter), news));
        }
    }
}

impl Subscriber {
    fn next(
        &mut self,
        id: SubscriberId,
        (mesh, reporter): (&MeshLabel, Epoch),
        news: News,
    ) -> Effect {
        self.seq = self.seq.saturating_add(1);
        let (mesh, seq, waited) = (mesh.clone(), self.seq, Duration::ZERO);
        let event = MeshEvent { mesh, reporter, seq, waited, part: Part::WHOLE, news };
        Effect::Tell { to: id, event }
    }
}

impl View {
    /// The changes that it wants, in the ranks of its region.
    fn select(&self, changes: &[Change], whole: &Region) -> Vec<Change> {
        changes
            .iter()
            .filter(|change| self.interest == Interest::All || change.status.is_terminal())
            .filter_map(|change| {
                let ranks = self.ranks(&change.ranks, whole);
                (!ranks.is_empty()).then(|| Change { ranks, ..change.clone() })
            })
            .collect()
    }

    /// Ranks of the mesh as ranks of the region (H5): by way of the ranks of the base, since the mesh
    /// may itself be a slice.
    pub(crate) fn ranks(&self, ranks: &RankSet, whole: &Region) -> RankSet {
        let Some(region) = &self.region else { return ranks.clone() };
        if *whole == Region::all(whole.base().clone())
            && let Some(shown) = by_runs(ranks, region)
        {
            return shown;
        }
        let to_region = |rank: Rank| region.rank_of_base(whole.base_rank(rank)?);
        ranks.iter().filter_map(to_region).collect()
    }
}

/// The ranks of the base as ranks of a region of it, without looking at each: a part of the region that
/// is all in or all out is taken as one.
fn by_runs(ranks: &RankSet, region: &Region) -> Option<RankSet> {
    let size = region.base().size();
    let mut mask = ValueMesh::uniform(size, false);
    let is_in: Overlay<bool> = ranks.runs_within(0..size).fold(Overlay::new(), |mut is_in, run| {
        is_in.insert(run, true);
        is_in
    });
    mask.apply(&is_in).ok()?;
    Some(mask.slice(region).ok()?.ranks_where(|is_in| *is_in))
}
