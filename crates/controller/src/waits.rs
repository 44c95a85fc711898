//! Who waits for ranks to be so far in their lives (L7).

use mesh_core::{Progress, Status, Timestamp};
use mesh_shape::RankSet;

use crate::event::AskId;

/// The waits of one mesh, in the order asked.
#[derive(Clone, Debug)]
pub(crate) struct Waits(Vec<Wait>);

#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) ask: AskId,
    /// The ranks that have not been so far yet.
    pub(crate) missing: RankSet,
    pub(crate) until: Progress,
    pub(crate) deadline: Timestamp,
}

impl Waits {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, wait: Wait) {
        self.0.push(wait);
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, ask: AskId) -> bool {
        self.0.iter().any(|wait| wait.ask == ask)
    }

    pub(crate) fn remove(&mut self, ask: AskId) {
        self.0.retain(|wait| wait.ask != ask);
    }

    /// Takes note of what ranks have become. A rank that has once been so far counts, also if it begins
    /// again while others are waited for.
    pub(crate) fn note(&mut self, ranks: &RankSet, status: &Status) {
        for wait in self.0.iter_mut().filter(|wait| status.has_reached(wait.until)) {
            wait.missing = wait.missing.difference(ranks);
        }
    }

    /// Keeps of what each waits for only what `not_yet` leaves of it.
    pub(crate) fn recheck(&mut self, not_yet: impl Fn(&RankSet, Progress) -> RankSet) {
        for wait in &mut self.0 {
            wait.missing = not_yet(&wait.missing, wait.until);
        }
    }

    /// Whether [`take_reached`](Self::take_reached) has something to give.
    pub(crate) fn has_reached(&self) -> bool {
        self.0.iter().any(|wait| wait.missing.is_empty())
    }

    /// The waits that are over because every rank was so far.
    pub(crate) fn take_reached(&mut self) -> Vec<Wait> {
        self.0.extract_if(.., |wait| wait.missing.is_empty()).collect()
    }

    /// The waits whose time is over.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Wait> {
        self.0.extract_if(.., |wait| wait.deadline <= now).collect()
    }

    pub(crate) fn take_all(&mut self) -> Vec<Wait> {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.0.iter().map(|wait| wait.deadline).min()
    }
}
