//! A fixed list of a few small values, kept without allocation while it has at most six.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// Meshes have rarely more than six dims, and a view is made for every slice that is looked at.
const INLINE: usize = 6;

/// A short list of plain values.
///
/// What is inline is one block that is copied whole. As a variant of an enum it would be copied in
/// pieces, and to read back at once what was just written in pieces stalls a processor: a clone of a
/// region would take a quarter longer.
pub(crate) struct InlineVec<T> {
    inline: Inline<T>,
    /// All values, if they are more than [`INLINE`].
    spilled: Option<Box<[T]>>,
}

#[derive(Clone, Copy)]
struct Inline<T> {
    items: [T; INLINE],
    // Invariant: at most `INLINE`; 0 if the values are spilled.
    len: usize,
}

impl<T: Copy + Default> InlineVec<T> {
    /// `len` default values.
    #[inline]
    pub(crate) fn of_len(len: usize) -> Self {
        let items = [T::default(); INLINE];
        if len <= INLINE {
            Self { inline: Inline { items, len }, spilled: None }
        } else {
            let spilled = Some(vec![T::default(); len].into());
            Self { inline: Inline { items, len: 0 }, spilled }
        }
    }

    /// Takes the item at `place` out, if there is one.
    #[inline]
    pub(crate) fn remove(&mut self, place: usize) {
        let len = self.len();
        if place >= len {
            return;
        }
        for at in place..len - 1 {
            self[at] = self[at + 1];
        }
        match &self.spilled {
            None => self.inline.len = len - 1,
            Some(spilled) => *self = Self::from(spilled.get(..len - 1).unwrap_or_default()),
        }
    }
}

impl<T: Copy> Clone for InlineVec<T> {
    #[inline]
    fn clone(&self) -> Self {
        Self { inline: self.inline, spilled: self.spilled.as_deref().map(Box::from) }
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
        let Inline { items, len } = &self.inline;
        self.spilled.as_deref().unwrap_or_else(|| items.get(..*len).unwrap_or(items))
    }
}

impl<T> DerefMut for InlineVec<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        let Inline { items, len } = &mut self.inline;
        self.spilled.as_deref_mut().unwrap_or_else(|| &mut items[..(*len).min(INLINE)])
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
            assert_eq!(list.spilled.is_some(), len > INLINE);
            for place in 0..len + 2 {
                let mut shorter = list.clone();
                shorter.remove(place);
                assert!(shorter.iter().eq(items.iter().filter(|item| **item != place)));
                assert_eq!(shorter.spilled.is_some(), shorter.len() > INLINE);
            }
        }
    }
}
