//! `Submit`: something that is to be cast, and who waits for it.

use mesh_shape::RankSet;
use tokio::sync::{mpsc, oneshot, watch};

use super::ahead::Ahead;
use super::casters::{Cast, NotCast, Tellings, Told};

/// Something is to be cast.
pub(super) struct Submit {
    pub(super) cast: Cast,
    /// If there is room for it, and nobody waits.
    pub(super) ahead: Option<Ahead>,
    /// Told when it is on its way, or why it is not to be.
    pub(super) accepted: oneshot::Sender<Result<(), NotCast>>,
    pub(super) told: Option<mpsc::UnboundedSender<Told>>,
    /// The ranks that have no room for it, as of when it was looked at last; `None` if it was not yet.
    pub(super) held_by: watch::Sender<Option<RankSet>>,
}

/// Who waits for something to be cast.
pub(super) struct Waiter {
    pub(super) accepted: oneshot::Receiver<Result<(), NotCast>>,
    pub(super) held_by: watch::Receiver<Option<RankSet>>,
    pub(super) told: Tellings,
}

impl Submit {
    pub(super) fn new(cast: Cast) -> (Self, Waiter) {
        let (accepted, is_accepted) = oneshot::channel();
        let (held_by, is_held_by) = watch::channel(None);
        let (told, tellings) = mpsc::unbounded_channel();
        let told = cast.kind.wants_reply().then_some(told);
        let waiter = Waiter { accepted: is_accepted, held_by: is_held_by, told: tellings };
        (Self { cast, ahead: None, accepted, told, held_by }, waiter)
    }

    /// Whether whoever waited has gone.
    pub(super) fn is_gone(&self) -> bool {
        self.ahead.is_none() && self.accepted.is_closed()
    }

    /// Whether it has a place among those that wait.
    pub(super) fn has_place(&self) -> bool {
        self.held_by.borrow().is_some()
    }

    /// It keeps its place, or has one from now on: these ranks have no room for it.
    pub(super) fn hold(&self, by: RankSet) {
        self.held_by.send_if_modified(|held_by| {
            let is_news = held_by.as_ref() != Some(&by);
            *held_by = Some(by);
            is_news
        });
    }

    /// It is on its way, or it is not to be.
    pub(super) fn answer(
        accepted: oneshot::Sender<Result<(), NotCast>>,
        sent: Result<(), NotCast>,
    ) {
        // Whoever waited may have gone.
        _ = accepted.send(sent).is_ok();
    }
}
