//! runs: sets, meshes and overlays behave as plain vectors with one place for each rank.

use std::ops::Range;

use mesh_shape::{Overlay, Rank, RankSet, ShapeError, ValueMesh};
use proptest::prelude::*;

const SIZE: usize = 40;

fn range() -> impl Strategy<Value = Range<usize>> {
    (0..SIZE, 0..8_usize).prop_map(|(start, len)| start..(start + len).min(SIZE))
}

fn bits() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), SIZE)
}

fn set(bits: &[bool]) -> RankSet {
    (0..bits.len()).filter(|rank| bits[*rank]).map(Rank::new).collect()
}

fn zip(left: &[bool], right: &[bool], both: impl Fn(bool, bool) -> bool) -> RankSet {
    set(&left.iter().zip(right).map(|(left, right)| both(*left, *right)).collect::<Vec<_>>())
}

fn patches() -> impl Strategy<Value = Vec<(Range<usize>, u8)>> {
    prop::collection::vec((range(), 0..3_u8), 0..12)
}

fn overlay(patches: &[(Range<usize>, u8)]) -> Overlay<u8> {
    let mut overlay = Overlay::new();
    patches.iter().for_each(|(range, value)| overlay.insert(range.clone(), *value));
    overlay
}

/// The overlay as one place for each rank.
fn places(overlay: &Overlay<u8>) -> Vec<Option<u8>> {
    (0..SIZE).map(|rank| overlay.get(Rank::new(rank)).copied()).collect()
}

fn patched<T: Clone>(
    mut places: Vec<T>,
    patches: &[(Range<usize>, u8)],
    make: fn(u8) -> T,
) -> Vec<T> {
    for (range, value) in patches {
        places[range.clone()].fill(make(*value));
    }
    places
}

