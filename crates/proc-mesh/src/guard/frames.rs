//! Frames with file descriptors over a Unix stream socket, without ever waiting.
//!
//! A frame is its length (four bytes, least first) and a message in postcard. The descriptors that a
//! message owns are sent with the first byte of its frame, and the kernel never merges two such
//! batches in one read; so the n-th batch that arrives belongs to the n-th frame that owns any. This
//! holds also when the receiver has no room for descriptors: the batch is then short, and nothing
//! else is lost.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::wire::Message;

/// The longest frame, without its length: a command line may have 2 MiB.
pub(crate) const FRAME_BYTES_MAX: usize = 8 << 20;

/// The frames that wait to be sent.
///
/// It has no bound of its own: whoever fills it does.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<Frame>,
}

#[derive(Debug)]
struct Frame {
    bytes: Vec<u8>,
    n_sent: usize,
    // Invariant: empty once the first byte has been sent.
    fds: Vec<OwnedFd>,
}

/// What became of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left.
    All,
    /// The socket takes no more until it is writable again.
    Full,
    /// Too many descriptors are on their way: try again in a moment; no event will tell.
    Busy,
}

/// The message is longer than a frame may be: this many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) usize);

impl Outbox {
    /// Puts a message at the end.
    pub(crate) fn push<M: Message>(
        &mut self,
        message: &M,
        fds: Vec<OwnedFd>,
    ) -> Result<(), TooLong> {
        debug_assert_eq!(fds.len(), message.n_fds());
        let mut bytes = postcard::to_extend(message, vec![0; LENGTH_BYTES])
            .expect("a growing vector takes every message, and these have no unsized parts");
        let length = bytes.len() - LENGTH_BYTES;
        let prefix = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX);
        let Some(prefix) = prefix else { return Err(TooLong(length)) };
        bytes[..LENGTH_BYTES].copy_from_slice(&prefix.to_le_bytes());
        self.frames.push_back(Frame { bytes, n_sent: 0, fds });
        Ok(())
    }

    /// Whether everything has been handed to the socket.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Forgets everything: the other side is gone.
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
    }

    /// Hands as much to the socket as it takes.
    pub(crate) fn flush(&mut self, socket: impl AsFd) -> Result<Flushed, Errno> {
        while !self.frames.is_empty() {
            match self.send_some(socket.as_fd()) {
                Ok(n_bytes) => self.sent(n_bytes),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Flushed::Full),
                Err(Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM) => return Ok(Flushed::Busy),
                Err(errno) => return Err(errno),
            }
        }
        Ok(Flushed::All)
    }

    /// Sends one run of frames, of which only the first has descriptors.
    fn send_some(&self, socket: BorrowedFd<'_>) -> Result<usize, Errno> {
        let n_plain = self.frames.iter().skip(1).take_while(|frame| frame.fds.is_empty()).count();
        let run = self.frames.iter().take((n_plain + 1).min(FRAMES_PER_WRITE_MAX));
        let slices: Vec<_> = run.map(|frame| IoSlice::new(&frame.bytes[frame.n_sent..])).collect();
        let fds: Vec<_> = self.frames.front().into_iter().flat_map(|frame| &frame.fds).collect();
        let fds: Vec<_> = fds.into_iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(FDS_PER_FRAME_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(Errno::MSGSIZE);
        }
        sendmsg(socket, &slices, &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
    }

    /// Takes note of what was sent: descriptors go with the first byte, and only once.
    fn sent(&mut self, mut n_bytes: usize) {
        while let Some(frame) = self.frames.front_mut() {
            let left = frame.bytes.len() - frame.n_sent;
            if n_bytes < left {
                frame.n_sent += n_bytes;
                if n_bytes > 0 {
                    frame.fds.clear();
                }
                return;
            }
            n_bytes -= left;
            self.frames.pop_front();
        }
    }
}

/// The bytes and descriptors that arrived and are not yet a message.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    // Invariant: the bytes before this are of messages that were taken.
    n_taken: usize,
    batches: VecDeque<Vec<OwnedFd>>,
}

/// What became of an attempt to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Something came.
    Some,
    /// There is nothing now.
    Nothing,
    /// The other side has closed; nothing will come.
    Closed,
}

