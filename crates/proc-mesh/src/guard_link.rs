//! The agent's side of the lifeline to its guard.

use std::collections::BTreeMap;
use std::env;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mesh_core::{BeatSeq, Epoch, LaunchProblem, MeshId};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{Sleep, sleep, timeout};

use crate::guard::frames::{BadFrame, FRAME_BYTES_MAX, Filled, Flushed, Inbox, Outbox, TooLong};
use crate::guard::wire::{FromGuard, Message, ToGuard, VERSION};
use crate::guard::{self, spawn};
use crate::launcher::WORKER_ARG;

/// A guard, and the lifeline to it.
///
/// Dropping it closes the lifeline: the guard kills every process that it has started and all their
/// descendants, and ends by itself. tokio reaps it then, in the background of whatever runtime of
/// this process has process support next; [`Self::close`] waits for it instead.
///
/// # State
///
/// [`Self::queue`] only puts in; [`Self::recv`] and [`Self::flush`] send. So one task that loops over
/// `recv` does both. What is queued has no bound but what the caller queues; renewals that wait for
/// a guard that does not read are merged, one for each mesh.
#[derive(Debug)]
pub struct GuardLink {
    socket: UnixStream,
    inbox: Inbox,
    outbox: Outbox,
    renewals: BTreeMap<MeshId, (Epoch, BeatSeq)>,
    /// When to send again, after the system had too many descriptors on their way.
    retry: Option<Pin<Box<Sleep>>>,
    process: Child,
}

/// Why a guard could not be started, or is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// This process was started as a guard or a worker and goes on as the program itself. Nothing was
    /// started: it would do the same, and so on without end.
    #[error(
        "this process was started as a guard or a worker: the program must call \
         `meshwarden::main` (or `proc_mesh::bootstrap`) before anything else"
    )]
    NotBootstrapped,
    /// The program of the guard could not be started.
    #[error("cannot start the guard {}: {problem}", program.display())]
    NotStarted {
        /// The program.
        program: PathBuf,
        /// What was wrong.
        problem: LaunchProblem,
    },
    /// The program runs, or ran, but does not answer as a guard. It has been killed.
    #[error(
        "{} did not answer as a guard within {within:?}: it must call `meshwarden::main` before \
         anything else", program.display()
    )]
    NoHello {
        /// The program.
        program: PathBuf,
        /// How long it was given.
        within: Duration,
    },
    /// The guard is of another build of the program. It has been killed.
    #[error("the guard speaks version {found}, this process {expected}: was the program replaced?")]
    OtherVersion {
        /// The version of this process.
        expected: u32,
        /// The version of the guard.
        found: u32,
    },
    /// The guard has ended, and with it every process that it had started.
    #[error("the guard has ended")]
    Gone,
    /// What came from the guard is no message. The link is of no use any more.
    #[error("the guard sent something that is no message")]
    BadFrame,
    /// The message was not queued: it is longer than a frame may be.
    #[error("a message of {bytes} bytes is longer than {max}: shorten the command line")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// The message was not queued: it does not come with the descriptors that it owns.
    #[error("a message with {given} descriptors must have {expected}")]
    WrongDescriptors {
        /// How many it owns.
        expected: usize,
        /// How many were given.
        given: usize,
    },
    /// The system refused a call that the link needs.
    #[error("the lifeline to the guard broke: {}", io::Error::from_raw_os_error(*errno))]
    Os {
        /// The error number.
        errno: i32,
    },
}

