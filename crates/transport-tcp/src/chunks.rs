//! Bytes on their way out: [`Chunks`].

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Pieces of bytes that are written one after another, many in one call of the system, and none of them
/// copied.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    pieces: VecDeque<Bytes>,
    n_bytes: usize,
}

impl Chunks {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.n_bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Takes all of `first` and puts it before these: as one piece with them, if they are so short.
    pub(crate) fn put_behind(&mut self, first: &mut BytesMut, joined_max: usize) {
        if self.n_bytes <= joined_max {
            self.pieces.drain(..).for_each(|piece| first.extend_from_slice(&piece));
            self.n_bytes = 0;
        }
        self.n_bytes += first.len();
        self.pieces.push_front(first.split().freeze());
    }

    /// Behind these.
    pub(crate) fn extend(&mut self, others: Self) {
        self.n_bytes += others.n_bytes;
        self.pieces.extend(others.pieces);
    }

    /// Whether there is one piece.
    pub(crate) fn is_one(&self) -> bool {
        self.pieces.len() == 1
    }
}

impl From<Bytes> for Chunks {
    fn from(piece: Bytes) -> Self {
        let mut chunks = Self::default();
        chunks.push(piece);
        chunks
    }
}

impl Buf for Chunks {
    fn remaining(&self) -> usize {
        self.n_bytes
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let both = slices.iter_mut().zip(&self.pieces);
        both.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut n: usize) {
        self.n_bytes -= n;
        while let Some(piece) = self.pieces.front_mut() {
            if n < piece.len() {
                return piece.advance(n);
            }
            n -= piece.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_written_in_order_whatever_is_taken_of_them() {
        let pieces = ["ab", "", "cde", "f"];
        for step in 1..=6 {
            let mut chunks = Chunks::default();
            pieces.iter().for_each(|piece| chunks.push(Bytes::from_static(piece.as_bytes())));
            let mut written = Vec::new();
            while chunks.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let n = chunks.chunks_vectored(&mut slices);
                let together: Vec<u8> = slices[..n].iter().flat_map(|it| it.to_vec()).collect();
                let taken = step.min(together.len());
                written.extend_from_slice(&together[..taken]);
                chunks.advance(taken);
            }
            assert_eq!(written, b"abcdef");
        }
    }
}
