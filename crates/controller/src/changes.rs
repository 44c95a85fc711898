//! `Changes`: what one step has made of ranks, on its way to those who are told.

use std::ops::Range;
use std::time::Duration;

use mesh_core::{Change, Incarnation, Status, Timestamp};
use mesh_shape::RankSet;

/// The changes of one step, equal ones together.
#[derive(Debug, Default)]
pub(crate) struct Changes(Vec<Dated>);

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
        if let Some(Dated { change, evidence: seen }) = self.0.last_mut()
            && change.incarnation == incarnation
            && change.status == status
            && *seen == evidence
        {
            change.ranks.insert_range(ranks);
            return;
        }
        let ranks = RankSet::from(ranks);
        let change = Change { ranks, incarnation, status, restart_in: None, age: Duration::ZERO };
        self.0.push(Dated { change, evidence });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter().map(|dated| &dated.change)
    }

    /// The changes as they are told at `now`.
    pub(crate) fn into_changes(self, now: Timestamp) -> Vec<Change> {
        let told = |Dated { change, evidence }| Change { age: now.since(evidence), ..change };
        self.0.into_iter().map(told).collect()
    }
}