impl GuardLink {
    /// Starts `program` (normally `/proc/self/exe`) as a guard, and waits until it says hello.
    ///
    /// The guard leads a process group of its own, so that a Ctrl-C is not meant for it.
    ///
    /// # Cancellation
    ///
    /// The guard is not kept: its lifeline closes, and it ends.
    ///
    /// # Errors
    ///
    /// - [`GuardError::NotBootstrapped`] if this process should have become a guard or a worker.
    /// - [`GuardError::NotStarted`] if the program cannot be started.
    /// - [`GuardError::NoHello`] if it is no guard. It has been killed.
    /// - [`GuardError::OtherVersion`] if it is a guard of another build. It has been killed.
    /// - [`GuardError::Os`] if there are no descriptors left.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with input and output, and time.
    pub async fn start(program: &Path) -> Result<Self, GuardError> {
        if is_out_of_part() {
            return Err(GuardError::NotBootstrapped);
        }
        let (socket, theirs) = lifeline().map_err(|error| os(&error))?;
        let mut command = Command::new(program);
        command.arg0("meshwarden-guard").arg(guard::ARGUMENT).process_group(0);
        // Whose watchdog that is it says of one process, which is none of those that are started here.
        command.env_remove("WATCHDOG_PID");
        command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        let process = command.spawn().map_err(|error| GuardError::NotStarted {
            program: program.to_owned(),
            problem: spawn::problem_of(&error),
        })?;
        // Its end of the lifeline must be closed here, or its death would not be seen.
        drop(command);
        let mut link = Self {
            socket,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            renewals: BTreeMap::new(),
            retry: None,
            process,
        };
        match timeout(HELLO_WITHIN, link.recv()).await {
            Ok(Ok((FromGuard::Hello { version: VERSION, .. }, _))) => Ok(link),
            Ok(Ok((FromGuard::Hello { version, .. }, _))) => {
                link.kill().await;
                Err(GuardError::OtherVersion { expected: VERSION, found: version })
            }
            Ok(Ok(_) | Err(_)) | Err(_) => {
                link.kill().await;
                Err(GuardError::NoHello { program: program.to_owned(), within: HELLO_WITHIN })
            }
        }
    }

    /// Puts a message at the end of the queue, without sending it: [`Self::recv`] does that.
    ///
    /// # Errors
    ///
    /// Nothing was queued, and the link is as usable as before:
    ///
    /// - [`GuardError::TooLong`] if the message is longer than a frame may be.
    /// - [`GuardError::WrongDescriptors`] if `fds` are not three for a start, and none for the rest.
    pub fn queue(&mut self, message: ToGuard, fds: Vec<OwnedFd>) -> Result<(), GuardError> {
        if fds.len() != message.n_fds() {
            let (expected, given) = (message.n_fds(), fds.len());
            return Err(GuardError::WrongDescriptors { expected, given });
        }
        if let ToGuard::Renew { mesh, epoch, echoed } = message
            && !self.outbox.is_empty()
        {
            let newest = self.renewals.entry(mesh).or_insert((epoch, echoed));
            *newest = (*newest).max((epoch, echoed));
            return Ok(());
        }
        self.outbox
            .push(&message, fds)
            .map_err(|TooLong(bytes)| GuardError::TooLong { bytes, max: FRAME_BYTES_MAX })
    }

    /// Waits for the next message with its descriptors, and sends meanwhile what is queued.
    ///
    /// A [`FromGuard::Started`] without its pidfd means that this process may open no more.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// The link is of no use any more:
    ///
    /// - [`GuardError::Gone`] if the guard has ended. All that it said before has been received.
    /// - [`GuardError::BadFrame`] if it sent what is no message.
    /// - [`GuardError::Os`] if the system refuses to receive.
    pub async fn recv(&mut self) -> Result<(FromGuard, Vec<OwnedFd>), GuardError> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Waits until the socket has taken all that is queued.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn flush(&mut self) {
        poll_fn(|context| self.poll_flush(context)).await;
    }

