//! The worker's side: who it is, and how it talks to the mesh that started it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{Incarnation, MeshLabel, ProcSeat, Stall};
use mesh_runtime::{ControlThread, Proc, Stalls, ThreadError, Watchdog};
use mesh_shape::{Extent, Point, PointBuf, Rank};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::wire::{self, FrameReader, FromWorker, Record, ToWorker};

/// Messages that may wait on either side of a worker before the sender waits.
const QUEUE_MESSAGES: usize = 64;

/// How long the last messages of a worker may take to be read.
const FLUSH: Duration = Duration::from_secs(5);

/// What a worker's process ends with when its agent is gone.
const ABANDONED: i32 = 1;

/// The name of the `main` of a home for actors.
pub(crate) const ACTORS_ENTRY: &str = "meshwarden:actors";

type Entry = Box<dyn FnOnce(Worker, Announce) -> Pin<Box<dyn Future<Output = ExitCode>>>>;

/// The `main`s that a program can be re-executed into, by name.
#[derive(Default)]
pub struct Registry {
    entries: BTreeMap<&'static str, Entry>,
}

impl Registry {
    /// Registers `entry` under `name`; of two with one name the first stays.
    pub fn worker<F>(&mut self, name: &'static str, entry: impl FnOnce(Worker) -> F + 'static)
    where
        F: Future<Output = ExitCode> + 'static,
    {
        self.entries.entry(name).or_insert_with(|| {
            Box::new(|worker, announce| {
                announce.ready(None);
                Box::pin(entry(worker))
            })
        });
    }

    /// Registers what a worker is that is a home for actors; of two the first stays. It is ready when it
    /// announces where they can be reached.
    pub fn actors<F>(&mut self, entry: impl FnOnce(Worker, Announce) -> F + 'static)
    where
        F: Future<Output = ExitCode> + 'static,
    {
        self.entries
            .entry(ACTORS_ENTRY)
            .or_insert_with(|| Box::new(|worker, announce| Box::pin(entry(worker, announce))));
    }

    /// Whether a worker of that name is registered.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

/// How a worker says that it is ready. Dropped unsaid, it never is.
#[derive(Debug)]
pub struct Announce(oneshot::Sender<Option<Box<ProcSeat>>>);

impl Announce {
    /// The worker is ready, and its actors can be reached there, if it has some.
    pub fn ready(self, seat: Option<ProcSeat>) {
        // If the conversation has ended, so does the process.
        _ = self.0.send(seat.map(Box::new)).is_ok();
    }
}

/// This process, as one rank of a mesh.
#[derive(Debug)]
pub struct Worker {
    record: Record,
    control: Handle,
    point: PointBuf,
    inbox: mpsc::Receiver<Vec<u8>>,
    outbox: mpsc::Sender<Vec<u8>>,
    /// What hangs in it, for its agent.
    hangs: Arc<watch::Sender<Option<Stall>>>,
    /// Looks at its runtime, until somebody else does.
    watchdog: Mutex<Option<Watchdog>>,
}

impl Worker {
    /// The mesh.
    #[must_use]
    pub const fn mesh(&self) -> &MeshLabel {
        &self.record.mesh
    }

    /// The shape of the mesh.
    #[must_use]
    pub const fn extent(&self) -> &Extent {
        &self.record.extent
    }

    /// The rank of this process.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        self.record.rank
    }

    /// The coordinates of this process.
    #[must_use]
    pub const fn point(&self) -> Point<'_> {
        self.point.as_point()
    }

