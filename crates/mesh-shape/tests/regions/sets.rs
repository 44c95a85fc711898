//! Two regions of one base, as sets of its ranks.

use mesh_shape::{Rank, RankSet, Region, ShapeError, Slice, extent};
use proptest::prelude::*;

use super::array::Array;
use super::cases;
use super::program::pairs;

fn set(array: &Array, is_wanted: impl Fn(&usize) -> bool) -> RankSet {
    array.ranks.iter().filter(|rank| is_wanted(rank)).copied().map(Rank::new).collect()
}

/// What both show, in the order and under the dims of the left one.
fn is_intersection(common: &Region, left: &Array, right: &Array) {
    let expected = left.ranks.iter().filter(|rank| right.ranks.contains(rank));
    assert!(common.iter().map(Rank::index).eq(expected.copied()), "{common:?}");
    assert!(common.extent().names().eq(left.dims.iter().map(|(name, _)| name.as_str())));
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn two_regions_compare_as_their_ranks(([left, right], _) in pairs()) {
        let ((model, left), (other, right)) = (left, right);
        let same = model.dims == other.dims && model.ranks == other.ranks;
        prop_assert_eq!(left == right, same);
        let is_subset = model.ranks.iter().all(|rank| other.ranks.contains(rank));
        prop_assert_eq!(left.is_subset(&right), is_subset, "{:?} {:?}", left, right);
        prop_assert!(left.is_subset(&left) && left.is_subset(&Region::all(left.base().clone())));
        let difference = set(&model, |rank| !other.ranks.contains(rank));
        prop_assert_eq!(left.difference(&right), difference);
    }

    #[test]
    fn what_two_regions_share_is_what_both_show(([left, right], is_plain) in pairs()) {
        let ((model, left), (other, right)) = (left, right);
        let common = set(&model, |rank| other.ranks.contains(rank));
        prop_assert_eq!(left.intersects(&right), !common.is_empty(), "{:?} {:?}", left, right);
        match left.intersection(&right) {
            Ok(Some(region)) => {
                prop_assert!(!region.is_empty());
                is_intersection(&region, &model, &other);
            }
            Ok(None) => prop_assert!(common.is_empty(), "{:?} {:?}", left, right),
            Err(error) => {
                prop_assert_eq!(error, ShapeError::NotAligned);
                prop_assert!(!is_plain, "{:?} {:?}", left, right);
            }
        }
        prop_assert_eq!(left.ranks().intersection(&right.ranks()), common);
    }

    #[test]
    fn a_rank_is_found_again_in_another_view(([left, right], _) in pairs()) {
        let ((model, left), (other, right)) = (left, right);
        for view in 0..model.ranks.len() + 1 {
            let base = model.ranks.get(view);
            let expected = base.and_then(|base| other.ranks.iter().position(|rank| rank == base));
            prop_assert_eq!(left.remap(Rank::new(view), &right), expected.map(Rank::new));
        }
    }
}

#[test]
fn regions_of_other_bases_have_nothing_in_common() {
    let (small, large) = (Array::all(&[2]), Array::all(&[3]));
    let (small, large) = (Region::all(small.extent()), Region::all(large.extent()));
    assert!(!small.is_subset(&large) && !small.intersects(&large));
    assert_eq!(small.intersection(&large), Err(ShapeError::OtherBase));
    assert_eq!(small.difference(&large), RankSet::from(0..2));
    assert_eq!(small.remap(Rank::new(0), &large), None);
}

#[test]
fn dims_that_were_split_or_made_one_are_compared_by_their_ranks() {
    let all = Region::all(extent!(procs = 16).expect("it is an extent"));
    let split = all.split("procs", &[("hosts", 2), ("gpus", 8)]).expect("the sizes fit");
    let second = split.slice("hosts", 1).expect("it is an index");
    let even = split.slice("gpus", Slice::ALL.by(2)).expect("it is a slice");
    assert!(second.intersects(&even) && !second.is_subset(&even));
    let both = even.slice("hosts", 1).expect("it is an index");
    assert_eq!(second.intersection(&even), Ok(Some(both)));

    let all = Region::all(extent!(hosts = 2, gpus = 8).expect("it is an extent"));
    let flat = all.flatten(&["hosts", "gpus"], "procs").expect("one stride leads through them");
    assert_eq!(flat.intersection(&all), Err(ShapeError::NotAligned));
    assert!(flat.intersects(&all) && flat.is_subset(&all) && all.is_subset(&flat));
}

