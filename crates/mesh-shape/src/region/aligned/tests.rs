//! Lanes against lists of their positions.

use super::*;

/// All small lanes, rising and falling.
fn lanes() -> Vec<Lane> {
    let mut lanes = Vec::new();
    for first in [0_usize, 3, 7, 12] {
        for step in 1..7_usize {
            for len in 1..6_usize {
                for falls in [false, true] {
                    let step = if len == 1 { 1 } else { step };
                    lanes.push(Lane { first, step, len, axis: None, falls });
                }
            }
        }
    }
    lanes
}

/// In the direction of its axis.
fn list(lane: Lane) -> Vec<usize> {
    let mut all: Vec<usize> = (0..lane.len).map(|at| lane.first + at * lane.step).collect();
    if lane.falls {
        all.reverse();
    }
    all
}

#[test]
fn what_two_lanes_have_in_common_is_what_both_list() {
    for mine in lanes() {
        for its in lanes() {
            let (all, theirs) = (list(mine), list(its));
            let expected: Vec<usize> =
                (0..mine.len).filter(|at| theirs.contains(&all[*at])).collect();
            let found = mine.common(its).map_or_else(Vec::new, |(first, distance, count)| {
                (0..count).map(|k| first + k * distance).collect()
            });
            assert_eq!(found, expected, "{mine:?} and {its:?}");
            assert_eq!(mine.is_within(its), expected.len() == mine.len, "{mine:?} in {its:?}");
        }
    }
}

#[test]
fn steps_whose_product_no_number_holds_meet_once() {
    let (odd, even) = ((1 << 62) - 1, 1 << 61);
    let lane = |step| Lane { first: 0, step, len: 2, axis: None, falls: false };
    assert_eq!(lane(odd).common(lane(even)), Some((0, even, 1)));
    let (three, two) = (3_037_000_500, 3_037_000_499);
    let long = |first, step| Lane { first, step, len: 1 << 31, axis: None, falls: false };
    // 1 + k * three is a multiple of two first at k = two - 1, which is past the end.
    assert_eq!(long(1, three).common(long(0, two)), None);
    assert_eq!(product_modulo(usize::MAX - 1, usize::MAX - 1, usize::MAX), 1);
}
