//! The writing half of a connection while its task has nothing to write. Whoever sends a call or an answer
//! may then use it, and need not wait until the task has been woken.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// The writing half of a connection.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A writing half that anybody may use who holds the lock of the session.
pub(crate) struct Parked {
    pub(crate) connection: u64,
    writer: Writer,
    /// What the socket has not taken: the task writes it before anything else.
    rest: Bytes,
    /// What was taken is all on its way. A TLS connection takes what it cannot send yet.
    is_flushed: bool,
}

impl Parked {
    pub(crate) const fn new(connection: u64, writer: Writer) -> Self {
        Self { connection, writer, rest: Bytes::new(), is_flushed: true }
    }

    /// Whether nothing waits to be written by the task.
    pub(crate) fn is_clear(&self) -> bool {
        self.rest.is_empty() && self.is_flushed
    }

    /// Writes what the socket takes now, and keeps the rest, behind what is kept already.
    pub(crate) fn write(&mut self, bytes: Bytes) {
        if !self.is_clear() {
            self.rest = [&self.rest[..], &bytes].concat().into();
            return;
        }
        self.rest = bytes;
        // The task that is woken for the rest asks again, with a waker of its own; and fails as this did.
        let mut cx = Context::from_waker(Waker::noop());
        while !self.rest.is_empty() {
            match Pin::new(&mut self.writer).poll_write(&mut cx, &self.rest) {
                Poll::Ready(Ok(n)) if n > 0 => self.rest.advance(n),
                Poll::Ready(_) | Poll::Pending => return,
            }
        }
        let flushed = Pin::new(&mut self.writer).poll_flush(&mut cx);
        self.is_flushed = matches!(flushed, Poll::Ready(Ok(())));
    }

    /// The writing half, and what is to be written first.
    pub(crate) fn into_parts(self) -> (Writer, Bytes) {
        (self.writer, self.rest)
    }
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").field("connection", &self.connection).finish_non_exhaustive()
    }
}
