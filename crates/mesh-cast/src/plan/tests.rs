//! The tree of random members, walked from the caster down.

use proptest::prelude::*;

use super::*;
use crate::members::Member;

/// Hosts with so many nodes, each with `n_ranks` ranks.
fn members(hosts: &[usize], n_ranks: usize) -> Arc<Members<usize>> {
    let hosts = hosts.iter().enumerate();
    let places: Vec<usize> = hosts.flat_map(|(host, n)| std::iter::repeat_n(host, *n)).collect();
    let member = |(node, host): (usize, &usize)| Member {
        node,
        host: *host,
        ranks: (node * n_ranks..(node + 1) * n_ranks).into(),
    };
    let members = Members::new(1, places.iter().enumerate().map(member).collect());
    Arc::new(members.expect("every node and rank is there once"))
}

/// What a walk down the tree has met.
#[derive(Default)]
struct Walk {
    reached: Vec<usize>,
    dead: Vec<usize>,
    depth: usize,
    widest: usize,
}

impl Walk {
    fn of(plan: &Plan<usize>) -> Self {
        let mut walk = Self::default();
        walk.down(plan, 0..plan.members.len(), 0);
        walk.reached.sort_unstable();
        walk.dead.sort_unstable();
        walk
    }

    fn down(&mut self, plan: &Plan<usize>, range: Range<usize>, depth: usize) {
        let Split { children, dead } = plan.split(range);
        self.dead.extend(dead.iter().map(|position| position.index()));
        self.widest = self.widest.max(children.len());
        for child in children {
            self.reached.push(child.start);
            self.depth = self.depth.max(depth + 1);
            self.down(plan, child.start + 1..child.end, depth + 1);
        }
    }
}

/// The least `levels` with `base` to that power at least `n`.
fn log_up(n: usize, base: usize) -> usize {
    let mut levels = 0;
    let mut reach = 1_usize;
    while reach < n {
        reach = reach.saturating_mul(base);
        levels += 1;
    }
    levels
}

fn positions(set: &RankSet) -> Vec<usize> {
    set.iter().map(|position| position.index()).collect()
}

proptest! {
    #[test]
    fn every_live_node_is_reached_once_within_the_bounds(
        hosts in prop::collection::vec(1_usize..9, 0..40),
        fan_out in 2_usize..9,
        dead in prop::collection::btree_set(0_usize..200, 0..60),
        slice in prop::option::of((0_usize..300, 1_usize..300, 1_usize..20)),
    ) {
        let members = members(&hosts, 2);
        let dead: RankSet = dead.into_iter().filter(|at| *at < members.len()).map(mesh_shape::Rank::new).collect();
        let whole = Plan::new(Arc::clone(&members), FanOut::new(fan_out)?);
        let extent = mesh_shape::Extent::new([("r", members.len() * 2)])?;
        let plan = match slice {
            None => whole.clone(),
            Some((start, len, step)) => {
                let start = start.min(members.len() * 2);
                let end = (start + len).min(members.len() * 2);
                let slice = format!("r={start}:{end}:{step}");
                whole.to(Region::parse(&slice, &extent)?)
            }
        };
        let plan = plan.without(&dead);
        let walk = Walk::of(&plan);
        prop_assert_eq!(walk.reached, positions(plan.live()));
        prop_assert_eq!(walk.dead, positions(&plan.targets().difference(plan.live())));
        prop_assert!(plan.live().intersection(&dead).is_empty());
        prop_assert!(walk.widest <= fan_out);
        let largest = hosts.iter().copied().max().unwrap_or(0);
        prop_assert!(walk.depth <= log_up(hosts.len(), fan_out) + log_up(largest, fan_out) + 1);
        if slice.is_none() {
            prop_assert_eq!(positions(&plan.targets()), (0..members.len()).collect::<Vec<_>>());
        }
    }
}

proptest! {
    /// Against each position looked at by itself.
    #[test]
    fn a_part_of_a_tree_and_one_with_exceptions_have_what_their_nodes_have(
        hosts in prop::collection::vec(1_usize..9, 1..20),
        n_ranks in 1_usize..4,
        (start, len, step) in (0_usize..60, 0_usize..60, 1_usize..4),
        part in (0_usize..40, 0_usize..40),
        except in prop::collection::btree_set(0_usize..60, 0..20),
    ) {
        let members = members(&hosts, n_ranks);
        let size = members.len() * n_ranks;
        let whole = Plan::new(Arc::clone(&members), FanOut::new(2)?);
        let extent = mesh_shape::Extent::new([("r", size)])?;
        let (start, end) = (start.min(size), (start + len).min(size));
        let slice = Region::parse(&format!("r={start}:{end}:{step}"), &extent)?;
        let (from, n) = (part.0.min(members.len()), part.1);
        let part = from..(from + n).min(members.len());
        for plan in [whole.clone(), whole.to(slice)] {
            let inside = part.clone().fold(RankSet::new(), |all, at| all.union(&plan.ranks(at)));
            let within = plan.within(part.clone());
            prop_assert_eq!(within.all_ranks(), &inside);
            let except: RankSet = except.iter().copied().map(mesh_shape::Rank::new).collect();
            let plan = plan.except(&except);
            let expects = |at: &usize| !plan.ranks(*at).is_empty();
            let expecting: Vec<_> = positions(&plan.targets()).into_iter().filter(expects).collect();
            prop_assert_eq!(positions(&plan.expecting()), expecting);
        }
    }
}

#[test]
fn few_hosts_get_one_message_each() {
    let plan = Plan::new(members(&[3, 5, 2], 1), FanOut::new(4).expect("enough"));
    assert_eq!(plan.split(0..10).children, [0..3, 3..8, 8..10]);
}

#[test]
fn many_hosts_are_grouped_and_never_cut() {
    let plan = Plan::new(members(&[2; 9], 1), FanOut::new(2).expect("enough"));
    assert_eq!(plan.split(0..18).children, [0..8, 8..18]);
    assert_eq!(plan.split(1..8).children, [1..4, 4..8]);
}

#[test]
fn a_tree_of_nobody_has_no_children() {
    let plan = Plan::new(members(&[], 1), FanOut::new(2).expect("enough"));
    assert_eq!(plan.split(0..0), Split { children: vec![], dead: RankSet::new() });
    let plan = Plan::new(members(&[2], 1), FanOut::new(2).expect("enough"));
    let dead = plan.without(&(0..2).into());
    assert_eq!(dead.split(0..2), Split { children: vec![], dead: (0..2).into() });
    assert_eq!(plan.split(7..7), Split { children: vec![], dead: RankSet::new() });
}

#[test]
fn a_million_nodes_are_a_few_levels_deep() {
    let plan = Plan::new(members(&vec![8; 131_072], 1), FanOut::new(16).expect("enough"));
    assert_eq!(Walk::of(&plan).depth, 6);
}
