//! Walks through a strided view of three dims, rank by rank.

use std::hint::black_box;
use std::time::Instant;

use ndarray::{Array3, Slice};

use super::mesh::{self, SIDE};
use super::peer::{self, Work};
use super::row::{Row, Target};
use crate::measure::{Batch, Case, Effort};

/// One row for ranks alone, one for points as well.
pub(super) fn rows(effort: Effort) -> Vec<Row> {
    let side = match effort {
        Effort::Full => SIDE,
        Effort::Quick => SIDE / 10,
    };
    vec![ranks(side), points(side)]
}

fn ranks(side: usize) -> Row {
    let view = mesh::strided(side);
    let ours = walk("ours", side, move || {
        for rank in black_box(&view) {
            black_box(rank);
        }
    });
    Row::new("walk a strided view, ranks", vec![ours, loops(side), indexed(side)])
        .beside(peer::case(Work::Walk(side)))
        .must(Target::Nanos(2.0))
        .must(Target::Times(INDEXED, 1.2))
        .must(Target::Times(peer::NAME, 0.5))
}

fn points(side: usize) -> Row {
    let view = mesh::strided(side);
    let ours = walk("ours", side, move || {
        black_box(&view).for_each_point(|point, base| {
            black_box((point, base));
        });
    });
    Row::new("walk a strided view, points", vec![ours, indexed(side)])
        .beside(peer::case(Work::WalkPoints(side)))
        .must(Target::Nanos(10.0))
        .must(Target::Times(INDEXED, 1.2))
        .must(Target::Times(peer::NAME, 0.5))
}

/// Three loops in one another.
fn loops(side: usize) -> Case<'static> {
    walk("floor", side, move || {
        let side = black_box(side);
        for x in 0..side {
            for y in 0..side {
                for z in 0..side {
                    black_box((x * 4 * side + y * 2) * 2 * side + z * 2);
                }
            }
        }
    })
}

/// The same view of an array; its elements are not looked at.
fn indexed(side: usize) -> Case<'static> {
    let array = Array3::<u8>::zeros([2 * side; 3]);
    walk(INDEXED, side, move || {
        let view = array.slice_each_axis(|_| Slice::new(0, None, 2));
        for item in black_box(&view).indexed_iter() {
            black_box(item);
        }
    })
}

/// A case that goes through the cube of this side once.
fn walk(by: &str, side: usize, mut walk: impl FnMut() + 'static) -> Case<'static> {
    Case::new(by, move || {
        let started = Instant::now();
        walk();
        Batch { n: side.pow(3), elapsed: started.elapsed() }
    })
}

const INDEXED: &str = "ndarray 0.17.2";
