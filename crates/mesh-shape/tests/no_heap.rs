//! `no_heap`: slicing, points and lookups take nothing from the heap, up to six dims.
//!
//! What does take some, for lists of axes or of names: `permute` and `squeeze` (the axes), `flatten`
//! and `split` (new names), `group_by` (the axes; its parts take none), `ranks`, `difference` and what
//! they make, all texts, and every refusal, which names what was wrong. Comparisons take some only where
//! a dim was flattened across dims of the base, or split: for a list of strides.

use std::hint::black_box;

use mesh_shape::{Extent, Rank, Region, Slice, slice};

/// How often the heap was asked for room.
fn n_allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

/// Names of one letter, so that `slice!` can name them.
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// The region of all ranks of 3 × 4 × 3 × 4 …, of so many dims.
fn all(ndim: usize) -> Region {
    let dims = NAMES.iter().take(ndim).enumerate().map(|(axis, name)| (*name, 3 + axis % 2));
    Region::all(Extent::new(dims).expect("it is an extent"))
}

/// Every number of dims that must do without the heap, and one region of each.
fn regions() -> impl Iterator<Item = Region> {
    (1..=6).map(all)
}

fn takes_none(what: &str, region: &Region, work: impl Fn(&Region)) {
    assert_eq!(n_allocations(|| work(region)), 0, "{what} of {region:?}");
}

#[test]
fn more_dims_than_six_are_counted() {
    let seven = all(7);
    assert_ne!(n_allocations(|| drop(black_box(seven.slice("a", 1..)))), 0);
    let point = seven.base().unravel(Rank::new(7)).expect("it is inside");
    assert_ne!(n_allocations(|| drop(black_box(point.coordinates()))), 0);
}

#[test]
fn slicing_takes_none() {
    for region in regions() {
        takes_none("a slice by name", &region, |all| {
            drop(black_box(
                all.slice("a", 1..).and_then(|some| some.slice("a", Slice::ALL.by(-1))),
            ));
        });
        takes_none("a slice by axis", &region, |all| drop(black_box(all.slice_at(0, -1))));
        takes_none("a drop of every dim", &region, |all| {
            let one = (0..all.extent().ndim()).try_fold(all.clone(), |all, _| all.slice_at(0, 0));
            assert_eq!(one.map(|one| one.size()), Ok(1));
        });
        takes_none("slices by position", &region, |all| {
            assert!(all.take(&slice!(..;2, ...)).is_ok());
            assert!(all.take(&slice!(..., -1)).is_ok());
        });
        takes_none("slices by name", &region, |all| assert!(all.take(&slice!(a = 1..;2)).is_ok()));
        takes_none("a flip", &region, |all| assert!(all.flip("a").is_ok()));
        takes_none("chunks", &region, |all| {
            assert_eq!(all.chunks("a", 2).map(Iterator::count), Ok(2));
        });
        takes_none("windows", &region, |all| {
            assert_eq!(all.windows("a", 2).map(Iterator::count), Ok(2));
        });
    }
    takes_none("slices of six dims by name", &all(6), |all| {
        assert!(all.take(&slice!(f = 0, a = 1.., b = ..;2, c = -1, d = ..2, e = 0)).is_ok());
    });
}

#[test]
fn points_and_coordinates_take_none() {
    for region in regions() {
        takes_none("points", &region, |all| {
            let extent = all.extent();
            for point in extent.points() {
                assert_eq!(extent.ravel(&point.coordinates()), Ok(point.rank()));
                assert_eq!(extent.point(&point.coordinates()), Ok(point));
                assert!(point.coordinate("a").is_some());
            }
            assert!(extent.unravel(Rank::new(0)).is_ok());
        });
        takes_none("a visit of every point", &region, |all| {
            all.for_each_point(|point, base| assert_eq!(all.base().ravel(point), Ok(base)));
        });
        takes_none("strides", &region, |all| assert!(all.base().strides().all(|way| way > 0)));
    }
}

#[test]
fn lookups_take_none_though_dims_were_turned_and_made_one() {
    for region in regions() {
        let turned: Vec<&str> = region.extent().names().rev().collect();
        let turned = region.permute(&turned).expect("it is every dim");
        let flat = region.flatten(&region.extent().names().collect::<Vec<_>>(), "x");
        let flat =
            flat.and_then(|flat| flat.slice("x", Slice::from(1..).by(2))).expect("one stride");
        for view in [region, turned, flat] {
            takes_none("lookups", &view, |view| {
                for (at, base) in view.iter().enumerate() {
                    assert_eq!(view.base_rank(Rank::new(at)), Some(base));
                    assert_eq!(view.rank_of_base(base), Some(Rank::new(at)));
                    assert_eq!(view.remap(Rank::new(at), view), Some(Rank::new(at)));
                    assert!(view.contains(base) && view.point_of_base(base).is_some());
                }
            });
            takes_none("bounds", &view, |view| {
                assert!(view.bounds().is_some());
                black_box(view.is_contiguous());
            });
        }
    }
}

#[test]
fn comparisons_take_none() {
    for region in regions() {
        let even = region.slice("a", Slice::ALL.by(2)).expect("it is a slice");
        let last = region.slice_at(region.extent().ndim() - 1, -1).expect("it is an index");
        takes_none("comparisons", &region, |all| {
            assert!(even.is_subset(all) && last.is_subset(all) && !all.is_subset(&even));
            assert!(even.intersects(&last));
            assert!(even.intersection(&last).is_ok_and(|both| both.is_some_and(|it| it != *all)));
        });
    }
}

#[test]
fn parts_of_a_group_take_none() {
    for region in regions() {
        let parts = region.group_by(&["a"]).expect("the dim is there");
        assert_eq!(n_allocations(|| assert_eq!(parts.map(|part| part.size()).len(), 3)), 0);
        let parts = region.group_by(&["a"]).expect("the dim is there");
        assert_eq!(n_allocations(|| parts.for_each(|part| drop(black_box(part)))), 0);
    }
}
