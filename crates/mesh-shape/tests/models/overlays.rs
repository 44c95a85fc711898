//! Every overlay of a few ranks, beside one place for each rank.

use mesh_shape::{Overlay, Rank, RankSet, ValueMesh};

use super::places::{Places, all, is_one_structure, over, ranges, runs};

fn made(places: &[u8]) -> Overlay<u8> {
    let values = places.iter().enumerate().filter(|(_, value)| **value != 0);
    values.map(|(rank, value)| (Rank::new(rank), *value)).collect()
}

fn merged(left: &Overlay<u8>, right: &Overlay<u8>) -> Overlay<u8> {
    let mut merged = left.clone();
    merged.merge(right.clone());
    merged
}

/// The runs are those of the places, and no others.
fn has_runs_of(overlay: &Overlay<u8>, places: &[u8], of: &dyn Fn() -> String) {
    let expected = runs(places);
    let found = overlay.runs().map(|(run, value)| (run, *value));
    assert!(found.eq(expected.iter().cloned()), "{}: {overlay:?}, not {expected:?}", of());
}

#[test]
fn overlays_merge_in_every_alignment() {
    // Seven ranks hold a run that spans three others with a gap, and reaches beyond them.
    let small: Vec<(Places, Overlay<u8>)> = all(7, 2)
        .filter(|places| runs(places).len() <= 3)
        .map(|places| (places.clone(), made(&places)))
        .collect();
    for (a, left) in &small {
        for (b, right) in &small {
            has_runs_of(&merged(left, right), &over(a, b), &|| format!("{a:?} and {b:?}"));
        }
    }
    assert!(small.len() > 700, "{} overlays", small.len());
}

#[test]
fn overlays_of_more_runs_and_values_merge_too() {
    let all: Vec<(Places, Overlay<u8>)> =
        all(4, 3).map(|places| (places.clone(), made(&places))).collect();
    for (a, left) in &all {
        for (b, right) in &all {
            has_runs_of(&merged(left, right), &over(a, b), &|| format!("{a:?} and {b:?}"));
        }
    }
}

#[test]
fn merging_is_associative() {
    let all: Vec<Overlay<u8>> = all(4, 2).map(|places| made(&places)).collect();
    for left in &all {
        for middle in &all {
            let first = merged(left, middle);
            for right in &all {
                let one = merged(&first, right);
                assert_eq!(
                    one,
                    merged(left, &merged(middle, right)),
                    "{left:?} {middle:?} {right:?}"
                );
            }
        }
    }
}

#[test]
fn merging_with_nothing_or_with_itself_changes_nothing() {
    for overlay in all(6, 2).map(|places| made(&places)) {
        for other in [&Overlay::new(), &overlay] {
            assert_eq!(merged(&overlay, other), overlay);
            assert_eq!(merged(other, &overlay), overlay);
        }
    }
}

#[test]
fn a_range_is_put_into_every_overlay() {
    for places in all(6, 2) {
        let overlay = made(&places);
        for range in ranges(8) {
            for value in 1..=3 {
                let (mut more, mut expected) = (overlay.clone(), places.clone());
                more.insert(range.clone(), value);
                expected.resize(8, 0);
                range.clone().for_each(|rank| expected[rank] = value);
                has_runs_of(&more, &expected, &|| format!("{places:?} {range:?} {value}"));
            }
        }
    }
}

#[test]
fn every_overlay_is_asked_for_what_it_holds() {
    for places in all(6, 2) {
        let overlay = made(&places);
        let has: Vec<usize> = (0..6).filter(|rank| places[*rank] != 0).collect();
        let ranks: RankSet = has.iter().copied().map(Rank::new).collect();
        assert_eq!((overlay.len(), overlay.is_empty()), (has.len(), has.is_empty()));
        assert_eq!((overlay.n_runs(), overlay.ranks()), (runs(&places).len(), ranks));
        for rank in 0..8 {
            let expected = places.get(rank).filter(|value| **value != 0);
            assert_eq!(overlay.get(Rank::new(rank)), expected);
        }
        let values = has.iter().map(|rank| (Rank::new(*rank), &places[*rank]));
        assert!(overlay.iter().eq(values));
        // Values that become equal make one run.
        let alike: Places = places.iter().map(|value| u8::from(*value != 0)).collect();
        has_runs_of(&overlay.map(|_| 1), &alike, &|| format!("{places:?}"));
        assert_eq!(overlay.into_runs(), runs(&places));
    }
}

#[test]
fn an_overlay_becomes_a_mesh_when_every_rank_has_a_value() {
    for places in all(5, 2) {
        for size in 0..7 {
            let wrong: RankSet = (0..7)
                .filter(|rank| places.get(*rank).is_some_and(|value| *value != 0) != (*rank < size))
                .map(Rank::new)
                .collect();
            let expected = || ValueMesh::from_fn(size, |rank| places[rank.index()]);
            let expected = if wrong.is_empty() { Ok(expected()) } else { Err(wrong) };
            assert_eq!(made(&places).into_mesh(size), expected);
        }
    }
}

#[test]
fn an_overlay_is_one_structure_whichever_way_it_was_made() {
    for places in all(5, 2) {
        let overlay = made(&places);
        let (mut falling, mut halves) = (Overlay::new(), Overlay::new());
        for (rank, value) in places.iter().enumerate().rev().filter(|(_, value)| **value != 0) {
            falling.insert(rank..rank + 1, *value);
            halves.extend([(Rank::new(rank), 9), (Rank::new(rank), *value)]);
        }
        let mut by_runs = Overlay::new();
        for (run, value) in runs(&places).into_iter().rev() {
            by_runs = merged(&Overlay::from_range(run, value), &by_runs);
        }
        let mut painted = Overlay::from_range(0..5, 9);
        for (rank, value) in places.iter().enumerate() {
            painted.merge(Overlay::from_rank(Rank::new(rank), *value));
        }
        let kept = painted.into_runs().into_iter().filter(|(_, value)| *value != 0);
        let kept = kept.flat_map(|(run, value)| run.map(move |rank| (Rank::new(rank), value)));
        for other in [falling, halves, by_runs, kept.collect()] {
            is_one_structure(&other, &overlay);
        }
    }
}
