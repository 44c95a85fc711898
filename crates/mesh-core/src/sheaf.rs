//! Short messages that stand one behind the other in the memory that they were read into: [`Sheaf`].

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

/// Messages that are parts of one piece of memory. So none of them needs a count of references of its own, and they
/// are handed on together.
///
/// # Examples
///
/// ```
/// use mesh_core::Sheaf;
///
/// let mut sheaf = Sheaf::new("..one...two".into(), [2..5, 8..11]);
/// assert_eq!((sheaf.len(), sheaf.first()), (2, &b"one"[..]));
/// assert_eq!(sheaf.pop(), Some("one".into()));
/// assert_eq!(sheaf.first(), b"two");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheaf {
    all: Bytes,
    parts: VecDeque<Range<u32>>,
}

impl Sheaf {
    /// These parts of `all`, in order. What is not within it is empty.
    pub fn new(all: Bytes, parts: impl IntoIterator<Item = Range<u32>>) -> Self {
        Self { all, parts: parts.into_iter().collect() }
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// How many bytes the message in this place has, if there is one.
    #[must_use]
    #[inline]
    pub fn length(&self, place: usize) -> Option<usize> {
        self.parts.get(place).map(|part| range(part).len())
    }

    /// The first message; empty if there is none.
    #[must_use]
    #[inline]
    pub fn first(&self) -> &[u8] {
        self.parts.front().and_then(|part| self.all.get(range(part))).unwrap_or_default()
    }

    /// The memory that all of them are in.
    #[must_use]
    #[inline]
    pub const fn all(&self) -> &Bytes {
        &self.all
    }

    /// Lets go of the first message.
    #[inline]
    pub fn skip(&mut self) {
        self.parts.pop_front();
    }

    /// Takes out the first message, which shares the memory.
    pub fn pop(&mut self) -> Option<Bytes> {
        let part = range(&self.parts.pop_front()?);
        Some(if self.all.get(part.clone()).is_some() { self.all.slice(part) } else { Bytes::new() })
    }

    /// Takes out the first `n` messages; all, if there are no more.
    #[must_use]
    pub fn split_to(&mut self, n: usize) -> Self {
        if n >= self.len() {
            return std::mem::take(self);
        }
        Self { all: self.all.clone(), parts: self.parts.drain(..n).collect() }
    }
}

#[inline]
const fn range(part: &Range<u32>) -> Range<usize> {
    part.start as usize..part.end as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheaf() -> Sheaf {
        Sheaf::new("-a-bc--def".into(), [1..2, 3..5, 5..5, 7..10])
    }

    fn rest(mut sheaf: Sheaf) -> Vec<Bytes> {
        std::iter::from_fn(|| sheaf.pop()).collect()
    }

    #[test]
    fn a_sheaf_comes_apart_into_its_messages_wherever_it_is_cut() {
        let all = ["a", "bc", "", "def"];
        let lengths = [Some(1), Some(2), Some(0), Some(3), None];
        assert_eq!([0, 1, 2, 3, 4].map(|place| sheaf().length(place)), lengths);
        for n in 0..=all.len() + 1 {
            let mut last = sheaf();
            let first = last.split_to(n);
            assert_eq!(first.len(), n.min(all.len()));
            assert_eq!([rest(first), rest(last)].concat(), all);
        }
        let mut skipped = sheaf();
        skipped.skip();
        assert_eq!(skipped.first(), b"bc");
        assert_eq!(rest(skipped), ["bc", "", "def"]);
    }

    #[test]
    fn a_part_of_nothing_is_empty() {
        let mut outside = Sheaf::new("abc".into(), std::iter::once(2..5));
        assert_eq!(outside.first(), b"");
        assert_eq!((outside.pop(), outside.pop()), (Some(Bytes::new()), None));
        assert!(outside.is_empty() && outside.first().is_empty());
    }
}
