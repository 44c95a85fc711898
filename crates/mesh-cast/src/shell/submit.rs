//! `Submit`: something that is to be cast, and who waits for it.

use tokio::sync::{mpsc, oneshot};

use super::ahead::Ahead;
use super::casters::{Cast, NotCast, Tellings, Told};
use super::queue::Queue;

/// Something is to be cast.
pub(super) struct Submit {
    pub(super) cast: Cast,
    /// If there is room for it, and nobody waits.
    pub(super) ahead: Option<Ahead>,
    /// Told when it is on its way, or why it is not to be.
    pub(super) accepted: oneshot::Sender<Result<(), NotCast>>,
    pub(super) told: Option<mpsc::UnboundedSender<Told>>,
}

/// What is told of something that is to be cast.
pub(super) struct Telling {
    pub(super) accepted: oneshot::Receiver<Result<(), NotCast>>,
    pub(super) told: Tellings,
}

/// Who waits for something to be cast. Dropped, it is not cast, unless it was claimed before.
pub(super) struct Waiter<'a> {
    pub(super) telling: Telling,
    // Dropped after that: whoever looks at it before it leaves the queue sees that nobody waits.
    stay: Stay<'a>,
}

struct Stay<'a> {
    queue: &'a Queue,
    number: u64,
}

impl Submit {
    pub(super) fn new(cast: Cast) -> (Self, Telling) {
        let (accepted, is_accepted) = oneshot::channel();
        // Bound: what is told of one cast, no more than one thing of each of its ranks.
        let (told, tellings) = mpsc::unbounded_channel();
        let told = cast.kind.wants_reply().then_some(told);
        let telling = Telling { accepted: is_accepted, told: tellings };
        (Self { cast, ahead: None, accepted, told }, telling)
    }

    /// Whether whoever waited has gone.
    pub(super) fn is_gone(&self) -> bool {
        self.ahead.is_none() && self.accepted.is_closed()
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

impl<'a> Waiter<'a> {
    /// Of what has that number in a queue.
    pub(super) const fn new(telling: Telling, (queue, number): (&'a Queue, u64)) -> Self {
        Self { telling, stay: Stay { queue, number } }
    }

    /// Its deadline has passed, and it is not sent any more. It may have been in the last moment.
    pub(super) fn give_up(mut self) -> Result<Tellings, NotCast> {
        self.telling.accepted.close();
        if let Ok(sent) = self.telling.accepted.try_recv() {
            return sent.map(|()| self.telling.told);
        }
        let Stay { queue, number } = self.stay;
        Err(NotCast::Late { ranks: queue.leave(number).unwrap_or_default() })
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        // Which ranks had no room nobody asks any more.
        drop(self.queue.leave(self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling() -> (oneshot::Sender<Result<(), NotCast>>, Telling) {
        let (accepted, is_accepted) = oneshot::channel();
        let (_, told) = mpsc::unbounded_channel();
        (accepted, Telling { accepted: is_accepted, told })
    }

    /// R3: who is told at its deadline that something was sent to nobody sees it sent to nobody, and only then.
    #[test]
    fn what_was_sent_is_not_late_and_what_is_late_is_not_sent() {
        let queue = Queue::default();
        let (accepted, telling_at_last) = telling();
        assert!(Submit::answer(accepted, Ok(())));
        let at_last = Waiter::new(telling_at_last, (&queue, 1));
        assert!(at_last.give_up().is_ok(), "in the last moment");
        let (accepted, telling) = telling();
        let late = Waiter::new(telling, (&queue, 2));
        assert!(matches!(late.give_up(), Err(NotCast::Late { .. })));
        assert!(!Submit::answer(accepted, Ok(())), "so it is not sent");
    }
}
