//! Why an actor fails.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use mesh_core::{Cause, Change, Failures, Link, Reason, Status};

/// Why an actor cannot go on. Made from any error by `?`, or from words.
///
/// It is the way out of every function of an [`Actor`](crate::Actor): an actor that returns one has
/// failed, its children are stopped, and its parent is told. An error that is for whoever called
/// belongs into the reply instead.
///
/// It is not an [`Error`] itself, so that `?` can make it from every error.
///
/// # Examples
///
/// ```
/// use mesh_runtime::Failure;
///
/// fn shard(text: &str) -> Result<u32, Failure> {
///     let number: u32 = text.parse()?;
///     if number > 8 {
///         return Err(Failure::new(format!("there is no shard {number}, only 8")));
///     }
///     Ok(number)
/// }
///
/// let failure = shard("nine").err().map(|failure| failure.to_string());
/// assert_eq!(failure.as_deref(), Some("error: invalid digit found in string"));
/// ```
pub struct Failure(Arc<Cause>);

impl Failure {
    /// A failure with these words, of which no more than [`Reason::WORDS_MAX`](mesh_core::Reason::WORDS_MAX) bytes are told.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        Self::because(Reason::error(message.to_string()))
    }

    /// The actor panicked.
    pub(crate) fn panicked(message: String, location: Option<String>) -> Self {
        Self::because(Reason::panic(message, location))
    }

    /// A child failed, and nobody handled it (E2).
    pub(crate) fn of_child(child: &str, cause: &Cause) -> Self {
        let mut failure = Self::because(Reason::Child { actor: child.to_owned() });
        failure.chain(child, cause);
        failure
    }

    /// The same failure, which came up while the failure of `child` was handled (E2).
    pub(crate) fn while_handling(mut self, child: &str, cause: &Cause) -> Self {
        self.chain(child, cause);
        self
    }

    /// Ranks of a mesh failed that the actor owns, and nobody handled it (E2).
    pub(crate) fn of_mesh(failures: &Failures) -> Self {
        let mut failure = Self::because(Reason::Child { actor: failures.mesh.to_string() });
        failure.chain_mesh(failures);
        failure
    }

    /// The same failure, which came up while failures of a mesh were handled (E2).
    pub(crate) fn while_handling_mesh(mut self, failures: &Failures) -> Self {
        self.chain_mesh(failures);
        self
    }

    /// What is known of it.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.0
    }

    /// The same, to be kept.
    pub(crate) fn shared(&self) -> Arc<Cause> {
        Arc::clone(&self.0)
    }

    fn because(reason: Reason) -> Self {
        Self(Arc::new(Cause::new(reason)))
    }

    /// Adds what happened to `child`, nearest first, the root cause last.
    fn chain(&mut self, child: &str, cause: &Cause) {
        self.chain_link(Link::actor(child, cause.reason.clone()), cause);
    }

    /// Adds what happened to the first of the ranks that is not started again; the log tells of all.
    fn chain_mesh(&mut self, failures: &Failures) {
        let is_lost = |change: &Change| change.restart_in.is_none() && change.status.is_failure();
        let lost = failures.each().filter(|(_, change)| is_lost(change));
        let lost = lost.map(|(rank, change)| (rank, &change.status));
        let withdrawn = failures.each_withdrawn().map(|(rank, it)| (rank, &it.why));
        let others = failures.each().map(|(rank, change)| (rank, &change.status));
        let Some((rank, status)) = lost.chain(withdrawn).chain(others).next() else { return };
        let mesh = failures.mesh.clone();
        match status {
            Status::Failed(cause) => {
                self.chain_link(Link::rank(mesh, rank, cause.reason.clone()), cause);
            }
            status => {
                let reason = Reason::Error { message: status.to_string() };
                self.chain_link(Link::rank(mesh, rank, reason.clone()), &Cause::new(reason));
            }
        }
    }

    fn chain_link(&mut self, link: Link, cause: &Cause) {
        let chain = &mut Arc::make_mut(&mut self.0).chain;
        chain.push(link);
        chain.extend(cause.chain.iter().cloned());
        // The root cause is the last one, and is kept.
        if chain.len() > LINKS_MAX {
            chain.drain(LINKS_MAX / 2..chain.len() - LINKS_MAX / 2);
        }
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        // Bound: an error with an endless chain of sources would never be told.
        for _ in 0..SOURCES_MAX {
            let Some(cause) = source else { break };
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::new(message)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failure").field(&self.0).finish()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many links of a chain of causes are told: so that all of them fit into the head of an envelope.
const LINKS_MAX: usize = 32;

/// How many sources of an error are told.
const SOURCES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the shard")]
    struct Unreadable(#[source] io::Error);

    #[test]
    fn an_error_is_told_with_its_sources() {
        let failure = Failure::from(Unreadable(io::Error::other("disk is gone")));
        assert_eq!(failure.to_string(), "error: cannot read the shard: disk is gone");
    }

    #[test]
    fn the_words_of_a_failure_have_a_bound_and_the_root_cause_is_kept() {
        let mut failure = Failure::new("ä".repeat(10_000));
        for n in 0..1_000 {
            failure = Failure::of_child(&n.to_string(), &failure.shared());
        }
        let chain = &failure.cause().chain;
        assert_eq!(chain.len(), LINKS_MAX);
        let root = chain.last().expect("it has links").to_string();
        assert!(root.starts_with("actor 0: error: ää") && root.ends_with("ä…"), "{root}");
        assert!(failure.to_string().len() < 32 * 1024);
    }

    /// E2: the chain is nearest first, the root cause last.
    #[test]
    fn a_failing_handler_chains_its_own_error_to_the_cause() {
        let root = Failure::new("root").shared();
        let child = Failure::of_child("leaf", &root).shared();
        let failure = Failure::new("cannot mend it").while_handling("branch", &child);
        assert_eq!(
            failure.to_string(),
            "error: cannot mend it, caused by actor branch: the failure of its child leaf was not \
             handled, caused by actor leaf: error: root"
        );
    }
}
