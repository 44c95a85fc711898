//! The model of a region: an array with named dims that holds its base ranks one by one.

use mesh_shape::{Extent, Slice};

use super::python::python_range;

/// An array with named dims that holds its base ranks one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Array {
    pub(crate) dims: Vec<(String, usize)>,
    pub(crate) ranks: Vec<usize>,
}

impl Array {
    pub(crate) fn all(sizes: &[usize]) -> Self {
        let dims = sizes.iter().enumerate().map(|(axis, size)| (format!("d{axis}"), *size));
        Self { dims: dims.collect(), ranks: (0..sizes.iter().product()).collect() }
    }

    pub(crate) fn extent(&self) -> Extent {
        Extent::new(self.dims.clone()).expect("the sizes are small")
    }

    pub(crate) fn name(&self, axis: usize) -> &str {
        &self.dims[axis].0
    }

    /// The positions of `axis`, in this order; the axis is dropped if `is_kept` is false.
    pub(crate) fn take(&self, axis: usize, positions: &[usize], is_kept: bool) -> Self {
        let len = self.dims[axis].1;
        let (outer, inner) = (self.product(0..axis), self.product(axis + 1..self.dims.len()));
        let mut ranks = Vec::new();
        for row in 0..outer {
            for position in positions {
                let start = (row * len + position) * inner;
                ranks.extend_from_slice(&self.ranks[start..start + inner]);
            }
        }
        let mut dims = self.dims.clone();
        if is_kept {
            dims[axis].1 = positions.len();
        } else {
            dims.remove(axis);
        }
        Self { dims, ranks }
    }

    /// What basic indexing takes of `axis`; `None` where it is refused.
    pub(crate) fn slice(&self, axis: usize, slice: Slice) -> Option<Self> {
        let len = i128::try_from(self.dims[axis].1).expect("it is small");
        match slice {
            Slice::Index(index) => {
                let at = (0..len).find(|at| [*at, at - len].contains(&(index as i128)))?;
                Some(self.take(axis, &[usize::try_from(at).expect("it is small")], false))
            }
            Slice::Range { step: 0, .. } => None,
            Slice::Range { start, end, step } => {
                let positions = python_range(len, start, end, step as i128);
                Some(self.take(axis, &positions, true))
            }
        }
    }

    pub(crate) fn flip(&self, axis: usize) -> Self {
        let positions: Vec<usize> = (0..self.dims[axis].1).rev().collect();
        self.take(axis, &positions, true)
    }

    /// The dims in the order of `axes`, which are all.
    pub(crate) fn permute(&self, axes: &[usize]) -> Self {
        let dims: Vec<_> = axes.iter().map(|axis| self.dims[*axis].clone()).collect();
        let strides: Vec<usize> =
            axes.iter().map(|axis| self.product(axis + 1..self.dims.len())).collect();
        let ranks = (0..self.ranks.len()).map(|at| {
            let (mut rest, mut from) = (at, 0);
            for ((_, size), stride) in dims.iter().zip(&strides).rev() {
                from += rest % size * stride;
                rest /= size;
            }
            self.ranks[from]
        });
        let ranks = ranks.collect();
        Self { dims, ranks }
    }

    pub(crate) fn squeeze(&self) -> Self {
        let dims = self.dims.iter().filter(|(_, size)| *size != 1).cloned().collect();
        Self { dims, ranks: self.ranks.clone() }
    }

    /// The dims of `axes` as one, in the place of the first of them; `None` if it has no one stride.
    pub(crate) fn flatten(&self, axes: &[usize], into: &str) -> Option<Self> {
        let first = axes.first().copied().unwrap_or(self.dims.len());
        let kept: Vec<usize> = (0..self.dims.len()).filter(|axis| !axes.contains(axis)).collect();
        let place = kept.iter().filter(|axis| **axis < first).count();
        let order = [&kept[..place], axes, &kept[place..]].concat();
        let mut flat = self.permute(&order);
        let len = flat.product(place..place + axes.len());
        let inner = flat.product(place + axes.len()..order.len());
        flat.dims.splice(place..place + axes.len(), [(into.to_owned(), len)]);
        let mut steps = flat.ranks.chunks(len.max(1) * inner.max(1)).flat_map(|row| {
            row.iter().zip(row.iter().skip(inner)).map(|(one, next)| next.wrapping_sub(*one))
        });
        let step = steps.next();
        let is_even = steps.all(|each| Some(each) == step);
        is_even.then_some(flat)
    }

    /// One dim as several, whose sizes make it up.
    pub(crate) fn split(&self, axis: usize, into: &[(&str, usize)]) -> Self {
        let mut dims = self.dims.clone();
        let into = into.iter().map(|(name, size)| ((*name).to_owned(), *size));
        dims.splice(axis..=axis, into);
        Self { dims, ranks: self.ranks.clone() }
    }

    /// One part for each point of `axes`, in the order of these.
    pub(crate) fn group_by(&self, axes: &[usize]) -> Vec<Self> {
        let Some((first, rest)) = axes.split_first() else { return vec![self.clone()] };
        let rest: Vec<usize> = rest.iter().map(|axis| axis - usize::from(axis > first)).collect();
        let parts = (0..self.dims[*first].1).map(|at| self.take(*first, &[at], false));
        parts.flat_map(|part| part.group_by(&rest)).collect()
    }

    pub(crate) fn chunks(&self, axis: usize, len: usize) -> Vec<Self> {
        let positions: Vec<usize> = (0..self.dims[axis].1).collect();
        positions.chunks(len).map(|chunk| self.take(axis, chunk, true)).collect()
    }

    pub(crate) fn windows(&self, axis: usize, len: usize) -> Vec<Self> {
        let positions: Vec<usize> = (0..self.dims[axis].1).collect();
        positions.windows(len).map(|window| self.take(axis, window, true)).collect()
    }

    fn product(&self, axes: std::ops::Range<usize>) -> usize {
        self.dims[axes].iter().map(|(_, size)| size).product()
    }
}
