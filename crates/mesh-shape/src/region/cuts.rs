//! Two regions that no units part are cut into parts that some do.
//!
//! A dim that was flattened lies across rows, but in the middle it is whole rows:
//!
//! ```text
//! rows of eight, procs=3::2                  three parts
//!
//!  ·  ·  ·  3  ·  5  ·  7                      head    3, 5, 7
//!  ·  9  · 11  · 13  · 15                      body    rows 1 and 2, positions 1, 3, 5, 7
//!  · 17  · 19  · 21  · 23
//!  · 25  · 27                                  tail    25, 27
//! ```

use super::Region;
use crate::extent::Extent;
use crate::inline_vec::InlineVec;

/// So often is cut at most, before runs are counted instead; and no axis into more parts at once.
const CUTS_MAX: usize = 64;

impl Region {
    /// How many base ranks both hold; `None` if too many cuts would be needed. Neither is empty.
    pub(super) fn n_common_of_parts(&self, other: &Self) -> Option<usize> {
        let mut n_left = CUTS_MAX;
        n_common(&self.rising(), &other.rising(), &self.units_between(other), &mut n_left)
    }

    /// The strides of the base, and those strides of both regions that go into them; the largest first.
    fn units_between(&self, other: &Self) -> Vec<usize> {
        let mut units = self.extent.base_strides().to_vec();
        for stride in self.strides.iter().chain(other.strides.iter()) {
            let way = stride.unsigned_abs();
            let fits = |unit: &usize| unit.is_multiple_of(way) || way.is_multiple_of(*unit);
            if way > 0 && units.iter().all(fits) {
                units.push(way);
            }
        }
        units.sort_unstable_by_key(|unit| std::cmp::Reverse(*unit));
        units
    }

    /// The same ranks with every stride upwards.
    fn rising(&self) -> Self {
        let mut rising = self.clone();
        rising.offset = self.lowest();
        rising.strides.iter_mut().for_each(|stride| *stride = stride.wrapping_abs());
        rising
    }

    /// The parts of this rising region, which `unit` does not part, that are nearer to being parted.
    fn cut_at(&self, unit: usize) -> Option<Vec<Self>> {
        let distance =
            |axis: usize| self.strides.get(axis).map_or(0, |stride| stride.unsigned_abs());
        let axes = || 0..self.strides.len();
        let uneven = |axis: &usize| distance(*axis) > unit && !distance(*axis).is_multiple_of(unit);
        if let Some(axis) = axes().find(uneven) {
            return self.interleaved(axis, period(distance(axis), unit));
        }
        let axis =
            axes().filter(|axis| distance(*axis) < unit).max_by_key(|axis| distance(*axis))?;
        let (way, len) = (distance(axis), self.extent.sizes().get(axis).copied()?);
        if way == 0 || !unit.is_multiple_of(way) {
            return self.interleaved(axis, period(way, unit));
        }
        let low = self.lowest() % unit;
        // So many positions are before the next multiple of the unit.
        let head = (unit - low).div_ceil(way);
        let cut = if head >= len {
            // The last one goes beyond it, together with smaller axes.
            len - 1
        } else if low < way {
            // Whole rows begin here.
            len / head * head
        } else {
            head
        };
        let mut parts = vec![self.part(axis, (0, 1, cut))];
        if head < len && low < way {
            parts = vec![parts.pop()?.in_rows(axis, head)?];
        }
        if cut < len {
            parts.push(self.part(axis, (cut, 1, len - cut)));
        }
        Some(parts)
    }

    /// Every `period`-th position of an axis, from each of the first ones on.
    fn interleaved(&self, axis: usize, period: usize) -> Option<Vec<Self>> {
        let len = self.extent.sizes().get(axis).copied()?;
        let step = isize::try_from(period).ok().filter(|_| period.min(len) <= CUTS_MAX)?;
        let part = |first: usize| self.part(axis, (first, step, (len - first).div_ceil(period)));
        Some((0..period.min(len)).map(part).collect())
    }

    fn part(&self, axis: usize, taken: (usize, isize, usize)) -> Self {
        let mut part = self.clone();
        part.narrow(axis, taken);
        part
    }

