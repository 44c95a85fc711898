//! `Members`: which processes a mesh lives in, in the order in which a tree is laid over them.

use std::collections::BTreeMap;
use std::ops::Range;

use mesh_shape::{Rank, RankSet};

/// One node of the tree: a process, with the ranks of the mesh that live in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<N> {
    /// The process, as the shell knows it. Another life of it is another node.
    pub node: N,
    /// Which host it is on: any number that its neighbours on the same host share.
    pub host: usize,
    /// Its ranks, in the mesh as it was created.
    pub ranks: RankSet,
}

/// The processes of one mesh, each at a *position* that it keeps for the life of the mesh.
///
/// The order is that of the tree: processes of one host are neighbours, so that a range of positions
/// crosses as few hosts as it can. A process that is started again is another node at the same
/// position, in a table of a higher version.
///
/// # Examples
///
/// ```
/// use mesh_cast::{Member, Members};
/// use mesh_shape::RankSet;
///
/// let member = |node: u32| Member { node, host: node as usize / 2, ranks: (node as usize..node as usize + 1).into() };
/// let members = Members::new(1, (0..4).map(member).collect())?;
/// assert_eq!(members.position(&3), Some(3));
/// assert_eq!(members.ranks(3), Some(&RankSet::from(3..4)));
/// assert_eq!(members.n_hosts(), 2);
/// # Ok::<(), mesh_cast::MembersError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Members<N> {
    version: u64,
    members: Vec<Member<N>>,
    /// Where each host begins, and the end: one more than there are hosts.
    hosts: Vec<usize>,
    positions: BTreeMap<N, usize>,
    all: RankSet,
}

/// Why a list of members is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembersError {
    /// A node is there twice.
    #[error("positions {first} and {second} are the same node")]
    SameNode {
        /// Where it is first.
        first: usize,
        /// Where it is again.
        second: usize,
    },
    /// Two nodes claim a rank.
    #[error("two nodes claim rank {rank}")]
    SameRank {
        /// The rank.
        rank: Rank,
    },
}

impl<N: Copy + Ord> Members<N> {
    /// The members in this order. `version` is higher than that of any table of the mesh before it.
    ///
    /// # Errors
    ///
    /// [`MembersError`] if a node, or a rank, is there twice.
    pub fn new(version: u64, members: Vec<Member<N>>) -> Result<Self, MembersError> {
        let mut positions = BTreeMap::new();
        let mut hosts = Vec::new();
        let mut last_host = None;
        for (position, member) in members.iter().enumerate() {
            if let Some(first) = positions.insert(member.node, position) {
                return Err(MembersError::SameNode { first, second: position });
            }
            if last_host.replace(member.host) != Some(member.host) {
                hosts.push(position);
            }
        }
        hosts.push(members.len());
        let mut runs: Vec<_> = members.iter().flat_map(|member| member.ranks.runs()).collect();
        runs.sort_unstable_by_key(|run| run.start);
        for (left, right) in runs.iter().zip(runs.iter().skip(1)) {
            if right.start < left.end {
                return Err(MembersError::SameRank { rank: Rank::new(right.start) });
            }
        }
        let mut all = RankSet::new();
        runs.into_iter().for_each(|run| all.insert_range(run));
        Ok(Self { version, members, hosts, positions, all })
    }

    /// Which table of the mesh this is.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The number of nodes. Positions are `0..len`.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The number of hosts.
    #[must_use]
    pub const fn n_hosts(&self) -> usize {
        self.hosts.len() - 1
    }

    /// The node at `position`.
    #[must_use]
    pub fn node(&self, position: usize) -> Option<N> {
        self.members.get(position).map(|member| member.node)
    }

    /// The ranks of the node at `position`.
    #[must_use]
    pub fn ranks(&self, position: usize) -> Option<&RankSet> {
        self.members.get(position).map(|member| &member.ranks)
    }

    /// The ranks of all nodes.
    #[must_use]
    pub const fn all_ranks(&self) -> &RankSet {
        &self.all
    }

    /// Where `node` is.
    #[must_use]
    pub fn position(&self, node: &N) -> Option<usize> {
        self.positions.get(node).copied()
    }

    /// The hosts that a range of positions meets, as places in the list of hosts.
    pub(crate) fn hosts_of(&self, positions: &Range<usize>) -> Range<usize> {
        let first = self.hosts.partition_point(|start| *start <= positions.start);
        let last = self.hosts.partition_point(|start| *start < positions.end);
        first.saturating_sub(1)..last
    }

    /// Where the host at that place begins.
    pub(crate) fn host_start(&self, host: usize) -> usize {
        self.hosts.get(host).copied().unwrap_or(self.members.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(node: u8, ranks: Range<usize>) -> Member<u8> {
        Member { node, host: usize::from(node / 2), ranks: ranks.into() }
    }

    #[test]
    fn a_node_or_a_rank_is_there_once() {
        let same_node = Members::new(1, vec![member(1, 0..1), member(1, 1..2)]);
        assert_eq!(same_node.err(), Some(MembersError::SameNode { first: 0, second: 1 }));
        let same_rank = Members::new(1, vec![member(1, 0..3), member(2, 2..4)]);
        assert_eq!(same_rank.err(), Some(MembersError::SameRank { rank: Rank::new(2) }));
    }

    #[test]
    fn a_range_knows_the_hosts_it_meets() {
        let members = Members::new(1, (0..6).map(|node| member(node, 0..0)).collect())
            .expect("nodes differ and have no ranks");
        let hosts = |range| members.hosts_of(&range);
        assert_eq!([hosts(0..6), hosts(1..2), hosts(1..3), hosts(4..6)], [0..3, 0..1, 0..2, 2..3]);
    }
}
