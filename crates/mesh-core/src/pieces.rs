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
#[derive(Default)]
pub struct Pieces {
    /// All bytes that are not shared.
    own: Vec<u8>,
    /// What is shared, and after how many of `own` it comes.
    shared: Vec<(usize, Bytes)>,
    n_shared: usize,
}

impl Pieces {
    /// None, with room for so many bytes that are not shared.
    #[must_use]
    pub fn with_capacity(n: usize) -> Self {
        Self { own: Vec::with_capacity(n), ..Self::default() }
    }

    /// Adds one byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.own.push(byte);
    }

    /// Adds bytes by copying them.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.own.extend_from_slice(bytes);
    }

    /// Adds bytes as they are.
    pub fn share(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.n_shared += bytes.len();
            self.shared.push((self.own.len(), bytes));
        }
    }

    /// How many bytes there are.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.own.len() + self.n_shared
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets go of all of them, and of memory that most messages do not need.
    #[inline]
    pub fn clear(&mut self) {
        self.own.clear();
        self.own.shrink_to(KEPT_MAX);
        self.shared.clear();
        self.n_shared = 0;
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
        self.n_shared = 0;
        pieces
    }

    /// Takes the bytes as one piece: copied, unless they are one.
    pub fn take(&mut self) -> Bytes {
        let n = self.len();
        let mut pieces = self.take_pieces();
        match pieces.pop() {
            None => Bytes::new(),
            Some(only) if pieces.is_empty() => only,
            Some(last) => {
                pieces.push(last);
                let mut all = Vec::with_capacity(n);
                pieces.iter().for_each(|piece| all.extend_from_slice(piece));
                all.into()
            }
        }
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pieces({} B, {} B of them shared)", self.len(), self.n_shared)
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
