//! Frames and their bytes.
//!
//! A frame is `length: u32`, little endian, of what follows; `kind: u8`; and what the kind has. The
//! length buys no memory: it is only compared with what has arrived, and with the limit.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mesh_core::{Body, Envelope, Head, Pieces, Sheaf};
use serde::{Deserialize, Serialize};

/// One whole message on a connection, or some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// An envelope.
    Data { seq: u64, head: Head, body: Bytes },
    /// Short casts, each a frame, that have the same head and numbers one after the other.
    Casts(Run),
    /// How far the sender of this has received, and how much it may be sent.
    Ack(Ack),
    /// Nothing: the sender of this lives.
    Ping,
    /// The sender of this ends the session.
    Close,
}

impl Frame {
    /// How many frames it is.
    pub(crate) fn n_frames(&self) -> usize {
        match self {
            Self::Casts(run) => run.bodies.len(),
            Self::Data { .. } | Self::Ack(_) | Self::Ping | Self::Close => 1,
        }
    }
}

/// Casts that follow each other and are alike but for their bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The number of the first.
    pub(crate) seq: u64,
    pub(crate) head: Head,
    pub(crate) bodies: Sheaf,
}

/// Cumulative, so that an old one, or the same twice, does no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ack {
    /// The number of the next envelope that is expected: all before it have arrived.
    pub(crate) received: u64,
    /// How many bytes may be sent in the whole session.
    pub(crate) granted: u64,
}

/// An envelope as it is sent, and sent again: it is encoded once. Many are encoded into one of these, one after the
/// other.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    /// The bytes of the head. Behind each other many are alike: `of` is a cast whose head these are.
    head: Vec<u8>,
    of: Option<Head>,
    pub(crate) body: Pieces,
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

/// What comes before the head of an envelope: its length, its kind, its number, and how long the head is.
const FIXED: usize = PREFIX + 1 + 8 + 4;

/// Casts whose frames are longer are not put together.
const SHORT_FRAME: usize = 4 * 1024;

/// How long most heads are at most: memory for so much is kept.
const SHORT: usize = 120;

/// What a frame has besides its body, at most: enough for every head with a cause of ordinary length.
pub(crate) const HEAD_MAX: usize = 64 * 1024;

impl Encoded {
    /// What has frames of so many bytes: of a body that does not fit no more is kept.
    pub(crate) fn at_most(frame_max: usize) -> Self {
        Self { body: Pieces::at_most(frame_max), ..Self::default() }
    }

    /// Encodes a head in the place of the one before. `false` if it is longer than a head may be.
    pub(crate) fn set_head(&mut self, head: &Head) -> bool {
        if self.of.as_ref() == Some(head) {
            return true;
        }
        self.of = None;
        let mut buffer = std::mem::take(&mut self.head);
        buffer.clear();
        buffer.shrink_to(SHORT);
        match postcard::to_extend(head, buffer) {
            Ok(bytes) => self.head = bytes,
            Err(_) => return false,
        }
        if matches!(head, Head::Cast { .. }) {
            self.of = Some(head.clone());
        }
        self.head.len() <= HEAD_MAX
    }

    /// How long its frame is.
    pub(crate) fn len(&self) -> usize {
        FIXED + self.head.len() + self.body.len()
    }

    /// Writes the frame with all but its body, which follows.
    pub(crate) fn put_head(&self, seq: u64, buffer: &mut BytesMut) {
        let length = self.len() - PREFIX;
        buffer.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
        buffer.put_u8(DATA);
        buffer.put_u64_le(seq);
        buffer.put_u32_le(u32::try_from(self.head.len()).unwrap_or(u32::MAX));
        buffer.put_slice(&self.head);
    }

