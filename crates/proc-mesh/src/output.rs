//! What the processes write: read to the end, in whole lines, with back-pressure instead of loss.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use mesh_core::Incarnation;
use mesh_shape::Rank;
use rustix::io::retry_on_intr;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::lines::{Lines, Tail};

/// Some whole lines that one process has written to one of its streams, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Whose lines they are.
    pub rank: Rank,
    /// In which life of the rank they were written.
    pub incarnation: Incarnation,
    /// The lines, without their line feeds. A line over 1 MiB comes in pieces.
    pub lines: Vec<Bytes>,
}

/// Where the output of a mesh goes.
///
/// A queue that is full makes the processes wait, as a full pipe does. One whose receiver is dropped
/// closes their pipes, so that they see what they would see without us (`SIGPIPE`).
#[derive(Clone, Debug, Default)]
pub struct OutputSinks {
    /// Where standard output goes; nowhere if `None`.
    pub stdout: Option<mpsc::Sender<Output>>,
    /// Where standard error goes; nowhere if `None`. The last lines are kept either way.
    pub stderr: Option<mpsc::Sender<Output>>,
}

/// The reading of one process's output, until its end.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Sent when the process has ended: then what is left in the pipes is read, and no more awaited
    /// (a process that left the group may hold them open for ever).
    ended: [oneshot::Sender<()>; 2],
}

/// The pipes of one process, our ends.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

impl Reading {
    /// Starts to read, on `runtime`. `drained` gets the last lines of standard error after
    /// [`end`](Self::end), when both pipes have been read.
    ///
    /// # Errors
    ///
    /// If the system refuses to watch the pipes.
    pub(crate) fn start(
        runtime: &Handle,
        pipes: Pipes,
        seat: (Rank, Incarnation),
        sinks: &OutputSinks,
        drained: oneshot::Sender<Vec<String>>,
    ) -> io::Result<Self> {
        let _entered = runtime.enter();
        let stdout = pipe::Receiver::from_owned_fd(pipes.stdout)?;
        let stderr = pipe::Receiver::from_owned_fd(pipes.stderr)?;
        let (stdout_ended, stdout_end) = oneshot::channel();
        let (stderr_ended, stderr_end) = oneshot::channel();
        let (stdout_drained, stdout_tail) = oneshot::channel();
        let (stderr_drained, stderr_tail) = oneshot::channel();
        let pump = |pipe, sink: &Option<_>, drained| Pump::new(pipe, seat, sink.clone(), drained);
        runtime.spawn(pump(stdout, &sinks.stdout, stdout_drained).run(stdout_end));
        runtime.spawn(pump(stderr, &sinks.stderr, stderr_drained).run(stderr_end));
        runtime.spawn(async move {
            // A pump that is gone has nothing to tell.
            _ = stdout_tail.await.is_ok();
            let tail = stderr_tail.await.map(Tail::into_lines).unwrap_or_default();
            _ = drained.send(tail).is_ok();
        });
        Ok(Self { ended: [stdout_ended, stderr_ended] })
    }

    /// The process has ended.
    pub(crate) fn end(self) {
        for ended in self.ended {
            _ = ended.send(()).is_ok();
        }
    }
}

/// Reads one pipe. It is read only while nothing waits to be taken, so that a slow reader slows the
/// process; except after the end, when what the pipe holds (64 KiB as a rule) is taken at once.
struct Pump {
    pipe: Option<pipe::Receiver>,
    seat: (Rank, Incarnation),
    sink: Option<mpsc::Sender<Output>>,
    waiting: VecDeque<Bytes>,
    lines: Lines,
    tail: Tail,
    drained: Option<oneshot::Sender<Tail>>,
    buffer: Vec<u8>,
}

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// How much is read after the end of a process: more than a pipe holds unless somebody still writes.
const DRAIN_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a pump woke up for.
enum Woken {
    Ended,
    Readable,
    Room,
    SinkGone,
    Nothing,
}