    /// The process id of the guard. `None` once it has been reaped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Closes the lifeline, and waits until the guard has killed every process and has ended.
    ///
    /// What is still queued is not sent, and what the guard has still to say is not heard: close the
    /// meshes first. A guard that takes longer than `within` is killed, and then the processes that
    /// it could not end are left to the system. It is reaped in any case.
    ///
    /// Says whether the guard has ended well: nothing is left over.
    pub async fn close(self, within: Duration) -> bool {
        let Self { socket, mut process, .. } = self;
        drop(socket);
        // It may have been suspended by somebody. It is not reaped, so the number is its own.
        if let Some(pid) = process.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)) {
            let _ended = kill_process(pid, Signal::CONT);
        }
        match timeout(within, process.wait()).await {
            Ok(ended) => ended.is_ok_and(|status| status.success()),
            Err(_) => {
                let _reaped = process.kill().await;
                false
            }
        }
    }

    fn poll_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(FromGuard, Vec<OwnedFd>), GuardError>> {
        // Whether it is done does not matter: it goes on with the next wake-up.
        let _sent = self.poll_flush(context);
        loop {
            match self.inbox.take() {
                Ok(Some(received)) => return Poll::Ready(Ok(received)),
                Ok(None) => {}
                Err(BadFrame) => return Poll::Ready(Err(GuardError::BadFrame)),
            }
            ready!(self.socket.poll_read_ready(context)).map_err(|error| os(&error))?;
            let (socket, inbox) = (&self.socket, &mut self.inbox);
            let filled = socket.try_io(Interest::READABLE, || match inbox.fill(socket)? {
                Filled::Nothing => Err(io::ErrorKind::WouldBlock.into()),
                filled => Ok(filled),
            });
            match filled {
                Ok(Filled::Closed) => return Poll::Ready(Err(GuardError::Gone)),
                Ok(Filled::Some | Filled::Nothing) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(os(&error))),
            }
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(retry) = &mut self.retry {
                ready!(retry.as_mut().poll(context));
                self.retry = None;
            }
            if self.outbox.is_empty() {
                if self.renewals.is_empty() {
                    return Poll::Ready(());
                }
                self.queue_renewals();
            }
            // If the runtime is shutting down, the flush itself tells.
            let _ready = ready!(self.socket.poll_write_ready(context));
            let (socket, outbox) = (&self.socket, &mut self.outbox);
            let flushed = socket.try_io(Interest::WRITABLE, || match outbox.flush(socket)? {
                Flushed::Full => Err(io::ErrorKind::WouldBlock.into()),
                flushed => Ok(flushed),
            });
            match flushed {
                Ok(Flushed::Busy) => self.retry = Some(Box::pin(sleep(RETRY_AFTER))),
                Ok(Flushed::All | Flushed::Full) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The guard is gone. What it has said before must still be received.
                Err(_) => {
                    self.outbox.clear();
                    self.renewals.clear();
                }
            }
        }
    }

    fn queue_renewals(&mut self) {
        for (mesh, (epoch, echoed)) in std::mem::take(&mut self.renewals) {
            let pushed = self.outbox.push(&ToGuard::Renew { mesh, epoch, echoed }, Vec::new());
            debug_assert!(pushed.is_ok(), "a renewal is short");
        }
    }

    /// Ends what is no guard, and reaps it.
    async fn kill(mut self) {
        let _reaped = self.process.kill().await;
    }
}

/// Whether this process was started as a guard or a worker, and has not become one.
fn is_out_of_part() -> bool {
    let Some(first) = env::args_os().nth(1) else { return false };
    // A guard starts no guard. A worker may have hosts of its own: once it has become one, its
    // standard input is not the socket any more with which it was started.
    first == guard::ARGUMENT || (first == WORKER_ARG && socket_peercred(io::stdin()).is_ok())
}

/// Both ends of a lifeline, closed on exec; the first is ours.
fn lifeline() -> io::Result<(UnixStream, net::UnixStream)> {
    let (ours, theirs) = net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs))
}

fn os(error: &io::Error) -> GuardError {
    GuardError::Os { errno: Errno::from_io_error(error).unwrap_or(Errno::IO).raw_os_error() }
}

/// How long a guard may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// When to send again after the system had too many descriptors on their way.
const RETRY_AFTER: Duration = Duration::from_millis(5);
