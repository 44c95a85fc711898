//! One connection that carries a session: reads frames into it, writes frames out of it.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Buf;
use mesh_core::Lost;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use crate::chunks::Chunks;
use crate::inlet::{Inlet, TOGETHER};
use crate::link::{Asked, Link, Write, goodbye, ping};
use crate::metrics;
use crate::parked::Writer;
use crate::rhythm::Rhythm;
use crate::stream::Carrier;
use crate::tls::Judged;
use crate::wire::Frame;

/// What a connection is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) watch: Watch,
    pub(crate) frame_max: usize,
    pub(crate) side: Side,
    /// When we ask, where we do.
    pub(crate) asks: Option<Rhythm>,
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
pub(crate) async fn carry(
    link: &Arc<Link>,
    number: u64,
    Carrier { stream, judged }: Carrier,
    limits: Limits,
) -> Ended {
    let (reader, writer) = stream.halves();
    let _parking = Parking { link, number };
    tokio::select! {
        ended = read(link, number, reader, limits) => ended,
        ended = write(link, number, writer, limits) => ended,
        ended = distrusted(link, judged) => ended,
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

/// Ends when the other side is trusted no more: it may come again with a certificate that is good.
async fn distrusted(link: &Link, judged: Option<Judged>) -> Ended {
    let Some(judged) = judged else { return pending().await };
    let why = judged.ends().await;
    metrics::distrusted_later(&why);
    tracing::warn!(peer = %link.peer, %why, "a connection is given up: it is trusted no more");
    Ended::Broken
}

async fn read<R>(
    link: &Arc<Link>,
    number: u64,
    mut reader: R,
    Limits { watch, frame_max, side, .. }: Limits,
) -> Ended
where
    R: AsyncRead + Unpin,
{
    let (mut inlet, mut frames, mut n_unhandled) = (Inlet::default(), Vec::new(), 0);
    let mut answers = Answers::new(watch.filter(|_| side == Side::Accepted));
    loop {
        let n_read = read_some(&mut reader, &mut inlet, watch).await;
        if n_read == 0 {
            return Ended::Broken;
        }
        link.metrics.read(n_read);
        let mut has_any = false;
        loop {
            let taken = inlet.take_frames(&mut frames, frame_max);
            has_any |= !frames.is_empty();
            // Then there may be more; otherwise there is none that is whole.
            let is_full = frames.iter().map(Frame::n_frames).sum::<usize>() >= TOGETHER;
            match link.receive((number, side), &mut frames) {
                Ok(true) => (),
                Ok(false) => return Ended::Session(Lost::Closed),
                Err(violation) => {
                    metrics::frame_refused("violation");
                    tracing::warn!(peer = %link.peer, %violation, "a peer breaks the protocol");
                    return Ended::Session(Lost::Protocol);
                }
            }
            if let Err(malformed) = taken {
                metrics::frame_refused(metrics::malformed(&malformed));
                tracing::warn!(peer = %link.peer, %malformed, "a peer sends no frames");
                return Ended::Session(Lost::Protocol);
            }
            if !is_full {
                break;
            }
            // Those who are to handle them run before more come, where all have one thread.
            yield_now().await;
        }
        n_unhandled += n_read;
        if n_unhandled >= MUCH {
            n_unhandled = 0;
            // So that the buffer that they are in is free again for what comes next.
            yield_now().await;
        }
        // What is whole is answered, or acknowledged, for what it is.
        if !has_any && answers.is_due() {
            link.answer_ping(number);
        }
        if link.tell_of_arrivals(Asked::First) {
            give_way().await;
            link.tell_of_arrivals(Asked::Again);
        }
    }
}

/// Lets those run first who were woken before: most of what has arrived is answered by them, with its acknowledgement.
async fn give_way() {
    let mut has_waited = false;
    poll_fn(|cx| match std::mem::replace(&mut has_waited, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
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

/// Reads what there is, and says how much; nothing if the connection has ended, or was silent for too long.
async fn read_some<R>(reader: &mut R, inlet: &mut Inlet, watch: Watch) -> usize
where
    R: AsyncRead + Unpin,
{
    if inlet.is_large() {
        // Memory of a burst is not kept, also where nothing follows.
        match timeout(IDLE, reader.read_buf(inlet.room())).await {
            Ok(n_read) => {
                let n_read = n_read.unwrap_or(0);
                inlet.has_read(n_read);
                return n_read;
            }
            Err(_) => inlet.rest(),
        }
    }
    let buffer = inlet.room();
    let n_read = match watch {
        None => reader.read_buf(buffer).await.unwrap_or(0),
        Some((ping, silence)) => loop {
            let begun = Instant::now();
            match timeout(silence, reader.read_buf(buffer)).await {
                Ok(n_read) => break n_read.unwrap_or(0),
                // Woken long after that: it was this process that was paused, and what has come meanwhile is
                // to be read before anybody is judged.
                Err(_) if begun.elapsed() > silence + ping => (),
                Err(_) => break 0,
            }
        },
    };
    inlet.has_read(n_read);
    n_read
}

async fn write(link: &Arc<Link>, number: u64, mut writer: Writer, limits: Limits) -> Ended {
    let mut has_waited = false;
    loop {
        let next = link.next_write(number, std::mem::take(&mut has_waited));
        let is_written = match next {
            Write::Chunks(chunks) => write_or_leave(link, number, &mut writer, chunks).await,
            Write::Wait { ack_within } => {
                // Before it is parked: so it is told of all that happens then.
                let told = link.to_write();
                if !link.park(number, writer) {
                    return Ended::Left;
                }
                let asks = limits.asks.map(|rhythm| rhythm.wait(Instant::now()));
                let patience = ack_within.or(asks);
                let is_silent = match patience {
                    None => {
                        told.await;
                        false
                    }
                    Some(patience) => timeout(patience, told).await.is_err(),
                };
                if !is_silent {
                    // What has just arrived may be answered at once, and many casts go out together.
                    yield_now().await;
                }
                let Some((back, mut rest)) = link.unpark(number) else { return Ended::Left };
                writer = back;
                has_waited = is_silent && ack_within.is_some();
                if is_silent && ack_within.is_none() && !rest.has_remaining() {
                    rest = ping().into();
                    link.asks();
                }
                write_or_leave(link, number, &mut writer, rest).await
            }
            Write::Close => {
                // It has a deadline: the peer may not read any more, and learns of the end by itself.
                let bye = async {
                    _ = write_all(&mut writer, goodbye(link.ack()).into()).await;
                    writer.shutdown().await.is_ok()
                };
                _ = timeout(GOODBYE, bye).await.is_ok();
                return Ended::Left;
            }
            Write::Superseded => return Ended::Left,
        };
        if !is_written {
            return if link.is_left(number) { Ended::Left } else { Ended::Broken };
        }
    }
}

/// Writes all of it. Also ends, with `false`, when the session has ended, or another connection carries it: it may
/// hang in a write to a peer that does not read.
async fn write_or_leave(link: &Link, number: u64, writer: &mut Writer, chunks: Chunks) -> bool {
    tokio::select! {
        biased;
        is_written = write_all(writer, chunks) => is_written,
        () = left(link, number) => false,
    }
}

/// Ends when the session has ended here, or another connection carries it, and there was time to say goodbye.
async fn left(link: &Link, number: u64) {
    link.left(number).await;
    sleep(GOODBYE).await;
}

async fn write_all(writer: &mut Writer, mut chunks: Chunks) -> bool {
    writer.write_all_buf(&mut chunks).await.is_ok() && writer.flush().await.is_ok()
}

/// After so many bytes those who are to handle them have their turn.
const MUCH: usize = 64 * 1024;

/// After what time without anything a large buffer is given back. Much less than anybody's deadline.
const IDLE: Duration = Duration::from_millis(100);

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
