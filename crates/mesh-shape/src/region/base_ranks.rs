//! The ranks of the base that a region holds, one after another.

use super::Region;
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
///
/// # Examples
///
/// ```
/// use mesh_shape::{Rank, Region, extent};
///
/// let all = Region::all(extent!(hosts = 2, gpus = 8)?);
/// let mut ranks = all.parse_slice("gpus=::4")?.iter();
/// assert_eq!((ranks.len(), ranks.next(), ranks.last()), (4, Some(Rank::new(0)), Some(Rank::new(12))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

impl Region {
    /// The base ranks of the view, in the order of view ranks.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, Region, extent};
    ///
    /// let backwards = Region::all(extent!(gpus = 3)?).flip("gpus")?;
    /// assert_eq!(backwards.iter().map(Rank::index).collect::<Vec<_>>(), [2, 1, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn iter(&self) -> BaseRanks {
        let mut loops = InlineVec::of_len(self.extent.ndim());
        for (slot, each) in loops.iter_mut().zip(self.loops()) {
            *slot = each;
        }
        BaseRanks::new(self.offset, &loops)
    }

    /// Calls `f` with the coordinates in the view and the base rank of each view rank, in their order.
    ///
    /// As quick as loops in one another: the coordinates are counted up where they lie. That is also why
    /// it is no `Iterator`, which would have to copy them.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Region, extent};
    ///
    /// let odd = Region::all(extent!(hosts = 2, gpus = 4)?).parse_slice("gpus=1::2")?;
    /// let mut seen = Vec::new();
    /// odd.for_each_point(|coordinates, base| seen.push((coordinates.to_vec(), base.index())));
    /// assert_eq!(seen, [(vec![0, 0], 1), (vec![0, 1], 3), (vec![1, 0], 5), (vec![1, 1], 7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    ///
    /// `numpy.ndenumerate`; `indexed_iter` of `ndarray`.
    #[doc(alias = "ndenumerate")]
    #[doc(alias = "indexed_iter")]
    pub fn for_each_point(&self, mut f: impl FnMut(&[usize], Rank)) {
        if self.extent.ndim() == 0 {
            f(&[], Rank::new(self.offset));
        } else {
            self.iter().for_each_point(f);
        }
    }

    /// The nested loops over the view, outermost first.
    pub(crate) fn loops(&self) -> impl DoubleEndedIterator<Item = Loop> + ExactSizeIterator {
        let lens = self.extent.sizes().iter().zip(self.strides.iter());
        lens.map(|(len, stride)| Loop { len: *len, stride: *stride })
    }
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

    /// Calls `f` with the positions in all loops and the rank, of every rank. Nothing was taken yet, and
    /// there is a loop.
    #[inline]
    pub(super) fn for_each_point(mut self, mut f: impl FnMut(&[usize], Rank)) {
        let n_outer = self.positions.len();
        let mut point = InlineVec::of_len(n_outer + 1);
        while self.n_left > 0 {
            if let Some((innermost, outer)) = point.split_last_mut() {
                outer.copy_from_slice(&self.positions);
                *innermost = 0;
            }
            for position in 0..self.inner.len {
                if let Some(innermost) = point.last_mut() {
                    *innermost = position;
                }
                f(&point, Rank::new(self.next));
                self.next = self.next.wrapping_add_signed(self.inner.stride);
            }
            self.n_left -= self.inner.len;
            self.carry();
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

impl IntoIterator for &Region {
    type Item = Rank;
    type IntoIter = BaseRanks;

    fn into_iter(self) -> BaseRanks {
        self.iter()
    }
}

/// The place before a loop that ran to its end.
fn back(at: usize, each: Loop) -> usize {
    at.wrapping_sub_signed(each.stride.wrapping_mul(each.len.cast_signed()))
}
