//! Every mesh of a few values, beside a vector.

use std::collections::BTreeMap;

use mesh_shape::{CollectMesh, Overlay, Rank, RankSet, ShapeError, ValueMesh};

use super::places::{Places, all, is_one_structure, over, ranges, runs};

/// All vectors of so many of the values 1, 2 and so on.
fn vectors(n_ranks: u32, n_values: u8) -> impl Iterator<Item = Places> {
    all(n_ranks, n_values - 1).map(|places| places.iter().map(|value| value + 1).collect())
}

fn made(values: &[u8]) -> ValueMesh<u8> {
    values.iter().copied().collect()
}

fn ranks_of(values: &[u8], is_wanted: impl Fn(u8) -> bool) -> RankSet {
    (0..values.len()).filter(|rank| is_wanted(values[*rank])).map(Rank::new).collect()
}

/// Everything that can be asked has the answer of the vector.
fn is_like(mesh: &ValueMesh<u8>, values: &[u8]) {
    assert!(mesh.iter().eq(values), "{mesh:?} {values:?}");
    assert_eq!((mesh.size(), mesh.is_empty()), (values.len(), values.is_empty()));
    assert!((0..values.len() + 2).all(|rank| mesh.get(Rank::new(rank)) == values.get(rank)));
    let runs = runs(values);
    assert_eq!(mesh.n_runs(), runs.len());
    assert!(mesh.runs().map(|(run, value)| (run, *value)).eq(runs.iter().cloned()));
    assert_eq!(mesh.clone().into_runs(), runs);
}

#[test]
fn every_range_of_every_mesh_is_set_or_refused() {
    for values in vectors(5, 3) {
        for range in ranges(7) {
            let (mut mesh, mut expected) = (made(&values), values.clone());
            let set = mesh.set_range(range.clone(), 2);
            let is_inside = range.is_empty() || range.end <= 5;
            assert_eq!(set.is_ok(), is_inside, "{range:?}: {set:?}");
            if is_inside {
                range.for_each(|rank| expected[rank] = 2);
            }
            is_like(&mesh, &expected);
        }
        for rank in 0..7 {
            let (mut mesh, mut expected) = (made(&values), values.clone());
            let set = mesh.set(Rank::new(rank), 2);
            assert_eq!(set.is_ok(), expected.get_mut(rank).map(|value| *value = 2).is_some());
            is_like(&mesh, &expected);
        }
    }
}

#[test]
fn every_overlay_is_laid_over_every_mesh() {
    let overlays: Vec<(Places, Overlay<u8>)> = all(5, 2)
        .map(|places| {
            let mut overlay = Overlay::new();
            runs(&places).into_iter().for_each(|(run, value)| overlay.insert(run, value));
            (places, overlay)
        })
        .collect();
    for values in vectors(5, 3) {
        for (places, overlay) in &overlays {
            let mut mesh = made(&values);
            mesh.apply(overlay).expect("it ends inside");
            is_like(&mesh, &over(&values, places));
        }
    }
}

#[test]
fn every_two_meshes_are_zipped() {
    for left in vectors(5, 3) {
        for right in vectors(5, 2) {
            let zipped = made(&left).zip(&made(&right), |left, right| left * right);
            let expected: Vec<u8> =
                left.iter().zip(&right).map(|(left, right)| left * right).collect();
            is_like(&zipped.expect("the sizes are equal"), &expected);
        }
    }
    let wrong = Err(ShapeError::WrongLength { expected: 2, found: 3 });
    assert_eq!(ValueMesh::uniform(2, 0).zip(&ValueMesh::uniform(3, 0), |left, _| *left), wrong);
}

#[test]
fn every_mesh_is_summed_up_grouped_and_mapped() {
    for values in vectors(6, 3) {
        let mesh = made(&values);
        is_like(&mesh, &values);
        let sum = mesh.fold(0, |sum, value, n_ranks| sum + usize::from(*value) * n_ranks);
        assert_eq!(sum, values.iter().map(|value| usize::from(*value)).sum::<usize>());
        let keys: BTreeMap<u8, RankSet> = (1..=3)
            .map(|key| (key, ranks_of(&values, |value| value == key)))
            .filter(|(_, ranks)| !ranks.is_empty())
            .collect();
        assert!(mesh.group_by_value().into_iter().eq(keys.iter().map(|(k, v)| (k, v.clone()))));
        let odd = mesh.group_by(|value| value % 2);
        assert_eq!(odd.get(&1).cloned().unwrap_or_default(), ranks_of(&values, |v| v % 2 == 1));
        assert_eq!(mesh.ranks_where(|value| *value > 1), ranks_of(&values, |value| value > 1));
        let halves: Vec<u8> = values.iter().map(|value| value / 2 + 1).collect();
        is_like(&mesh.map(|value| value / 2 + 1), &halves);
    }
}

#[test]
fn every_mesh_of_results_is_taken_apart() {
    for values in vectors(6, 3) {
        let result = |value: u8| if value < 3 { Ok(value) } else { Err('e') };
        let mesh: ValueMesh<Result<u8, char>> = values.iter().map(|value| result(*value)).collect();
        let first = values.iter().position(|value| *value == 3);
        let expected = first.map_or_else(|| Ok(made(&values)), |rank| Err((Rank::new(rank), 'e')));
        assert_eq!(mesh.clone().transpose(), expected);
        let some: ValueMesh<Option<u8>> = mesh.map(|value| value.ok());
        assert_eq!(some.transpose(), expected.ok());
        let (well, errors) = mesh.partition();
        let places: Places =
            values.iter().map(|value| if *value < 3 { *value } else { 0 }).collect();
        assert_eq!(well.into_runs(), runs(&places));
        assert_eq!(errors.ranks(), ranks_of(&values, |value| value == 3));
    }
}

#[test]
fn a_mesh_is_one_structure_whichever_way_it_was_made() {
    for values in vectors(5, 3) {
        let (mesh, size) = (made(&values), values.len());
        let (mut set, mut laid) = (ValueMesh::uniform(size, 9), ValueMesh::uniform(size, 1));
        let mut overlay = Overlay::new();
        for (rank, value) in values.iter().enumerate().rev() {
            set.set(Rank::new(rank), *value).expect("it is inside");
            overlay.insert(rank..rank + 1, *value);
        }
        laid.apply(&overlay).expect("it ends inside");
        let collected = values.iter().copied().collect_mesh(size).expect("there are just so many");
        let counted = ValueMesh::from_fn(size, |rank| values[rank.index()]);
        let turned = overlay.into_mesh(size).expect("every rank has a value");
        for other in [set, laid, collected, counted, turned] {
            is_one_structure(&other, &mesh);
        }
    }
}
