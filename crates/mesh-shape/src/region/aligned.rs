//! Two regions digit by digit: what their sets of ranks have in common is computed for each digit alone.
//!
//! Some *units*, each a multiple of the next and the last of them 1, write every rank as digits, as
//! hours, minutes and seconds write a time. The strides of the base are such units, and its coordinates
//! the digits:
//!
//! ```text
//! base hosts=3,gpus=4        units 4, 1: rank 7 is the digits 1, 3
//! hosts=1:,gpus=::2          of the first digit 1 and 2, of the second 0 and 2: any of these with any
//! ```
//!
//! A region whose axes each go along one digit, without a carry, holds *any of these with any of those*,
//! and two such regions share what they share in each digit. Regions that were sliced or permuted are so
//! in the units of the base; those that were flattened or split are in other ones, or in none.

use super::{Loop, Region};

/// What a region takes of one digit, rising: `first`, `first + step`, and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) first: usize,
    /// 1 if there is one position.
    pub(super) step: usize,
    pub(super) len: usize,
    /// The axis of the view that goes along it; none where there is one position.
    pub(super) axis: Option<usize>,
    /// Whether that axis goes the other way.
    pub(super) falls: bool,
}

/// What a region takes of one digit after another, the largest unit first.
#[derive(Debug)]
pub(super) struct Digits<'a> {
    region: &'a Region,
    /// The unit before.
    above: usize,
    /// What smaller units are to say of the distance of the lowest rank.
    rest: usize,
}

impl<'a> Digits<'a> {
    /// The digits of distances from `origin`. The region is not empty, and the origin not above it.
    #[inline]
    pub(super) fn new(region: &'a Region, origin: usize) -> Self {
        Self { region, above: usize::MAX, rest: region.lowest().saturating_sub(origin) }
    }

    /// What is taken of the digit of the next unit; `None` if an axis does not go along that digit, alone
    /// and without a carry.
    #[inline]
    pub(super) fn lane(&mut self, unit: usize) -> Option<Lane> {
        let first = if self.rest < unit { 0 } else { self.rest / unit };
        self.rest -= first * unit;
        let mut lane = Lane { first, step: 1, len: 1, axis: None, falls: false };
        for (axis, Loop { len, stride }) in self.region.loops().enumerate() {
            let distance = stride.unsigned_abs();
            if distance < unit || distance >= self.above {
                continue;
            }
            let step = if distance == unit { 1 } else { distance / unit };
            let carries = first * unit + (len - 1) * distance >= self.above;
            if carries || step * unit != distance || lane.axis.is_some() {
                return None;
            }
            lane = Lane { first, step, len, axis: Some(axis), falls: stride < 0 };
        }
        self.above = unit;
        Some(lane)
    }
}

impl Region {
    /// What `step` makes of `start` with what this and a region of an equal base take of each digit, in
    /// units in which both can be said, if there are such. Neither is empty.
    #[inline]
    pub(super) fn fold_digits<T>(
        &self,
        other: &Self,
        start: impl Fn() -> T,
        step: impl Fn(&mut T, Lane, Lane),
    ) -> Option<T> {
        let in_units = |units: &[usize], origin| {
            let (mut mine, mut its) = (Digits::new(self, origin), Digits::new(other, origin));
            let mut folded = start();
            for unit in units {
                step(&mut folded, mine.lane(*unit)?, its.lane(*unit)?);
            }
            Some(folded)
        };
        in_units(self.extent.base_strides(), 0).or_else(|| {
            let lowest = self.lowest().min(other.lowest());
            let strides = self.strides_with(other);
            let in_some_of = |candidates: &[usize]| {
                let mut origins = [0, lowest].into_iter();
                origins.find_map(|at| in_units(&self.units_with(other, candidates, at), at))
            };
            in_some_of(&strides).or_else(|| in_some_of(&with_divisors(strides)))
        })
    }

    /// The strides of both regions and of the base, and 1; rising.
    fn strides_with(&self, other: &Self) -> Vec<usize> {
        let strides = [self, other].into_iter().flat_map(|region| region.strides.iter());
        let moving = strides.map(|stride| stride.unsigned_abs()).filter(|stride| *stride > 0);
        let mut strides: Vec<usize> = moving.collect();
        strides.extend(self.extent.base_strides());
        strides.push(1);
        in_rising_order(strides)
    }

    /// Those of `candidates`, which rise from 1, that are units and part the axes of both regions; the
    /// largest first.
    fn units_with(&self, other: &Self, candidates: &[usize], origin: usize) -> Vec<usize> {
        let mut last = 1;
        let mut units = candidates.to_vec();
        units.retain(|unit| {
            let is_unit = unit.is_multiple_of(last)
                && self.is_parted_by(*unit, origin)
                && other.is_parted_by(*unit, origin);
            if is_unit {
                last = *unit;
            }
            is_unit
        });
        units.reverse();
        units
    }

