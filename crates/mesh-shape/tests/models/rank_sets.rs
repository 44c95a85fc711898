//! Every set of a few ranks, beside a `BTreeSet`.

use std::collections::BTreeSet;

use mesh_shape::{Extent, Rank, RankSet, Region, ShapeError, Slice};

use super::places::{self, all, is_one_structure, ranges};

type Model = BTreeSet<usize>;

/// The two sets of the ranks that have a place.
fn made(places: &[u8]) -> (Model, RankSet) {
    let model: Model = (0..places.len()).filter(|rank| places[*rank] != 0).collect();
    let ranks = RankSet::from_ranks(model.iter().copied().map(Rank::new));
    (model, ranks)
}

/// Everything that can be asked has the answer of the model.
fn is_like(ranks: &RankSet, model: &Model) {
    assert!(ranks.iter().map(Rank::index).eq(model.iter().copied()), "{ranks} {model:?}");
    assert!(ranks.into_iter().eq(ranks.iter()));
    assert_eq!((ranks.len(), ranks.iter().len()), (model.len(), model.len()));
    assert_eq!(ranks.is_empty(), model.is_empty());
    assert_eq!(ranks.first().map(Rank::index), model.first().copied());
    assert_eq!(ranks.last().map(Rank::index), model.last().copied());
    let end = model.last().map_or(0, |last| last + 3);
    assert!((0..end).all(|rank| ranks.contains(Rank::new(rank)) == model.contains(&rank)));
    let places: Vec<u8> = (0..end).map(|rank| u8::from(model.contains(&rank))).collect();
    let runs: Vec<_> = places::runs(&places).into_iter().map(|(run, _)| run).collect();
    assert_eq!((ranks.runs().collect::<Vec<_>>(), ranks.n_runs()), (runs.clone(), runs.len()));
    assert!(ranks.runs().rev().eq(runs.into_iter().rev()));
}

#[test]
fn ranges_are_put_into_every_set_and_taken_out() {
    for places in all(7, 1) {
        let (model, ranks) = made(&places);
        is_like(&ranks, &model);
        for range in ranges(9) {
            let (mut more, mut expected) = (ranks.clone(), model.clone());
            more.insert_range(range.clone());
            expected.extend(range.clone());
            is_like(&more, &expected);

            let (mut fewer, mut expected) = (ranks.clone(), model.clone());
            fewer.remove_range(range.clone());
            expected.retain(|rank| !range.contains(rank));
            is_like(&fewer, &expected);
        }
    }
}

#[test]
fn ranks_are_put_into_every_set_and_taken_out() {
    for places in all(7, 1) {
        let (model, ranks) = made(&places);
        for rank in 0..9 {
            let (mut more, mut expected) = (ranks.clone(), model.clone());
            assert_eq!(more.insert(Rank::new(rank)), expected.insert(rank));
            is_like(&more, &expected);

            let (mut fewer, mut expected) = (ranks.clone(), model.clone());
            assert_eq!(fewer.remove(Rank::new(rank)), expected.remove(&rank));
            is_like(&fewer, &expected);
        }
    }
}

#[test]
fn every_two_sets_combine_as_their_models() {
    for left in all(7, 1) {
        let (a, left) = made(&left);
        for right in all(7, 1) {
            let (b, right) = made(&right);
            is_like(&left.union(&right), &(&a | &b));
            is_like(&left.intersection(&right), &(&a & &b));
            is_like(&left.difference(&right), &(&a - &b));
            assert_eq!(left.is_subset(&right), a.is_subset(&b), "{left} {right}");
            assert_eq!(left.intersects(&right), !a.is_disjoint(&b), "{left} {right}");
            assert_eq!(left == right, a == b);
        }
    }
}

#[test]
fn every_set_has_a_complement_in_every_size() {
    for places in all(7, 1) {
        let (model, ranks) = made(&places);
        for size in 0..10 {
            let expected = (0..size).filter(|rank| !model.contains(rank)).collect();
            is_like(&ranks.complement(size), &expected);
        }
    }
}

