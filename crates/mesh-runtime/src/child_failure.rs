//! What a parent is told of a child that failed, and what people are told in the end.

use std::fmt;
use std::sync::Arc;

use mesh_core::{ActorId, Cause};

use crate::name::Name;

/// A child that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildFailure {
    /// The name of the child.
    pub child: Name,
    /// Which child.
    pub id: ActorId,
    /// Why it failed.
    pub cause: Arc<Cause>,
}

impl fmt::Display for ChildFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "actor {} failed: {}", self.child, self.cause)
    }
}

impl ChildFailure {
    /// The failure as people are told it when nobody has handled it: the root cause first (E2).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use mesh_core::{ActorId, Cause, Incarnation, Link, ProcId, Reason};
    /// use mesh_runtime::ChildFailure;
    ///
    /// let root = Reason::Error { message: "no space left".to_owned() };
    /// let cause = Cause::new(Reason::Child { actor: "disk".to_owned() })
    ///     .with_chain(vec![Link::actor("disk", root)]);
    /// let id = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 1 };
    /// let failure = ChildFailure { child: "store".into(), id, cause: Arc::new(cause) };
    /// assert_eq!(
    ///     failure.report().to_string(),
    ///     "actor disk failed: error: no space left\n  \
    ///      so actor store failed: the failure of its child disk was not handled"
    /// );
    /// ```
    #[must_use]
    pub const fn report(&self) -> Report<'_> {
        Report(self)
    }
}

/// A failure with the root cause first. See [`ChildFailure::report`].
#[derive(Clone, Copy, Debug)]
pub struct Report<'a>(&'a ChildFailure);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChildFailure { child, cause, .. } = self.0;
        for (index, link) in cause.chain.iter().rev().enumerate() {
            let so = if index == 0 { "" } else { "  so " };
            writeln!(f, "{so}{} failed: {}", link.subject, link.reason)?;
        }
        let so = if cause.chain.is_empty() { "" } else { "  so " };
        write!(f, "{so}actor {child} failed: {}", cause.reason)
    }
}