    /// Which life of the rank this is.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.record.incarnation
    }

    /// What this worker was told that only its program understands.
    #[must_use]
    pub const fn seed(&self) -> &Bytes {
        &self.record.seed
    }

    /// The runtime of the control thread, on which the link with the host agent is kept.
    #[must_use]
    pub const fn control(&self) -> &Handle {
        &self.control
    }

    /// How long a handler of an actor may run until it hangs, as the mesh has it
    /// ([`ProcSpec::stalled_handler`](crate::ProcSpec::stalled_handler)).
    #[must_use]
    pub const fn stalled_handler(&self) -> Duration {
        self.record.stalled_handler
    }

    /// From now on the mesh is told what hangs in `proc` (D7): a handler that keeps a thread, or a runtime
    /// that runs nothing. Until then it is told of the runtime of this worker, whatever runs there.
    ///
    /// Nothing changes if nobody looks at `proc`.
    pub fn tells_stalls_of(&self, proc: &Proc) {
        if let Some(stalls) = proc.stalls() {
            self.tell(stalls);
            *self.watchdog.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn tell(&self, mut stalls: watch::Receiver<Arc<Stalls>>) {
        let hangs = Arc::clone(&self.hangs);
        // Until whoever looks has gone.
        self.control.spawn(async move {
            while stalls.changed().await.is_ok() {
                hangs.send_replace(stalls.borrow_and_update().of_process());
            }
            hangs.send_replace(None);
        });
    }

    /// The next message of the mesh's owner; `None` when no more can come.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<Vec<u8>> {
        self.inbox.recv().await
    }

    /// Sends a message to the mesh's owner; waits while too many are on their way.
    ///
    /// # Errors
    ///
    /// [`AgentGone`] with the message if the host agent is gone; the process is about to end then.
    pub async fn send(&self, message: Vec<u8>) -> Result<(), AgentGone> {
        self.outbox.send(message).await.map_err(|refused| AgentGone(refused.0))
    }
}

/// The host agent of this worker is gone; the message comes back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host agent of this worker is gone")]
pub struct AgentGone(pub Vec<u8>);

