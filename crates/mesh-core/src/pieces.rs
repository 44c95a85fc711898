//! The bytes of one message as they are encoded: [`Pieces`].

use std::fmt;

use bytes::Bytes;

/// What a message is encoded into: bytes one after the other, and among them pieces of memory that others have
/// and that are not copied.
///
/// Whoever sends many messages uses one for all of them, so that encoding a short one asks for no memory.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use mesh_core::Pieces;
///
/// let mut pieces = Pieces::default();
/// pieces.extend_from_slice(b"ab");
/// pieces.share(Bytes::from_static(b"cde"));
/// pieces.extend_from_slice(b"f");
/// assert_eq!(pieces.iter().collect::<Vec<_>>(), [&b"ab"[..], b"cde", b"f"]);
/// assert_eq!(pieces.take(), "abcdef");
/// assert!(pieces.is_empty());
/// ```
pub struct Pieces {
    /// All bytes that are not shared.
    own: Vec<u8>,
    /// What is shared, and after how many of `own` it comes.
    shared: Vec<(usize, Bytes)>,
    /// How many bytes were added.
    n: usize,
    /// How many are kept.
    max: usize,
}

impl Pieces {
    /// None, with room for so many bytes that are not shared.
    #[must_use]
    pub fn with_capacity(n: usize) -> Self {
        Self { own: Vec::with_capacity(n), ..Self::default() }
    }

    /// None, which keep what is added until that is more than so many bytes. The rest is counted, and takes no memory: of a
    /// message that is too large it is known by how much, and it can be taken for no whole one, since its
    /// [length](Self::len) says so.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut pieces = mesh_core::Pieces::at_most(3);
    /// pieces.extend_from_slice(b"ab");
    /// pieces.extend_from_slice(b"cd");
    /// assert_eq!((pieces.len(), pieces.take()), (4, "ab".into()));
    /// ```
    #[must_use]
    pub fn at_most(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// Adds one byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        if self.has_room_for(1) {
            self.own.push(byte);
        }
    }

    /// Adds bytes by copying them.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        if self.has_room_for(bytes.len()) {
            self.own.extend_from_slice(bytes);
        }
    }

    /// Adds bytes as they are.
    pub fn share(&mut self, bytes: Bytes) {
        if self.has_room_for(bytes.len()) && !bytes.is_empty() {
            self.shared.push((self.own.len(), bytes));
        }
    }

    /// Counts so many more, and says whether they are to be kept: after those that are not none is.
    #[inline]
    const fn has_room_for(&mut self, more: usize) -> bool {
        self.n = self.n.saturating_add(more);
        self.n <= self.max
    }

    /// How many bytes were added: what there is, unless that is more than is [kept](Self::at_most).
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        self.n
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets go of all of them, and of memory that most messages do not need.
    #[inline]
    pub fn clear(&mut self) {
        self.own.clear();
        self.own.shrink_to(KEPT_MAX);
        self.shared.clear();
        self.n = 0;
    }

    /// The bytes, piece by piece.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let shared = self.shared.iter();
        let mut at = 0;
        let upto = shared.map(|(after, bytes)| (*after, &bytes[..]));
        let last = std::iter::once((self.own.len(), &[][..]));
        let pairs = upto.chain(last).map(move |(after, bytes)| {
            let before = self.own.get(at..after).unwrap_or_default();
            at = after;
            [before, bytes]
        });
        pairs.flatten().filter(|piece| !piece.is_empty())
    }

    /// Takes the bytes, in as few pieces as there are. None is copied.
    pub fn take_pieces(&mut self) -> Vec<Bytes> {
        let own = Bytes::from(std::mem::take(&mut self.own));
        let mut pieces = Vec::with_capacity(2 * self.shared.len() + 1);
        let mut at = 0;
        for (after, bytes) in self.shared.drain(..) {
            pieces.push(own.slice(at..after));
            pieces.push(bytes);
            at = after;
        }
        pieces.push(own.slice(at..));
        pieces.retain(|piece| !piece.is_empty());
        self.n = 0;
        pieces
    }

    /// Takes the bytes as one piece: copied, unless they are one.
    pub fn take(&mut self) -> Bytes {
        let mut pieces = self.take_pieces();
        match pieces.pop() {
            None => Bytes::new(),
            Some(only) if pieces.is_empty() => only,
            Some(last) => {
                pieces.push(last);
                let mut all = Vec::with_capacity(pieces.iter().map(Bytes::len).sum());
                pieces.iter().for_each(|piece| all.extend_from_slice(piece));
                all.into()
            }
        }
    }
}

impl Default for Pieces {
    fn default() -> Self {
        Self { own: Vec::new(), shared: Vec::new(), n: 0, max: usize::MAX }
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_shared: usize = self.shared.iter().map(|(_, bytes)| bytes.len()).sum();
        write!(f, "Pieces({} B, {n_shared} B of them shared)", self.len())
    }
}

/// How much memory is kept for the next message.
const KEPT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_same_bytes_however_they_are_taken() {
        for order in 0..32_u8 {
            let (mut pieces, mut expected) = (Pieces::default(), Vec::new());
            for at in 0..5 {
                let some = [at; 3];
                if order >> at & 1 == 1 {
                    pieces.share(Bytes::copy_from_slice(&some));
                } else {
                    pieces.extend_from_slice(&some);
                }
                expected.extend_from_slice(&some);
            }
            assert_eq!(pieces.len(), expected.len());
            assert_eq!(pieces.iter().collect::<Vec<_>>().concat(), expected);
            assert_eq!(pieces.take(), expected);
            assert_eq!((pieces.len(), pieces.iter().count()), (0, 0));
        }
    }

    #[test]
    fn what_is_beyond_the_limit_is_counted_and_not_kept() {
        let mut pieces = Pieces::at_most(5);
        for _ in 0..2 {
            pieces.share(Bytes::from_static(b"ab"));
            pieces.extend_from_slice(b"cde");
            assert_eq!((pieces.len(), pieces.iter().collect::<Vec<_>>().concat().len()), (5, 5));
            pieces.push(b'f');
            pieces.extend_from_slice(&[0; 100]);
            pieces.share(Bytes::from_static(&[0; 1000]));
            assert_eq!((pieces.len(), pieces.take()), (1106, "abcde".into()));
        }
        pieces.extend_from_slice(&[0; 6]);
        assert_eq!((pieces.len(), pieces.own.capacity()), (6, 0));
        pieces.push(1);
        assert_eq!(pieces.iter().count(), 0, "and nothing after it");
        pieces.clear();
        pieces.push(1);
        assert_eq!((pieces.len(), pieces.iter().count()), (1, 1));
    }

    #[test]
    fn what_is_shared_is_not_copied() {
        let bytes = Bytes::from(vec![7; 100]);
        let mut pieces = Pieces::default();
        pieces.push(1);
        pieces.share(bytes.clone());
        let taken = pieces.take_pieces();
        assert_eq!(taken.iter().map(Bytes::len).collect::<Vec<_>>(), [1, 100]);
        assert_eq!(taken[1].as_ptr(), bytes.as_ptr());
        pieces.share(bytes.clone());
        assert_eq!(pieces.take().as_ptr(), bytes.as_ptr());
    }
}
