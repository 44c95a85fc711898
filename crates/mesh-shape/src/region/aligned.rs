//! Regions whose dims each lie in one dim of the base, alone: all that were neither flattened across
//! dims nor split. What sets of ranks have in common can be computed dim by dim then.

use super::Region;
use crate::inline_vec::InlineVec;

/// What a region takes of one dim of its base: `start`, `start + step`, and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) start: usize,
    /// 1 if there is one position.
    pub(super) step: isize,
    pub(super) len: usize,
    /// The axis of the view that goes along it; none where there is one position.
    pub(super) axis: Option<usize>,
}

impl Region {
    /// What is taken of each dim of the base, if every axis goes along one dim of its own. The region
    /// is not empty.
    pub(super) fn lanes(&self) -> Option<InlineVec<Lane>> {
        let starts = self.base().coordinates_of(crate::rank::Rank::new(self.offset));
        let mut lanes = InlineVec::from_fn(self.base().ndim(), |at| {
            let start = starts.get(at).copied().unwrap_or_default();
            Lane { start, step: 1, len: 1, axis: None }
        });
        let strides = self.extent.base_strides();
        for (axis, each) in self.loops().enumerate().filter(|(_, each)| each.stride != 0) {
            // The innermost dim whose stride is no larger: the next one further out begins beyond it.
            let distance = each.stride.unsigned_abs();
            let dims = strides.iter().zip(self.base().sizes()).zip(lanes.iter_mut());
            let within = dims.rev().filter(|((_, size), _)| **size > 1);
            let ((stride, size), lane) =
                within.take_while(|((stride, _), _)| **stride <= distance).last()?;
            let step = each.stride / stride.cast_signed();
            let last = step.checked_mul(each.len.saturating_sub(1).cast_signed())?;
            let last = lane.start.checked_add_signed(last)?;
            if distance % stride != 0 || last >= *size || lane.axis.is_some() {
                return None;
            }
            *lane = Lane { step, len: each.len, axis: Some(axis), ..*lane };
        }
        Some(lanes)
    }
}

impl Lane {
    /// The positions of this lane that are also in `other`: the first, the distance, the number.
    pub(super) fn common(self, other: Self) -> Option<(usize, usize, usize)> {
        let (mine, its) = (self.rising(), other.rising());
        let (first, distance, count) = common(mine, its)?;
        // Counted from the end of a falling lane.
        let first =
            if self.step < 0 { self.len - 1 - (first + (count - 1) * distance) } else { first };
        Some((first, distance, count))
    }

    /// The same coordinates, in rising order: the first, the step, the number.
    fn rising(self) -> (i128, i128, i128) {
        let last = self.step.wrapping_mul(self.len.saturating_sub(1).cast_signed());
        let start = if self.step < 0 { self.start.wrapping_add_signed(last) } else { self.start };
        (start as i128, self.step.unsigned_abs() as i128, self.len as i128)
    }
}

/// The positions of one rising progression whose terms are also in another.
///
/// # Source
///
/// The Chinese remainder theorem, with the extended Euclidean algorithm.
fn common(
    (start, step, len): (i128, i128, i128),
    (other, its_step, its_len): (i128, i128, i128),
) -> Option<(usize, usize, usize)> {
    let (gcd, inverse) = gcd_and_inverse(step, its_step);
    if (other - start) % gcd != 0 {
        return None;
    }
    let distance = its_step / gcd;
    // The smallest position that is right modulo the distance, then the first in both.
    let right = ((other - start) / gcd * inverse).rem_euclid(distance);
    let lowest = (other - start).max(0);
    let lowest = (lowest + step - 1) / step;
    let first = lowest + (right - lowest).rem_euclid(distance);
    let last = (start + step * (len - 1)).min(other + its_step * (its_len - 1));
    let room = last - (start + step * first);
    if room < 0 {
        return None;
    }
    let count = room / (step * distance) + 1;
    let as_usize = |number: i128| usize::try_from(number).ok();
    Some((as_usize(first)?, as_usize(distance)?, as_usize(count)?))
}

/// The greatest common divisor of two positive numbers, and what `a / gcd` has to be multiplied with to
/// be 1 modulo `b / gcd`.
fn gcd_and_inverse(a: i128, b: i128) -> (i128, i128) {
    let (mut old, mut new) = ((a, 1), (b, 0));
    while new.0 != 0 {
        let quotient = old.0 / new.0;
        (old, new) = (new, (old.0 - quotient * new.0, old.1 - quotient * new.1));
    }
    (old.0, old.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against every position, for all small progressions, rising and falling.
    #[test]
    fn what_two_lanes_have_in_common_is_what_both_list() {
        let mut lanes = Vec::new();
        for start in [0_usize, 3, 7, 12] {
            for step in [-5_isize, -3, -1, 1, 2, 4, 6] {
                for len in 1..6_usize {
                    let last = start.checked_add_signed(step * (len - 1).cast_signed());
                    let step = if len == 1 { 1 } else { step };
                    lanes.extend(last.map(|_| Lane { start, step, len, axis: None }));
                }
            }
        }
        let list = |lane: Lane| -> Vec<usize> {
            (0..lane.len)
                .map(|at| lane.start.wrapping_add_signed(lane.step * at.cast_signed()))
                .collect()
        };
        for mine in &lanes {
            for its in &lanes {
                let theirs = list(*its);
                let all = list(*mine);
                let expected: Vec<usize> =
                    (0..mine.len).filter(|at| theirs.contains(&all[*at])).collect();
                let found = mine.common(*its).map_or_else(Vec::new, |(first, distance, count)| {
                    (0..count).map(|k| first + k * distance).collect()
                });
                assert_eq!(found, expected, "{mine:?} and {its:?}");
            }
        }
    }
}
