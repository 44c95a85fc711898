//! `returned`: what a keeper does with orders that come back. Each may have arrived all the same: what is lost with a
//! session is known to neither side (R3).

use mesh_core::{ActorId, WhyUndelivered};
use mesh_runtime::Context;

use super::{Keeper, Kept, Untold};
use crate::report::{ActorState, HowActorEnded};
use crate::wire::{EndRank, Spawn};

impl Keeper {
    /// The order to end an actor did not reach its agent, whose process may live: it is given again.
    pub(super) fn end_came_back(&mut self, end: &EndRank, agent: ActorId, cx: &mut Context<Self>) {
        let Some(kept) = self.ranks.get(end.rank.index()) else { return };
        let is_present = kept.incarnation == Some(end.incarnation) && kept.agent == Some(agent);
        if is_present && !kept.is_over {
            self.tell_later(end.rank, if end.is_kill { Untold::Kill } else { Untold::Stop });
            self.wait_for_room(cx);
        }
    }

    /// The order to spawn an actor came back. Unless its agent has said something of it since, nobody knows whether it
    /// lives: so it is asked for again, or to end if that was asked, and has not ended before that is known.
    pub(super) fn spawn_came_back(
        &mut self,
        spawn: &Spawn,
        (agent, why): (ActorId, WhyUndelivered),
        cx: &mut Context<Self>,
    ) {
        let Some(kept) = self.ranks.get_mut(spawn.rank.index()) else { return };
        let is_unheard_of = kept.incarnation == Some(spawn.incarnation)
            && kept.agent == Some(agent)
            && kept.actor.is_none()
            && kept.state == ActorState::Creating
            && !kept.is_over;
        if !is_unheard_of {
            return;
        }
        match why {
            WhyUndelivered::TooLarge { .. }
            | WhyUndelivered::Malformed
            | WhyUndelivered::NoPort => {
                let message = format!("it could not be asked for: {why}");
                self.ended_here(spawn.rank, HowActorEnded::Errored { message });
                self.flush_soon(cx);
            }
            // Either its process is gone, which will be told, or there will be a way again.
            _ => {
                kept.is_doubted = true;
                let what = if kept.is_to_end { Untold::Stop } else { Untold::Spawn };
                self.tell_later(spawn.rank, what);
                self.wait_for_room(cx);
            }
        }
    }
}

impl Kept {
    /// What may have been there has ended with its process, if that has another life, or will have one: there it begins.
    pub(super) fn forget_the_doubted(&mut self) {
        let is_gone = |agent: ActorId| self.proc.will_restart || self.proc.incarnation > agent.life;
        if self.is_doubted && self.agent.is_some_and(is_gone) {
            (self.agent, self.is_doubted) = (None, false);
        }
    }
}
