//! `Missing`: who is not so far as was waited for.

use std::ops::Deref;

use mesh_shape::RankSet;

/// The ranks that are not so far when the time of a wait is over, none if all are: so they are looked at, or
/// [`complete`](Self::complete) makes an error of them.
///
/// It is read as the [`RankSet`] that it dereferences to.
#[must_use = "some ranks may not be so far: look, or let `complete` say so"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub(super) RankSet);

/// Not every rank was so far when the time was over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not so far: {}", missing.in_words())]
pub struct NotSoFar {
    /// Those that were not.
    pub missing: RankSet,
}

impl Missing {
    /// Nothing, if every rank is so far.
    ///
    /// # Errors
    ///
    /// [`NotSoFar`] names those that are not.
    pub fn complete(self) -> Result<(), NotSoFar> {
        if self.0.is_empty() { Ok(()) } else { Err(NotSoFar { missing: self.0 }) }
    }
}

impl Deref for Missing {
    type Target = RankSet;

    fn deref(&self) -> &RankSet {
        &self.0
    }
}
