//! What becomes of processes whose owner wants them no more.

use std::time::Duration;

use mesh_core::MeshId;
use supervise::{Owner, OwnerNews};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::host::{HostOrder, HostRef};

/// How long the ends of processes that are let go of are waited for.
const KILLED_WITHIN: Duration = Duration::from_secs(1);

/// An owner of processes. As it is dropped they are killed (C2), and only when they have ended does their controller:
/// so that whoever follows them hears how, and need not find out by silence.
#[derive(Debug)]
pub(super) struct Holder {
    mesh: MeshId,
    hosts: Vec<HostRef>,
    control: Handle,
    /// `None` once it is dropped.
    owner: Option<Owner>,
}

impl Holder {
    pub(super) fn new(
        (mesh, hosts): (MeshId, Vec<HostRef>),
        control: Handle,
        owner: Owner,
    ) -> Self {
        Self { mesh, hosts, control, owner: Some(owner) }
    }

    /// What is new; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<OwnerNews> {
        self.owner.as_mut()?.next().await
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let Some(mut owner) = self.owner.take() else { return };
        let (mesh, mut busy) = (self.mesh, std::mem::take(&mut self.hosts));
        // At once, where there is room: nobody may come to carry it.
        busy.retain(|host| !host.try_send(HostOrder::LetGo { mesh }));
        drop(self.control.spawn(async move {
            let ended = async {
                for host in busy {
                    _ = host.send(HostOrder::LetGo { mesh }).await;
                }
                while owner.next().await.is_some() {}
            };
            _ = timeout(KILLED_WITHIN, ended).await.is_ok();
        }));
    }
}
