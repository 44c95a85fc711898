//! `ActorAgents`: how the controller of a mesh of actors reaches their keeper.

use mesh_core::{Agents, Answer, Answers, Order, Request};
use mesh_runtime::{ActorRef, Stop};

use super::{Keeper, Perform};
use crate::report::ActorReport;

/// Reaches the keeper of a mesh. Dropping it ends the keeper, and with it the mesh (C2).
pub(crate) struct ActorAgents(pub(crate) ActorRef<Keeper>);

impl Agents for ActorAgents {
    type Report = ActorReport;

    fn perform(&mut self, request: Request, answers: &Answers<ActorReport>) {
        let (agent, proc) = (request.agent, self.0.proc().clone());
        let is_renewal = matches!(request.order, Order::Renew { .. });
        let perform = Perform { request, answers: answers.clone() };
        if self.0.try_cast(&proc, perform).is_err() && !is_renewal {
            // A controller that is behind too hears nothing of it, but polls again.
            _ = answers.send(Answer::QueryFailed { agent }).is_ok();
        }
    }
}

impl Drop for ActorAgents {
    fn drop(&mut self) {
        self.0.stop(Stop::Now);
    }
}
