//! What agents are asked, and asked again where a question did not reach them.

use std::ops::Range;

use mesh_core::{AgentId, Incarnation, News, Order, Request, Status, Trouble};
use mesh_shape::RankSet;

use super::{Controller, Life};
use crate::cells::Cell;
use crate::event::Effect;
use crate::health::Reported;
use crate::kind::Controlled;
use crate::lives::Lives;

impl<C: Controlled> Controller<C> {
    /// No rank is judged by that (H5); with the next check the agent is asked again.
    pub(super) fn on_query_failed(&mut self, agent: AgentId, effects: &mut Vec<Effect>) {
        if self.life.is_over() || self.roster.ranks(agent).is_none() {
            return;
        }
        self.roster.repeat(agent);
        let trouble = Trouble::QueryFailed { agent: agent.index() };
        self.subscribers.tell_all(&News::Trouble(trouble), effects);
    }

    /// Asks the agents that could not be asked for all that is still wanted of them.
    pub(super) fn repeat_orders(&mut self, effects: &mut Vec<Effect>) {
        for agent in self.roster.take_to_repeat() {
            let Some(own) = self.roster.ranks(agent) else { continue };
            let mut starts = Lives::default();
            for (ranks, cell) in own.runs().flat_map(|range| self.health.runs_in(range)) {
                if cell.status == Status::Initializing && self.life == Life::Open {
                    starts.add(&RankSet::from(ranks), cell.incarnation);
                }
            }
            for (ranks, incarnation) in starts.into_vec() {
                effects.push(self.ask_start(agent, ranks, incarnation));
            }
            self.repeat_stops(agent, &own, effects);
        }
    }

    /// Whether an agent that reports this of `range` has perhaps not got an order: it does not know a
    /// life that it was to start, or one that it was to kill goes on.
    pub(super) fn has_lost_order(&self, range: Range<usize>, reported: &Reported) -> bool {
        let is_killed = match (&self.life, self.restarts.round()) {
            (Life::Stopping(stop), _) => stop.killed,
            (_, Some(round)) => round.killed,
            (_, None) => false,
        };
        let is_unmet = |cell: &Cell| match (&cell.status, &reported.status) {
            (Status::Initializing, Status::NotExist) => true,
            (Status::Initializing, _) => reported.incarnation < cell.incarnation,
            (Status::Stopping, Status::NotExist) => false,
            (Status::Stopping, status) => is_killed && !status.is_terminal(),
            (_, _) => false,
        };
        self.health.runs_in(range).any(|(_, cell)| is_unmet(&cell))
    }

    /// The order to end, once more, for those of `own` that were asked to end and have not.
    fn repeat_stops(&self, agent: AgentId, own: &RankSet, effects: &mut Vec<Effect>) {
        let (ranks, killed) = match (&self.life, self.restarts.round()) {
            (Life::Stopping(stop), _) => (own.clone(), stop.killed),
            (_, Some(round)) => (own.intersection(&round.ranks), round.killed),
            (_, None) => return,
        };
        for (ranks, incarnation) in self.health.alive(&ranks) {
            let order = if killed {
                Order::Kill { ranks, incarnation }
            } else {
                Order::Stop { ranks, incarnation }
            };
            effects.push(self.ask(agent, order));
        }
    }

    /// The same order to every agent that has some of `ranks`.
    pub(super) fn ask_each(
        &self,
        ranks: &RankSet,
        effects: &mut Vec<Effect>,
        order: impl Fn(RankSet) -> Order,
    ) {
        for (agent, own) in self.roster.split(ranks) {
            effects.push(self.ask(agent, order(own)));
        }
    }

    /// The orders to start these lives, each to the agents of its ranks.
    pub(super) fn ask_starts(
        &self,
        starts: Vec<(RankSet, Incarnation)>,
        effects: &mut Vec<Effect>,
    ) {
        for (ranks, incarnation) in starts {
            for (agent, own) in self.roster.split(&ranks) {
                effects.push(self.ask_start(agent, own, incarnation));
            }
        }
    }

    fn ask_start(&self, agent: AgentId, ranks: RankSet, incarnation: Incarnation) -> Effect {
        let echoed = self.roster.echo(agent);
        self.ask(agent, Order::Start { ranks, incarnation, echoed })
    }

    pub(super) fn ask(&self, agent: AgentId, order: Order) -> Effect {
        Effect::Ask(Request { mesh: self.spec.mesh.id(), agent, epoch: self.spec.epoch, order })
    }
}
