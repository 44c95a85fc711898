//! `Members`: which processes a mesh lives in, in the order in which a tree is laid over them.

use std::ops::Range;

use mesh_shape::{Overlay, Rank, RankSet};

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
/// assert_eq!(members.ranks(3), Some(RankSet::from(3..4)));
/// assert_eq!(members.n_hosts(), 2);
/// # Ok::<(), mesh_cast::MembersError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Members<N> {
    version: u64,
    /// Each process of a mesh has one of these for each of them all: so it holds no more than it must.
    nodes: Box<[N]>,
    /// The positions, in the order of the nodes.
    by_node: Box<[u32]>,
    ranks: Ranks,
    /// Where each host begins, and the end: one more than there are hosts.
    hosts: Vec<usize>,
    all: RankSet,
    successors: Overlay<u64>,
}

/// Which ranks live where.
#[derive(Clone, Debug)]
enum Ranks {
    /// At each position the one of that number, as in every mesh of actors.
    OneEach,
    /// At each position these.
    Sets(Box<[RankSet]>),
}

/// Why a list of members is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembersError {
    /// There are more than 2^32 of them.
    #[error("{0} nodes are too many")]
    TooMany(usize),
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
    /// [`MembersError`] if a node, or a rank, is there twice, or if they are too many.
    pub fn new(version: u64, members: Vec<Member<N>>) -> Result<Self, MembersError> {
        let n_members = members.len();
        let Ok(n_positions) = u32::try_from(n_members) else {
            return Err(MembersError::TooMany(n_members));
        };
        let nodes: Box<[N]> = members.iter().map(|member| member.node).collect();
        let mut by_node: Box<[u32]> = (0..n_positions).collect();
        // Of equal ones the first comes first.
        by_node.sort_by_key(|position| nodes[*position as usize]);
        for pair in by_node.windows(2) {
            let (first, second) = (pair[0] as usize, pair[1] as usize);
            if nodes[first] == nodes[second] {
                return Err(MembersError::SameNode { first, second });
            }
        }
        let all = all_ranks(&members)?;
        let hosts = hosts(&members);
        let (ranks, successors) = (Ranks::new(members), Overlay::new());
        Ok(Self { version, nodes, by_node, ranks, hosts, all, successors })
    }

    /// The same, of which some have followed others: at these positions, each since the table of that version.
    #[must_use]
    pub fn with_successors(self, successors: Overlay<u64>) -> Self {
        Self { successors, ..self }
    }

    /// Which table of the mesh this is.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The number of nodes. Positions are `0..len`.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The number of hosts.
    #[must_use]
    pub const fn n_hosts(&self) -> usize {
        self.hosts.len() - 1
    }

    /// The node at `position`.
    #[must_use]
    pub fn node(&self, position: usize) -> Option<N> {
        self.nodes.get(position).copied()
    }

    /// The ranks of the node at `position`.
    #[must_use]
    pub fn ranks(&self, position: usize) -> Option<RankSet> {
        match &self.ranks {
            Ranks::OneEach => (position < self.len()).then(|| (position..position + 1).into()),
            Ranks::Sets(sets) => sets.get(position).cloned(),
        }
    }

    /// The ranks of all nodes.
    #[must_use]
    pub const fn all_ranks(&self) -> &RankSet {
        &self.all
    }

    /// Where `node` is.
    #[must_use]
    pub fn position(&self, node: &N) -> Option<usize> {
        let node_at = |position: &u32| self.nodes[*position as usize];
        let place = self.by_node.binary_search_by_key(node, node_at).ok()?;
        Some(self.by_node[place] as usize)
    }

    /// The positions that have had other nodes in the table of that version: what was cast by it is not for those that
    /// have followed them.
    pub(crate) fn successors_of(&self, version: u64) -> RankSet {
        let mut successors = RankSet::new();
        let newer = self.successors.runs().filter(|(_, since)| **since > version);
        newer.for_each(|(run, _)| successors.insert_range(run));
        successors
    }

    /// The positions of the nodes that any of these ranks lives in.
    pub(crate) fn homes(&self, ranks: &RankSet) -> RankSet {
        let Ranks::Sets(sets) = &self.ranks else {
            return ranks.intersection(&self.all);
        };
        let mut homes = RankSet::new();
        for (position, own) in sets.iter().enumerate() {
            if own.intersects(ranks) {
                homes.insert_range(position..position + 1);
            }
        }
        homes
    }

    /// The ranks that live in the nodes of a range of positions.
    pub(crate) fn ranks_in(&self, positions: Range<usize>) -> RankSet {
        let Ranks::Sets(sets) = &self.ranks else {
            return self.all.intersection(&positions.into());
        };
        let mut ranks = RankSet::new();
        let some = sets.get(positions.start..positions.end.min(sets.len())).unwrap_or_default();
        some.iter().flat_map(RankSet::runs).for_each(|run| ranks.insert_range(run));
        ranks
    }

    /// The hosts that a range of positions meets, as places in the list of hosts.
    pub(crate) fn hosts_of(&self, positions: &Range<usize>) -> Range<usize> {
        let first = self.hosts.partition_point(|start| *start <= positions.start);
        let last = self.hosts.partition_point(|start| *start < positions.end);
        first.saturating_sub(1)..last
    }

    /// Where the host at that place begins.
    pub(crate) fn host_start(&self, host: usize) -> usize {
        self.hosts.get(host).copied().unwrap_or(self.len())
    }
}