    /// Whether each axis either goes in steps of `unit`, or stays below it together with all others that
    /// do.
    pub(super) fn is_parted_by(&self, unit: usize, origin: usize) -> bool {
        let mut low = self.lowest().saturating_sub(origin) % unit;
        for Loop { len, stride } in self.loops() {
            let distance = stride.unsigned_abs();
            if distance < unit {
                low += distance * len.saturating_sub(1);
            } else if !distance.is_multiple_of(unit) {
                return false;
            }
        }
        low < unit
    }
}

impl Lane {
    /// Whether `other` has every position of this lane.
    #[inline]
    pub(super) fn is_within(self, other: Self) -> bool {
        let is_between = self.first >= other.first && self.last() <= other.last();
        let is_on = |way: usize| other.step == 1 || way.is_multiple_of(other.step);
        is_between && is_on(self.first - other.first) && (self.len == 1 || is_on(self.step))
    }

    /// Whether some position is in both lanes.
    #[inline]
    pub(super) fn meets(self, other: Self) -> bool {
        self.rising_common(other).is_some()
    }

    /// How many positions are in both lanes.
    pub(super) fn n_common(self, other: Self) -> usize {
        self.rising_common(other).map_or(0, |(_, _, count)| count)
    }

    /// The positions of this lane that are also in `other`, in the direction of its axis: the first, the
    /// distance, the number.
    pub(super) fn common(self, other: Self) -> Option<(usize, usize, usize)> {
        let (first, distance, count) = self.rising_common(other)?;
        // Counted from the end of a falling lane.
        let first =
            if self.falls { self.len - 1 - (first + (count - 1) * distance) } else { first };
        Some((first, distance, count))
    }

    /// # Source
    ///
    /// The Chinese remainder theorem, with the extended Euclidean algorithm.
    fn rising_common(self, other: Self) -> Option<(usize, usize, usize)> {
        let from = self.first.max(other.first);
        let to = self.last().min(other.last());
        if from > to {
            return None;
        }
        if self.step == 1 && other.step == 1 {
            return Some((from - self.first, 1, to - from + 1));
        }
        let (gcd, inverse) = gcd_and_inverse(self.step, other.step);
        let way = other.first.abs_diff(self.first);
        if !way.is_multiple_of(gcd) {
            return None;
        }
        let distance = other.step / gcd;
        // The smallest position that is right modulo the distance, then the first in both.
        let right = product_modulo(way / gcd % distance, inverse, distance);
        let right = if other.first < self.first && right > 0 { distance - right } else { right };
        let lowest = (from - self.first).div_ceil(self.step);
        let behind = lowest % distance;
        let first =
            lowest + if right >= behind { right - behind } else { distance - (behind - right) };
        let at = self.step.checked_mul(first)?.checked_add(self.first)?;
        let room = to.checked_sub(at)?;
        let count = self.step.checked_mul(distance).map_or(0, |each| room / each) + 1;
        Some((first, distance, count))
    }

    #[inline]
    const fn last(self) -> usize {
        self.first + self.step * (self.len - 1)
    }
}

/// With the greatest common divisor of any two: a dim of 10 that was split to 5 and 2, and of which every
/// third of the 5 was taken, has a stride of 6, and its digit the unit 2, as 10 and 6 have.
fn with_divisors(strides: Vec<usize>) -> Vec<usize> {
    let of_all = |a: &usize| strides.iter().map(|b| gcd_and_inverse(*a, *b).0).collect::<Vec<_>>();
    in_rising_order(strides.iter().flat_map(of_all).collect())
}

fn in_rising_order(mut units: Vec<usize>) -> Vec<usize> {
    units.sort_unstable();
    units.dedup();
    units
}

/// The greatest common divisor of two positive numbers, and what `a / gcd` has to be multiplied with to
/// be 1 modulo `b / gcd`; smaller than that.
fn gcd_and_inverse(a: usize, b: usize) -> (usize, usize) {
    // The factors are no larger than the numbers, which an `isize` holds.
    let ((mut old, mut factor), (mut new, mut next)) = ((a, 1_isize), (b, 0_isize));
    while new != 0 {
        let quotient = old / new;
        (old, new) = (new, old % new);
        (factor, next) = (next, factor - next * quotient.cast_signed());
    }
    let modulus = (b / old).cast_signed();
    (old, factor.rem_euclid(modulus).unsigned_abs())
}

/// The product of two numbers, modulo a third.
fn product_modulo(a: usize, b: usize, modulus: usize) -> usize {
    a.checked_mul(b).map_or_else(
        || {
            let product = a as u128 * b as u128 % modulus as u128;
            usize::try_from(product).expect("smaller than the modulus, which is a usize")
        },
        |product| product % modulus,
    )
}

#[cfg(test)]
mod tests;
