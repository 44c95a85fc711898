//! The agent's end of a worker: says who it is, carries messages both ways.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::guard::wire::ProcKey;
use crate::host_agent::Note;
use crate::mesh::WorkerNews;
use crate::roster::Roster;
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
}

/// Starts to talk. Both directions end with the worker, or with the mesh.
///
/// # Errors
///
/// If the system refuses to watch the socket.
pub(crate) fn start(socket: StdUnixStream, record: Record, ends: Ends) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let (reader, writer) = UnixStream::from_std(socket)?.into_split();
    let Ends { key, outgoing, news, notes, roster } = ends;
    tokio::spawn(async move {
        if let Err(error) = send(writer, record, outgoing).await {
            debug!(rank = %key.rank, %error, "a worker takes no more messages");
        }
    });
    tokio::spawn(async move {
        if let Err(error) = receive(reader, key, (&news, &notes), roster.as_deref()).await {
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

async fn receive(
    mut reader: OwnedReadHalf,
    key: ProcKey,
    (news, notes): (&mpsc::Sender<WorkerNews>, &mpsc::Sender<Note>),
    roster: Option<&Roster>,
) -> io::Result<()> {
    let mut frames = FrameReader::default();
    while let Some(message) = frames.next(&mut reader).await? {
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
                is_noted
                    && is_known.await.is_ok()
                    && news.send(WorkerNews::Ready { rank, incarnation }).await.is_ok()
            }
            FromWorker::Data(message) => {
                let message = message.into();
                news.send(WorkerNews::Message { rank, incarnation, message }).await.is_ok()
            }
        };
        if !is_taken {
            break;
        }
    }
    Ok(())
}