impl Pump {
    fn new(
        pipe: pipe::Receiver,
        seat: (Rank, Incarnation),
        sink: Option<mpsc::Sender<Output>>,
        drained: oneshot::Sender<Tail>,
    ) -> Self {
        Self {
            pipe: Some(pipe),
            seat,
            sink,
            waiting: VecDeque::new(),
            lines: Lines::default(),
            tail: Tail::default(),
            drained: Some(drained),
            buffer: vec![0; READ_BYTES],
        }
    }

    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        loop {
            match self.wake(&mut ended).await {
                Woken::Ended => self.drain(),
                Woken::Readable => _ = self.read(),
                Woken::Room => (),
                Woken::SinkGone => {
                    // Nobody will ever read this: the process is to see a closed pipe.
                    self.waiting.clear();
                    self.pipe = None;
                    self.sink = None;
                }
                Woken::Nothing => return,
            }
        }
    }

    async fn wake(&mut self, ended: &mut oneshot::Receiver<()>) -> Woken {
        let reads = self.waiting.is_empty();
        let Self { pipe, sink, waiting, seat, drained, .. } = self;
        tokio::select! {
            biased;
            _ = ended, if drained.is_some() => Woken::Ended,
            permit = reserve(sink.as_ref()), if !reads => match permit {
                Some(permit) => {
                    let lines = waiting.drain(..).collect();
                    permit.send(Output { rank: seat.0, incarnation: seat.1, lines });
                    Woken::Room
                }
                None => Woken::SinkGone,
            },
            () = gone(sink.as_ref()), if pipe.is_some() => Woken::SinkGone,
            () = readable(pipe.as_ref()), if reads && pipe.is_some() => Woken::Readable,
            else => Woken::Nothing,
        }
    }

    /// Reads what is there as far as the runtime knows, once; `false` if there is nothing.
    fn read(&mut self) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        let result = pipe.try_read(&mut self.buffer);
        self.received(result)
    }

    /// Reads what is there, once; `false` if there is nothing. It asks the kernel: the runtime may
    /// not have heard yet of what was written last.
    fn read_rest(&mut self) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        let result = retry_on_intr(|| rustix::io::read(pipe, &mut self.buffer[..]));
        self.received(result.map_err(io::Error::from))
    }

    fn received(&mut self, result: io::Result<usize>) -> bool {
        match result {
            Ok(0) => self.finish(),
            Ok(n) => {
                self.lines.push(&self.buffer[..n]);
                while let Some(line) = self.lines.next() {
                    self.take(line);
                }
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(_) => self.finish(),
        }
        false
    }

    /// The process has ended: reads the pipe to its end, or to where nothing is in it.
    fn drain(&mut self) {
        let mut reads = 0;
        while reads < DRAIN_BYTES_MAX / READ_BYTES && self.read_rest() {
            reads += 1;
        }
        self.finish();
        if let Some(drained) = self.drained.take() {
            _ = drained.send(std::mem::take(&mut self.tail)).is_ok();
        }
    }

    /// Nothing more is read: the unfinished last line is a line too.
    fn finish(&mut self) {
        self.pipe = None;
        if let Some(rest) = self.lines.rest() {
            self.take(rest);
        }
    }

    fn take(&mut self, line: Bytes) {
        self.tail.push(&line);
        if self.sink.is_some() {
            self.waiting.push_back(line);
        }
    }
}

/// Room for one message; `None` if nobody takes any.
async fn reserve(sink: Option<&mpsc::Sender<Output>>) -> Option<mpsc::Permit<'_, Output>> {
    sink?.reserve().await.ok()
}

/// Ends when the receiver of `sink` has gone.
async fn gone(sink: Option<&mpsc::Sender<Output>>) {
    match sink {
        Some(sink) => sink.closed().await,
        None => std::future::pending().await,
    }
}

/// Ends when there is something to read, or the end of the pipe.
async fn readable(pipe: Option<&pipe::Receiver>) {
    match pipe {
        // An error shows again at the read.
        Some(pipe) => _ = pipe.readable().await.is_ok(),
        None => std::future::pending().await,
    }
}