#[test]
fn a_set_is_one_structure_whichever_way_it_was_made() {
    for places in all(6, 1) {
        let (model, ranks) = made(&places);
        let (mut falling, mut extended) = (RankSet::new(), RankSet::empty());
        for rank in model.iter().rev() {
            falling.insert(Rank::new(*rank));
            extended.extend([Rank::new(*rank), Rank::new(*rank)]);
        }
        let mut left_over = RankSet::from(0..6);
        ranks.complement(6).runs().for_each(|run| left_over.remove_range(run));
        let read = ranks.to_string().parse().expect("it is its text");
        let twice = ranks.complement(6).complement(6);
        for other in [falling, extended, left_over, read, twice] {
            is_one_structure(&other, &ranks);
        }
    }
}

#[test]
fn every_set_is_regions_of_every_small_extent() {
    for sizes in [&[12][..], &[3, 4], &[2, 2, 3], &[2, 1, 6], &[12, 1]] {
        let base =
            Extent::new(sizes.iter().enumerate().map(|(axis, size)| (axis.to_string(), *size)));
        let base = base.expect("the names differ");
        for places in all(12, 1) {
            let (model, ranks) = made(&places);
            let regions = ranks.to_regions(&base).expect("they are inside");
            let mut held: Vec<usize> = regions.iter().flatten().map(Rank::index).collect();
            held.sort_unstable();
            assert!(held.into_iter().eq(model), "{ranks} of {base}: {regions:?}");
            assert!(regions.len() <= ranks.n_runs() * (2 * sizes.len() - 1), "{regions:?}");
            assert!(regions.iter().all(|region| region.extent().names().eq(base.names())));
        }
    }
}

#[test]
fn what_slices_take_is_one_region_again() {
    let base = Extent::new([("pods", 2), ("hosts", 4), ("gpus", 5)]).expect("the names differ");
    let all = Region::all(base.clone());
    let steps = |len: isize| {
        let bounds = (0..len).flat_map(move |start| (start + 1..=len).map(move |end| start..end));
        bounds.flat_map(|bounds| (1..4).map(move |step| Slice::from(bounds.clone()).by(step)))
    };
    for pods in steps(2) {
        for hosts in steps(4) {
            for gpus in steps(5) {
                let some = all.slice("pods", pods).and_then(|some| some.slice("hosts", hosts));
                let some = some.and_then(|some| some.slice("gpus", gpus)).expect("it is a slice");
                assert_eq!(some.ranks().to_regions(&base), Ok(vec![some]));
            }
        }
    }
}

#[test]
fn of_the_smallest_extents_too_ranks_are_regions_or_refused() {
    let none: [(&str, usize); 0] = [];
    let single = Extent::new(none).expect("there are no names");
    let rank = RankSet::from(0..1);
    assert_eq!(rank.to_regions(&single), Ok(vec![Region::all(single.clone())]));
    assert_eq!(RankSet::new().to_regions(&single), Ok(Vec::new()));
    let refused = ShapeError::RankOutOfBounds { rank: Rank::new(1), size: 1 };
    assert_eq!(RankSet::from(0..2).to_regions(&single), Err(refused));
    let empty = Extent::new([("hosts", 0), ("gpus", 3)]).expect("the names differ");
    assert_eq!(RankSet::new().to_regions(&empty), Ok(Vec::new()));
    let refused = ShapeError::RankOutOfBounds { rank: Rank::new(0), size: 0 };
    assert_eq!(rank.to_regions(&empty), Err(refused));
    let huge = Extent::new([("hosts", 1), ("gpus", Extent::SIZE_MAX)]).expect("the names differ");
    let some = Region::parse("gpus=1::9223372036854775805", &huge).expect("it is a slice");
    assert_eq!(some.ranks().to_regions(&huge), Ok(vec![some]));
}