impl Ranks {
    fn new<N>(members: Vec<Member<N>>) -> Self {
        let mut each = members.iter().enumerate();
        if each.all(|(position, member)| member.ranks == RankSet::from(position..position + 1)) {
            return Self::OneEach;
        }
        Self::Sets(members.into_iter().map(|member| member.ranks).collect())
    }
}

/// Where each host begins, and the end.
fn hosts<N>(members: &[Member<N>]) -> Vec<usize> {
    let mut hosts = Vec::new();
    let mut last_host = None;
    for (position, member) in members.iter().enumerate() {
        if last_host.replace(member.host) != Some(member.host) {
            hosts.push(position);
        }
    }
    hosts.push(members.len());
    hosts
}

/// The ranks of all, each of which is there once.
fn all_ranks<N>(members: &[Member<N>]) -> Result<RankSet, MembersError> {
    let mut runs: Vec<_> = members.iter().flat_map(|member| member.ranks.runs()).collect();
    runs.sort_unstable_by_key(|run| run.start);
    for (left, right) in runs.iter().zip(runs.iter().skip(1)) {
        if right.start < left.end {
            return Err(MembersError::SameRank { rank: Rank::new(right.start) });
        }
    }
    let mut all = RankSet::new();
    runs.into_iter().for_each(|run| all.insert_range(run));
    Ok(all)
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

    /// Where each node has the rank of its number nothing is kept of that, and otherwise it is.
    #[test]
    fn a_position_knows_its_node_and_its_ranks_and_a_node_its_position() {
        let nodes = [7, 2, 9, 4];
        let all = |ranks: fn(usize) -> Range<usize>| {
            let each = nodes.iter().enumerate().map(|(at, node)| member(*node, ranks(at)));
            Members::new(1, each.collect()).expect("nodes and ranks differ")
        };
        for ranks in [|at| at..at + 1, |at| 2 * at..2 * at + 2, |at| 3 - at..4 - at] {
            let members = all(ranks);
            for (position, node) in nodes.iter().enumerate() {
                assert_eq!(members.node(position), Some(*node));
                assert_eq!(members.position(node), Some(position));
                assert_eq!(members.ranks(position), Some(ranks(position).into()));
            }
            assert_eq!(
                (members.node(4), members.position(&5), members.ranks(4)),
                (None, None, None)
            );
        }
    }

    #[test]
    fn a_range_knows_the_hosts_it_meets() {
        let members = Members::new(1, (0..6).map(|node| member(node, 0..0)).collect())
            .expect("nodes differ and have no ranks");
        let hosts = |range| members.hosts_of(&range);
        assert_eq!([hosts(0..6), hosts(1..2), hosts(1..3), hosts(4..6)], [0..3, 0..1, 0..2, 2..3]);
    }
}
