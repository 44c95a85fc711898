//! `closing`: actors end with their mesh, with its keeper, and with the agent itself (C2).

use std::collections::BTreeMap;

use mesh_core::{ActorId, MeshId};
use mesh_runtime::Context;
use mesh_shape::Rank;

use super::{ProcAgent, asked};
use crate::report::ActorState;

impl ProcAgent {
    /// Ends what is kept by a keeper that is gone, and forgets it; whoever follows that is told.
    pub(super) fn close_all_of(&mut self, keeper: ActorId, cx: &mut Context<Self>) {
        let theirs = self.held.iter().filter(|(_, held)| held.keeper.actor() == keeper);
        let theirs = theirs.map(|(key, _)| *key).collect();
        self.close(theirs, cx);
    }

    /// The same of one mesh of a keeper: no other is looked at.
    pub(super) fn close_mesh(&mut self, mesh: MeshId, keeper: ActorId, cx: &mut Context<Self>) {
        let of_mesh = of_mesh(&self.held, mesh);
        let theirs = of_mesh.filter(|(_, held)| held.keeper.actor() == keeper);
        let theirs = theirs.map(|(key, _)| *key).collect();
        self.close(theirs, cx);
    }

    pub(super) fn close(&mut self, keys: Vec<(MeshId, Rank)>, cx: &mut Context<Self>) {
        self.end(keys);
        self.tell_followers(cx);
    }

    /// Ends actors, and forgets them.
    fn end(&mut self, keys: Vec<(MeshId, Rank)>) {
        for (mesh, rank) in keys {
            let Some(held) = self.held.remove(&(mesh, rank)) else { continue };
            let life = (mesh, rank, held.incarnation);
            let now = self.clock.now();
            if !matches!(held.state, ActorState::Ended(_)) {
                asked::answer(self.watched.note(life, now, (ActorState::Stopping, false)));
            }
            self.watched.close(now, mesh);
            let stone = held.gravestone();
            match (held.actor, held.state) {
                (None, _) | (_, ActorState::Ended(_)) => (),
                (Some(actor), _) if held.killed.is_some() => {
                    self.dying.kill(life, stone, (actor, held.killed));
                }
                (Some(actor), _) => self.dying.end(life, stone, actor),
            }
        }
    }
}

impl Drop for ProcAgent {
    /// Also if it fails or is killed, what it has spawned ends with it (C2).
    fn drop(&mut self) {
        self.end(self.held.keys().copied().collect());
    }
}

/// What is kept of one mesh.
pub(super) fn of_mesh<V>(
    held: &BTreeMap<(MeshId, Rank), V>,
    mesh: MeshId,
) -> impl Iterator<Item = (&(MeshId, Rank), &V)> {
    held.range((mesh, Rank::new(0))..).take_while(move |((it, _), _)| *it == mesh)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H7: what is kept of other meshes is left alone.
    #[test]
    fn the_actors_of_one_mesh_are_found_among_those_of_others() {
        let key = |mesh: u128, rank| (MeshId::from_random(mesh), Rank::new(rank));
        let all = [key(1, 0), key(1, 9), key(2, 3), key(2, 4), key(3, 0)];
        let held: BTreeMap<_, _> = all.into_iter().map(|key| (key, ())).collect();
        let found = |mesh: u128| -> Vec<_> {
            of_mesh(&held, MeshId::from_random(mesh)).map(|(key, ())| *key).collect()
        };
        assert_eq!([found(1), found(2)], [all[..2].to_vec(), all[2..4].to_vec()]);
        assert_eq!([found(3), found(4)], [all[4..].to_vec(), Vec::new()]);
    }
}
