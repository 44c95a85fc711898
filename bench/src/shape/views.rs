//! Slices, and questions about two views: all at 64, 10^6 and 10^9 ranks, which must not matter.

use std::hint::black_box;

use mesh_shape::Region;

use super::mesh::{self, SIDE, SIDES};
use super::peer::{self, Work};
use super::row::{Row, Target};
use crate::measure::Case;

/// One question.
struct Question {
    name: &'static str,
    at_most: Option<f64>,
    case: fn(usize) -> Case<'static>,
}

/// One row for each question and size.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for question in QUESTIONS {
        for side in SIDES {
            rows.push(row(question, side));
        }
    }
    rows
}

fn row(question: &Question, side: usize) -> Row {
    let [first, ..] = SIDES;
    let work = |side: usize| format!("{}, {} ranks", question.name, n_ranks(side));
    let mut row = Row::new(work(side), vec![(question.case)(side)]);
    if side != first {
        row = row.must(Target::Flat(work(first)));
    }
    if let Some(max) = question.at_most {
        row = row.must(Target::Nanos(max));
    }
    if question.name == SLICE && side == SIDE {
        row = row
            .beside([floor(side)])
            .beside(peer::case(Work::Slice(side)))
            .must(Target::Times(peer::NAME, 0.5));
    }
    row
}

fn n_ranks(side: usize) -> String {
    match side.pow(3) {
        small @ ..1_000 => small.to_string(),
        large => format!("10^{}", large.ilog10()),
    }
}

/// A range with a step, in the middle of a dim.
fn slice(side: usize) -> Case<'static> {
    let all = Region::all(mesh::cube(side));
    Case::each("ours", starts(side), move |start| {
        black_box(&all).slice("y", mesh_shape::Slice::from(*start..-1).by(2))
    })
}

/// The numbers of that slice alone, no name of any dim looked at.
fn floor(side: usize) -> Case<'static> {
    let (sizes, strides) = ([side; 3], [side * side, side, 1]);
    Case::each("floor", starts(side), move |start| {
        let (mut sizes, mut strides) = (*black_box(&sizes), *black_box(&strides));
        let (start, end) = (start.unsigned_abs(), sizes[1] - 1);
        let offset = start * strides[1];
        sizes[1] = (end - start).div_ceil(2);
        strides[1] *= 2;
        (offset, sizes, strides)
    })
}

/// Where a slice begins: in the first half of the dim, and not always at one place.
fn starts(side: usize) -> Vec<isize> {
    mesh::ranks(side / 2).iter().map(|rank| rank.index().cast_signed()).collect()
}

fn is_subset(side: usize) -> Case<'static> {
    let (some, all) = pair(side);
    Case::repeat("ours", mesh::N, move || {
        let is_subset = black_box(&some).is_subset(black_box(&all));
        assert!(is_subset, "it was cut out of it");
    })
}

fn is_no_subset(side: usize) -> Case<'static> {
    let (some, all) = pair(side);
    Case::repeat("ours", mesh::N, move || {
        let is_subset = black_box(&all).is_subset(black_box(&some));
        assert!(!is_subset, "it was cut out of the other");
    })
}

fn intersects(side: usize) -> Case<'static> {
    let (some, other) = crossing(side);
    Case::repeat("ours", mesh::N, move || {
        assert!(black_box(&some).intersects(black_box(&other)), "they do");
    })
}

fn intersection(side: usize) -> Case<'static> {
    let (some, other) = crossing(side);
    Case::repeat("ours", mesh::N, move || {
        black_box(&some).intersection(black_box(&other)).expect("one base")
    })
}

/// The slice of a slice, and the whole.
fn pair(side: usize) -> (Region, Region) {
    let all = Region::all(mesh::cube(side));
    (all.parse_slice("x=1:-1,y=::2").expect("the dims are there"), all)
}

/// Two slices that share some ranks; their steps differ.
fn crossing(side: usize) -> (Region, Region) {
    let all = Region::all(mesh::cube(side));
    let slice = |text| all.parse_slice(text).expect("the dims are there");
    (slice("x=1:-1,y=::2"), slice("y=::3,z=1:"))
}

fn remap(side: usize) -> Case<'static> {
    let (some, all) = pair(side);
    Case::each("ours", mesh::ranks(some.size()), move |rank| {
        black_box(&some).remap(*rank, black_box(&all)).expect("the other holds all")
    })
}

const SLICE: &str = "slice";
const QUESTIONS: &[Question] = &[
    Question { name: SLICE, at_most: Some(100.0), case: slice },
    Question { name: "is_subset, it is", at_most: Some(100.0), case: is_subset },
    Question { name: "is_subset, it is not", at_most: Some(100.0), case: is_no_subset },
    Question { name: "intersects", at_most: None, case: intersects },
    Question { name: "intersection", at_most: None, case: intersection },
    Question { name: "remap", at_most: None, case: remap },
];
