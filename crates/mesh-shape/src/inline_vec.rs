//! A fixed list of a few small values, kept without allocation while it has at most six.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// Meshes have rarely more than six dims, and a view is made for every slice that is looked at.
const INLINE: usize = 6;

/// A list whose length is set when it is made.
#[derive(Clone)]
pub(crate) enum InlineVec<T> {
    // Invariant: `len <= INLINE`. A byte, so that the list is one word larger than its items.
    Inline { items: [T; INLINE], len: u8 },
    Heap(Box<[T]>),
}

impl<T: Copy + Default> InlineVec<T> {
    /// `len` default values.
    #[inline]
    pub(crate) fn of_len(len: usize) -> Self {
        match u8::try_from(len) {
            Ok(inline) if len <= INLINE => {
                Self::Inline { items: [T::default(); INLINE], len: inline }
            }
            _ => Self::Heap(vec![T::default(); len].into()),
        }
    }

    /// Takes the item at `place` out, if there is one.
    #[inline]
    pub(crate) fn remove(&mut self, place: usize) {
        let n_left = self.len().saturating_sub(usize::from(place < self.len()));
        for at in place..n_left {
            self[at] = self[at + 1];
        }
        match self {
            Self::Inline { len, .. } => *len = (*len).min(n_left as u8),
            Self::Heap(items) => *self = Self::from(items.get(..n_left).unwrap_or_default()),
        }
    }
}

impl<T: Copy + Default> InlineVec<T> {
    /// The values that `item` gives for `0..len`.
    #[inline]
    pub(crate) fn from_fn(len: usize, mut item: impl FnMut(usize) -> T) -> Self {
        let mut list = Self::of_len(len);
        for (at, slot) in list.iter_mut().enumerate() {
            *slot = item(at);
        }
        list
    }
}

impl<T: Copy + Default> From<&[T]> for InlineVec<T> {
    fn from(items: &[T]) -> Self {
        let mut list = Self::of_len(items.len());
        list.copy_from_slice(items);
        list
    }
}

impl<T> Deref for InlineVec<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Inline { items, len } => items.get(..usize::from(*len)).unwrap_or(items),
            Self::Heap(items) => items,
        }
    }
}

impl<T> DerefMut for InlineVec<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Inline { items, len } => &mut items[..usize::from(*len).min(INLINE)],
            Self::Heap(items) => items,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for InlineVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: PartialEq> PartialEq for InlineVec<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for InlineVec<T> {}

impl<T: Hash> Hash for InlineVec<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_kept_inline_or_not() {
        for len in 0..10_usize {
            let items: Vec<usize> = (0..len).collect();
            let list = InlineVec::from(&*items);
            assert_eq!(*list, *items);
            assert_eq!(matches!(list, InlineVec::Heap(_)), len > INLINE);
            for place in 0..len + 2 {
                let mut shorter = list.clone();
                shorter.remove(place);
                assert!(shorter.iter().eq(items.iter().filter(|item| **item != place)));
                assert_eq!(matches!(shorter, InlineVec::Heap(_)), shorter.len() > INLINE);
            }
        }
    }
}
