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
        let from = cast.payload.from;
        self.is_full
            || (cast.kind.wants_reply() && self.silent.intersects(plan.all_ranks()))
            || from.is_some_and(|from| self.senders.contains(&from))
            || self.ranks.intersects(plan.all_ranks())
    }

    /// One more waits.
    pub(super) fn join(&mut self, cast: &Cast, busy: Busy) {
        self.senders.extend(cast.payload.from);
        match busy {
            Busy::All => self.is_full = true,
            Busy::Calls(ranks) => self.silent = self.silent.union(&ranks),
            Busy::Ranks(ranks) => self.ranks = self.ranks.union(&ranks),
        }
    }
}
