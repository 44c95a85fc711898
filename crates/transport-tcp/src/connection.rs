//! One connection that carries a session: reads frames into it, writes frames out of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mesh_core::Lost;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use crate::link::{Link, Write, goodbye, ping};
use crate::metrics;
use crate::parked::Writer;
use crate::wire::{Frame, take_frame};

/// What a connection is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) watch: Watch,
    pub(crate) frame_max: usize,
    pub(crate) side: Side,
}

/// How often the other side is asked at least whether it is there, and after what silence the connection is
/// given up.
pub(crate) type Watch = Option<(Duration, Duration)>;

/// Who has made the connection. Only one of both asks whether the other is there, and the other answers: so
/// each hears the other as often as if both asked, with half the timers, and of thousands of workers none has
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// We have, and ask.
    Dialled,
    /// The peer has, and we answer.
    Accepted,
}

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It broke: another one may carry the session on.
    Broken,
    /// The session is over.
    Session(Lost),
    /// Another connection carries the session, or it has ended here.
    Left,
}

/// Carries the session until the connection ends, or another one carries it.
pub(crate) async fn carry<S>(link: &Arc<Link>, number: u64, stream: S, limits: Limits) -> Ended
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let _parking = Parking { link, number };
    tokio::select! {
        ended = read(link, number, reader, limits) => ended,
        ended = write(link, number, Box::new(writer), limits) => ended,
        ended = left(link, number) => ended,
    }
}

/// However it ends, the socket is closed: nobody writes to it any more.
struct Parking<'a> {
    link: &'a Link,
    number: u64,
}

impl Drop for Parking<'_> {
    fn drop(&mut self) {
        drop(self.link.unpark(self.number));
    }
}

/// Ends when the session has ended here, or another connection carries it, and the writer has had its
/// time to say goodbye: it may hang in a write to a peer that does not read.
async fn left(link: &Link, number: u64) -> Ended {
    link.left(number).await;
    sleep(GOODBYE).await;
    Ended::Left
}

async fn read<R>(
    link: &Arc<Link>,
    number: u64,
    mut reader: R,
    Limits { watch, frame_max, side }: Limits,
) -> Ended
where
    R: AsyncRead + Unpin,
{
    let mut buffer = BytesMut::new();
    let mut answers = Answers::new(watch.filter(|_| side == Side::Accepted));
    loop {
        if !read_some(&mut reader, &mut buffer, watch).await {
            return Ended::Broken;
        }
        let mut n_frames = 0_usize;
        loop {
            match take_frame(&mut buffer, frame_max) {
                // What is whole is answered, or acknowledged, for what it is.
                Ok(None) if n_frames == 0 && answers.is_due() => break link.answer_ping(number),
                Ok(None) => break,
                Ok(Some(Frame::Ping)) if side == Side::Accepted => link.answer_ping(number),
                Ok(Some(frame)) => match link.receive(number, frame) {
                    Ok(true) => (),
                    Ok(false) => return Ended::Session(Lost::Closed),
                    Err(violation) => {
                        metrics::frame_refused("violation");
                        tracing::warn!(peer = %link.peer, %violation, "a peer breaks the protocol");
                        return Ended::Session(Lost::Protocol);
                    }
                },
                Err(malformed) => {
                    metrics::frame_refused(metrics::malformed(&malformed));
                    tracing::warn!(peer = %link.peer, %malformed, "a peer sends no frames");
                    return Ended::Session(Lost::Protocol);
                }
            }
            n_frames += 1;
        }
        link.wake_writer();
    }
}

/// When whoever has dialled is answered without having asked. While it writes a long frame over a slow
/// connection, it cannot ask, and would take our silence for our end.
struct Answers {
    every: Option<Duration>,
    last: Instant,
}

impl Answers {
    fn new(watch: Watch) -> Self {
        Self { every: watch.map(|(ping, _)| ping), last: Instant::now() }
    }

    /// Whether it was not answered so for some time. Then it is now.
    fn is_due(&mut self) -> bool {
        let is_due = self.every.is_some_and(|every| self.last.elapsed() >= every);
        if is_due {
            self.last = Instant::now();
        }
        is_due
    }
}

/// Reads what there is; `false` if the connection has ended, or was silent for too long.
async fn read_some<R>(reader: &mut R, buffer: &mut BytesMut, watch: Watch) -> bool
where
    R: AsyncRead + Unpin,
{
    // Grows with what arrives, and not with what a frame says of itself.
    buffer.reserve(READ_TOGETHER);
    let Some((ping, silence)) = watch else {
        return matches!(reader.read_buf(buffer).await, Ok(n) if n > 0);
    };
    loop {
        let begun = Instant::now();
        match timeout(silence, reader.read_buf(buffer)).await {
            Ok(Ok(n)) => return n > 0,
            Ok(Err(_)) => return false,
            // Woken long after that: it was this process that was paused, and what has come meanwhile is
            // to be read before anybody is judged.
            Err(_) if begun.elapsed() > silence + ping => (),
            Err(_) => return false,
        }
    }
}

async fn write(link: &Arc<Link>, number: u64, mut writer: Writer, limits: Limits) -> Ended {
    let asks = limits.watch.filter(|_| limits.side == Side::Dialled);
    let every = asks.map(|(every, _)| every);
    let mut has_waited = false;
    loop {
        let next = link.next_write(number, std::mem::take(&mut has_waited));
        let is_written = match next {
            Write::Chunks(chunks) => write_all(&mut writer, chunks).await,
            Write::Wait | Write::WaitToAck => {
                let owes_ack = next == Write::WaitToAck;
                link.park(number, writer);
                let patience = if owes_ack { Some(ACK_WITHIN) } else { every };
                let is_silent = match patience {
                    None => {
                        link.to_write().await;
                        false
                    }
                    Some(patience) => timeout(patience, link.to_write()).await.is_err(),
                };
                if !is_silent {
                    // What has just arrived may be answered at once, and many casts go out together.
                    yield_now().await;
                }
                let Some((back, mut rest)) = link.unpark(number) else { return Ended::Left };
                writer = back;
                has_waited = is_silent && owes_ack;
                if is_silent && !owes_ack && rest.is_empty() {
                    rest = ping();
                }
                write_all(&mut writer, vec![rest]).await
            }
            Write::Close => {
                // It has a deadline: the peer may not read any more, and learns of the end by itself.
                let bye = async {
                    _ = write_all(&mut writer, vec![goodbye(link.ack())]).await;
                    writer.shutdown().await.is_ok()
                };
                _ = timeout(GOODBYE, bye).await.is_ok();
                return Ended::Left;
            }
            Write::Superseded => return Ended::Left,
        };
        if !is_written {
            return Ended::Broken;
        }
    }
}

async fn write_all(writer: &mut Writer, chunks: Vec<Bytes>) -> bool {
    for chunk in chunks {
        if writer.write_all(&chunk).await.is_err() {
            return false;
        }
    }
    writer.flush().await.is_ok()
}

/// About how many bytes are read at once.
const READ_TOGETHER: usize = 64 * 1024;

/// How long an acknowledgement may wait for an envelope to go with. Much less than anybody's deadline.
const ACK_WITHIN: Duration = Duration::from_millis(5);

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
