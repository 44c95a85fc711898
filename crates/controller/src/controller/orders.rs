//! What agents are asked, and asked again where a question did not reach them.

use mesh_core::{AgentId, Incarnation, News, Order, Request, Status, Trouble};
use mesh_shape::RankSet;

use super::{Controller, Life};
use crate::event::Effect;
use crate::kind::Controlled;

impl<C: Controlled> Controller<C> {
    /// No rank is judged by that (H5); with the next check the agent is asked again.
    pub(super) fn on_query_failed(&mut self, agent: AgentId, effects: &mut Vec<Effect>) {
        if self.life == Life::Closed || self.roster.get(agent).is_none() {
            return;
        }
        self.to_repeat.insert(agent);
        let trouble = Trouble::QueryFailed { agent: agent.index() };
        self.subscribers.tell_all(&News::Trouble(trouble), effects);
    }

    /// Asks the agents that could not be asked for all that is still wanted of them.
    pub(super) fn repeat_orders(&mut self, effects: &mut Vec<Effect>) {
        for agent in std::mem::take(&mut self.to_repeat) {
            let Some(own) = self.roster.get(agent).map(|agent| agent.ranks.clone()) else {
                continue;
            };
            for range in own.runs() {
                for (ranks, cell) in self.health.runs_in(range) {
                    let wanted = self.wanted(&cell.status, RankSet::from(ranks), cell.incarnation);
                    effects.extend(wanted.map(|order| self.ask(agent, order)));
                }
            }
        }
    }

    /// The order that leads from a status to what is wanted, if one is needed.
    fn wanted(&self, status: &Status, ranks: RankSet, incarnation: Incarnation) -> Option<Order> {
        match (status, &self.life) {
            (Status::Initializing, Life::Open) => Some(Order::Start { ranks, incarnation }),
            (Status::Stopping, Life::Stopping(stop)) if stop.killed => {
                Some(Order::Kill { ranks, incarnation })
            }
            (Status::Stopping, Life::Stopping(_)) => Some(Order::Stop { ranks, incarnation }),
            (_, _) => None,
        }
    }

    /// The same order to every agent that has some of `ranks`.
    pub(super) fn ask_each(
        &self,
        ranks: &RankSet,
        effects: &mut Vec<Effect>,
        order: impl Fn(RankSet) -> Order,
    ) {
        let mut first = ranks.first();
        let mut left = ranks.clone();
        while let Some(agent) = first.and_then(|rank| self.roster.of(rank)) {
            let Some(own) = self.roster.get(agent).map(|agent| left.intersection(&agent.ranks))
            else {
                return;
            };
            left = left.difference(&own);
            first = left.first();
            effects.push(self.ask(agent, order(own)));
        }
    }

    pub(super) const fn ask(&self, agent: AgentId, order: Order) -> Effect {
        Effect::Ask(Request { agent, epoch: self.spec.epoch, order })
    }
}
