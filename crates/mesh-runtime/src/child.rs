//! A child that may be started again, as others see it.

use std::fmt;

use tokio::sync::watch;

use crate::actor::Actor;
use crate::actor_ref::ActorRef;

/// Follows a child through its restarts. Cheap to clone, and may be given to others; keeps nothing alive.
///
/// Each life is an actor of its own, with an identity and a mailbox of its own, as in OTP: what one has not
/// handled goes back to its senders, and is not handled by the next one.
///
/// # Examples
///
/// See [`Context::supervise`](crate::Context::supervise).
pub struct Child<A: Actor>(watch::Receiver<ActorRef<A>>);

impl<A: Actor> Child<A> {
    pub(crate) const fn new(current: watch::Receiver<ActorRef<A>>) -> Self {
        Self(current)
    }

    /// The life that was begun last. It may have ended.
    #[must_use]
    pub fn current(&self) -> ActorRef<A> {
        self.0.borrow().clone()
    }

    /// Waits for the next life after the one that was seen last, by this function or when the child was
    /// given out. `None` if there will be none: its parent goes on without it, or ends.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn restarted(&mut self) -> Option<ActorRef<A>> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }

    /// Whether it will not be started again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.has_changed().is_err()
    }
}

// By hand, because deriving would ask the same of `A`.
impl<A: Actor> Clone for Child<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor> fmt::Debug for Child<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Child").field(&*self.0.borrow()).finish()
    }
}
