//! The agents of a mesh of processes, as its controller reaches them.

use mesh_core::{Agents, Answer, Answers, MeshId, Order, Request};

use crate::host::{HostOrder, HostRef};
use crate::report::ProcReport;

/// Reaches the host agents of one mesh. Dropping it ends whatever the mesh still runs (C2).
#[derive(Debug)]
pub(crate) struct ProcAgents {
    mesh: MeshId,
    /// The host of each agent of the controller.
    hosts: Vec<HostRef>,
}

impl ProcAgents {
    pub(crate) const fn new(mesh: MeshId, hosts: Vec<HostRef>) -> Self {
        Self { mesh, hosts }
    }
}

impl Agents for ProcAgents {
    type Report = ProcReport;

    fn perform(&mut self, request: Request, answers: &Answers<ProcReport>) {
        let agent = request.agent;
        // The next beat is echoed as well.
        let is_renewal = matches!(request.order, Order::Renew { .. });
        let is_given = self
            .hosts
            .get(agent.index())
            .is_some_and(|host| host.try_send(HostOrder::Perform { mesh: self.mesh, request }));
        if !is_given && !is_renewal {
            // A controller that is behind too hears nothing of it, but polls again.
            _ = answers.send(Answer::QueryFailed { agent }).is_ok();
        }
    }
}

impl Drop for ProcAgents {
    fn drop(&mut self) {
        for host in &self.hosts {
            host.post(HostOrder::CloseMesh { mesh: self.mesh });
        }
    }
}
