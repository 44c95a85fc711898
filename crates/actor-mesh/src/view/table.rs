//! `Table`: what is told of a mesh to whoever sends to it, and the wait for it.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{MeshEvent, Refusal};
use tokio::sync::watch;

use super::{Known, View};
use crate::no_controller::NoController;

/// What is known of a mesh.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// `None` until the controller has answered.
    pub(crate) known: Option<Arc<Known>>,
    /// The controller has ended, and nobody says any more what becomes of the ranks.
    pub(crate) is_over: bool,
    /// Why the controller does not take this process for a subscriber, for as long as it does not.
    pub(crate) refusal: Option<Refusal>,
    /// What is told of its silence, for as long as that lasts (N10).
    pub(crate) silence: Option<MeshEvent>,
    /// It has not answered when it was asked, again and again, and was not heard before either, or not since.
    pub(crate) is_mute: bool,
    /// When it was tried last to ask the controller there was no way to it, as there had been none for a while. Whether one
    /// is about to be opened is asked when it matters.
    pub(crate) is_away: bool,
}

impl Table {
    /// Whether there is nothing to wait for before something is sent, or cannot be.
    pub(crate) const fn is_settled(&self) -> bool {
        self.known.is_some() || self.is_over || self.refusal.is_some() || self.is_silent()
    }

    /// Whether its controller is said not to be heard (N10).
    const fn is_silent(&self) -> bool {
        self.silence.is_some() || self.is_mute
    }

    /// Whether what is known was told, and its controller is heard.
    pub(super) const fn holds(&self) -> bool {
        self.known.is_some() && !self.is_over && self.refusal.is_none()
    }

    /// What is known, if that still holds.
    pub(crate) fn now(&self) -> Option<Arc<Known>> {
        self.known.clone().filter(|_| !self.is_over)
    }
}

impl View {
    /// Waits until something is known of the mesh; `None` if nobody says anything of it any more, or nobody can be asked.
    pub(crate) async fn known(&self, table: &mut watch::Receiver<Table>) -> Option<Arc<Known>> {
        // The view is kept by whoever waits, so its follower goes on.
        let is_settled = |table: &Table| table.is_settled() || self.is_out_of_reach(table);
        table.wait_for(is_settled).await.ok()?.now()
    }

    /// Why nothing is known of the mesh, though it was waited for so long, where its controller does not refuse to say.
    pub(crate) fn no_controller(&self, table: &Table, within: Duration) -> NoController {
        match table {
            Table { is_over: true, .. } => NoController::Ended,
            table if table.is_silent() => NoController::Lost,
            table if self.is_out_of_reach(table) => NoController::NoSession,
            _ => NoController::Silent { within },
        }
    }

    /// Whether nothing is heard of the controller any more (N10), or nothing can be.
    pub(crate) fn is_lost(&self, table: &Table) -> bool {
        table.is_silent() || self.is_out_of_reach(table)
    }

    /// Whether the controller cannot be asked. Where there is a way by now, or may be in a moment, it is about to be.
    fn is_out_of_reach(&self, table: &Table) -> bool {
        table.is_away && self.ways.is_apart()
    }
}
