//! What an actor says to a caller whom it cannot answer.

use std::sync::Arc;

use mesh_core::Cause;

use crate::actor::End;

/// Why there is no answer, as the actor's side knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The actor ended, so, before it took the message.
    NotTaken(End),
    /// The actor failed in handling it.
    Failed(Arc<Cause>),
}