/// What arrived is no message. The stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadFrame;

impl Inbox {
    /// Receives once.
    pub(crate) fn fill(&mut self, socket: impl AsFd) -> Result<Filled, Errno> {
        let mut chunk = [0; CHUNK_BYTES];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(FDS_PER_FRAME_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut chunk)];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = match retry_on_intr(|| recvmsg(&socket, &mut slices, &mut control, flags)) {
            Ok(received) => received,
            Err(Errno::AGAIN) => return Ok(Filled::Nothing),
            Err(Errno::CONNRESET) => return Ok(Filled::Closed),
            Err(errno) => return Err(errno),
        };
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        // A batch of which nothing had room is a batch all the same.
        if !fds.is_empty() || received.flags.contains(ReturnFlags::CTRUNC) {
            self.batches.push_back(fds);
        }
        if received.bytes == 0 {
            return Ok(Filled::Closed);
        }
        self.append(&chunk[..received.bytes]);
        Ok(Filled::Some)
    }

    /// Takes the next whole message with its descriptors.
    ///
    /// Fewer descriptors than the message owns mean that this process had no room for them.
    pub(crate) fn take<M: Message>(&mut self) -> Result<Option<(M, Vec<OwnedFd>)>, BadFrame> {
        let Some(end) = self.frame_end()? else {
            // Only the frame that is on its way can have a batch.
            return if self.batches.len() > 1 { Err(BadFrame) } else { Ok(None) };
        };
        let frame = &self.bytes[self.n_taken + LENGTH_BYTES..end];
        let (message, []) = postcard::take_from_bytes::<M>(frame).or(Err(BadFrame))? else {
            return Err(BadFrame);
        };
        self.n_taken = end;
        if message.n_fds() == 0 {
            return Ok(Some((message, Vec::new())));
        }
        match self.batches.pop_front() {
            Some(fds) if fds.len() <= message.n_fds() => Ok(Some((message, fds))),
            Some(_) | None => Err(BadFrame),
        }
    }

    /// How many bytes have come that were not taken yet.
    pub(crate) fn n_waiting(&self) -> usize {
        self.bytes.len() - self.n_taken
    }

    /// The whole messages that have come and were not taken yet, in their order. They are not taken by
    /// that; what is no message ends them, as it will end [`Self::take`].
    pub(crate) fn waiting<M: Message>(&self) -> impl Iterator<Item = M> {
        let mut rest = &self.bytes[self.n_taken..];
        std::iter::from_fn(move || {
            let end = end_of_first(rest).ok().flatten()?;
            let message = postcard::from_bytes(&rest[LENGTH_BYTES..end]).ok()?;
            rest = &rest[end..];
            Some(message)
        })
    }

    /// Whether [`Self::take`] has something to say without receiving more.
    pub(crate) fn has_frame(&self) -> bool {
        !matches!(self.frame_end(), Ok(None))
    }

    /// Where the first frame ends, if it is whole.
    fn frame_end(&self) -> Result<Option<usize>, BadFrame> {
        Ok(end_of_first(&self.bytes[self.n_taken..])?.map(|end| self.n_taken + end))
    }

    fn append(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.n_taken);
        self.n_taken = 0;
        self.bytes.extend_from_slice(chunk);
        if self.bytes.capacity() > SPARE_BYTES_MAX && self.bytes.len() < CHUNK_BYTES {
            self.bytes.shrink_to(SPARE_BYTES_MAX);
        }
    }
}

/// Where the first frame of `bytes` ends, if it is whole.
fn end_of_first(bytes: &[u8]) -> Result<Option<usize>, BadFrame> {
    let Some((prefix, _)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*prefix)).or(Err(BadFrame))?;
    if length > FRAME_BYTES_MAX {
        return Err(BadFrame);
    }
    let whole = LENGTH_BYTES + length;
    Ok((bytes.len() >= whole).then_some(whole))
}

const LENGTH_BYTES: usize = size_of::<u32>();
const FDS_PER_FRAME_MAX: usize = 3;
const FRAMES_PER_WRITE_MAX: usize = 64;
const CHUNK_BYTES: usize = 64 << 10;
/// What an inbox keeps of its memory after a long frame.
const SPARE_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests;
