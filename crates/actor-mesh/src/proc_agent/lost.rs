//! `lost`: keepers that there is no way to, and what becomes of their actors (C2).

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::{MeshId, PeerId};
use mesh_runtime::{Context, Failure, Handler, PeerLost, ReplyTo, Stop};
use mesh_shape::Rank;
use tokio::time::Instant;

use super::closing::of_mesh;
use super::dying::ENDED_WITHIN;
use super::{Held, LookForKeepers, ProcAgent};
use crate::metrics;
use crate::report::ActorState;

/// How long there may be no way to a keeper: whoever was suspended, or cut off, is met again by then. Since a session is lost
/// only when nothing came by it for longer than a lease, this is time beyond the lease (F2).
const KEEPERS_WITHIN: Duration = Duration::from_secs(5);

/// Of how many actors that have ended it is kept how, for keepers that there has been no way to for [`KEEPERS_WITHIN`]: those
/// are forgotten first that were told of, and whose keeper is lost the longest.
const ORPHANS_MAX: usize = 1_024;

type Key = (MeshId, Rank);

/// An actor was ended because its keeper is lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cull {
    at: Instant,
    /// Its keeper had asked for that before.
    was_stopping: bool,
}

impl ProcAgent {
    /// Ends the actors whose keeper there is no way to for too long, and says what is unsaid where there is one again.
    fn look_for_keepers(&mut self, cx: &mut Context<Self>) {
        let mut changed = Vec::new();
        for (key, held) in &mut self.held {
            if cx.proc().has_way_to(held.keeper.actor()) {
                held.found();
                changed.extend((held.is_unsaid || held.is_doubted).then_some(*key));
            } else if held.is_lost_for(KEEPERS_WITHIN) && held.cull() {
                metrics::count_culled();
                changed.push(*key);
            }
            held.kill_culled();
        }
        changed.into_iter().for_each(|key| self.say(key, cx));
        self.forget_orphans(cx);
    }

    /// A session with a process is lost, and with it perhaps what a keeper there said with its end: that is told what it
    /// knows when there is a way again, which is seen even if there always was one, so that it comes back if it has ended.
    fn doubt_keepers(&mut self, lost: PeerId) {
        let theirs = self.held.values_mut().filter(|held| held.keeper.actor().peer() == lost);
        theirs.for_each(|held| held.is_doubted = true);
    }

    /// Forgets actors that have ended whose keepers will most likely never ask.
    fn forget_orphans(&mut self, cx: &mut Context<Self>) {
        let forgotten = too_many(&self.held, ORPHANS_MAX);
        if forgotten.is_empty() {
            return;
        }
        metrics::count_forgotten(forgotten.len());
        for key in forgotten {
            self.held.remove(&key);
            let (mesh, _) = key;
            if of_mesh(&self.held, mesh).next().is_none() {
                self.watched.close(self.clock.now(), mesh);
            }
        }
        self.tell_followers(cx);
    }
}

impl Held {
    /// Whether there has been no way to its keeper for so long: from when it is looked at, so that our own pause does not
    /// count.
    fn is_lost_for(&mut self, within: Duration) -> bool {
        self.lost.get_or_insert_with(Instant::now).elapsed() >= within
    }

    /// There is a way to its keeper, who sees to the end itself that it has asked for.
    fn found(&mut self) {
        self.lost = None;
        self.culled = self.culled.filter(|cull| !cull.was_stopping);
    }

    /// Ends its actor, unless that was done, or it has ended. Returns whether it is something else than before.
    fn cull(&mut self) -> bool {
        let is_over = self.culled.is_some() || matches!(self.state, ActorState::Ended(_));
        let Some(actor) = self.actor.as_ref().filter(|_| !is_over) else { return false };
        actor.stop(Stop::Now);
        let was_stopping = self.state == ActorState::Stopping;
        self.culled = Some(Cull { at: Instant::now(), was_stopping });
        self.state = ActorState::Stopping;
        !was_stopping
    }

    /// Its actor ends since its keeper is lost, and not because that had asked for it (ST4).
    pub(super) fn is_culled(&self) -> bool {
        self.culled.is_some_and(|cull| !cull.was_stopping)
    }

