//! What `ndslice` does of the same works.

use std::hint::black_box;
use std::time::Instant;

use ndslice::{Range, Shape, Slice};

use super::{NAME, Work};
use crate::measure::{Batch, Case};
use crate::shape::mesh;

/// Its case of one work.
pub(super) fn case(work: Work) -> Case<'static> {
    match work {
        Work::Coordinates(side, ranks) => {
            let cube = cube(side);
            Case::each(NAME, ranks, move |rank| {
                black_box(&cube).coordinates(rank.index()).expect("it is inside")
            })
        }
        Work::Location(side, all) => {
            let cube = cube(side);
            Case::each(NAME, all, move |coordinates| {
                black_box(&cube).location(coordinates).expect("they are inside")
            })
        }
        Work::Get(side, ranks) => {
            let view = strided(side);
            Case::each(NAME, ranks, move |rank| {
                black_box(&view).get(rank.index()).expect("it is inside")
            })
        }
        Work::Index(side, ranks) => {
            let view = strided(side);
            Case::each(NAME, ranks, move |rank| {
                black_box(&view).index(rank.index()).expect("it is inside")
            })
        }
        Work::Slice(side) => {
            let labels = ["x", "y", "z"].map(str::to_owned).to_vec();
            let all = Shape::new(labels, cube(side)).expect("three names");
            Case::each(NAME, mesh::ranks(side / 2), move |start| {
                let range = Range(start.index(), Some(side - 1), 2);
                black_box(&all).select("y", range).expect("it is inside")
            })
        }
        Work::Walk(side) => walk(side, |view| {
            for rank in view {
                black_box(rank);
            }
        }),
        Work::WalkPoints(side) => walk(side, |view| {
            for (coordinates, rank) in view.dim_iter(3).zip(view.iter()) {
                black_box((&*coordinates, rank));
            }
        }),
    }
}

fn walk(side: usize, walk: fn(&Slice)) -> Case<'static> {
    let view = strided(side);
    Case::new(NAME, move || {
        let started = Instant::now();
        walk(black_box(&view));
        Batch { n: side.pow(3), elapsed: started.elapsed() }
    })
}

fn cube(side: usize) -> Slice {
    Slice::new_row_major([side; 3])
}

/// Every second rank of each dim of the cube of twice this side.
fn strided(side: usize) -> Slice {
    Slice::new(0, vec![side; 3], vec![8 * side * side, 4 * side, 2]).expect("it is rectangular")
}