/// No run is empty, they rise, and those that touch differ.
fn is_canonical<T: PartialEq>(runs: &[(Range<usize>, T)]) -> bool {
    runs.iter().all(|(run, _)| !run.is_empty())
        && runs.windows(2).all(|pair| match pair {
            [(left, before), (right, after)] => {
                left.end < right.start || (left.end == right.start && before != after)
            }
            _ => false,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_set_holds_what_was_put_in_and_not_taken_out(
        changes in prop::collection::vec((any::<bool>(), range()), 0..12),
    ) {
        let mut ranks = RankSet::new();
        let mut bits = vec![false; SIZE];
        for (adds, range) in changes {
            bits[range.clone()].fill(adds);
            if range.len() == 1 {
                let rank = Rank::new(range.start);
                let changes = ranks.contains(rank) != adds;
                prop_assert_eq!(if adds { ranks.insert(rank) } else { ranks.remove(rank) }, changes);
            } else if adds {
                ranks.insert_range(range);
            } else {
                ranks.remove_range(range);
            }
            prop_assert_eq!(&ranks, &set(&bits));
            let runs: Vec<_> = ranks.runs().map(|run| (run, ())).collect();
            prop_assert!(is_canonical(&runs));
        }
        let members: Vec<usize> = (0..SIZE).filter(|rank| bits[*rank]).collect();
        prop_assert_eq!(ranks.iter().map(Rank::index).collect::<Vec<_>>(), members.clone());
        prop_assert_eq!((ranks.len(), ranks.iter().len()), (members.len(), members.len()));
        prop_assert_eq!(ranks.first().map(Rank::index), members.first().copied());
        prop_assert_eq!(ranks.last().map(Rank::index), members.last().copied());
        for (rank, bit) in bits.iter().enumerate() {
            prop_assert_eq!(ranks.contains(Rank::new(rank)), *bit);
        }
    }

    #[test]
    fn two_sets_combine_as_their_bits(left in bits(), right in bits(), size in 0..2 * SIZE) {
        let (a, b) = (set(&left), set(&right));
        prop_assert_eq!(a.union(&b), zip(&left, &right, |left, right| left | right));
        prop_assert_eq!(a.intersection(&b), zip(&left, &right, |left, right| left & right));
        prop_assert_eq!(a.difference(&b), zip(&left, &right, |left, right| left & !right));
        prop_assert_eq!(a.intersects(&b), left.iter().zip(&right).any(|(left, right)| left & right));
        prop_assert!(a.intersection(&b).is_subset(&a) && a.is_subset(&a.union(&b)));
        prop_assert_eq!(a.is_subset(&b), left.iter().zip(&right).all(|(left, right)| left <= right));
        let absent: Vec<bool> = (0..size).map(|rank| !left.get(rank).unwrap_or(&false)).collect();
        prop_assert_eq!(a.complement(size), set(&absent));
    }

    #[test]
    fn a_set_is_collected_from_any_order(ranks in prop::collection::vec(0..SIZE, 0..60)) {
        let mut bits = vec![false; SIZE];
        ranks.iter().for_each(|rank| bits[*rank] = true);
        let collected = RankSet::from_ranks(ranks.into_iter().map(Rank::new));
        prop_assert_eq!(&collected, &set(&bits));
        prop_assert_eq!(collected.to_string().parse(), Ok(collected));
    }

    #[test]
    fn the_last_patch_wins(patches in patches()) {
        let overlay = overlay(&patches);
        let expected = patched(vec![None; SIZE], &patches, Some);
        prop_assert_eq!(places(&overlay), expected.clone());
        prop_assert_eq!(overlay.len(), expected.iter().flatten().count());
        let has_value: Vec<bool> = expected.iter().map(Option::is_some).collect();
        prop_assert_eq!(overlay.ranks(), set(&has_value));
        prop_assert!(overlay.iter().all(|(rank, value)| overlay.get(rank) == Some(value)));
        prop_assert!(is_canonical(&overlay.into_runs()));
    }

    #[test]
    fn merging_is_patching_and_is_associative(a in patches(), b in patches(), c in patches()) {
        let merged = |mut left: Overlay<u8>, right: Overlay<u8>| {
            left.merge(right);
            left
        };
        let (x, y, z) = (overlay(&a), overlay(&b), overlay(&c));
        let left = merged(merged(x.clone(), y.clone()), z.clone());
        prop_assert_eq!(&left, &merged(x, merged(y, z)));
        prop_assert_eq!(left, overlay(&[a, b, c].concat()));
    }

    #[test]
    fn an_overlay_is_collected_from_any_order(
        values in prop::collection::vec((0..SIZE, 0..3_u8), 0..60),
    ) {
        let one_by_one: Vec<_> = values.iter().map(|(rank, value)| (*rank..rank + 1, *value)).collect();
        let collected: Overlay<u8> =
            values.into_iter().map(|(rank, value)| (Rank::new(rank), value)).collect();
        prop_assert_eq!(collected, overlay(&one_by_one));
    }

    #[test]
    fn a_mesh_keeps_one_value_for_each_rank(
        values in prop::collection::vec(0..3_u8, SIZE),
        sets in patches(),
        patches in patches(),
    ) {
        let mut mesh = ValueMesh::try_from_iter(SIZE, values.iter().copied()).unwrap();
        for (range, value) in &sets {
            if range.len() == 1 {
                mesh.set(Rank::new(range.start), *value).unwrap();
            } else {
                mesh.set_range(range.clone(), *value).unwrap();
            }
        }
        mesh.apply(&overlay(&patches)).unwrap();
        let expected = patched(patched(values, &sets, |value| value), &patches, |value| value);
        prop_assert_eq!(mesh.iter().copied().collect::<Vec<_>>(), expected.clone());
        for (rank, value) in expected.iter().enumerate() {
            prop_assert_eq!(mesh.get(Rank::new(rank)), Some(value));
        }
        prop_assert_eq!(&mesh, &ValueMesh::from_fn(SIZE, |rank| expected[rank.index()]));
        prop_assert_eq!(
            mesh.map(|value| *value == 0),
            expected.iter().map(|value| *value == 0).collect::<ValueMesh<bool>>()
        );
        let is_two: Vec<bool> = expected.iter().map(|value| *value == 2).collect();
        prop_assert_eq!(mesh.ranks_where(|value| *value == 2), set(&is_two));
        prop_assert!(is_canonical(&mesh.into_runs()));
    }
}

#[test]
fn a_mesh_is_not_changed_by_what_it_refuses() {
    let mut mesh = ValueMesh::uniform(4, 0);
    let past = |start, end| Err(ShapeError::RangeOutOfBounds { start, end, size: 4 });
    let rank = Rank::new(4);
    assert_eq!(mesh.set(rank, 1), Err(ShapeError::RankOutOfBounds { rank, size: 4 }));
    assert_eq!(mesh.set_range(3..5, 1), past(3, 5));
    let mut patch = Overlay::from_range(0..2, 1);
    patch.insert(3..6, 1);
    assert_eq!(mesh.apply(&patch), past(3, 6));
    assert_eq!(mesh, ValueMesh::uniform(4, 0));
}

#[test]
fn too_few_and_too_many_values_are_refused() {
    let wrong = |found| Err(ShapeError::WrongLength { expected: 2, found });
    assert_eq!(ValueMesh::try_from_iter(2, [0]), wrong(1));
    assert_eq!(ValueMesh::try_from_iter(2, std::iter::repeat(0)), wrong(3));
    assert_eq!(ValueMesh::try_from_iter(0, [0; 0]), Ok(ValueMesh::uniform(0, 0)));
}

#[test]
fn the_last_number_is_no_rank_of_an_overlay() {
    let last = Rank::new(usize::MAX);
    assert!(Overlay::from_rank(last, 0).is_empty());
    assert!([(last, 0)].into_iter().collect::<Overlay<i32>>().is_empty());
    let widest = Overlay::from_range(0..usize::MAX, 0);
    assert_eq!((widest.len(), widest.get(last)), (usize::MAX, None));
}
