//! `socket`: where programs speak for themselves: one socket for each host, and who has said what.
//!
//! Its name is abstract, so that nothing of it is left over, and nobody can guess it. A program in a
//! namespace of networks of its own cannot reach it. Who sends is known by the word of the kernel.
//!
//! # Bounds
//!
//! The kernel keeps few messages (10 by default), and then makes senders wait. What is new of a program is
//! kept once, however much it says. [`HELD_MAX`] messages wait for their process to be known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdUnixDatagram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, UnixCredentials, recvmsg};
use rustix::net::sockopt::set_socket_passcred;
use rustix::process::{Pid, getpgid};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::runtime::Handle;
use tokio::sync::{Notify as Wakeup, mpsc};
use tokio::time::{Instant, sleep_until};
use tracing::debug;
use uuid::Uuid;

use super::{MESSAGE_BYTES_MAX, Message, News, Notify, Spoken};
use crate::guard::wire::ProcKey;
use crate::host_agent::Note;

/// How many messages are read before others on the thread have their turn.
const READ_TOGETHER: usize = 32;

/// How many are read at the end of a process: as many as kernels keep (10 by default, 512 under systemd), and
/// no more, if others go on.
const LAST_READ_MAX: usize = 1024;

/// How many messages wait for their process to be known, in all and for each group of processes.
const HELD_MAX: usize = 64;
const HELD_EACH: usize = 8;

/// How long they wait.
const HELD_FOR: Duration = Duration::from_secs(5);

/// The most descriptors that come with a message (`SCM_MAX_FD`).
const FDS_MAX: usize = 253;

/// The socket of a host. Its end is that of its last owner.
#[derive(Debug)]
pub(crate) struct Notifier {
    name: OsString,
    shared: Arc<Shared>,
    reader: tokio::task::AbortHandle,
}

#[derive(Debug)]
struct Shared {
    socket: UnixDatagram,
    table: Mutex<Table>,
    /// There is something to be told.
    changed: Wakeup,
}

/// Who may speak, and what is new of whom.
#[derive(Debug, Default)]
struct Table {
    /// By the id of the process, which is that of its group.
    seated: BTreeMap<i32, Seated>,
    deadlines: BTreeSet<(Instant, i32)>,
    unsaid: BTreeSet<i32>,
    held: VecDeque<Held>,
}

#[derive(Debug)]
struct Seated {
    key: ProcKey,
    spoken: Spoken,
    /// How often it was suspended and let go on.
    suspensions: Arc<AtomicU64>,
    due: Option<Instant>,
    /// What its agent has not been told.
    news: News,
}

/// The right of a process to speak. Dropped, it has none any more, and nothing is kept of it.
#[derive(Debug)]
pub(crate) struct Speaker {
    pid: i32,
    key: ProcKey,
    shared: Arc<Shared>,
}

/// What a process that has ended had said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// It was ready, which its agent may not have been told.
    pub(crate) was_ready: bool,
    pub(crate) last_words: Option<String>,
}

/// A message of a group of processes that is not known yet: a program may be faster than the word that it
/// was started.
#[derive(Debug)]
struct Held {
    group: i32,
    at: Instant,
    message: Message,
}

impl Notifier {
    /// Opens a socket, and reads it on `runtime`.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub(crate) fn start(runtime: &Handle, notes: mpsc::Sender<Note>) -> io::Result<Self> {
        let _entered = runtime.enter();
        let name = format!("meshwarden-notify-{}", Uuid::new_v4());
        let socket = StdUnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        set_socket_passcred(&socket, true)?;
        socket.set_nonblocking(true)?;
        let socket = UnixDatagram::from_std(socket)?;
        let shared = Shared { socket, table: Mutex::default(), changed: Wakeup::new() };
        let shared = Arc::new(shared);
        let reader = runtime.spawn(read(Arc::clone(&shared), notes)).abort_handle();
        Ok(Self { name: format!("@{name}").into(), shared, reader })
    }

    /// What a program is given so that it can speak.
    pub(crate) fn env(&self, notify: Notify) -> Vec<(OsString, OsString)> {
        let mut env = vec![("NOTIFY_SOCKET".into(), self.name.clone())];
        if let Some(watchdog) = notify.watchdog {
            env.push(("WATCHDOG_USEC".into(), watchdog.as_micros().to_string().into()));
        }
        env
    }

    /// A process may speak from now on, and its group with it.
    pub(crate) fn seat(
        &self,
        pid: u32,
        (key, notify): (ProcKey, Notify),
        suspensions: Arc<AtomicU64>,
    ) -> Option<Speaker> {
        let pid = i32::try_from(pid).ok()?;
        let now = Instant::now();
        let spoken = Spoken::new(notify, now);
        let seated = Seated { key, spoken, suspensions, due: None, news: News::default() };
        let mut table = self.shared.table();
        // The number was another's of whom it is not known yet that he has ended.
        table.remove(pid);
        table.seated.insert(pid, seated);
        let held = std::mem::take(&mut table.held);
        for held in held {
            if held.group == pid {
                table.hear(pid, now, held.message);
            } else {
                table.held.push_back(held);
            }
        }
        table.wind(pid);
        drop(table);
        self.shared.changed.notify_one();
        Some(Speaker { pid, key, shared: Arc::clone(&self.shared) })
    }
}

