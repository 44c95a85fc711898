//! The writing half of a connection while its task has nothing to write. Whoever sends a call or an answer
//! may then use it, and need not wait until the task has been woken.

use std::fmt;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Buf;
use tokio::io::AsyncWrite;

use crate::chunks::Chunks;

/// The writing half of a connection.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A writing half that anybody may use who holds the lock of the session.
pub(crate) struct Parked {
    pub(crate) connection: u64,
    writer: Writer,
    /// What the socket has not taken: the task writes it before anything else.
    rest: Chunks,
    /// What was taken is all on its way. A TLS connection takes what it cannot send yet.
    is_flushed: bool,
}

impl Parked {
    pub(crate) fn new(connection: u64, writer: Writer) -> Self {
        Self { connection, writer, rest: Chunks::default(), is_flushed: true }
    }

    /// Whether nothing waits to be written by the task.
    pub(crate) fn is_clear(&self) -> bool {
        !self.rest.has_remaining() && self.is_flushed
    }

    /// Writes what the socket takes now, and keeps the rest, behind what is kept already.
    pub(crate) fn write(&mut self, chunks: Chunks) {
        if !self.is_clear() {
            return self.rest.extend(chunks);
        }
        self.rest = chunks;
        // The task that is woken for the rest asks again, with a waker of its own; and fails as this did.
        let mut cx = Context::from_waker(Waker::noop());
        while self.rest.has_remaining() {
            let writer = Pin::new(&mut self.writer);
            let written = if self.rest.is_one() || !writer.is_write_vectored() {
                writer.poll_write(&mut cx, self.rest.chunk())
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let n = self.rest.chunks_vectored(&mut slices);
                writer.poll_write_vectored(&mut cx, &slices[..n])
            };
            match written {
                Poll::Ready(Ok(n)) if n > 0 => self.rest.advance(n),
                Poll::Ready(_) | Poll::Pending => return,
            }
        }
        let flushed = Pin::new(&mut self.writer).poll_flush(&mut cx);
        self.is_flushed = matches!(flushed, Poll::Ready(Ok(())));
    }

    /// The writing half, and what is to be written first.
    pub(crate) fn into_parts(self) -> (Writer, Chunks) {
        (self.writer, self.rest)
    }
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// How many pieces go out in one call of the system.
const SLICES: usize = 8;
