//! Slices as Python means them, and strategies that make them.

use mesh_shape::Slice;
use proptest::prelude::*;

/// `list(range(*slice(start, end, step).indices(len)))`, from the words of Python's reference.
pub(crate) fn python_range(
    len: i128,
    start: Option<isize>,
    end: Option<isize>,
    step: i128,
) -> Vec<usize> {
    let wrap = |bound: isize| if bound < 0 { bound as i128 + len } else { bound as i128 };
    let mut positions = Vec::new();
    let first = start.map_or(if step > 0 { 0 } else { len - 1 }, wrap);
    let stop = end.map_or(if step > 0 { len } else { -1 }, |end| wrap(end).max(-1));
    // A start outside moves to the border first, and steps from there.
    let mut at = if step > 0 { first.max(0) } else { first.min(len - 1) };
    while (step > 0 && at < stop.min(len)) || (step < 0 && at > stop.max(-1)) {
        positions.push(usize::try_from(at).expect("it is inside"));
        at += step;
    }
    positions
}

fn bound() -> impl Strategy<Value = Option<isize>> {
    prop_oneof![
        6 => Just(None),
        8 => (-9_isize..9).prop_map(Some),
        1 => prop_oneof![Just(isize::MIN), Just(isize::MAX)].prop_map(Some),
    ]
}

pub(crate) fn slice() -> impl Strategy<Value = Slice> {
    let step = prop_oneof![
        8 => Just(1_isize),
        8 => -4_isize..5,
        1 => prop_oneof![Just(isize::MIN), Just(isize::MAX)],
    ];
    prop_oneof![
        1 => (-6_isize..6).prop_map(Slice::Index),
        5 => (bound(), bound(), step).prop_map(|(start, end, step)| Slice::Range { start, end, step }),
    ]
}

/// The sizes of a base: of few ranks, for each is looked at.
pub(crate) fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1 => Just(0_usize), 3 => Just(1), 24 => 2_usize..8], 0..5)
}

/// Whether steps that leave nothing are made: a few, or every region of many steps is empty.
pub(crate) fn keeps_empty() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}
