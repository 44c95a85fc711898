//! The agent's end of a worker: says who it is, carries messages both ways.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mesh_core::{Silence, Stall, StalledHandler};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::guard::wire::ProcKey;
use crate::host_agent::Note;
use crate::lines::escape;
use crate::mesh::WorkerNews;
use crate::roster::Roster;
use crate::vigil::Vigil;
use crate::wire::{self, FrameReader, FromWorker, Record, ToWorker};

/// What a link carries from and to.
pub(crate) struct Ends {
    pub(crate) key: ProcKey,
    /// Messages to the worker. It ends with the seat of the worker.
    pub(crate) outgoing: mpsc::Receiver<Vec<u8>>,
    /// Messages from the worker, to the owner of the mesh.
    pub(crate) news: mpsc::Sender<WorkerNews>,
    /// Word that it is ready, to the agent.
    pub(crate) notes: mpsc::Sender<Note>,
    /// Who is to have a way to its actors before it counts as ready.
    pub(crate) roster: Option<Arc<Roster>>,
    pub(crate) ears: Ears,
}

/// How a link listens to its worker.
pub(crate) struct Ears {
    /// How long a worker that is ready may be silent until it is told as hanging.
    pub(crate) silence: Duration,
    /// How often it was suspended and let go on: odd while it is suspended.
    pub(crate) suspensions: Arc<AtomicU64>,
}

/// Starts to talk. Both directions end with the worker, or with the mesh.
///
/// # Errors
///
/// If the system refuses to watch the socket.
pub(crate) fn start(socket: StdUnixStream, record: Record, ends: Ends) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let (reader, writer) = UnixStream::from_std(socket)?.into_split();
    let Ends { key, outgoing, news, notes, roster, ears } = ends;
    tokio::spawn(async move {
        if let Err(error) = send(writer, record, outgoing).await {
            debug!(rank = %key.rank, %error, "a worker takes no more messages");
        }
    });
    tokio::spawn(async move {
        if let Err(error) = receive(reader, key, (&news, &notes), (roster.as_deref(), ears)).await {
            debug!(rank = %key.rank, %error, "a worker sends no more messages");
        }
    });
    Ok(())
}

async fn send(
    mut writer: OwnedWriteHalf,
    record: Record,
    mut outgoing: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    wire::write(&mut writer, &ToWorker::Record(Box::new(record))).await?;
    while let Some(message) = outgoing.recv().await {
        wire::write(&mut writer, &ToWorker::Data(message.into())).await?;
    }
    // Dropping the half would close it, and a worker takes that for our end.
    writer.forget();
    Ok(())
}

/// What a link hears of its worker.
struct Hearing<'a> {
    key: ProcKey,
    notes: &'a mpsc::Sender<Note>,
    suspensions: &'a AtomicU64,
    /// From when the worker is ready.
    vigil: Option<Vigil>,
    /// What its agent was told last.
    told: Option<Stall>,
}

impl Hearing<'_> {
    /// The next message; the agent is told if it is long in coming.
    async fn next(
        &mut self,
        frames: &mut FrameReader,
        reader: &mut OwnedReadHalf,
    ) -> io::Result<Option<FromWorker>> {
        // While we had no time for it we have not listened.
        let was_told = self.vigil.as_mut().is_some_and(|vigil| vigil.heard(Instant::now()));
        debug_assert!(!was_told, "whoever was heard has been told as heard");
        loop {
            let due = self.vigil.as_ref().map(Vigil::next_deadline);
            let message = tokio::select! {
                biased;
                message = frames.next(reader) => message?,
                () = sleep_until_or_never(due) => {
                    let changes = self.suspensions.load(Ordering::Relaxed);
                    let vigil = self.vigil.as_mut();
                    if let Some(age) = vigil.and_then(|it| it.on_due(Instant::now(), changes)) {
                        self.tell(Some(Stall::silent(Silence::Control, age))).await;
                    }
                    continue;
                }
            };
            let was_overdue = self.vigil.as_mut().is_some_and(|it| it.heard(Instant::now()));
            // A beat says itself what hangs.
            if was_overdue && !matches!(message, Some(FromWorker::Beat(_))) {
                self.tell(None).await;
            }
            return Ok(message);
        }
    }

    /// A beat of the worker says what hangs in it. Its words are not trusted.
    async fn beat(&mut self, stall: Option<Stall>) {
        let stall = stall.map(|stall| match stall {
            Stall::Handler(handler) => Stall::Handler(Arc::new(StalledHandler {
                actor: shorten(&handler.actor),
                message: shorten(&handler.message),
                age: handler.age,
            })),
            other => other,
        });
        self.tell(stall).await;
    }

    async fn tell(&mut self, stall: Option<Stall>) {
        if self.told != stall {
            self.told.clone_from(&stall);
            // An agent that is gone reports nothing.
            _ = self.notes.send(Note::Hangs { key: self.key, stall }).await.is_ok();
        }
    }
}

async fn receive(
    mut reader: OwnedReadHalf,
    key: ProcKey,
    (news, notes): (&mpsc::Sender<WorkerNews>, &mpsc::Sender<Note>),
    (roster, ears): (Option<&Roster>, Ears),
) -> io::Result<()> {
    let mut frames = FrameReader::default();
    let suspensions = &ears.suspensions;
    let mut hearing = Hearing { key, notes, suspensions, vigil: None, told: None };
    while let Some(message) = hearing.next(&mut frames, &mut reader).await? {
        let (rank, incarnation) = (key.rank, key.incarnation);
        let is_taken = match message {
            FromWorker::Ready(seat) => {
                if let (Some(roster), Some(seat)) = (roster, seat) {
                    let met = roster.meet(rank, incarnation, *seat).await;
                    // It is not ready, and its agent ends it when its time for that is over.
                    met.map_err(|error| io::Error::new(io::ErrorKind::ConnectionRefused, error))?;
                }
                let (known, is_known) = oneshot::channel();
                let is_noted = notes.send(Note::Ready { key, known }).await.is_ok();
                hearing.vigil = Some(Vigil::new(ears.silence, Instant::now()));
                is_noted
                    && is_known.await.is_ok()
                    && news.send(WorkerNews::Ready { rank, incarnation }).await.is_ok()
            }
            FromWorker::Data(message) => {
                let message = message.into();
                news.send(WorkerNews::Message { rank, incarnation, message }).await.is_ok()
            }
            FromWorker::Beat(stall) => {
                hearing.beat(stall).await;
                true
            }
        };
        if !is_taken {
            break;
        }
    }
    Ok(())
}

async fn sleep_until_or_never(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// As much of a name as is told.
fn shorten(name: &str) -> String {
    let mut text = escape(&name.as_bytes()[..name.len().min(NAME_BYTES_MAX)]);
    let mut end = text.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// The names of actors and messages are cut there.
const NAME_BYTES_MAX: usize = 256;