    /// The same with an axis made rows of `len` positions.
    fn in_rows(&self, axis: usize, len: usize) -> Option<Self> {
        let mut sizes = self.extent.sizes().to_vec();
        let mut strides = self.strides.to_vec();
        let (size, stride) = (sizes.get_mut(axis)?, strides.get(axis).copied()?);
        *size /= len;
        sizes.insert(axis + 1, len);
        strides.insert(axis, stride.checked_mul(isize::try_from(len).ok()?)?);
        let dims = sizes.iter().enumerate().map(|(axis, size)| (axis.to_string(), *size));
        let extent = Extent::new(dims).ok()?.view_like(&self.extent);
        Some(Self::new(extent, (self.offset, InlineVec::from(&*strides))))
    }
}

fn n_common(left: &Region, right: &Region, units: &[usize], n_left: &mut usize) -> Option<usize> {
    let ((low, high), (its_low, its_high)) = (left.ends(), right.ends());
    if high < its_low || its_high < low {
        return Some(0);
    }
    let counted = left.fold_digits(right, || 1, |n, mine, its| *n *= mine.n_common(its));
    if counted.is_some() {
        return counted;
    }
    *n_left = n_left.checked_sub(1)?;
    let is_parted = |region: &Region, unit: usize| region.is_parted_by(unit, 0);
    let is_wanted = |unit: &usize| !(is_parted(left, *unit) && is_parted(right, *unit));
    let unit = units.iter().copied().find(is_wanted)?;
    let (cut, other) = if is_parted(left, unit) { (right, left) } else { (left, right) };
    cut.cut_at(unit)?.iter().map(|part| n_common(part, other, units, n_left)).sum()
}

/// After how many steps of `way` a multiple of `unit` is met again.
fn period(way: usize, unit: usize) -> usize {
    let (mut gcd, mut rest) = (unit, way);
    while rest != 0 {
        (gcd, rest) = (rest, gcd % rest);
    }
    unit / gcd
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of eight in two blocks, cut in rows, across rows, and within rows.
    fn views() -> Vec<Region> {
        let base: Extent = "block=2,row=3,at=8".parse().expect("it is an extent");
        let all = Region::all(base);
        let flat =
            all.flatten(&["block", "row", "at"], "x").expect("one stride leads through them");
        let rows = all.flatten(&["block", "row"], "y").expect("one stride leads through them");
        let split = all.split("at", &[("half", 2), ("in", 4)]).expect("the sizes fit");
        let mut views = Vec::new();
        for text in ["x=3::2", "x=1:40", "x=5:47:4", "x=::3", "x=46:2:-5", "x=2:41:12", "x=7:33:6"]
        {
            views.push(flat.parse_slice(text).expect("it is a slice"));
        }
        for text in ["y=1:5,at=:5", "y=::2,at=1::3", "y=1::4,at=2:7:2", "y=::-1,at=6:0:-1"] {
            views.push(rows.parse_slice(text).expect("it is a slice"));
        }
        for text in ["half=1,in=1:3", "in=::2", "in=1:,block=1", "in=2:,row=::2", "in=:3"] {
            views.push(split.parse_slice(text).expect("it is a slice"));
        }
        views.push(all.parse_slice("row=1:,at=:6").expect("it is a slice"));
        views
    }

    #[test]
    fn parts_and_runs_have_as_much_in_common_as_the_ranks() {
        for left in views() {
            for right in views() {
                let expected = left.ranks().intersection(&right.ranks()).len();
                assert_eq!(left.n_common_of_parts(&right), Some(expected), "{left:?} {right:?}");
                assert_eq!(left.n_common_of_runs(&right), expected, "{left:?} {right:?}");
            }
        }
    }

    /// Five flattened dims, each with a head, a middle and a tail: 3⁵ parts.
    #[test]
    fn too_many_cuts_are_not_made() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let base = Extent::new(names.map(|name| (name, 3))).expect("the names differ");
        let all = Region::all(base);
        let flat = names.chunks(2).fold(all.clone(), |flat, pair| {
            let name = pair.concat();
            let flat = flat.flatten(pair, &name).expect("one stride leads through both");
            flat.slice(&name, 1..8).expect("it is a slice")
        });
        let some = names
            .iter()
            .step_by(2)
            .fold(all, |some, name| some.slice(name, 1..).expect("it is a slice"));
        assert_eq!(flat.n_common_of_parts(&some), None);
        // Of seven, the last five are in the second or third row.
        assert_eq!(flat.n_common_of_runs(&some), 5_usize.pow(5));
    }
}
