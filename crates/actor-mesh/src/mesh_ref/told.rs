//! What a mesh is, by what a subscriber is told at first: where that is too much for one answer.

use mesh_core::{
    Fault, Incarnation, Interest, MeshLabel, MeshPhase, MeshState, News, RankState, Snapshot,
    Status, StatusKind, WhyUndelivered,
};
use mesh_runtime::Sender;
use mesh_shape::ValueMesh;

use super::ActorMeshRef;
use super::watch::WatchError;

impl<A> ActorMeshRef<A> {
    /// The state of this slice: an event of many ranks comes in parts, as an answer does not.
    pub(super) async fn told_state(
        &self,
        from: &(impl Sender + Sync),
    ) -> Result<MeshState, WatchError> {
        let mut events = self.subscribe(from, Interest::All).await?;
        match events.next().await.map(|event| event.news) {
            Some(News::Snapshot(all)) => Ok(state_of(self.label.clone(), self.region.size(), all)),
            _ => Err(WatchError::Strange),
        }
    }
}

/// Whether nobody could say it since it is too large for an answer.
pub(super) const fn is_too_large(why: &WatchError) -> bool {
    matches!(why, WatchError::Unreached(Fault::Undelivered(WhyUndelivered::TooLarge { .. })))
}

fn state_of(mesh: MeshLabel, size: usize, all: Snapshot) -> MeshState {
    let unknown = RankState { incarnation: Incarnation::FIRST, status: Status::NotExist };
    let mut ranks = ValueMesh::uniform(size, unknown);
    for change in [all.failed, all.stopped, all.alive].into_iter().flatten() {
        for run in change.ranks.runs() {
            let (incarnation, status) = (change.incarnation, change.status.clone());
            // A rank that there is not is nobody's.
            _ = ranks.set_range(run, RankState { incarnation, status }).is_ok();
        }
    }
    MeshState { mesh, phase: phase_of(&ranks), ranks }
}

/// What ranks are together (L7).
pub(super) fn phase_of(ranks: &ValueMesh<RankState>) -> MeshPhase {
    let mut counts = [0; StatusKind::ALL.len()];
    for (run, rank) in ranks.runs() {
        counts[rank.status.kind() as usize] += run.len();
    }
    MeshPhase::of(&counts)
}
