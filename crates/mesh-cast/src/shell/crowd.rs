//! `Crowd`: what waits for room in a caster, as those behind it see it.

use std::collections::BTreeSet;

use mesh_core::{ActorId, PeerId};
use mesh_shape::RankSet;

use super::casters::Cast;
use crate::caster::Busy;
use crate::plan::Plan;

/// What waits. Who passes it neither overtakes a cast of the same sender (R2) nor takes its turn at a rank.
///
/// Programs that are no actors look alike: one that casts and does not wait has no order, also without a tree.
#[derive(Default)]
pub(super) struct Crowd {
    /// Nothing can be cast.
    is_full: bool,
    /// The ranks that have too many calls to answer.
    silent: RankSet,
    /// The ranks that have too much to take.
    ranks: RankSet,
    senders: BTreeSet<ActorId>,
}

impl Crowd {
    /// Whether a cast must wait behind it.
    pub(super) fn is_before(&self, cast: &Cast, plan: &Plan<PeerId>) -> bool {
        self.is_full
            || (cast.kind.wants_reply() && self.silent.intersects(plan.all_ranks()))
            || self.has_sender(cast)
            || self.ranks.intersects(plan.all_ranks())
    }

    /// Whether a cast that there is room for must wait behind it all the same.
    pub(super) fn has_sender(&self, cast: &Cast) -> bool {
        cast.payload.from.is_some_and(|from| self.senders.contains(&from))
    }

    /// One waits behind it: what its sender casts later does so, too.
    pub(super) fn follow(&mut self, cast: &Cast) {
        self.senders.extend(cast.payload.from);
    }

    /// One more waits.
    pub(super) fn join(&mut self, cast: &Cast, busy: Busy) {
        self.follow(cast);
        match busy {
            Busy::All => self.is_full = true,
            Busy::Calls(ranks) => self.silent = self.silent.union(&ranks),
            Busy::Ranks(ranks) => self.ranks = self.ranks.union(&ranks),
        }
    }
}
