//! The ranks of the base that a region holds, one after another.

use crate::inline_vec::InlineVec;
use crate::rank::Rank;

/// One loop of the walk: how many positions, and how far apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loop {
    pub(crate) len: usize,
    pub(crate) stride: isize,
}

/// The ranks of the base that a region holds, in the order of the view; made by
/// [`Region::iter`](crate::Region::iter).
#[derive(Clone, Debug)]
pub struct BaseRanks {
    // Invariant: no loop has the length 0 while something is left.
    outer: InlineVec<Loop>,
    positions: InlineVec<usize>,
    inner: Loop,
    n_left_inner: usize,
    n_left: usize,
    next: usize,
}

impl BaseRanks {
    /// The walk of nested loops, the outermost first, that begins at `start`.
    pub(crate) fn new(start: usize, loops: &[Loop]) -> Self {
        let (inner, outer) = loops.split_last().map_or_else(
            || (Loop { len: 1, stride: 0 }, Default::default()),
            |(inner, outer)| (*inner, outer),
        );
        Self {
            positions: InlineVec::of_len(outer.len()),
            outer: outer.into(),
            inner,
            n_left_inner: inner.len,
            n_left: loops.iter().map(|each| each.len).product(),
            next: start,
        }
    }

    /// Goes on to the first rank of the next innermost loop.
    fn carry(&mut self) {
        self.next = back(self.next, self.inner);
        self.n_left_inner = self.inner.len;
        for (position, each) in self.positions.iter_mut().zip(self.outer.iter()).rev() {
            *position += 1;
            self.next = self.next.wrapping_add_signed(each.stride);
            if *position < each.len {
                return;
            }
            *position = 0;
            self.next = back(self.next, *each);
        }
    }
}

impl Iterator for BaseRanks {
    type Item = Rank;

    #[inline]
    fn next(&mut self) -> Option<Rank> {
        if self.n_left == 0 {
            return None;
        }
        if self.n_left_inner == 0 {
            self.carry();
        }
        let rank = Rank::new(self.next);
        self.n_left -= 1;
        self.n_left_inner -= 1;
        self.next = self.next.wrapping_add_signed(self.inner.stride);
        Some(rank)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.n_left, Some(self.n_left))
    }
}

impl ExactSizeIterator for BaseRanks {}

/// The place before a loop that ran to its end.
fn back(at: usize, each: Loop) -> usize {
    at.wrapping_sub_signed(each.stride.wrapping_mul(each.len.cast_signed()))
}
