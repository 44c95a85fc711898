//! watch: what one subscriber was told, checked against what it should have been.

use std::collections::BTreeMap;

use mesh_core::{Change, Interest, MeshEvent, News, Status, SubscriberId, Trouble, Withdrawal};
use mesh_shape::{Rank, Region};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// The ends that somebody was told in one step: rank, life, and how it ended.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<(usize, u64, Status)>);

impl Told {
    pub(super) fn add(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.status.is_terminal()) {
            let life = change.incarnation.number();
            let each = change.ranks.iter().map(|rank| (rank.index(), life, change.status.clone()));
            self.0.extend(each);
        }
    }

    /// Everything since the last time, in the order of ranks.
    pub(super) fn take(&mut self) -> Vec<(usize, u64, Status)> {
        let mut told = std::mem::take(&mut self.0);
        told.sort_by_key(|(rank, life, _)| (*rank, *life));
        told
    }
}

/// After which nothing is told any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastWord {
    Closed,
    /// Another controller has taken over.
    Replaced,
    /// The owner has gone.
    Abandoned,
}

/// One subscriber: what it knows from what it was told alone.
#[derive(Debug)]
pub(super) struct Watch {
    interest: Interest,
    region: Option<Region>,
    /// The ranks of the mesh.
    whole: Region,
    seq: Option<u64>,
    told: Told,
    /// Who does not begin again after all, in this step.
    withdrawn: Vec<(usize, u64)>,
    /// The life and status of each rank of its view, as far as it was told.
    known: BTreeMap<usize, (u64, Status)>,
    /// Since they were asked for last.
    n_heartbeats: usize,
    last: Option<LastWord>,
    /// Its last word may have been lost, so it may come again.
    lagging: bool,
    /// What has just come was a snapshot, so the ends of this step may be in it.
    fresh: bool,
}

impl Watch {
    pub(super) fn new(interest: Interest, region: Option<Region>, whole: Region) -> Self {
        Self {
            interest,
            region,
            whole,
            seq: None,
            told: Told::default(),
            withdrawn: Vec::new(),
            known: BTreeMap::new(),
            n_heartbeats: 0,
            last: None,
            lagging: false,
            fresh: false,
        }
    }

    pub(super) fn lag(&mut self) {
        self.lagging = true;
    }

    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.last, Some(LastWord::Closed))
    }

    pub(super) const fn is_let_go(&self) -> bool {
        matches!(self.last, Some(LastWord::Replaced | LastWord::Abandoned))
    }

    pub(super) const fn take_heartbeat(&mut self) -> bool {
        std::mem::replace(&mut self.n_heartbeats, 0) == 1
    }

    /// N4, N5: numbers without a gap, a snapshot first, nothing after the last word.
    pub(super) fn take(&mut self, event: MeshEvent) -> TestCaseResult {
        let is_snapshot = matches!(event.news, News::Snapshot(_));
        let may_hear = match self.last {
            None => true,
            Some(LastWord::Closed | LastWord::Replaced | LastWord::Abandoned) => self.lagging,
        };
        prop_assert!(may_hear, "nothing after {:?}: {:?}", self.last, event);
        let expected = match self.seq {
            None => 0,
            Some(seq) if is_snapshot => seq,
            Some(seq) => seq + 1,
        };
        prop_assert_eq!(event.seq, expected, "{:?}", &event);
        prop_assert!(self.seq.is_some() || is_snapshot, "a snapshot comes first");
        self.seq = Some(event.seq);
        match event.news {
            News::Snapshot(snapshot) => {
                prop_assert_eq!(snapshot.lagged, self.lagging);
                self.known.clear();
                self.learn(&snapshot.failed);
                self.learn(&snapshot.alive);
                self.learn(&snapshot.stopped);
                self.fresh = true;
            }
            News::Changed(changes) => {
                prop_assert!(!changes.is_empty() && changes.iter().all(|c| !c.ranks.is_empty()));
                self.told.add(&changes);
                self.learn(&changes);
            }
            News::Heartbeat { .. } => self.n_heartbeats += 1,
            News::Closed => self.last = Some(LastWord::Closed),
            News::Trouble(Trouble::Replaced { .. }) => {
                self.last = Some(LastWord::Replaced);
            }
            News::Trouble(Trouble::Abandoned) => self.last = Some(LastWord::Abandoned),
            News::Recalled { ranks, .. } => {
                prop_assert!(!ranks.is_empty());
                for rank in ranks.iter() {
                    let known = self.known.get(&rank.index());
                    let has_ended = known.is_none_or(|(_, status)| status.is_terminal());
                    prop_assert!(has_ended, "{} had not ended", rank);
                }
            }
            News::Withdrawn(withdrawn) => {
                for Withdrawal { ranks, incarnation, .. } in withdrawn.iter() {
                    let each = ranks.iter().map(|rank| (rank.index(), incarnation.number()));
                    self.withdrawn.extend(each);
                }
            }
            News::Trouble(_) | News::Escalated(_) | News::Stopping { .. } => (),
        }
        Ok(())
    }

    /// RS1, H5: after each step it was told, once, of who does not begin again after all.
    pub(super) fn check_withdrawn(&mut self, all: &[(usize, u64)]) -> TestCaseResult {
        let mine = all.iter().filter_map(|(rank, life)| Some((self.view(*rank)?, *life)));
        let mut mine: Vec<_> = mine.collect();
        let mut told = std::mem::take(&mut self.withdrawn);
        mine.sort_unstable();
        told.sort_unstable();
        prop_assert_eq!(told, mine);
        Ok(())
    }

    /// N2, N4, H5: after each step it was told each end of its view once, and knows what is.
    pub(super) fn check(
        &mut self,
        ends: &[(usize, u64, Status)],
        all: &[(u64, Status)],
        is_over: bool,
        id: SubscriberId,
    ) -> TestCaseResult {
        let mut mine: Vec<_> = ends
            .iter()
            .filter_map(|(rank, life, status)| Some((self.view(*rank)?, *life, status.clone())))
            .collect();
        mine.sort_by_key(|(rank, life, _)| (*rank, *life));
        let told = self.told.take();
        if !self.fresh {
            prop_assert_eq!(&told, &mine, "the ends told to {}", id);
        }
        (self.fresh, self.lagging) = (false, false);
        prop_assert_eq!(self.is_closed(), is_over, "closed with the last end, {}", id);
        for (rank, (_, status)) in all.iter().enumerate() {
            let Some(rank) = self.view(rank) else { continue };
            let known = self.known.get(&rank).map(|(_, status)| status.kind());
            if self.interest == Interest::All || status.is_terminal() {
                prop_assert_eq!(known, Some(status.kind()), "what {} knows of {}", id, rank);
            }
        }
        Ok(())
    }

    fn learn(&mut self, changes: &[Change]) {
        for change in changes {
            for rank in change.ranks.iter() {
                let known = (change.incarnation.number(), change.status.clone());
                self.known.insert(rank.index(), known);
            }
        }
    }

    fn view(&self, rank: usize) -> Option<usize> {
        match &self.region {
            None => Some(rank),
            Some(region) => {
                let base = self.whole.base_rank(Rank::new(rank))?;
                region.rank_of_base(base).map(Rank::index)
            }
        }
    }
}
