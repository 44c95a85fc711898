//! One-shot replies.

use std::fmt;

use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::fault::Fault;
use crate::panics;

/// Where the one answer to a question goes. Whoever asked is told at once when it is dropped
/// unanswered, and why, if that was in a panic.
///
/// A handler answers by returning; this is for answers that come later, or from somebody else. See
/// [`Handler::handle_call`](crate::Handler::handle_call) and
/// [`ActorRef::call_with`](crate::ActorRef::call_with).
#[must_use = "whoever asked waits for it"]
pub struct ReplyTo<R> {
    /// `None` once it was answered.
    answer: Option<oneshot::Sender<Result<R, Fault>>>,
}

impl<R> ReplyTo<R> {
    pub(crate) const fn new(answer: oneshot::Sender<Result<R, Fault>>) -> Self {
        Self { answer: Some(answer) }
    }

    /// Answers.
    ///
    /// # Errors
    ///
    /// The answer comes back if nobody waits for it any more.
    pub fn send(mut self, reply: R) -> Result<(), R> {
        match self.answer.take().map(|answer| answer.send(Ok(reply))) {
            Some(Err(Ok(reply))) => Err(reply),
            Some(Ok(()) | Err(Err(_))) | None => Ok(()),
        }
    }

    /// There will be no answer, since whoever was to give it fails.
    pub fn fail(self, failure: &Failure) {
        self.refuse(Fault::Failed(failure.shared()));
    }

    /// Whether whoever asked has given up.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.answer.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Waits until whoever asked gives up, so that the work for the answer can be dropped.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn abandoned(&mut self) {
        if let Some(answer) = &mut self.answer {
            answer.closed().await;
        }
    }

    /// There will be no answer, and this is why.
    pub(crate) fn refuse(mut self, fault: Fault) {
        self.give_up(fault);
    }

    fn give_up(&mut self, fault: Fault) {
        if let Some(answer) = self.answer.take() {
            // Whoever asked may have gone; nobody else wants to know.
            _ = answer.send(Err(fault)).is_ok();
        }
    }
}

impl<R> Drop for ReplyTo<R> {
    fn drop(&mut self) {
        if self.answer.is_some()
            && let Some(failure) = panics::unwinding()
        {
            self.give_up(Fault::Failed(failure.shared()));
        }
    }
}

impl<R> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo").field("is_abandoned", &self.is_abandoned()).finish()
    }
}
