//! `NotSent`: who was not sent a cast.

use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;

use mesh_core::{Message, WhyUndelivered};
use mesh_runtime::{Deputy, Sender};
use mesh_shape::{Overlay, Rank};

use super::reducing::{first, of_ranks};
use crate::rank_error::RankError;

/// The ranks that a cast was not sent to, each with why: they have ended, are not there yet, had no room in time, or it was
/// known here that the message cannot be delivered, as one that is too large ([`RankError::Undelivered`]), or that their
/// actor does not take ([`RankError::NotTaken`]). They are counted and logged, and nobody else has them (R3): so they are
/// looked at, or [`complete`](Self::complete) makes an error of them. What is found only on the way down a tree comes back
/// to the actor that has cast it.
///
/// It is read as the [`Overlay`] that it dereferences to.
#[must_use = "some ranks may not have been sent the message: look, or let `complete` say so"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSent(Overlay<RankError>);

/// Not every rank was sent the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} not sent it: {}", of_ranks(ranks, ("was", "were")), first(ranks))]
pub struct Unsent {
    /// Why each of them was not.
    pub ranks: Overlay<RankError>,
}

impl NotSent {
    /// Counts and logs those that a message was not sent to, if there are any.
    pub(super) fn told<M: Message>(
        ranks: impl IntoIterator<Item = (Rank, RankError)>,
        from: &Deputy,
    ) -> Self {
        let ranks: Overlay<RankError> = ranks.into_iter().collect();
        for (run, error) in ranks.runs() {
            from.origin().proc().count_not_sent(why(error), run.len());
        }
        let not_sent = Self(ranks);
        if !not_sent.is_empty() {
            tracing::warn!(
                message = M::NAME,
                n = not_sent.len(),
                first = first(&not_sent),
                "not sent"
            );
        }
        not_sent
    }

    /// Nothing, if every rank was sent the message.
    ///
    /// # Errors
    ///
    /// [`Unsent`] names those that were not.
    pub fn complete(self) -> Result<(), Unsent> {
        if self.0.is_empty() { Ok(()) } else { Err(Unsent { ranks: self.0 }) }
    }
}

/// The ranks that a cast of `M` was not sent to so far. They are counted and logged at its end, also where whoever casts lets
/// go of it before (R3).
pub(super) struct SoFar<'a, M: Message> {
    ranks: Vec<(Rank, RankError)>,
    from: &'a Deputy,
    of: PhantomData<fn(M)>,
}

impl<'a, M: Message> SoFar<'a, M> {
    pub(super) const fn new(ranks: Vec<(Rank, RankError)>, from: &'a Deputy) -> Self {
        Self { ranks, from, of: PhantomData }
    }

    pub(super) fn extend(&mut self, more: impl IntoIterator<Item = (Rank, RankError)>) {
        self.ranks.extend(more);
    }

    /// There are no others.
    pub(super) fn all(mut self) -> NotSent {
        self.take()
    }

    fn take(&mut self) -> NotSent {
        NotSent::told::<M>(mem::take(&mut self.ranks), self.from)
    }
}

impl<M: Message> Drop for SoFar<'_, M> {
    fn drop(&mut self) {
        // Nobody looks at it any more.
        _ = self.take().is_empty();
    }
}

impl Deref for NotSent {
    type Target = Overlay<RankError>;

    fn deref(&self) -> &Overlay<RankError> {
        &self.0
    }
}

/// What is counted of it; `None` if it found no room.
const fn why(error: &RankError) -> Option<WhyUndelivered> {
    match error {
        RankError::Ended(_) => Some(WhyUndelivered::Ended),
        RankError::NotRunning(_) => Some(WhyUndelivered::NoActor),
        RankError::Undelivered(why) => Some(*why),
        RankError::OutOfReach(_) => Some(WhyUndelivered::PeerLost),
        RankError::NotTaken { .. } => Some(WhyUndelivered::NoPort),
        RankError::NoController(_) | RankError::Refused(_) => Some(WhyUndelivered::NoRoute),
        RankError::Deadline { .. }
        | RankError::Stalled { .. }
        | RankError::Withheld { .. }
        | RankError::NoRoom { .. }
        | RankError::NoTurn { .. }
        | RankError::TooManyWait { .. }
        | RankError::TooManyWaitTogether { .. }
        | RankError::Unanswered
        | RankError::NotMerged { .. } => None,
    }
}
