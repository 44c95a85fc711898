//! What the owner of a mesh is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Failures, MeshState};
use crate::message::Message;

/// What the owner of a mesh is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerNews {
    /// Ranks failed; all that were found together (H6).
    Failed(Failures),
    /// Every rank has ended and none starts again. The last news. To an owner in another process the causes, which it was told
    /// before but for those that came after a timeout, have no words here ([`MeshState::brief`]).
    Finished(MeshState),
}

impl OwnerNews {
    /// It was held back for so long on its way.
    pub fn hold(&mut self, by: Duration) {
        match self {
            Self::Failed(failures) => failures.waited = failures.waited.saturating_add(by),
            // It tells of no age.
            Self::Finished(_) => (),
        }
    }
}

impl Message for OwnerNews {
    const NAME: &'static str = "meshwarden.OwnerNews";
    const VERSION: u32 = 2;
    type Reply = ();
}
