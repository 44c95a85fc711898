//! Values of ranks: looked up, laid over each other, sliced, gathered.

use std::hint::black_box;

use mesh_shape::{Overlay, Rank, Region, ValueMesh};

use super::mesh::{self, N, SIDE};
use super::row::{Row, Target};
use crate::measure::Case;

/// One row for each work and size.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![get(), merge(1, 500.0), merge(1_000, 20_000.0), slice()];
    let [few, many] = [1_000, 10_000];
    rows.push(gather(few));
    rows.push(gather(many).must(Target::Nanos(5e6)));
    rows
}

/// Four values at a time, at ranks in no order, of a mesh where every rank has a value of its own.
fn get() -> Row {
    let n_ranks = SIDE.pow(3);
    let values = ValueMesh::from_fn(n_ranks, Rank::index);
    let plain: Vec<usize> = (0..n_ranks).collect();
    let fours = || -> Vec<[Rank; 4]> {
        let ranks = mesh::numbers().map(|number| Rank::new(number % n_ranks));
        let ranks: Vec<Rank> = ranks.take(4 * N).collect();
        ranks.as_chunks::<4>().0.to_vec()
    };
    let ours = Case::each("ours", fours(), move |four| {
        four.map(|rank| black_box(&values).get(rank).copied())
    });
    let floor = Case::each("floor", fours(), move |four| {
        four.map(|rank| black_box(&plain).get(rank.index()).copied())
    });
    Row::new("value mesh: get four of 10^6 values", vec![ours, floor]).must(Target::Nanos(100.0))
}

/// Some runs over 10^6 equal values.
fn merge(n_runs: usize, max: f64) -> Row {
    let n_ranks = SIDE.pow(3);
    let equal = ValueMesh::uniform(n_ranks, 0_u32);
    let step = n_ranks / n_runs;
    let runs: Overlay<u32> =
        (0..n_runs).map(|at| (Rank::new(at * step + step / 2), 1 + at as u32)).collect();
    let plain: Vec<_> = runs.runs().map(|(run, value)| (run, *value)).collect();
    let ours = Case::repeat("ours", 16, move || {
        let mut mesh = black_box(&equal).clone();
        mesh.apply(black_box(&runs)).expect("they are inside");
        assert_eq!(mesh.n_runs(), 2 * n_runs + 1, "each stands between equal ones");
        mesh
    });
    let floor = Case::repeat("floor", 16, move || black_box(&plain).clone());
    Row::new(format!("lay {n_runs} runs over 10^6 equal values"), vec![ours, floor])
        .must(Target::Nanos(max))
}

/// Every second rank of 10^6 that have equal values.
fn slice() -> Row {
    let all = Region::all(mesh::cube(SIDE));
    let half = all.parse_slice("z=::2").expect("the dim is there");
    let equal = ValueMesh::uniform(SIDE.pow(3), 0_u32);
    let ours = Case::repeat("ours", N, move || {
        let half = black_box(&equal).slice(black_box(&half)).expect("it is of this size");
        assert_eq!((half.n_runs(), half.size()), (1, SIDE.pow(3) / 2), "all are equal");
    });
    Row::new("value mesh: slice half of 10^6 equal values", vec![ours]).must(Target::Nanos(1_000.0))
}

/// One reply of each rank, in no order and none equal to another.
fn gather(n_replies: usize) -> Row {
    let mut replies: Vec<(Rank, usize)> = (0..n_replies).map(|at| (Rank::new(at), at)).collect();
    for (at, number) in (0..n_replies).zip(mesh::numbers()) {
        replies.swap(at, number % n_replies);
    }
    let sorted = replies.clone();
    let ours = Case::repeat("ours", 1, move || {
        let gathered: Overlay<usize> = black_box(&replies).iter().copied().collect();
        assert_eq!(gathered.len(), n_replies, "everybody replied");
        gathered
    });
    let floor = Case::repeat("floor", 1, move || {
        let mut replies = black_box(&sorted).clone();
        replies.sort_unstable();
        replies
    });
    // Sorting is n log n, so what is no more than twice a sort at both sizes is so too.
    Row::new(format!("gather {n_replies} replies in no order"), vec![ours, floor])
        .must(Target::Times("floor", 2.0))
}
