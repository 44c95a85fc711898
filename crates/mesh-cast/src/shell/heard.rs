//! `Heard`: from whom the casts of each process to each mesh came last: by those the way leads back to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_core::{ActorId, MeshId, PeerId};
use tokio::time::Instant;

use crate::wire::StreamId;

/// A process that casts, and a mesh.
type Source = (PeerId, MeshId);

/// The processes that have cast to a mesh by way of this one.
#[derive(Debug)]
pub(super) struct Heard {
    heard_max: usize,
    /// When each was heard of last, and from whom, unless that one was lost.
    heard: BTreeMap<Source, (Instant, Option<ActorId>)>,
    /// The same, by when.
    by_age: BTreeSet<(Instant, Source)>,
}

impl Heard {
    pub(super) const fn new(heard_max: usize) -> Self {
        Self { heard_max, heard: BTreeMap::new(), by_age: BTreeSet::new() }
    }

    /// A leg has come from somebody. Where there is no room for one more, the one is forgotten that was heard of longest
    /// ago.
    pub(super) fn hear(&mut self, stream: StreamId, from: ActorId) {
        let source = (stream.caster.peer(), stream.mesh);
        if self.heard.len() >= self.heard_max
            && !self.heard.contains_key(&source)
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.heard.remove(&oldest);
        }
        let now = Instant::now();
        if let Some((before, _)) = self.heard.insert(source, (now, Some(from))) {
            self.by_age.remove(&(before, source));
        }
        self.by_age.insert((now, source));
    }

    /// Word has come from somebody. Of whom no leg has come none comes here.
    pub(super) fn hear_word(&mut self, stream: StreamId, from: ActorId) {
        if self.heard.contains_key(&(stream.caster.peer(), stream.mesh)) {
            self.hear(stream, from);
        }
    }

    /// From whom the casts of a process to a mesh came last.
    pub(super) fn parent(&self, of: PeerId, mesh: MeshId) -> Option<ActorId> {
        self.heard.get(&(of, mesh)).and_then(|(_, from)| *from)
    }

    /// The session with a process was lost.
    pub(super) fn lose(&mut self, peer: PeerId) {
        for (_, from) in self.heard.values_mut() {
            *from = from.filter(|from| from.peer() != peer);
        }
    }

    /// Forgets those that nothing was heard of for so long.
    pub(super) fn sweep(&mut self, after: Duration) {
        while let Some((heard, source)) = self.by_age.first().copied() {
            if heard.elapsed() <= after {
                break;
            }
            self.by_age.pop_first();
            self.heard.remove(&source);
        }
    }

    /// The meshes that are cast to.
    pub(super) fn meshes(&self) -> BTreeSet<MeshId> {
        self.heard.keys().map(|(_, mesh)| *mesh).collect()
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::{Incarnation, ProcId};

    use super::*;

    fn actor(proc: u128, index: u64) -> ActorId {
        ActorId { proc: ProcId::from_random(proc), life: Incarnation::FIRST, index }
    }

    fn stream(proc: u128, index: u64) -> StreamId {
        StreamId { caster: actor(proc, index), mesh: MeshId::from_random(7) }
    }

    /// R3: however often a process casts by another caster, there is one way back to it.
    #[tokio::test(start_paused = true)]
    async fn the_way_leads_back_to_whom_the_last_cast_of_a_process_came_from() {
        let mesh = MeshId::from_random(7);
        let mut heard = Heard::new(2);
        for index in 0..9 {
            heard.hear(stream(1, index), actor(10 + u128::from(index), 1));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        heard.hear_word(stream(2, 1), actor(20, 1));
        assert_eq!(heard.parent(actor(1, 0).peer(), mesh), Some(actor(18, 1)));
        assert_eq!(heard.parent(actor(2, 0).peer(), mesh), None, "no leg of it has come");
        heard.lose(actor(18, 0).peer());
        assert_eq!(heard.parent(actor(1, 0).peer(), mesh), None);
        assert_eq!(heard.meshes(), BTreeSet::from([mesh]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_was_heard_of_longest_ago_makes_room_and_is_forgotten_in_time() {
        let mesh = MeshId::from_random(7);
        let mut heard = Heard::new(2);
        for proc in [1, 2, 1, 3] {
            heard.hear(stream(proc, 1), actor(9, 1));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let known = |heard: &Heard| -> Vec<u128> {
            (1..4).filter(|proc| heard.parent(actor(*proc, 0).peer(), mesh).is_some()).collect()
        };
        assert_eq!(known(&heard), [1, 3]);
        heard.sweep(Duration::from_secs(1));
        assert_eq!(known(&heard), [3]);
        tokio::time::advance(Duration::from_secs(1)).await;
        heard.sweep(Duration::from_secs(1));
        assert_eq!((known(&heard), heard.by_age.len()), (vec![], 0));
    }
}
