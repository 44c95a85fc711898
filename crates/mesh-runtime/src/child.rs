//! A child that may be started again, as others see it.

use std::fmt;
use std::sync::Arc;

use mesh_core::End;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::actor::{Actor, Stop};
use crate::actor_ref::ActorRef;
use crate::shared::Parent;

/// Follows a child through its restarts. Cheap to clone, and may be given to others; keeps nothing alive.
///
/// Each life is an actor of its own, with an identity and a mailbox of its own, as in OTP: what one has not
/// handled goes back to its senders, and is not handled by the next one.
///
/// # Examples
///
/// See [`Context::supervise`](crate::Context::supervise).
pub struct Child<A: Actor> {
    current: watch::Receiver<ActorRef<A>>,
    parent: Arc<dyn Parent>,
}

impl<A: Actor> Child<A> {
    pub(crate) const fn new(
        current: watch::Receiver<ActorRef<A>>,
        parent: Arc<dyn Parent>,
    ) -> Self {
        Self { current, parent }
    }

    /// The life that was begun last. It may have ended.
    #[must_use]
    pub fn current(&self) -> ActorRef<A> {
        self.current.borrow().clone()
    }

    /// Waits for the next life after the one that was seen last, by this function or when the child was
    /// given out. `None` if there will be none: its parent goes on without it, or ends.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn restarted(&mut self) -> Option<ActorRef<A>> {
        self.current.changed().await.ok()?;
        Some(self.current.borrow_and_update().clone())
    }

    /// Whether it will not be started again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.current.has_changed().is_err()
    }

    /// Ends the child for good, also a permanent one, and returns how it has ended: it is asked to by
    /// [`Stop::Now`], and killed after its [`GRACE`](Actor::GRACE). It is not started again, neither for itself nor
    /// with others; its parent is not asked about its failure any more, since whoever wants it to end is told. If it
    /// is started again just then, that life ends.
    ///
    /// Its parent may do so in a handler, and the child itself: it is killed there, after its grace.
    ///
    /// # Cancellation
    ///
    /// It has been asked to end, for good, as soon as this is polled; but it is not killed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mesh_core::{End, Message};
    /// # use mesh_runtime::{Actor, Child, ChildSpec, Context, Failure, Handler, Proc};
    /// # struct Cache;
    /// # impl Actor for Cache {
    /// #     const NAME: &'static str = "cache";
    /// #     type Params = usize;
    /// #     async fn start(_: usize, _: &mut Context<Self>) -> Result<Self, Failure> { Ok(Self) }
    /// # }
    /// struct Store { cache: Child<Cache> }
    ///
    /// impl Actor for Store {
    ///     // …
    /// #    const NAME: &'static str = "store";
    /// #    type Params = ();
    ///     async fn start(_: (), cx: &mut Context<Self>) -> Result<Self, Failure> {
    ///         Ok(Self { cache: cx.supervise(ChildSpec::new(|| 1024).permanent()) })
    ///     }
    /// }
    ///
    /// struct Uncached;
    ///
    /// # impl Message for Uncached { const NAME: &'static str = "doc.Uncached"; type Reply = End; }
    /// impl Handler<Uncached> for Store {
    ///     async fn handle(&mut self, _: Uncached, _: &mut Context<Self>) -> Result<End, Failure> {
    ///         Ok(self.cache.end().await)
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let proc = Proc::local()?;
    /// let store = proc.spawn::<Store>(());
    /// assert_eq!(store.call(&proc, Uncached).await?, End::Stopped);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Source
    ///
    /// `supervisor:terminate_child` and `delete_child` of Erlang/OTP, in one.
    #[doc(alias = "terminate_child")]
    #[doc(alias = "delete_child")]
    pub async fn end(&self) -> End {
        self.parent.let_go();
        let mut current = self.current.clone();
        // Until it is known that there is no other life.
        while current.changed().await.is_ok() {}
        let last = current.borrow().clone();
        last.stop(Stop::Now);
        if let Ok(end) = timeout(A::GRACE, last.ended()).await {
            return end;
        }
        last.stop(Stop::Kill);
        last.ended().await
    }
}

// By hand, because deriving would ask the same of `A`.
impl<A: Actor> Clone for Child<A> {
    fn clone(&self) -> Self {
        Self { current: self.current.clone(), parent: Arc::clone(&self.parent) }
    }
}

impl<A: Actor> fmt::Debug for Child<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Child").field(&*self.current.borrow()).finish()
    }
}