impl Speaker {
    /// The process has ended. What it said last is read; returns what of it is to be told with its end.
    pub(crate) fn leave(self) -> Option<Left> {
        let mut table = self.shared.table();
        _ = self.shared.drain(&mut table, LAST_READ_MAX);
        let spoken = table.remove_life(self.pid, self.key)?.spoken;
        Some(Left { was_ready: spoken.is_ready(), last_words: spoken.last_words() })
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        _ = self.shared.table().remove_life(self.pid, self.key);
        self.shared.changed.notify_one();
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads until nobody wants to know.
async fn read(shared: Arc<Shared>, notes: mpsc::Sender<Note>) {
    loop {
        let (unsaid, due) = shared.table().take_news();
        for note in unsaid {
            // While the agent has no room nothing is read, and programs wait.
            if notes.send(note).await.is_err() {
                return;
            }
        }
        tokio::select! {
            readable = shared.socket.readable() => {
                if readable.is_err() {
                    return;
                }
                // That it would block is how it is known that there is no more.
                let read = || match shared.drain(&mut shared.table(), READ_TOGETHER) {
                    true => Err(io::Error::from(io::ErrorKind::WouldBlock)),
                    false => Ok(()),
                };
                _ = shared.socket.try_io(Interest::READABLE, read).is_ok();
            }
            () = shared.changed.notified() => (),
            () = sleep_until_or_never(due) => shared.table().on_due(Instant::now()),
        }
        // A program that never stops speaking keeps nobody from being read.
        tokio::task::yield_now().await;
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads up to so many messages. Returns whether that was all.
    fn drain(&self, table: &mut Table, n_max: usize) -> bool {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut space = nix::cmsg_space!(UnixCredentials, [RawFd; FDS_MAX]);
        for _ in 0..n_max {
            match receive(&self.socket, &mut buffer, &mut space) {
                Ok(Some((pid, len))) => {
                    table.on_message(pid, Instant::now(), Message::parse(&buffer[..len]));
                }
                Ok(None) | Err(Errno::EINTR) => (),
                Err(_) => return true,
            }
        }
        false
    }
}

/// The next message: who sent it, and how long it is; `None` if it is none. Descriptors that come with it
/// are closed.
fn receive(
    socket: &UnixDatagram,
    buffer: &mut [u8],
    space: &mut [u8],
) -> Result<Option<(i32, usize)>, Errno> {
    space.fill(0);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut *space), flags)?;
    let (len, is_whole) = (message.bytes, !message.flags.contains(MsgFlags::MSG_TRUNC));
    let mut sender = None;
    // Not by `RecvMsg::cmsgs`: that shows nothing if some of the descriptors had no room, and then the others
    // would stay open.
    for (kind, data) in controls(space) {
        match kind {
            SCM_CREDENTIALS => sender = number_at(data, 0),
            SCM_RIGHTS => {
                for fd in (0..data.len() / size_of::<RawFd>()).filter_map(|n| number_at(data, n)) {
                    // It is ours now, and nobody else's.
                    _ = nix::unistd::close(fd).is_ok();
                }
            }
            _ => (),
        }
    }
    Ok(sender.filter(|_| is_whole).map(|sender| (sender, len)))
}

/// What the kernel has put beside a message: the kind of each, and its data. What follows the last is zero.
fn controls(mut space: &[u8]) -> impl Iterator<Item = (i32, &[u8])> {
    std::iter::from_fn(move || {
        let (len, _) = space.split_first_chunk()?;
        let len = usize::from_ne_bytes(*len);
        let data = space.get(HEADER_BYTES..len)?;
        let kind = number_at(&space[size_of::<usize>()..], 1)?;
        space = space.get(len.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
        Some((kind, data))
    })
}

/// The `n`th number of some bytes, as the kernel writes them.
fn number_at(bytes: &[u8], n: usize) -> Option<i32> {
    let (number, _) = bytes.get(n * size_of::<i32>()..)?.split_first_chunk()?;
    Some(i32::from_ne_bytes(*number))
}

/// The length of a control message, its level and its kind.
const HEADER_BYTES: usize = size_of::<usize>() + 2 * size_of::<i32>();
const SCM_RIGHTS: i32 = 1;
const SCM_CREDENTIALS: i32 = 2;

impl Table {
    fn on_message(&mut self, sender: i32, now: Instant, message: Message) {
        if self.seated.contains_key(&sender) {
            return self.hear(sender, now, message);
        }
        // One that has gone, and was not the leader of its group, cannot be told from others any more.
        let group = Pid::from_raw(sender).and_then(|pid| getpgid(Some(pid)).ok());
        let Some(group) = group.map(Pid::as_raw_pid) else { return };
        if self.seated.contains_key(&group) {
            return self.hear(group, now, message);
        }
        self.held.retain(|held| now - held.at < HELD_FOR);
        let n_of_group = self.held.iter().filter(|held| held.group == group).count();
        if self.held.len() < HELD_MAX && n_of_group < HELD_EACH {
            self.held.push_back(Held { group, at: now, message });
        }
    }

    fn hear(&mut self, pid: i32, now: Instant, message: Message) {
        let Some(seated) = self.seated.get_mut(&pid) else { return };
        for why in &message.refused {
            debug!(rank = %seated.key.rank, "a program asks for what is refused: {why}");
        }
        let news = seated.spoken.on_message(now, message);
        self.note(pid, news);
    }

    fn on_due(&mut self, now: Instant) {
        while let Some((_, pid)) = self.deadlines.first().copied().filter(|(due, _)| *due <= now) {
            let Some(seated) = self.seated.get_mut(&pid) else {
                self.deadlines.pop_first();
                continue;
            };
            let suspensions = seated.suspensions.load(Ordering::Relaxed);
            let news = seated.spoken.on_due(now, suspensions);
            self.note(pid, news);
        }
    }

    /// What is new is put together with what its agent has not been told.
    fn note(&mut self, pid: i32, newer: News) {
        let Some(seated) = self.seated.get_mut(&pid) else { return };
        let news = &mut seated.news;
        news.is_ready |= newer.is_ready;
        news.is_stopping |= newer.is_stopping;
        news.stall = newer.stall.or_else(|| news.stall.take());
        news.status = newer.status.or_else(|| news.status.take());
        if *news != News::default() {
            self.unsaid.insert(pid);
        }
        self.wind(pid);
    }

    /// Its next deadline may have changed.
    fn wind(&mut self, pid: i32) {
        let Some(seated) = self.seated.get_mut(&pid) else { return };
        let due = seated.spoken.next_deadline();
        if due != seated.due {
            seated.due.map(|due| self.deadlines.remove(&(due, pid)));
            self.deadlines.extend(due.map(|due| (due, pid)));
            seated.due = due;
        }
    }

    fn remove(&mut self, pid: i32) -> Option<Seated> {
        let seated = self.seated.remove(&pid)?;
        seated.due.map(|due| self.deadlines.remove(&(due, pid)));
        self.unsaid.remove(&pid);
        Some(seated)
    }

    /// The same, unless the number is another's by now.
    fn remove_life(&mut self, pid: i32, key: ProcKey) -> Option<Seated> {
        self.seated.get(&pid).filter(|seated| seated.key == key)?;
        self.remove(pid)
    }

    /// What the agent has not been told, and when to look again.
    fn take_news(&mut self) -> (Vec<Note>, Option<Instant>) {
        let unsaid = std::mem::take(&mut self.unsaid);
        let notes = unsaid.iter().filter_map(|pid| {
            let seated = self.seated.get_mut(pid)?;
            Some(Note::Notified { key: seated.key, news: std::mem::take(&mut seated.news) })
        });
        (notes.collect(), self.deadlines.first().map(|(due, _)| *due))
    }
}

async fn sleep_until_or_never(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
