//! Who is told what: a snapshot first, then numbered messages without a gap (N2 to N7).

use std::collections::BTreeMap;

use mesh_core::{Change, Interest, MeshEvent, MeshLabel, News, SubscriberId};
use mesh_shape::{Rank, RankSet, Region};

use crate::event::{Effect, Subscription};

/// The subscribers of one mesh.
#[derive(Clone, Debug)]
pub(crate) struct Subscribers {
    mesh: MeshLabel,
    by_id: BTreeMap<SubscriberId, Subscriber>,
}

#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) interest: Interest,
    /// The part of the mesh that it hears of; everything if `None`.
    pub(crate) region: Option<Region>,
    /// The number of the last message sent.
    seq: u64,
}

impl Subscribers {
    pub(crate) fn new(mesh: MeshLabel) -> Self {
        Self { mesh, by_id: BTreeMap::new() }
    }

    /// Returns whether it is new.
    pub(crate) fn add(&mut self, subscription: Subscription) -> bool {
        let Subscription { id, interest, region } = subscription;
        if self.by_id.contains_key(&id) {
            return false;
        }
        self.by_id.insert(id, Subscriber { interest, region, seq: 0 });
        true
    }

    pub(crate) fn remove(&mut self, id: SubscriberId) {
        self.by_id.remove(&id);
    }

    pub(crate) fn get(&self, id: SubscriberId) -> Option<&Subscriber> {
        self.by_id.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Tells each subscriber of the changes that meet its region and its interest.
    pub(crate) fn tell_changes(&mut self, changes: &[Change], effects: &mut Vec<Effect>) {
        for (id, subscriber) in &mut self.by_id {
            let mine = subscriber.select(changes);
            if !mine.is_empty() {
                effects.push(subscriber.next(*id, &self.mesh, News::Changed(mine)));
            }
        }
    }

    /// Tells every subscriber the same, whatever its region.
    pub(crate) fn tell_all(&mut self, news: &News, effects: &mut Vec<Effect>) {
        for (id, subscriber) in &mut self.by_id {
            effects.push(subscriber.next(*id, &self.mesh, news.clone()));
        }
    }

    /// Tells one subscriber. A snapshot has the number of the last message before it (N5).
    pub(crate) fn tell(&mut self, id: SubscriberId, news: News, effects: &mut Vec<Effect>) {
        let Some(subscriber) = self.by_id.get_mut(&id) else { return };
        if matches!(news, News::Snapshot(_)) {
            let event = MeshEvent { mesh: self.mesh.clone(), seq: subscriber.seq, news };
            effects.push(Effect::Tell { to: id, event });
        } else {
            effects.push(subscriber.next(id, &self.mesh, news));
        }
    }
}

impl Subscriber {
    fn next(&mut self, id: SubscriberId, mesh: &MeshLabel, news: News) -> Effect {
        self.seq = self.seq.saturating_add(1);
        Effect::Tell { to: id, event: MeshEvent { mesh: mesh.clone(), seq: self.seq, news } }
    }

    /// The changes that it wants, in the ranks of its view.
    pub(crate) fn select(&self, changes: &[Change]) -> Vec<Change> {
        changes
            .iter()
            .filter(|change| self.interest == Interest::All || change.status.is_terminal())
            .filter_map(|change| {
                let ranks = self.view(&change.ranks);
                (!ranks.is_empty()).then(|| Change { ranks, ..change.clone() })
            })
            .collect()
    }

    /// Ranks of the mesh as ranks of its view (H5).
    pub(crate) fn view(&self, ranks: &RankSet) -> RankSet {
        match &self.region {
            None => ranks.clone(),
            Some(region) => {
                ranks.iter().filter_map(|rank: Rank| region.rank_of_base(rank)).collect()
            }
        }
    }
}
