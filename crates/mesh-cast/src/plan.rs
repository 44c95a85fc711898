//! `Plan`: the tree of one region of a mesh, as pure arithmetic over positions.
//!
//! A subtree is a range of positions, and its root is the first of them. To pass a cast on, a node cuts
//! what is left of its range into at most `fan_out` parts, and sends each part to its first live node.
//! So a subtree is two numbers, also in a message, and nobody needs the whole tree. Two nodes that know
//! different nodes to be dead cut differently, which does no harm: whoever got a range answers for it.
//!
//! Hosts come first: a range that meets several hosts is cut between hosts, so that a message enters
//! each host once.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use mesh_shape::{RankSet, Region};
use serde::{Deserialize, Serialize};

use crate::members::Members;

/// The tree over the nodes of a region.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use mesh_cast::{FanOut, Member, Members, Plan};
///
/// let member = |node: usize| Member { node, host: node / 4, ranks: (node..node + 1).into() };
/// let members = Arc::new(Members::new(1, (0..12).map(member).collect())?);
/// let plan = Plan::new(members, FanOut::new(3)?);
///
/// // One message for each host; there the others of the host get theirs.
/// assert_eq!(plan.split(0..12).children, [0..4, 4..8, 8..12]);
/// assert_eq!(plan.split(5..8).children, [5..6, 6..7, 7..8]);
///
/// // A node that is known to be dead is passed over, and named.
/// let split = plan.without(&(4..5).into()).split(0..12);
/// assert_eq!(split.children, [0..4, 5..8, 8..12]);
/// assert_eq!(split.dead, (4..5).into());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan<N> {
    members: Arc<Members<N>>,
    fan_out: FanOut,
    region: Option<Arc<Region>>,
    /// The ranks of the region that live in any node; those of all nodes if there is no region.
    ranks: Option<RankSet>,
    /// Whether nodes of the region may have no ranks of it.
    has_exceptions: bool,
    /// The positions of nodes that have ranks in the region and are not known to be dead.
    live: RankSet,
    /// The positions of nodes that have ranks in the region and are known to be dead.
    dead: RankSet,
}

/// How many nodes one node sends a cast to: at least two, so that a tree is not a chain. One of fewer is no [`FanOut`], not
/// even if somebody else has sent it: then the message that it is in cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "usize", into = "usize")]
pub struct FanOut(NonZeroUsize);

/// A fan-out with which a tree would be a chain, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fan-out is at least 2, not {0}")]
pub struct FanOutError(pub usize);

impl FanOut {
    /// As many as there are: one step reaches everybody.
    pub const ALL: Self = Self(NonZeroUsize::MAX);

    /// That many.
    ///
    /// # Errors
    ///
    /// [`FanOutError`] if they are fewer than two.
    pub fn new(number: usize) -> Result<Self, FanOutError> {
        let enough = NonZeroUsize::new(number).filter(|number| number.get() >= 2);
        enough.map(Self).ok_or(FanOutError(number))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0.get()
    }
}

impl TryFrom<usize> for FanOut {
    type Error = FanOutError;

    fn try_from(number: usize) -> Result<Self, FanOutError> {
        Self::new(number)
    }
}

impl From<FanOut> for usize {
    fn from(fan_out: FanOut) -> Self {
        fan_out.get()
    }
}

/// What a node makes of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The subtrees, in order, at most as many as the fan-out. Each begins with the live node that it is
    /// sent to.
    pub children: Vec<Range<usize>>,
    /// The nodes of the region that are known to be dead and that no child has in its range.
    pub dead: RankSet,
}

impl<N: Copy + Ord> Plan<N> {
    /// The tree over all nodes, of which none is known to be dead.
    #[must_use]
    pub fn new(members: Arc<Members<N>>, fan_out: FanOut) -> Self {
        let live = RankSet::from(0..members.len());
        Self {
            members,
            fan_out,
            region: None,
            ranks: None,
            has_exceptions: false,
            live,
            dead: RankSet::new(),
        }
    }

    /// The tree over the nodes that have ranks in `region`. Linear in the nodes: keep it for the next cast
    /// to the region.
    #[must_use]
    pub fn to(&self, region: impl Into<Arc<Region>>) -> Self {
        let region = region.into();
        let ranks = region.ranks().intersection(self.members.all_ranks());
        let inside = self.members.homes(&ranks);
        Self {
            live: self.live.intersection(&inside),
            dead: self.dead.intersection(&inside),
            region: Some(region),
            ranks: Some(ranks),
            has_exceptions: false,
            members: Arc::clone(&self.members),
            fan_out: self.fan_out,
        }
    }

    /// The same tree for the nodes in a range of positions only. Who splits a part of that range needs no more than
    /// the tree itself.
    #[must_use]
    pub fn within(&self, range: Range<usize>) -> Self {
        let inside = RankSet::from(range.clone());
        let ranks = self.members.ranks_in(range).intersection(self.all_ranks());
        Self {
            live: self.live.intersection(&inside),
            dead: self.dead.intersection(&inside),
            region: self.region.clone(),
            ranks: Some(ranks),
            has_exceptions: false,
            members: Arc::clone(&self.members),
            fan_out: self.fan_out,
        }
    }

