//! One axis of a region: the coordinates that were taken of one dim of the base.

use crate::slice::Slice;

/// The coordinates that were taken of one dim of the base: `start`, `start + step`, and so on.
///
/// Invariants: every coordinate is inside the dim; `step` is not 0, and 1 if `len` is at most 1;
/// `len` is 1 if the dim was dropped. The size of a dim fits in an `isize`, so nothing overflows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Axis {
    pub(crate) start: usize,
    pub(crate) step: isize,
    pub(crate) len: usize,
    /// Whether the dim is one of the view's; an index drops it.
    pub(crate) kept: bool,
}

/// Why a slice is refused; who asked knows the name of the dim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    OutOfBounds(isize),
    ZeroStep,
}

impl Axis {
    /// The whole dim.
    pub(crate) const fn all(len: usize) -> Self {
        Self { start: 0, step: 1, len, kept: true }
    }

    /// What `slice` takes of this axis.
    pub(crate) fn slice(self, slice: Slice) -> Result<Self, Refusal> {
        match slice {
            Slice::Index(index) => {
                let found = if index < 0 {
                    self.len.checked_sub(index.unsigned_abs())
                } else {
                    Some(index.unsigned_abs()).filter(|at| *at < self.len)
                };
                let at = found.ok_or(Refusal::OutOfBounds(index))?;
                Ok(Self { start: self.coordinate(at), step: 1, len: 1, kept: false })
            }
            Slice::Range { step: 0, .. } => Err(Refusal::ZeroStep),
            Slice::Range { start, end, step } => {
                let (at, len) = clamp(self.len, start, end, step);
                // With two positions or more, both steps are smaller than the dim.
                let step = if len > 1 { self.step.wrapping_mul(step) } else { 1 };
                let start = if len > 0 { self.coordinate(at) } else { 0 };
                Ok(Self { start, step, len, kept: true })
            }
        }
    }

    /// The coordinate in the base of position `at`, which is less than `len`.
    #[inline]
    pub(crate) fn coordinate(self, at: usize) -> usize {
        self.start.wrapping_add_signed(self.step.wrapping_mul(at.cast_signed()))
    }

    /// The position of a coordinate of the base: the inverse of [`Axis::coordinate`].
    #[inline]
    pub(crate) fn position(self, coordinate: usize) -> Option<usize> {
        let distance = coordinate.cast_signed().wrapping_sub(self.start.cast_signed());
        let at = match self.step {
            1 => distance,
            // `step` is not 0, and -1 does not meet `isize::MIN`: both numbers are in the dim.
            step => {
                let at = distance.wrapping_div(step);
                if at.wrapping_mul(step) != distance {
                    return None;
                }
                at
            }
        };
        usize::try_from(at).ok().filter(|at| *at < self.len)
    }

    /// Whether every coordinate is one of `other`. This axis is not empty.
    pub(crate) fn is_subset(self, other: Self) -> bool {
        // Two neighbours in `other` make this step a multiple of its step; the last bounds it.
        let ends = [0, self.len.min(2) - 1, self.len - 1];
        ends.into_iter().all(|at| other.position(self.coordinate(at)).is_some())
    }

    /// The same coordinates, in rising order.
    pub(crate) fn rising(self) -> Self {
        if self.step > 0 {
            return self;
        }
        Self { start: self.coordinate(self.len.saturating_sub(1)), step: -self.step, ..self }
    }

    /// The slice of a whole dim that takes this.
    pub(crate) fn to_slice(self) -> Slice {
        if !self.kept {
            return Slice::Index(self.start.cast_signed());
        }
        // A rising range ends after its last coordinate, a falling one before it, if it can.
        let last = self.coordinate(self.len.saturating_sub(1)).cast_signed();
        let end = match (self.len, self.step.signum()) {
            (0, _) => Some(self.start.cast_signed()),
            (_, 1) => Some(last.saturating_add(1)),
            _ => last.checked_sub(1).filter(|end| *end >= 0),
        };
        Slice::Range { start: Some(self.start.cast_signed()), end, step: self.step }
    }
}

#[cfg(feature = "serde")]
impl Axis {
    /// Whether this can be an axis of a dim of `size`; brings the step of a short one in order.
    pub(crate) fn make_fit(&mut self, size: usize) -> bool {
        if self.len <= 1 {
            self.step = 1;
        }
        if self.len == 0 {
            return self.kept;
        }
        let last = isize::try_from(self.len - 1).ok().and_then(|n| n.checked_mul(self.step));
        let last = last.and_then(|distance| self.start.checked_add_signed(distance));
        let is_inside = self.start < size && last.is_some_and(|last| last < size);
        is_inside && self.step != 0 && (self.kept || self.len == 1)
    }
}

/// The first position and the number of positions of a range over `len`; `step` is not 0.
///
/// A range that takes nothing begins at 0.
fn clamp(len: usize, start: Option<isize>, end: Option<isize>, step: isize) -> (usize, usize) {
    let len = len.cast_signed();
    let (lower, upper) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let border = |bound: isize| {
        let bound = if bound < 0 { bound.saturating_add(len) } else { bound };
        bound.clamp(lower, upper.max(lower))
    };
    let (near, far) = if step > 0 { (lower, upper) } else { (upper, lower) };
    let (start, end) = (start.map_or(near, border), end.map_or(far, border));
    let distance = if step > 0 { end - start } else { start - end };
    if distance <= 0 {
        return (0, 0);
    }
    let taken = (distance.unsigned_abs() - 1) / step.unsigned_abs() + 1;
    (start.unsigned_abs(), taken)
}
