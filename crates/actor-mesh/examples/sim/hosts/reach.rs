//! `PortAgents`: how a controller reaches the agents of hosts that it has not started.

use mesh_core::{Agents, Answer, Answers, Order, PortRef, Request, Status};
use mesh_runtime::{Port, Proc};
use mesh_shape::Rank;

use super::agent::{Ordered, Told};
use super::record;

/// Reaches the agents of attached hosts. Dropping it ends nothing: a lease does.
pub(crate) struct PortAgents {
    /// The control plane of the process of the controller.
    pub(crate) proc: Proc,
    pub(crate) agents: Vec<PortRef<Ordered>>,
    /// Where they answer.
    pub(crate) me: PortRef<Told>,
}

impl Agents for PortAgents {
    type Report = Status;

    fn perform(&mut self, request: Request, answers: &Answers<Status>) {
        let agent = request.agent;
        let Some(port) = self.agents.get(agent.index()) else { return };
        let is_renewal = matches!(request.order, Order::Renew { .. });
        if let Order::Start { ranks, incarnation, .. } = &request.order {
            let (epoch, lives) = (request.epoch.number(), ranks.iter().map(Rank::index));
            record::with(|it| lives.for_each(|rank| it.knows(epoch, (rank, *incarnation))));
        }
        let ordered = Ordered { request, to: self.me };
        let is_sent =
            self.proc.has_way_to(port.actor()) && port.try_cast(&self.proc, ordered).is_ok();
        if !is_sent && !is_renewal {
            // A controller that is behind too hears nothing of it, but polls again.
            _ = answers.send(Answer::QueryFailed { agent }).is_ok();
        }
    }
}
