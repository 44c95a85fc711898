//! `orders`: what an agent does that a keeper orders.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{MeshId, PortRef};
use mesh_runtime::{Context, Failure, Handler, Stop};
use mesh_shape::Rank;
use tokio::time::Instant;

use super::{Held, ProcAgent};
use crate::report::{ActorEnd, ActorState, HowActorEnded};
use crate::wire::{CloseMesh, EndRank, Said, Spawn};

impl ProcAgent {
    /// Whether an order of this keeper about a rank is obeyed. What comes of the orders of somebody else is nothing.
    fn obeys(&self, keeper: &PortRef<Said>, key: (MeshId, Rank), cx: &Context<Self>) -> bool {
        let known = self.held.get(&key).map(|held| &held.keeper);
        let obeys =
            cx.sender() == Some(keeper.actor()) && known.is_none_or(|known| known == keeper);
        if !obeys {
            stranger(cx);
        }
        obeys
    }

    /// Keeps a life of a rank, and ends the one before it: that has ended, for all that its controller knows.
    fn hold(&mut self, (mesh, rank): (MeshId, Rank), held: Held, cx: &mut Context<Self>) {
        if let Some(mut before) = self.held.insert((mesh, rank), Box::new(held))
            && let Some(actor) = before.actor.take()
            && !matches!(before.state, ActorState::Ended(_))
        {
            let life = (mesh, rank, before.incarnation);
            self.dying.kill(life, before.gravestone(), (actor, before.killed));
        }
        self.say((mesh, rank), cx);
    }
}

impl Handler<Spawn> for ProcAgent {
    async fn handle(&mut self, spawn: Spawn, cx: &mut Context<Self>) -> Result<(), Failure> {
        let key = (spawn.mesh.id(), spawn.rank);
        if !self.obeys(&spawn.keeper, key, cx) {
            return Ok(());
        }
        if self.held.get(&key).is_some_and(|held| held.incarnation >= spawn.incarnation) {
            self.say(key, cx);
            return Ok(());
        }
        let (actor, state) = match self.try_spawn(&spawn) {
            Ok(actor) => (Some(actor), ActorState::Creating),
            Err(message) => (None, ended_here(HowActorEnded::Errored { message })),
        };
        let held = Held {
            incarnation: spawn.incarnation,
            name: spawn.name,
            keeper: spawn.keeper,
            actor,
            state,
            is_unsaid: false,
            is_doubted: false,
            lost: None,
            culled: None,
            may_restart: spawn.may_restart,
            killed: None,
            born: Instant::now(),
        };
        self.hold(key, held, cx);
        Ok(())
    }
}

impl Handler<EndRank> for ProcAgent {
    async fn handle(&mut self, end: EndRank, cx: &mut Context<Self>) -> Result<(), Failure> {
        let key = (end.mesh, end.rank);
        if !self.obeys(&end.keeper, key, cx) {
            return Ok(());
        }
        let known = self.held.get_mut(&key).filter(|held| held.incarnation >= end.incarnation);
        let Some(held) = known else {
            // It was never asked for, or that was lost on its way.
            self.hold(key, Held::cancelled(&end), cx);
            return Ok(());
        };
        if held.incarnation != end.incarnation || matches!(held.state, ActorState::Ended(_)) {
            // Whoever asks may not have heard of that.
            self.say_to_keeper(key, cx);
            return Ok(());
        }
        let Some(actor) = &held.actor else { return Ok(()) };
        actor.stop(if end.is_kill { Stop::Kill } else { Stop::Now });
        if end.is_kill {
            held.killed.get_or_insert_with(Instant::now);
        }
        if held.state != ActorState::Stopping {
            held.state = ActorState::Stopping;
            self.say(key, cx);
        }
        Ok(())
    }
}

impl Handler<CloseMesh> for ProcAgent {
    async fn handle(&mut self, close: CloseMesh, cx: &mut Context<Self>) -> Result<(), Failure> {
        if let Some(keeper) = cx.sender() {
            self.close_mesh(close.mesh, keeper, cx);
        }
        Ok(())
    }
}

impl Held {
    /// A life that is ended before it has begun, and so never begins.
    fn cancelled(end: &EndRank) -> Self {
        Self {
            incarnation: end.incarnation,
            name: String::new(),
            keeper: end.keeper,
            actor: None,
            state: ended_here(HowActorEnded::Cancelled),
            is_unsaid: false,
            is_doubted: false,
            lost: None,
            culled: None,
            may_restart: end.may_restart,
            killed: None,
            born: Instant::now(),
        }
    }
}

/// What is said of an actor that does not come to be.
fn ended_here(how: HowActorEnded) -> ActorState {
    ActorState::Ended(Arc::new(ActorEnd { how, alive: Duration::ZERO, chain: Vec::new() }))
}

/// Somebody gives orders of a mesh who is not its keeper: nothing comes of them.
fn stranger(cx: &Context<ProcAgent>) {
    tracing::warn!(from = ?cx.sender(), "an order of somebody who is not the keeper is dropped");
}
