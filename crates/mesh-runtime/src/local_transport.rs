//! Sessions between processes that live in one: nothing is serialised.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use mesh_core::{
    Addr, Credit, DialError, Envelope, FarEnd, Inbound, Lane, ListenError, Lost, Outbound, PeerId,
    ProcId, Returned, SessionEnd, Transport, WhyReturned,
};

use self::board::Board;

mod board;

/// Carries envelopes between [`Proc`](crate::Proc)s of one OS process, at addresses `local://name`.
///
/// Each process has one of its own, made by [`another`](Self::another) of the first; they reach each other.
/// Messages are moved, and never serialised. A session takes [`WINDOW`](Self::WINDOW) messages that the
/// receiver has no room for, each way. Dropping a transport ends its sessions and its listeners.
pub struct LocalTransport {
    board: Arc<Board>,
    /// Which transport of the board it is.
    number: u64,
}

impl Default for LocalTransport {
    fn default() -> Self {
        Self::on(Arc::default())
    }
}

impl LocalTransport {
    /// How many messages of one session may wait for room at their receiver.
    pub const WINDOW: usize = 1024;

    /// One that encodes and decodes every message, as if it went to another machine: for tests of what
    /// is to work there.
    #[must_use]
    pub fn encoding() -> Self {
        Self::on(Arc::new(Board::encoding()))
    }

    /// One for another process, that reaches this one and every other.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::on(Arc::clone(&self.board))
    }

    fn on(board: Arc<Board>) -> Self {
        let number = board.next_transport();
        Self { board, number }
    }

    /// Ends every session of the process, as if it had died.
    pub fn cut(&self, process: ProcId) {
        self.board.end(|session| session.halves().any(|half| half.peer.proc == process));
    }
}