    /// The same tree without the nodes at these positions, which are known to be dead.
    #[must_use]
    pub fn without(&self, dead: &RankSet) -> Self {
        let inside = self.targets();
        let mut plan = self.clone();
        plan.live = self.live.difference(dead);
        plan.dead = inside.difference(&plan.live);
        plan
    }

    /// The same tree for what was cast by the table of that version: whoever has followed another one since then has the
    /// place of a dead node, since what its predecessor has taken must not be taken again (R2).
    #[must_use]
    pub(crate) fn as_of(self: Arc<Self>, version: u64) -> Arc<Self> {
        let successors = self.members.successors_of(version);
        if successors.is_empty() { self } else { Arc::new(self.without(&successors)) }
    }

    /// The same tree, in which nothing is for these ranks: whoever lives beside them gets it, and passes it on.
    #[must_use]
    pub fn except(&self, ranks: &RankSet) -> Self {
        let ranks = Some(self.all_ranks().difference(ranks));
        Self { ranks, has_exceptions: true, ..self.clone() }
    }

    /// The positions of the nodes that it is for: who only passes it on is not to have had it.
    pub(crate) fn expecting(&self) -> RankSet {
        let targets = self.targets();
        if !self.has_exceptions {
            return targets;
        }
        targets.intersection(&self.members.homes(self.all_ranks()))
    }

    /// The table of nodes.
    #[must_use]
    pub const fn members(&self) -> &Arc<Members<N>> {
        &self.members
    }

    /// How many nodes one node sends a cast to.
    #[must_use]
    pub const fn fan_out(&self) -> FanOut {
        self.fan_out
    }

    /// The region, in ranks of the mesh as it was created; `None` is all of it.
    #[must_use]
    pub const fn region(&self) -> Option<&Arc<Region>> {
        self.region.as_ref()
    }

    /// The positions of all nodes that have ranks in the region, dead or alive.
    #[must_use]
    pub fn targets(&self) -> RankSet {
        self.live.union(&self.dead)
    }

    /// The positions of nodes of the region that are not known to be dead.
    #[must_use]
    pub const fn live(&self) -> &RankSet {
        &self.live
    }

    /// The ranks of the region that live in any node, dead or alive.
    #[must_use]
    pub fn all_ranks(&self) -> &RankSet {
        self.ranks.as_ref().unwrap_or_else(|| self.members.all_ranks())
    }

    /// The ranks of the region that live in the node at `position`.
    #[must_use]
    pub fn ranks(&self, position: usize) -> RankSet {
        match (self.members.ranks(position), &self.ranks) {
            (None, _) => RankSet::new(),
            (Some(own), None) => own,
            (Some(own), Some(wanted)) => own.intersection(wanted),
        }
    }

    /// Cuts a range of positions into subtrees.
    ///
    /// Costs the fan-out, and as many steps as it takes to find the first live node of each part.
    #[must_use]
    pub fn split(&self, range: Range<usize>) -> Split {
        let mut children = Vec::new();
        if let Some(span) = self.after_dead(range.clone()) {
            let parts = self.cuts(&span).into_iter();
            children.extend(parts.filter_map(|part| self.after_dead(part)));
        }
        let mut dead = RankSet::new();
        let ends = children.iter().map(|child| child.end);
        let starts = children.iter().map(|child| child.start).chain([range.end]);
        for (end, start) in [range.start].into_iter().chain(ends).zip(starts) {
            for gap in self.dead.runs_within(end..start) {
                dead.insert_range(gap);
            }
        }
        Split { children, dead }
    }

    /// The rest of a range from its first live node on, up to the last live node of all.
    fn after_dead(&self, range: Range<usize>) -> Option<Range<usize>> {
        let start = self.live.runs_within(range.clone()).next()?.start;
        let after_last = self.live.last().map_or(start, |last| last.index() + 1);
        Some(start..range.end.min(after_last))
    }

    /// Cuts between hosts where there are several, else into equal parts.
    fn cuts(&self, span: &Range<usize>) -> Vec<Range<usize>> {
        let hosts = self.members.hosts_of(span);
        let (n_hosts, fan_out) = (hosts.len(), self.fan_out.get());
        let n_parts = if n_hosts > 1 { n_hosts } else { span.len() }.min(fan_out);
        let cut = |part: usize| match part {
            0 => span.start,
            part if part == n_parts => span.end,
            part if n_hosts > 1 => self.members.host_start(hosts.start + n_hosts * part / n_parts),
            part => span.start + span.len() * part / n_parts,
        };
        (0..n_parts).map(|part| cut(part)..cut(part + 1)).collect()
    }
}

#[cfg(test)]
mod tests;