/// Rows, what was made one dim, and what was split, each sliced in many ways.
fn views_of_sixteen() -> Vec<Region> {
    let all = Region::all(extent!(hosts = 2, gpus = 8).expect("it is an extent"));
    let flat = all.flatten(&["hosts", "gpus"], "procs").expect("one stride leads through them");
    let split = all.split("gpus", &[("numa", 2), ("gpu", 4)]).expect("the sizes fit");
    let uneven =
        flat.slice("procs", 1..).and_then(|rest| rest.split("procs", &[("a", 5), ("b", 3)]));
    let uneven = uneven.expect("the sizes fit");
    let mut views = vec![all.clone(), flat.clone(), split.clone(), uneven.clone()];
    for text in ["hosts=1", "gpus=::2", "gpus=1::3", "gpus=2:7", "hosts=::-1,gpus=5:1:-2"] {
        views.push(all.parse_slice(text).expect("it is a slice"));
    }
    for text in ["1:15", "4:12", "::2", "1::3", "3:14:5", "::-4", "15:2:-6", "7:9"] {
        views.push(flat.parse_slice(&format!("procs={text}")).expect("it is a slice"));
    }
    for text in ["numa=1", "gpu=::2", "gpu=1:", "numa=1,gpu=:3", "hosts=0,gpu=::-3", "gpu=2"] {
        views.push(split.parse_slice(text).expect("it is a slice"));
    }
    for text in ["a=1:", "b=:2", "a=::2,b=::2", "b=1", "a=1:4,b=1:"] {
        views.push(uneven.parse_slice(text).expect("it is a slice"));
    }
    views
}

#[test]
fn every_two_ways_to_cut_sixteen_ranks_are_compared_as_their_ranks() {
    let views = views_of_sixteen();
    for left in &views {
        for right in &views {
            let (mine, its) = (bits(left), bits(right));
            assert_eq!(left.is_subset(right), mine & !its == 0, "{left:?} {right:?}");
            assert_eq!(left.intersects(right), mine & its != 0, "{left:?} {right:?}");
            match left.intersection(right) {
                Ok(common) => {
                    let found = common.as_ref().map_or(0, bits);
                    assert_eq!(found, mine & its, "{left:?} {right:?}");
                }
                Err(error) => {
                    assert_eq!(error, ShapeError::NotAligned);
                    assert!(
                        !left.extent().names().eq(right.extent().names()),
                        "{left:?} {right:?}"
                    );
                }
            }
        }
    }
}

/// A step that comes round after more rows than are cut.
#[test]
fn steps_that_fit_in_no_few_rows_are_compared_by_their_runs() {
    let all = Region::all(extent!(rows = 30, at = 1_000).expect("it is an extent"));
    let flat = all.flatten(&["rows", "at"], "x").expect("one stride leads through them");
    let steps = flat.parse_slice("x=7::101").expect("it is a slice");
    for text in ["at=:500", "at=7:9", "rows=3,at=::2", "at=400:402,rows=::7", "at=1:"] {
        let some = all.parse_slice(text).expect("it is a slice");
        let common = steps.ranks().intersection(&some.ranks());
        assert_eq!(steps.intersects(&some), !common.is_empty(), "{text}");
        assert_eq!(steps.is_subset(&some), common == steps.ranks(), "{text}");
        assert_eq!(some.is_subset(&steps), common == some.ranks(), "{text}");
    }
}

/// The base ranks as bits.
fn bits(region: &Region) -> u16 {
    region.iter().fold(0, |bits, rank| bits | 1 << rank.index())
}

/// Every progression of one position or more along the eight positions of a dim.
fn progressions() -> Vec<Slice> {
    let mut all = Vec::new();
    for start in 0..8_isize {
        for step in [-5, -3, -2, -1, 1, 2, 3, 5] {
            let last = |len: isize| start + step * (len - 1);
            let lens = (1..=8).filter(|len| (0..8).contains(&last(*len)));
            // Before 0 a falling one has no end that could be written.
            let end = |len| Some(last(len) + step.signum()).filter(|end| *end >= 0);
            all.extend(lens.map(|len| Slice::Range { start: Some(start), end: end(len), step }));
        }
    }
    all
}

/// In both rows of eight and in the second alone, also where the rows were split from one dim.
#[test]
fn every_two_progressions_are_compared_as_their_ranks() {
    let all = Region::all(extent!(a = 2, b = 8).expect("it is an extent"));
    let split = Region::all(extent!(c = 16).expect("it is an extent"));
    let split = split.split("c", &[("a", 2), ("b", 8)]).expect("the sizes fit");
    for base in [all, split] {
        let rows = base.slice("a", 1).expect("it is an index");
        let views = |of: &Region| -> Vec<Region> {
            progressions().into_iter().map(|b| of.slice("b", b).expect("it is a slice")).collect()
        };
        let (wholes, rows) = (views(&base), views(&rows));
        for left in wholes.iter().step_by(3).chain(&rows) {
            for right in wholes.iter().chain(rows.iter().step_by(3)) {
                let (mine, its) = (bits(left), bits(right));
                assert_eq!(left.is_subset(right), mine & !its == 0, "{left:?} {right:?}");
                assert_eq!(left.intersects(right), mine & its != 0, "{left:?} {right:?}");
            }
        }
    }
}
