//! Frames and their bytes.
//!
//! A frame is `length: u32`, little endian, of what follows; `kind: u8`; and what the kind has. The
//! length buys no memory: it is only compared with what has arrived, and with the limit.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mesh_core::{Body, Envelope, Head};
use serde::{Deserialize, Serialize};

/// One whole message on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// An envelope.
    Data { seq: u64, head: Head, body: Bytes },
    /// How far the sender of this has received, and how much it may be sent.
    Ack(Ack),
    /// Nothing: the sender of this lives.
    Ping,
    /// The sender of this ends the session.
    Close,
}

/// Cumulative, so that an old one, or the same twice, does no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ack {
    /// The number of the next envelope that is expected: all before it have arrived.
    pub(crate) received: u64,
    /// How many bytes may be sent in the whole session.
    pub(crate) granted: u64,
}

/// An envelope as it is sent, and sent again: it is encoded once.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) head: EncodedHead,
    pub(crate) body: Bytes,
}

/// The bytes of a head. All but those with a long cause are short, and need no memory of their own.
#[derive(Clone, Debug)]
pub(crate) enum EncodedHead {
    Short([u8; SHORT], usize),
    Long(Vec<u8>),
}

/// Bytes that are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a frame of {bytes} bytes, where {max} are allowed")]
    TooLong { bytes: usize, max: usize },
    #[error("a frame of the unknown kind {0}")]
    UnknownKind(u8),
    #[error("a frame that is not as its kind has it")]
    Garbled,
}

const DATA: u8 = 1;
const ACK: u8 = 2;
const PING: u8 = 3;
const CLOSE: u8 = 4;

/// What comes before every frame: its length.
const PREFIX: usize = 4;

/// How long a head is that needs no memory of its own.
const SHORT: usize = 120;

/// What a frame has besides its body, at most: enough for every head with a cause of ordinary length.
pub(crate) const HEAD_MAX: usize = 64 * 1024;

impl EncodedHead {
    /// Encodes a head. `None` if it is longer than a head may be.
    pub(crate) fn new(head: &Head) -> Option<Self> {
        let mut short = [0; SHORT];
        let n = postcard::to_slice(head, &mut short).map(|written| written.len());
        let head = match n {
            Ok(n) => Self::Short(short, n),
            Err(_) => Self::Long(postcard::to_stdvec(head).ok()?),
        };
        (head.bytes().len() <= HEAD_MAX).then_some(head)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, n) => bytes.get(..*n).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Encoded {
    /// `None` if the head is longer than a head may be.
    pub(crate) fn new(head: &Head, body: Bytes) -> Option<Self> {
        Some(Self { head: EncodedHead::new(head)?, body })
    }
}

/// How long the frame of an envelope is.
pub(crate) fn data_len(head: &EncodedHead, body: usize) -> usize {
    PREFIX + 1 + 8 + 4 + head.bytes().len() + body
}

/// Writes all of an envelope but its body, which follows.
pub(crate) fn put_data(seq: u64, head: &EncodedHead, body: usize, buffer: &mut BytesMut) {
    let length = data_len(head, body) - PREFIX;
    buffer.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
    buffer.put_u8(DATA);
    buffer.put_u64_le(seq);
    let head = head.bytes();
    buffer.put_u32_le(u32::try_from(head.len()).unwrap_or(u32::MAX));
    buffer.put_slice(head);
}

/// How long the frame is, all of it, that `bytes` begins with.
pub(crate) fn frame_len(bytes: &[u8]) -> usize {
    bytes.first_chunk().map_or(0, |length| PREFIX + u32::from_le_bytes(*length) as usize)
}

/// The envelope in a frame of ours, whose body may be elsewhere.
pub(crate) fn own_envelope(mut frame: Bytes, body: Option<Bytes>) -> Option<Envelope> {
    frame.advance(PREFIX.min(frame.len()));
    match parse(frame) {
        Ok(Frame::Data { head, body: within, .. }) => {
            Some(Envelope { head, body: Body::Bytes(body.unwrap_or(within)) })
        }
        Ok(_) | Err(_) => None,
    }
}

impl Ack {
    pub(crate) fn put(self, buffer: &mut BytesMut) {
        buffer.put_u32_le(17);
        buffer.put_u8(ACK);
        buffer.put_u64_le(self.received);
        buffer.put_u64_le(self.granted);
    }
}

pub(crate) fn put_ping(buffer: &mut BytesMut) {
    buffer.put_u32_le(1);
    buffer.put_u8(PING);
}

pub(crate) fn put_close(buffer: &mut BytesMut) {
    buffer.put_u32_le(1);
    buffer.put_u8(CLOSE);
}

/// Takes the next frame off `buffer`, if all of it is there. `max` is how long one may be.
pub(crate) fn take_frame(buffer: &mut BytesMut, max: usize) -> Result<Option<Frame>, Malformed> {
    let Some(length) = buffer.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > max {
        return Err(Malformed::TooLong { bytes: length, max });
    }
    if buffer.len() < PREFIX + length {
        return Ok(None);
    }
    buffer.advance(PREFIX);
    parse(buffer.split_to(length).freeze()).map(Some)
}

/// The frame that these bytes are, all of them, without their length.
fn parse(mut frame: Bytes) -> Result<Frame, Malformed> {
    let kind = frame.try_get_u8().or(Err(Malformed::Garbled))?;
    match kind {
        DATA => data(frame).ok_or(Malformed::Garbled),
        ACK => ack(frame).ok_or(Malformed::Garbled),
        PING if frame.is_empty() => Ok(Frame::Ping),
        CLOSE if frame.is_empty() => Ok(Frame::Close),
        PING | CLOSE => Err(Malformed::Garbled),
        unknown => Err(Malformed::UnknownKind(unknown)),
    }
}

fn data(mut frame: Bytes) -> Option<Frame> {
    let seq = frame.try_get_u64_le().ok()?;
    let length = frame.try_get_u32_le().ok()? as usize;
    if length > HEAD_MAX {
        return None;
    }
    let (head, []) = postcard::take_from_bytes(frame.get(..length)?).ok()? else { return None };
    frame.advance(length);
    Some(Frame::Data { seq, head, body: frame })
}

fn ack(mut frame: Bytes) -> Option<Frame> {
    let received = frame.try_get_u64_le().ok()?;
    let granted = frame.try_get_u64_le().ok()?;
    frame.is_empty().then_some(Frame::Ack(Ack { received, granted }))
}

#[cfg(test)]
mod tests;
