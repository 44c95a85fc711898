//! Every set of a few ranks, beside a `BTreeSet`.

use std::collections::BTreeSet;

use mesh_shape::{Rank, RankSet};

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
