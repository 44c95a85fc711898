//! `Watched`: what the actors in a process are, by their meshes, and who waits for them (L7). Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use controller::{AskId, Controlled, Reporter, Waited, Waiting};
use mesh_core::{Incarnation, MeshId, Place, RankState, Refusal, Timestamp};
use mesh_shape::{Rank, RankSet};

use super::dying::Life;
use crate::agent::{RankStates, WaitRankStatus};
use crate::report::{ActorKind, ActorReport, ActorState};

/// Of how many meshes that are over it is still known what became of them.
const OVER_MAX: usize = 64;

/// How many may wait at once.
const WAITS_MAX: usize = 1_024;

/// What the actors of each mesh are, and who waits for them: `R` is where the answer goes.
pub(super) struct Watched<R> {
    /// Those that have actors here, or had, or are waited for.
    meshes: BTreeMap<MeshId, Reporter<ActorKind>>,
    waiting: BTreeMap<AskId, (MeshId, R)>,
    n_asked: u64,
    /// Those that are over, the newest last.
    over: VecDeque<MeshId>,
}

/// What somebody is answered.
pub(super) type Answered<R> = (R, Result<RankStates, Refusal>);

impl<R> Default for Watched<R> {
    fn default() -> Self {
        let (meshes, waiting) = (BTreeMap::new(), BTreeMap::new());
        Self { meshes, waiting, n_asked: 0, over: VecDeque::new() }
    }
}

impl<R> Watched<R> {
    /// Takes note of what an actor is. Returns who has waited for that.
    pub(super) fn note(
        &mut self,
        (mesh, rank, incarnation): Life,
        now: Timestamp,
        state: ActorState,
    ) -> Vec<Answered<R>> {
        let report = ActorReport::new(state, Place::HEALTHY);
        let reached = self.mesh(mesh).report(rank, incarnation, now, report);
        self.answer(mesh, reached)
    }

    /// Somebody waits. Returns the answer if there is one at once.
    pub(super) fn wait(
        &mut self,
        now: Timestamp,
        WaitRankStatus { mesh, ranks, until, within }: WaitRankStatus,
        reply: R,
    ) -> Option<Answered<R>> {
        self.n_asked += 1;
        let ask = AskId::new(self.n_asked);
        let has_room = self.waiting.len() < WAITS_MAX;
        // What is so far already needs no room.
        let within = if has_room { within } else { Duration::ZERO };
        let answer = match self.mesh(mesh).wait(now, ask, &ranks, (until, within)) {
            Waiting::Kept => {
                self.waiting.insert(ask, (mesh, reply));
                return None;
            }
            Waiting::Over(Waited { missing, .. }) if has_room || missing.is_empty() => {
                Ok(self.states(mesh, missing))
            }
            Waiting::Over(_) | Waiting::TooMany => Err(Refusal::TooMany { limit: WAITS_MAX }),
        };
        self.forget_unknown(mesh);
        Some((reply, answer))
    }

    /// The waits whose time is over, each with who asked.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<Answered<R>> {
        let expired = self.meshes.iter_mut().map(|(mesh, it)| (*mesh, it.expire(now)));
        let expired: Vec<_> = expired.filter(|(_, waited)| !waited.is_empty()).collect();
        let mut answers = Vec::new();
        for (mesh, waited) in expired {
            answers.extend(self.answer(mesh, waited));
            self.forget_unknown(mesh);
        }
        answers
    }

    /// When the first wait is over for lack of time.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.meshes.values().filter_map(Reporter::next_deadline).min()
    }

    /// Forgets those who do not wait any more.
    pub(super) fn withdraw(&mut self, is_abandoned: impl Fn(&R) -> bool) {
        let gone = self.waiting.iter().filter(|(_, (_, reply))| is_abandoned(reply));
        let gone: Vec<_> = gone.map(|(ask, (mesh, _))| (*ask, *mesh)).collect();
        for (ask, mesh) in gone {
            self.waiting.remove(&ask);
            if let Some(reporter) = self.meshes.get_mut(&mesh) {
                reporter.withdraw(ask);
            }
            self.forget_unknown(mesh);
        }
    }

    /// A mesh is over here: what has become of it stays known for a while.
    pub(super) fn close(&mut self, mesh: MeshId) {
        if self.over.contains(&mesh) {
            return;
        }
        self.over.push_back(mesh);
        if self.over.len() > OVER_MAX
            && let Some(oldest) = self.over.pop_front()
        {
            // Whoever still waits for it is told that there is no answer.
            self.meshes.remove(&oldest);
            self.waiting.retain(|_, (of, _)| *of != oldest);
        }
    }

    /// What is known of the actors of a mesh.
    pub(super) fn states(&self, mesh: MeshId, missing: RankSet) -> RankStates {
        let known = self.meshes.get(&mesh).into_iter().flat_map(Reporter::known);
        let state = |(rank, incarnation, report): (Rank, Incarnation, &ActorReport)| {
            (rank, RankState { incarnation, status: ActorKind.status(report) })
        };
        RankStates { missing, ranks: known.map(state).collect() }
    }

    fn mesh(&mut self, mesh: MeshId) -> &mut Reporter<ActorKind> {
        self.meshes.entry(mesh).or_insert_with(|| {
            // Its keeper says which of its ranks are here.
            let all = RankSet::from(0..usize::MAX);
            Reporter::new(ActorKind, all, ActorReport::new(ActorState::Absent, Place::HEALTHY))
        })
    }

    /// Nothing is kept of a mesh that nothing was heard of and nobody waits for.
    fn forget_unknown(&mut self, mesh: MeshId) {
        let is_unknown = |it: &Reporter<ActorKind>| it.known().next().is_none();
        if self.meshes.get(&mesh).is_some_and(|it| is_unknown(it) && it.next_deadline().is_none()) {
            self.meshes.remove(&mesh);
        }
    }

    fn answer(&mut self, mesh: MeshId, waited: Vec<Waited>) -> Vec<Answered<R>> {
        let mut answers = Vec::new();
        for Waited { ask, missing } in waited {
            if let Some((_, reply)) = self.waiting.remove(&ask) {
                answers.push((reply, Ok(self.states(mesh, missing))));
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests;
