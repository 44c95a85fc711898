//! One-shot replies.

use std::fmt;

use mesh_core::Fault;
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::gather::Slot;
use crate::panics;
use crate::remote::AwayReply;

/// Where the one answer to a question goes, in this process or another. Whoever asked is told at once
/// when it is dropped unanswered, and why, if that was in a panic.
///
/// A handler answers by returning; this is for answers that come later, or from somebody else. See
/// [`Handler::handle_call`](crate::Handler::handle_call) and
/// [`ActorRef::call_with`](crate::ActorRef::call_with).
#[must_use = "whoever asked waits for it"]
pub struct ReplyTo<R>(Way<R>);

/// How the answer gets to whoever asked.
enum Way<R> {
    Here(oneshot::Sender<Result<R, Fault>>),
    Away(Box<AwayReply<R>>),
    /// With the answers of others.
    Gathered(Slot<R>),
    /// It has been answered.
    Done,
}

impl<R> ReplyTo<R> {
    pub(crate) const fn here(answer: oneshot::Sender<Result<R, Fault>>) -> Self {
        Self(Way::Here(answer))
    }

    pub(crate) const fn away(answer: Box<AwayReply<R>>) -> Self {
        Self(Way::Away(answer))
    }

    /// With the answers of others; there is nothing to answer if there is no such place.
    pub(crate) fn gathered(slot: Option<Slot<R>>) -> Self {
        Self(slot.map_or(Way::Done, Way::Gathered))
    }

    /// Answers as somebody else was answered, or was not.
    pub fn settle(self, answer: Result<R, Fault>) {
        match answer {
            // Whoever asked may have gone.
            Ok(reply) => _ = self.send(reply).is_ok(),
            Err(fault) => self.refuse(fault),
        }
    }

    /// Answers.
    ///
    /// # Errors
    ///
    /// The answer comes back if nobody waits for it any more, as far as is known here.
    pub fn send(mut self, reply: R) -> Result<(), R> {
        match self.take() {
            Way::Here(answer) => match answer.send(Ok(reply)) {
                Err(Ok(reply)) => Err(reply),
                Ok(()) | Err(Err(_)) => Ok(()),
            },
            Way::Away(answer) => answer.send(reply),
            Way::Gathered(slot) => match slot.settle(Ok(reply)) {
                Err(Ok(reply)) => Err(reply),
                Ok(()) | Err(Err(_)) => Ok(()),
            },
            Way::Done => Ok(()),
        }
    }

    /// There will be no answer, since whoever was to give it fails.
    pub fn fail(self, failure: &Failure) {
        self.refuse(Fault::Failed(failure.shared()));
    }

    /// Whether whoever asked has given up.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        match &self.0 {
            Way::Here(answer) => answer.is_closed(),
            Way::Away(answer) => answer.is_withdrawn(),
            Way::Gathered(slot) => slot.is_abandoned(),
            Way::Done => true,
        }
    }

    /// Waits until whoever asked gives up, so that the work for the answer can be dropped.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn abandoned(&mut self) {
        match &mut self.0 {
            Way::Here(answer) => answer.closed().await,
            Way::Away(answer) => answer.withdrawn().await,
            Way::Gathered(slot) => slot.abandoned().await,
            Way::Done => (),
        }
    }

    /// Runs `work` for the answer until it is done, or whoever asked gives up: `None` then, and `work` has been
    /// dropped where it awaited.
    ///
    /// # Cancellation
    ///
    /// As of `work`.
    ///
    /// # Source
    ///
    /// `CancellationToken::run_until_cancelled` of tokio-util.
    pub async fn run_until_abandoned<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = work => Some(result),
            () = self.abandoned() => None,
        }
    }

    /// The call that was to be given to a near one goes by a session after all.
    pub(crate) fn goes_by_session(&self) {
        if let Way::Gathered(slot) = &self.0 {
            slot.goes_by_session();
        }
    }

    /// There will be no answer, and this is why.
    pub(crate) fn refuse(mut self, fault: Fault) {
        self.give_up(fault);
    }

    fn give_up(&mut self, fault: Fault) {
        match self.take() {
            // Whoever asked may have gone; nobody else wants to know.
            Way::Here(answer) => _ = answer.send(Err(fault)).is_ok(),
            Way::Away(answer) => answer.refuse(fault),
            Way::Gathered(slot) => _ = slot.settle(Err(fault)).is_ok(),
            Way::Done => (),
        }
    }

    const fn take(&mut self) -> Way<R> {
        std::mem::replace(&mut self.0, Way::Done)
    }
}

impl<R> Drop for ReplyTo<R> {
    fn drop(&mut self) {
        if matches!(self.0, Way::Done) {
            return;
        }
        match panics::unwinding() {
            Some(failure) => self.give_up(Fault::Failed(failure.shared())),
            None => self.give_up(Fault::Unanswered(None)),
        }
    }
}

impl<R> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo").field("is_abandoned", &self.is_abandoned()).finish()
    }
}
