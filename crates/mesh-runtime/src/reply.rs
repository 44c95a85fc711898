//! One-shot replies.

use std::fmt;

use tokio::sync::oneshot;

use crate::fault::Fault;

/// Where the one answer to a question goes. Whoever asked is told at once when it is dropped
/// unanswered.
///
/// A handler answers by returning; this is for answers that come later, or from somebody else. See
/// [`ActorRef::call_with`](crate::ActorRef::call_with).
#[must_use = "whoever asked waits for it"]
pub struct ReplyTo<R>(oneshot::Sender<Result<R, Fault>>);

impl<R> ReplyTo<R> {
    pub(crate) const fn new(answer: oneshot::Sender<Result<R, Fault>>) -> Self {
        Self(answer)
    }

    /// Answers.
    ///
    /// # Errors
    ///
    /// The answer comes back if nobody waits for it any more.
    pub fn send(self, reply: R) -> Result<(), R> {
        match self.0.send(Ok(reply)) {
            Ok(()) | Err(Err(_)) => Ok(()),
            Err(Ok(reply)) => Err(reply),
        }
    }

    /// Whether whoever asked has given up.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }

    /// There will be no answer, and this is why.
    pub(crate) fn refuse(self, fault: Fault) {
        // Whoever asked may have gone; nobody else wants to know.
        _ = self.0.send(Err(fault)).is_ok();
    }
}

impl<R> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo").field("is_abandoned", &self.is_abandoned()).finish()
    }
}
