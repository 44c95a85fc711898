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

    /// It is on its way, or it is not to be. Returns whether whoever waits hears that: if not, it is told that it was
    /// not sent, and so it is not to be.
    pub(super) fn answer(
        accepted: oneshot::Sender<Result<(), NotCast>>,
        sent: Result<(), NotCast>,
    ) -> bool {
        accepted.send(sent).is_ok()
    }
}

impl Waiter {
    /// Its deadline has passed, and it is not sent any more. It may have been in the last moment.
    pub(super) fn give_up(mut self) -> Result<Tellings, NotCast> {
        self.accepted.close();
        if let Ok(sent) = self.accepted.try_recv() {
            return sent.map(|()| self.told);
        }
        Err(NotCast::Late { ranks: self.held_by.borrow().clone().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter() -> (oneshot::Sender<Result<(), NotCast>>, Waiter) {
        let (accepted, is_accepted) = oneshot::channel();
        let (_, held_by) = watch::channel(Some((3..4).into()));
        let (_, told) = mpsc::unbounded_channel();
        (accepted, Waiter { accepted: is_accepted, held_by, told })
    }

    /// R3: who is told at its deadline that something was sent to nobody sees it sent to nobody, and only then.
    #[test]
    fn what_was_sent_is_not_late_and_what_is_late_is_not_sent() {
        let (accepted, at_last) = waiter();
        assert!(Submit::answer(accepted, Ok(())));
        assert!(at_last.give_up().is_ok(), "in the last moment");
        let (accepted, late) = waiter();
        assert_eq!(late.give_up().err(), Some(NotCast::Late { ranks: (3..4).into() }));
        assert!(!Submit::answer(accepted, Ok(())), "so it is not sent");
    }
}
