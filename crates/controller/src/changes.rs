//! `Changes`: what one step has made of ranks, on its way to those who are told.

use std::ops::Range;
use std::time::Duration;

use mesh_core::{Change, Incarnation, Status, Timestamp, Withdrawal};
use mesh_shape::RankSet;

/// The changes of one step, equal ones together.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    dated: Vec<Dated>,
    withdrawn: Vec<Withdrawal>,
    interrupted: RankSet,
}

/// A change, and when the evidence of it was seen.
#[derive(Debug)]
struct Dated {
    change: Change,
    evidence: Timestamp,
}

impl Changes {
    pub(crate) fn push(
        &mut self,
        ranks: Range<usize>,
        incarnation: Incarnation,
        status: Status,
        evidence: Timestamp,
    ) {
        if let Some(Dated { change, evidence: seen }) = self.dated.last_mut()
            && change.incarnation == incarnation
            && change.status == status
            && *seen == evidence
        {
            change.ranks.insert_range(ranks);
            return;
        }
        let ranks = RankSet::from(ranks);
        let change = Change { ranks, incarnation, status, restart_in: None, age: Duration::ZERO };
        self.dated.push(Dated { change, evidence });
    }

    /// Ranks that have ended before are not started again after all.
    pub(crate) fn withdraw(&mut self, ranks: RankSet, incarnation: Incarnation, why: &Status) {
        if ranks.is_empty() {
            return;
        }
        match self.withdrawn.last_mut() {
            Some(last) if last.incarnation == incarnation && last.why == *why => {
                ranks.runs().for_each(|run| last.ranks.insert_range(run));
            }
            Some(_) | None => {
                self.withdrawn.push(Withdrawal { ranks, incarnation, why: why.clone() });
            }
        }
    }

    /// If these ranks have ended in this step, then with what they lived in, which begins again.
    pub(crate) fn interrupt(&mut self, ranks: Range<usize>) {
        self.interrupted.insert_range(ranks);
    }

    pub(crate) fn take_interrupted(&mut self) -> RankSet {
        std::mem::take(&mut self.interrupted)
    }

    pub(crate) fn take_withdrawn(&mut self) -> Vec<Withdrawal> {
        std::mem::take(&mut self.withdrawn)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.dated.iter().map(|dated| &dated.change)
    }

    /// The changes as they are told at `now`.
    pub(crate) fn into_changes(self, now: Timestamp) -> Vec<Change> {
        let told = |Dated { change, evidence }| Change { age: now.since(evidence), ..change };
        self.dated.into_iter().map(told).collect()
    }
}
