//! The ranks of a set, one after another.

use std::ops::Range;
use std::slice;

use super::RankSet;
use crate::rank::Rank;

/// The ranks of a [`RankSet`], in rising order; made by [`RankSet::iter`].
///
/// # Examples
///
/// ```
/// use mesh_shape::{Rank, RankSet};
///
/// let ranks = RankSet::from(0..1_000_000);
/// let mut iter = ranks.iter();
/// assert_eq!((iter.len(), iter.nth(7)), (1_000_000, Some(Rank::new(7))));
/// ```
#[derive(Clone, Debug)]
pub struct RankSetIter<'a> {
    run: Range<usize>,
    runs: slice::Iter<'a, (Range<usize>, ())>,
}

impl<'a> RankSetIter<'a> {
    pub(super) fn new(runs: &'a [(Range<usize>, ())]) -> Self {
        Self { run: 0..0, runs: runs.iter() }
    }
}

impl Iterator for RankSetIter<'_> {
    type Item = Rank;

    #[inline]
    fn next(&mut self) -> Option<Rank> {
        loop {
            if let Some(rank) = self.run.next() {
                return Some(Rank::new(rank));
            }
            self.run = self.runs.next()?.0.clone();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n_left = self.runs.as_slice().iter().map(|(run, ())| run.len()).sum::<usize>();
        (self.run.len() + n_left, Some(self.run.len() + n_left))
    }
}

impl ExactSizeIterator for RankSetIter<'_> {}

impl<'a> IntoIterator for &'a RankSet {
    type Item = Rank;
    type IntoIter = RankSetIter<'a>;

    fn into_iter(self) -> RankSetIter<'a> {
        self.iter()
    }
}