#[async_trait]
impl Transport for LocalTransport {
    async fn listen(
        &self,
        at: &Addr,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Addr, ListenError> {
        let Addr::Local { name } = at else { return Err(ListenError::Scheme(at.clone())) };
        self.board.listen(self.number, (name, lane), into)?;
        Ok(at.clone())
    }

    async fn dial(
        &self,
        to: &Addr,
        peer: ProcId,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Arc<dyn Outbound>, DialError> {
        let Addr::Local { name } = to else { return Err(DialError::Scheme(to.clone())) };
        let Some((transport, there)) = self.board.find(name, lane) else {
            let kind = std::io::ErrorKind::ConnectionRefused;
            return Err(DialError::Os { to: to.clone(), kind });
        };
        let (here_id, there_id) = (into.identity(), there.identity());
        if there_id.peer.proc != peer {
            let found = there_id.peer.proc;
            return Err(DialError::Stranger { to: to.clone(), wanted: peer, found });
        }
        if here_id.registry != there_id.registry && here_id.registry != 0 && there_id.registry != 0
        {
            return Err(DialError::OtherProgram(to.clone()));
        }
        let session = Arc::new(Session {
            board: Arc::clone(&self.board),
            number: self.board.next_session(),
            lane,
            end: self.board.ends.another(),
            dialler: Half::new(self.number, here_id.peer, into),
            listener: Half::new(transport, there_id.peer, Arc::clone(&there)),
        });
        let is_kept = self.board.keep(&session, (name, lane));
        if is_kept {
            there.joined(lane, Arc::new(End { session: Arc::clone(&session), is_dialler: false }));
        }
        // A process that has left takes none, however long its transport is kept.
        if !is_kept || session.end.has_ended() {
            let kind = std::io::ErrorKind::ConnectionRefused;
            return Err(DialError::Os { to: to.clone(), kind });
        }
        Ok(Arc::new(End { session, is_dialler: true }))
    }
}

impl Drop for LocalTransport {
    fn drop(&mut self) {
        self.board.leave(self.number);
    }
}

impl fmt::Debug for LocalTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTransport").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Two processes that talk.
struct Session {
    board: Arc<Board>,
    number: u64,
    lane: Lane,
    /// Asked by both sides before each message, which most often take no lock otherwise.
    end: SessionEnd,
    dialler: Half,
    listener: Half,
}

/// One of them, as a receiver.
struct Half {
    transport: u64,
    peer: PeerId,
    into: Arc<dyn Inbound>,
    window: Arc<Mutex<Window>>,
}

/// The room that a receiver gives, and who waits for it.
struct Window {
    room: usize,
    waiting: Vec<Waker>,
    is_ended: bool,
}

/// One end of a session, as a sender.
struct End {
    session: Arc<Session>,
    is_dialler: bool,
}

impl Session {
    fn halves(&self) -> impl Iterator<Item = &Half> {
        [&self.dialler, &self.listener].into_iter()
    }

    /// Both sides are told, once.
    fn end(&self, why: Lost) {
        if !self.end.end() {
            return;
        }
        self.halves().for_each(Half::end);
        self.dialler.into.lost(self.listener.peer, self.lane, why, Vec::new());
        self.listener.into.lost(self.dialler.peer, self.lane, why, Vec::new());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.board.forget(self);
    }
}

impl Half {
    fn new(transport: u64, peer: PeerId, into: Arc<dyn Inbound>) -> Self {
        let window = Window { room: LocalTransport::WINDOW, waiting: Vec::new(), is_ended: false };
        Self { transport, peer, into, window: Arc::new(Mutex::new(window)) }
    }

    fn end(&self) {
        let mut window = lock(&self.window);
        window.is_ended = true;
        let waiting = std::mem::take(&mut window.waiting);
        drop(window);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Takes room for one message, to be given back with the credit.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Option<Credit>> {
        let mut window = lock(&self.window);
        if window.is_ended {
            return Poll::Ready(None);
        }
        if window.room == 0 {
            if !window.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                window.waiting.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        window.room -= 1;
        drop(window);
        let window = Arc::clone(&self.window);
        Poll::Ready(Some(Credit::new(move || give_back(&window))))
    }
}

fn give_back(window: &Mutex<Window>) {
    let mut window = lock(window);
    window.room += 1;
    let waiting = std::mem::take(&mut window.waiting);
    drop(window);
    waiting.into_iter().for_each(Waker::wake);
}

impl Outbound for End {
    fn peer(&self) -> PeerId {
        self.receiver().peer
    }

    fn is_open(&self) -> bool {
        !self.session.end.has_ended()
    }

    fn close(&self) {
        self.session.end(Lost::Closed);
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let Some(mut taken) = envelope.take() else { return Poll::Ready(Ok(())) };
        let receiver = self.receiver();
        let credit = if taken.head.is_answer() {
            Some(Credit::NONE)
        } else {
            match receiver.poll_room(cx) {
                Poll::Ready(credit) => credit,
                Poll::Pending => {
                    *envelope = Some(taken);
                    return Poll::Pending;
                }
            }
        };
        // Ended, a session takes nothing, though one of its windows may still be open.
        match credit.filter(|_| self.is_open()) {
            Some(credit) => {
                if self.session.board.encodes
                    && let Err(error) = taken.body.bytes()
                {
                    let why = WhyReturned::Encode(error);
                    return Poll::Ready(Err(Box::new(Returned { envelope: taken, why })));
                }
                receiver.into.deliver(self.sender().peer, taken, credit);
                Poll::Ready(Ok(()))
            }
            None => {
                let why = WhyReturned::Ended(receiver.peer);
                Poll::Ready(Err(Box::new(Returned { envelope: taken, why })))
            }
        }
    }

    fn far_end(&self) -> Option<FarEnd<'_>> {
        let Session { board, end, .. } = &*self.session;
        (!board.encodes).then(|| FarEnd { into: &*self.receiver().into, session: end })
    }
}

impl End {
    fn sender(&self) -> &Half {
        if self.is_dialler { &self.session.dialler } else { &self.session.listener }
    }

    fn receiver(&self) -> &Half {
        if self.is_dialler { &self.session.listener } else { &self.session.dialler }
    }
}

/// A lock that is poisoned is as good as any: nothing that can panic runs under it.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
