//! What a worker and its host agent say to each other over the socket pair that the worker inherits
//! as its standard input: frames of a length and a postcard message.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use mesh_core::{Incarnation, MeshLabel, ProcSeat, Stall};
use mesh_shape::{Extent, Rank};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The version of these messages: a worker refuses another.
pub(crate) const VERSION: u32 = 3;

/// The largest frame. A length never buys memory: buffers grow as bytes arrive.
pub(crate) const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The first message to a worker: who it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) mesh: MeshLabel,
    pub(crate) extent: Extent,
    pub(crate) rank: Rank,
    pub(crate) incarnation: Incarnation,
    /// The name that its `main` was registered under.
    pub(crate) entry: String,
    /// How long a handler may run until the worker says that it hangs; and how long it may be silent itself.
    pub(crate) stalled_handler: Duration,
    /// What only the program understands. It may be secret.
    pub(crate) seed: Bytes,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("mesh", &self.mesh)
            .field("rank", &self.rank)
            .field("incarnation", &self.incarnation)
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    Record(Box<Record>),
    Data(Bytes),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// The record was understood and the worker's `main` begins. Where its actors can be reached, if it
    /// has some.
    Ready(Option<Box<ProcSeat>>),
    Data(Bytes),
    /// Its control thread lives; and what hangs in it, if something does. Said again and again, and at once
    /// when that changes.
    Beat(Option<Stall>),
}

impl Record {
    /// How often a worker is to be heard: three lost beats are no silence.
    pub(crate) fn beat_every(&self) -> Duration {
        (self.stalled_handler / 4).max(Duration::from_millis(1))
    }
}

/// Reads frames, keeping what has arrived between calls.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// The next message; `None` at the end of the stream.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// If the stream fails, ends within a frame, or carries what is no message.
    pub(crate) async fn next<M: DeserializeOwned>(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Option<M>> {
        loop {
            if let Some(frame) = self.frame()? {
                return decode(&frame).map(Some);
            }
            if stream.read_buf(&mut self.buffer).await? == 0 {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn frame(&mut self) -> io::Result<Option<Bytes>> {
        let Some(header) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_le_bytes(*header) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(invalid(format!("a frame of {len} bytes is over {FRAME_BYTES_MAX}")));
        }
        if self.buffer.len() < 4 + len {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(len).freeze()))
    }
}

fn decode<M: DeserializeOwned>(frame: &[u8]) -> io::Result<M> {
    match postcard::take_from_bytes(frame) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(invalid(format!("{} bytes are left over in a frame", rest.len()))),
        Err(error) => Err(invalid(error)),
    }
}

/// Writes one message.
///
/// # Errors
///
/// If the message is too large, which writes nothing; or if the stream fails.
pub(crate) async fn write<M: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &M,
) -> io::Result<()> {
    let mut frame = postcard::to_extend(message, vec![0; 4]).map_err(invalid)?;
    let len = frame.len() - 4;
    if len > FRAME_BYTES_MAX {
        return Err(invalid(format!("a message of {len} bytes is over {FRAME_BYTES_MAX}")));
    }
    frame[..4].copy_from_slice(&u32::try_from(len).map_err(invalid)?.to_le_bytes());
    stream.write_all(&frame).await
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_survive_a_stream_that_is_cut_anywhere() {
        let mut bytes = Vec::new();
        let sent = [
            FromWorker::Ready(None),
            FromWorker::Data(vec![7; 300].into()),
            FromWorker::Data(Bytes::new()),
            FromWorker::Beat(None),
            FromWorker::Beat(Some(Stall::Suspended { signal: 19 })),
        ];
        for message in &sent {
            write(&mut bytes, message).await.unwrap();
        }
        for cut in 0..bytes.len() {
            let mut stream = AsyncReadExt::chain(&bytes[..cut], &bytes[cut..]);
            let mut reader = FrameReader::default();
            let mut received = Vec::new();
            while let Some(message) = reader.next::<FromWorker>(&mut stream).await.unwrap() {
                received.push(message);
            }
            assert_eq!(received, sent);
        }
    }

    #[tokio::test]
    async fn what_is_no_message_is_an_error() {
        let frames: [(&[u8], io::ErrorKind); 4] = [
            (&[255, 255, 255, 255], io::ErrorKind::InvalidData),
            (&[9, 0, 0, 0, 1], io::ErrorKind::UnexpectedEof),
            (&[1, 0, 0, 0, 77], io::ErrorKind::InvalidData),
            (&[3, 0, 0, 0, 0, 0, 0], io::ErrorKind::InvalidData),
        ];
        for (mut bytes, kind) in frames {
            let error = FrameReader::default().next::<FromWorker>(&mut bytes).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{bytes:?}");
        }
    }
}