/// Why a process could not become a worker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Standard input is not the socket that a host agent gives its workers.
    #[error("this is how a host agent starts a worker; it is not meant to be called by hand")]
    NoSocket(#[source] io::Error),
    /// The host agent said something else than who this worker is.
    #[error("the host agent did not say who this worker is")]
    NoRecord(#[source] io::Error),
    /// The program that started this worker is of another version.
    #[error("the host agent speaks version {found}, this worker {expected}: build both anew")]
    OtherVersion {
        /// The version of this worker.
        expected: u32,
        /// The version of its agent.
        found: u32,
    },
    /// No worker of that name is registered.
    #[error("no worker is registered as {name:?}: register it before the client runs")]
    Unregistered {
        /// The name asked for.
        name: String,
    },
    /// There is no thread or runtime to be had.
    #[error(transparent)]
    Thread(#[from] ThreadError),
    /// There is no runtime to be had.
    #[error("cannot start a runtime")]
    Runtime(#[source] io::Error),
}

/// Becomes the worker that the record on standard input names, and runs it to its end.
///
/// # Errors
///
/// [`WorkerError`] if this process was not started by a host agent, or not for a worker that is
/// registered.
pub(crate) fn run(mut registry: Registry) -> Result<ExitCode, WorkerError> {
    let socket = take_stdin().map_err(WorkerError::NoSocket)?;
    let control = ControlThread::start("meshwarden-control")?;
    let (recorded, record) = oneshot::channel();
    let (deliver, inbox) = mpsc::channel(QUEUE_MESSAGES);
    let (outbox, outgoing) = mpsc::channel(QUEUE_MESSAGES);
    let (ready, is_ready) = oneshot::channel();
    let (flushed, is_flushed) = oneshot::channel();
    let (hangs, stalls) = watch::channel(None);
    let conversation = Conversation { recorded, is_ready, deliver, outgoing, stalls, flushed };
    control.spawn(converse(socket, conversation));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(WorkerError::Runtime)?;
    let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let record =
        runtime.block_on(record).unwrap_or_else(|_| Err(ended())).map_err(WorkerError::NoRecord)?;
    if record.version != wire::VERSION {
        return Err(WorkerError::OtherVersion { expected: wire::VERSION, found: record.version });
    }
    let unregistered = || WorkerError::Unregistered { name: record.entry.clone() };
    let entry = registry.entries.remove(record.entry.as_str()).ok_or_else(unregistered)?;
    let point = record.extent.unravel(record.rank).map(|point| point.to_owned());
    let point = point.map_err(|error| {
        WorkerError::NoRecord(io::Error::new(io::ErrorKind::InvalidData, error))
    })?;
    let watchdog = Watchdog::start(record.stalled_handler, runtime.handle(), control.handle());
    let (stalls, watchdog) = (watchdog.stalls(), Mutex::new(Some(watchdog)));
    let hangs = Arc::new(hangs);
    let handle = control.handle().clone();
    let worker = Worker { record, control: handle, point, inbox, outbox, hangs, watchdog };
    worker.tell(stalls);
    let code = runtime.block_on(async { entry(worker, Announce(ready)).await });
    // What it sent last is to arrive; an agent that does not read holds nobody up for ever.
    let flush = async { tokio::time::timeout(FLUSH, is_flushed).await };
    _ = runtime.block_on(flush).is_ok();
    // Blocking work that it has left running ends with the process.
    runtime.shutdown_background();
    Ok(code)
}

/// Our end of the socket pair, leaving `/dev/null` in its place, so that no child of ours holds it.
fn take_stdin() -> io::Result<StdUnixStream> {
    let stdin = io::stdin();
    // Fails unless it is a Unix socket with a peer.
    rustix::net::sockopt::socket_peercred(stdin.as_fd())?;
    let socket = StdUnixStream::from(stdin.as_fd().try_clone_to_owned()?);
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The ends of the conversation with the host agent.
struct Conversation {
    recorded: oneshot::Sender<io::Result<Record>>,
    is_ready: oneshot::Receiver<Option<Box<ProcSeat>>>,
    deliver: mpsc::Sender<Vec<u8>>,
    outgoing: mpsc::Receiver<Vec<u8>>,
    stalls: watch::Receiver<Option<Stall>>,
    flushed: oneshot::Sender<()>,
}

/// Talks to the host agent until it is gone; then this process has no reason to live (C2).
async fn converse(socket: StdUnixStream, conversation: Conversation) {
    let Conversation { recorded, is_ready, deliver, outgoing, stalls, flushed } = conversation;
    let mut frames = FrameReader::default();
    let met = async {
        let (mut reader, writer) = UnixStream::from_std(socket)?.into_split();
        match frames.next(&mut reader).await? {
            Some(ToWorker::Record(record)) => Ok((reader, writer, *record)),
            Some(ToWorker::Data(_)) | None => Err(io::ErrorKind::InvalidData.into()),
        }
    };
    let (mut reader, mut writer, beat_every) = match met.await {
        Ok((reader, writer, record)) => {
            let beat_every = record.beat_every();
            _ = recorded.send(Ok(record)).is_ok();
            (reader, writer, beat_every)
        }
        Err(error) => {
            _ = recorded.send(Err(error)).is_ok();
            return;
        }
    };
    let writes = async move {
        // Otherwise it is not for us, and `run` says why; or it never is ready.
        let Ok(seat) = is_ready.await else { return };
        if wire::write(&mut writer, &FromWorker::Ready(seat)).await.is_ok() {
            speak(writer, (outgoing, flushed), stalls, beat_every).await;
        }
    };
    let reads = async move {
        while let Ok(Some(ToWorker::Data(message))) = frames.next(&mut reader).await {
            // A worker that has stopped listening still is to notice its agent's end.
            _ = deliver.send(message.into()).await.is_ok();
        }
        std::process::exit(ABANDONED);
    };
    tokio::join!(writes, reads);
}

/// Says what the worker has to say, and that it lives, until nobody listens. It may send no more, and still
/// live and be spoken to.
async fn speak(
    mut writer: OwnedWriteHalf,
    (mut outgoing, flushed): (mpsc::Receiver<Vec<u8>>, oneshot::Sender<()>),
    mut stalls: watch::Receiver<Option<Stall>>,
    beat_every: Duration,
) {
    let mut beats = interval(beat_every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flushed = Some(flushed);
    loop {
        let message = tokio::select! {
            biased;
            Ok(()) = stalls.changed() => FromWorker::Beat(stalls.borrow_and_update().clone()),
            _ = beats.tick() => FromWorker::Beat(stalls.borrow().clone()),
            message = outgoing.recv(), if flushed.is_some() => match message {
                Some(message) => FromWorker::Data(message.into()),
                None => {
                    _ = flushed.take().is_some_and(|flushed| flushed.send(()).is_ok());
                    continue;
                }
            },
        };
        if wire::write(&mut writer, &message).await.is_err() {
            return;
        }
    }
}