    /// Kills its actor, if that was culled and has not ended in time. Nobody else does, whether there is a way to its
    /// keeper again or not.
    fn kill_culled(&mut self) {
        let is_over = self.killed.is_some() || matches!(self.state, ActorState::Ended(_));
        let is_late = self.culled.is_some_and(|cull| cull.at.elapsed() >= ENDED_WITHIN);
        if let Some(actor) = self.actor.as_ref().filter(|_| is_late && !is_over) {
            tracing::warn!(actor = self.name, "it has not ended in time and is killed");
            actor.stop(Stop::Kill);
            self.killed = Some(Instant::now());
        }
    }
}

/// Those of the actors that have ended, and whose keepers are lost, that are more than so many.
fn too_many(held: &BTreeMap<Key, Box<Held>>, max: usize) -> Vec<Key> {
    let ended = held.iter().filter(|(_, it)| matches!(it.state, ActorState::Ended(_)));
    let is_lost = |it: &Held| it.lost.filter(|lost| lost.elapsed() >= KEEPERS_WITHIN);
    let mut lost: Vec<_> =
        ended.filter_map(|(key, it)| Some((it.is_unsaid, is_lost(it)?, *key))).collect();
    let n_forgotten = lost.len().saturating_sub(max);
    if n_forgotten > 0 {
        lost.sort_unstable();
    }
    lost.into_iter().take(n_forgotten).map(|(_, _, key)| key).collect()
}

impl Handler<LookForKeepers> for ProcAgent {
    async fn handle(&mut self, _: LookForKeepers, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.look_for_keepers(cx);
        self.dying.look();
        self.watched.withdraw(ReplyTo::is_abandoned);
        Ok(())
    }
}

impl Handler<PeerLost> for ProcAgent {
    async fn handle(
        &mut self,
        PeerLost { peer }: PeerLost,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.doubt_keepers(peer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_core::{ActorId, Incarnation, PortRef, ProcId};

    use super::*;
    use crate::report::{ActorEnd, HowActorEnded};

    /// A rank of the mesh with this number, whose keeper was lost so many seconds ago.
    fn held(mesh: u8, lost: Option<u64>, state: ActorState) -> (Key, Box<Held>) {
        let (proc, life) = (ProcId::from_random(1), Incarnation::FIRST);
        let keeper = PortRef::of(ActorId { proc, life, index: u64::from(mesh) });
        let now = Instant::now();
        let held = Box::new(Held {
            incarnation: life,
            name: format!("actor-{mesh}"),
            keeper,
            actor: None,
            state,
            is_unsaid: true,
            is_doubted: false,
            lost: lost.map(|seconds| now - Duration::from_secs(seconds)),
            culled: None,
            may_restart: false,
            killed: None,
            born: now,
        });
        ((MeshId::from_random(u128::from(mesh)), Rank::new(0)), held)
    }

    /// Also if its keeper is to be told again, to learn whether it is there.
    fn told((key, held): (Key, Box<Held>)) -> (Key, Box<Held>) {
        (key, Box::new(Held { is_unsaid: false, is_doubted: true, ..*held }))
    }

    fn ended() -> ActorState {
        let (how, alive) = (HowActorEnded::Culled, Duration::ZERO);
        ActorState::Ended(Arc::new(ActorEnd { how, alive, chain: Vec::new() }))
    }

    /// C2: what is kept for keepers that are gone has a bound, and what lives, or is asked for, is not forgotten.
    #[tokio::test(start_paused = true)]
    async fn the_ends_of_orphans_that_were_lost_first_are_forgotten_first() {
        tokio::time::advance(Duration::from_secs(100)).await;
        let known = BTreeMap::from([
            held(1, Some(7), ended()),
            held(2, Some(9), ActorState::Stopping),
            held(3, Some(8), ended()),
            held(4, None, ended()),
            held(5, Some(3), ended()),
            told(held(6, Some(6), ended())),
        ]);
        let mesh = |(mesh, _): &Key| *mesh;
        let of = |numbers: &[u128]| -> Vec<_> {
            numbers.iter().map(|it| MeshId::from_random(*it)).collect()
        };
        let forgotten = |max| too_many(&known, max).iter().map(mesh).collect::<Vec<_>>();
        assert_eq!(forgotten(3), of(&[]));
        assert_eq!(forgotten(2), of(&[6]), "it was told of");
        assert_eq!(forgotten(1), of(&[6, 3]));
        assert_eq!(forgotten(0), of(&[6, 3, 1]), "that of the fifth may be met again");
    }
}
