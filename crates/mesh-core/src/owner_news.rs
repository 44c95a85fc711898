//! What the owner of a mesh is told.

use serde::{Deserialize, Serialize};

use crate::event::{Failures, MeshState};
use crate::message::Message;

/// What the owner of a mesh is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerNews {
    /// Ranks failed; all that were found together (H6).
    Failed(Failures),
    /// Every rank has ended and none starts again. The last news.
    Finished(MeshState),
}

impl Message for OwnerNews {
    const NAME: &'static str = "meshwarden.OwnerNews";
    type Reply = ();
}