    /// Writes the frame. All of it is copied.
    pub(crate) fn put(&self, seq: u64, buffer: &mut BytesMut) {
        self.put_head(seq, buffer);
        self.body.iter().for_each(|piece| buffer.put_slice(piece));
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Frame {
    /// The same frames one by one.
    pub(crate) fn apart(self) -> Vec<Self> {
        let Self::Casts(Run { seq, head, mut bodies }) = self else { return vec![self] };
        let bodies = std::iter::from_fn(move || bodies.pop()).zip(0..);
        let data = |(body, n)| Self::Data { seq: seq + n, head: head.clone(), body };
        bodies.map(data).collect()
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Encoded {
    /// `None` if the head is longer than a head may be.
    pub(crate) fn new(head: &Head, body: Bytes) -> Option<Self> {
        let mut encoded = Self::default();
        encoded.body.share(body);
        encoded.set_head(head).then_some(encoded)
    }
}

/// How long the frame is, all of it, that `bytes` begins with.
pub(crate) fn frame_len(bytes: &[u8]) -> usize {
    bytes.first_chunk().map_or(0, |length| PREFIX + u32::from_le_bytes(*length) as usize)
}

/// The envelope in a frame of ours, the rest of whose body may be elsewhere.
pub(crate) fn own_envelope(frame: Bytes, rest: Vec<Bytes>) -> Option<Envelope> {
    let (_, head, at) = data(frame.get(PREFIX + 1..)?, &mut KnownHead::default())?;
    let mut body = Pieces::default();
    let within = frame.slice(PREFIX + 1 + at..);
    std::iter::once(within).chain(rest).for_each(|piece| body.share(piece));
    Some(Envelope { head, body: Body::Bytes(body.take()) })
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

/// A head and its bytes. Behind each other many are alike, and each is decoded once.
#[derive(Debug, Default)]
pub(crate) struct KnownHead {
    bytes: Vec<u8>,
    head: Option<Head>,
}

impl KnownHead {
    /// If `buffer` begins with a whole frame that is a short envelope with this head: its number, where its body begins,
    /// and how long it is.
    #[inline]
    fn repeated(&self, buffer: &[u8], max: usize) -> Option<(u64, usize, usize)> {
        let length = frame_len(buffer);
        let (fixed, rest) = buffer.get(..length)?.split_first_chunk::<FIXED>()?;
        let (&[_, _, _, _, DATA, a, b, c, d, e, f, g, h, ref n_head @ ..], true) =
            (fixed, length <= max.min(SHORT_FRAME))
        else {
            return None;
        };
        let n_head = u32::from_le_bytes(*n_head) as usize;
        let is_known =
            n_head == self.bytes.len() && rest.get(..n_head)? == self.bytes && self.head.is_some();
        is_known.then_some((u64::from_le_bytes([a, b, c, d, e, f, g, h]), FIXED + n_head, length))
    }

    /// The head that these bytes are, all of them.
    #[inline]
    fn decode(&mut self, bytes: &[u8]) -> Option<Head> {
        if let Some(head) = self.head.as_ref().filter(|_| self.bytes == bytes) {
            return Some(head.clone());
        }
        let (head, []) = postcard::take_from_bytes(bytes).ok()? else { return None };
        if matches!(head, Head::Cast { .. }) {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes);
            self.head = Some(Head::clone(&head));
        }
        Some(head)
    }
}

/// Takes the next frames off `buffer` together, no more than `n_max`, if they are short casts with the head that is
/// known, and numbered one after the other. `None` if not, or if it is one alone; then [`take_frame`] is to be asked.
pub(crate) fn take_alike(
    buffer: &mut BytesMut,
    (max, n_max): (usize, usize),
    known: &KnownHead,
) -> Option<Run> {
    let (seq, _, length) = known.repeated(buffer, max)?;
    // Many a cast comes alone: that costs no memory.
    known.repeated(buffer.get(length..)?, max)?;
    let (mut parts, mut at) = (VecDeque::with_capacity(n_max.min(buffer.len() / length)), 0);
    while parts.len() < n_max
        && let Some((next, body, length)) = known.repeated(buffer.get(at..)?, max)
        && seq.checked_add(parts.len() as u64) == Some(next)
        && let Ok(end) = u32::try_from(at + length)
    {
        parts.push_back((at + body) as u32..end);
        at += length;
    }
    let head = known.head.as_ref().filter(|_| parts.len() > 1)?.clone();
    // They may wait in a mailbox for long, and the buffer may hold far more frames than are alike.
    if parts.capacity() > 2 * parts.len() {
        parts.shrink_to_fit();
    }
    Some(Run { seq, head, bodies: Sheaf::new(buffer.split_to(at).freeze(), parts) })
}

/// Takes the next frame off `buffer`, if all of it is there. `max` is how long one may be.
#[inline]
pub(crate) fn take_frame(
    buffer: &mut BytesMut,
    max: usize,
    known: &mut KnownHead,
) -> Result<Option<Frame>, Malformed> {
    let Some(length) = buffer.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > max {
        return Err(Malformed::TooLong { bytes: length, max });
    }
    if buffer.len() < PREFIX + length {
        return Ok(None);
    }
    let frame = buffer.get(PREFIX..PREFIX + length).unwrap_or_default();
    let (&kind, said) = frame.split_first().ok_or(Malformed::Garbled)?;
    let frame = match kind {
        DATA => {
            let (seq, head, at) = data(said, known).ok_or(Malformed::Garbled)?;
            buffer.advance(PREFIX + 1 + at);
            let body = buffer.split_to(length - 1 - at).freeze();
            return Ok(Some(Frame::Data { seq, head, body }));
        }
        ACK => ack(said).ok_or(Malformed::Garbled)?,
        PING if said.is_empty() => Frame::Ping,
        CLOSE if said.is_empty() => Frame::Close,
        PING | CLOSE => return Err(Malformed::Garbled),
        unknown => return Err(Malformed::UnknownKind(unknown)),
    };
    buffer.advance(PREFIX + length);
    Ok(Some(frame))
}

/// The number and the head of an envelope, and where its body begins.
#[inline]
fn data(said: &[u8], known: &mut KnownHead) -> Option<(u64, Head, usize)> {
    let (seq, rest) = said.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > HEAD_MAX {
        return None;
    }
    let head = known.decode(rest.get(..length)?)?;
    Some((u64::from_le_bytes(*seq), head, 8 + 4 + length))
}

fn ack(said: &[u8]) -> Option<Frame> {
    let (received, rest) = said.split_first_chunk()?;
    let granted = rest.try_into().ok()?;
    let (received, granted) = (u64::from_le_bytes(*received), u64::from_le_bytes(granted));
    Some(Frame::Ack(Ack { received, granted }))
}

#[cfg(test)]
mod tests;
