//! `Submit`: something is to be cast, as it is handed to a caster.

use tokio::sync::{mpsc, oneshot};

use super::ahead::Ahead;
use super::casters::{Cast, Ended, Tellings, Told};
use super::door::Pass;

/// Something is to be cast.
pub(super) struct Submit {
    pub(super) cast: Cast,
    /// If there is room for it, and nobody waits.
    pub(super) ahead: Option<Ahead>,
    /// Told when it is on its way, or that it cannot be. Dropped before that, it is to be cast by the next caster.
    pub(super) accepted: oneshot::Sender<Result<(), Ended>>,
    pub(super) told: Option<mpsc::UnboundedSender<Told>>,
    /// Kept for as long as it waits.
    pub(super) pass: Pass,
}

/// Told when something is on its way.
pub(super) type Accepted = oneshot::Receiver<Result<(), Ended>>;

impl Submit {
    pub(super) fn new(cast: Cast, pass: Pass) -> (Self, Tellings, Accepted) {
        let (accepted, is_accepted) = oneshot::channel();
        let (told, tellings) = mpsc::unbounded_channel();
        let told = cast.kind.wants_reply().then_some(told);
        (Self { cast, ahead: None, accepted, told, pass }, tellings, is_accepted)
    }

    /// No caster of the mesh can cast it.
    pub(super) fn refuse(self) {
        // Whoever waits may have gone.
        _ = self.accepted.send(Err(Ended)).is_ok();
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_gone(&self) -> bool {
        self.ahead.is_none() && self.accepted.is_closed()
    }
}
