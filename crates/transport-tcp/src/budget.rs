//! How much somebody may say before it is known who it is.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes may be read from a connection. Until it is [lifted](Self::lift), it is what the handshakes
/// of TLS and of the mesh may take together.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<AtomicU64>);

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// It is known who is there.
    pub(crate) fn lift(&self) {
        self.0.store(UNLIMITED, Ordering::Relaxed);
    }
}

/// A connection with a budget: reading fails when that is used up.
#[derive(Debug)]
pub(crate) struct Budgeted<S> {
    stream: S,
    budget: Budget,
}

impl<S> Budgeted<S> {
    pub(crate) const fn new(stream: S, budget: Budget) -> Self {
        Self { stream, budget }
    }

    /// The connection itself, when it is known who is there.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

/// The budget is used up.
#[derive(Debug, thiserror::Error)]
#[error("too much was said before it was known who says it")]
struct TooMuch;

/// Whether it was the budget that has ended a connection.
pub(crate) fn is_used_up(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooMuch>())
}

impl<S: AsyncRead + Unpin> AsyncRead for Budgeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Only the one that reads takes from it, and whoever lifts it does so between two reads.
        let left = self.budget.0.load(Ordering::Relaxed);
        if left == UNLIMITED {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        if left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, TooMuch)));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most.min(buffer.remaining())));
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        let read = part.filled().len();
        buffer.advance(read);
        self.budget.0.store(left - read as u64, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Budgeted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

const UNLIMITED: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_budget_ends_a_connection_unless_it_is_lifted() {
        let budget = Budget::new(6);
        let mut stream = Budgeted::new(&b"0123456789"[..], budget.clone());
        let mut text = [0; 6];
        stream.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"012345");
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!((error.kind(), is_used_up(&error)), (io::ErrorKind::InvalidData, true));
        budget.lift();
        assert_eq!(stream.read_u8().await.unwrap(), b'6');
    }
}
