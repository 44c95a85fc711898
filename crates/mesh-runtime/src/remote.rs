//! Messages for other processes: the sessions to them, the calls that wait for their answers, and the
//! answers to theirs.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mesh_core::{
    ActorId, Body, CallId, Envelope, Fault, Head, Message, PeerId, PortId, PortRef, Returned,
    WhyReturned, WhyUndelivered,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::broadcast::Gathers;
use crate::codec::{self, OutgoingReply};
use crate::panics::discard;
use crate::proc::Proc;
use crate::undelivered::{Undelivered, log_undelivered};

use self::dialling::Dialling;
use self::parted::Parted;
use self::returns::Returns;
use self::routes::{Routes, Sending, Way};

mod casting;
mod dialling;
mod parted;
mod returns;
mod route;
mod routes;
mod table;

pub(crate) use dialling::Turn;
pub(crate) use table::{Company, Table};

/// What a process knows of others.
pub(crate) struct Remote {
    /// The sessions with each peer, and by which of them messages go.
    pub(crate) routes: Routes,
    /// Who is being dialled.
    pub(crate) dialling: Dialling,
    /// Who was lost, and may be met again.
    parted: Parted,
    pub(crate) next_call: AtomicU64,
    /// Calls of ours that wait for an answer.
    pending: Table<CallId, Pending>,
    /// Calls of others that are not answered yet: dropped or told when they are withdrawn.
    serving: Table<(PeerId, CallId), Arc<Withdrawal>>,
    /// What of ours waits for peers otherwise.
    pub(crate) gathers: Gathers,
    /// What of theirs was not handled here, and waits for a session with them.
    pub(crate) returns: Returns,
    /// What ports are called, of the messages that were sent away.
    names: Table<PortId, &'static str>,
    /// The number of the port that was learned last.
    last_name: AtomicU64,
}

/// A call of ours that waits for an answer.
struct Pending {
    /// Who is to answer.
    by: PeerId,
    settle: oneshot::Sender<Result<Body, Fault>>,
}

/// What was not sent by any session.
struct Unsent {
    envelope: Envelope,
    why: WhyUnsent,
}

/// Why not.
enum WhyUnsent {
    NoSession,
    /// The session has given it back.
    Returned(WhyReturned),
    /// The session would have it wait, as none should where nothing is to wait.
    NoRoom,
}

/// Whether nobody waits any more for the answer to a call of a peer.
#[derive(Default)]
struct Withdrawal {
    has_come: AtomicBool,
    told: Notify,
}

impl Withdrawal {
    fn tell(&self) {
        self.has_come.store(true, Ordering::Release);
        self.told.notify_waiters();
    }
}

impl Remote {
    pub(crate) fn new(company: Company) -> Self {
        Self {
            routes: Routes::new(company),
            dialling: Dialling::default(),
            parted: Parted::default(),
            next_call: AtomicU64::default(),
            pending: company.table(),
            serving: company.table(),
            gathers: Gathers::default(),
            returns: Returns::default(),
            names: company.table(),
            last_name: AtomicU64::default(),
        }
    }

    /// Whether a session with a peer is being opened from here, or one was lost a short while ago.
    pub(crate) fn may_meet(&self, peer: PeerId) -> bool {
        !self.routes.has_left() && (self.dialling.is_on(peer) || self.parted.is_recent(peer))
    }

    /// The life of a peer is known to be over: there will be no session with it.
    pub(crate) fn part_for_good(&self, peer: PeerId) {
        self.parted.note_for_good(peer);
    }

    /// A session has ended. Calls that were given past it get no answer; nor do those that wait for the peer otherwise,
    /// if nothing else leads there.
    pub(crate) fn disconnect(&self, peer: PeerId) {
        self.routes.disconnect(peer);
        self.gathers.lost(peer);
        if self.routes.is_reached(peer) {
            return;
        }
        self.parted.note(peer);
        // In the order in which they were made, so that the same run goes the same way again.
        let pending = self.pending.iter().filter(|call| call.by == peer);
        let mut lost: Vec<CallId> = pending.map(|call| *call.key()).collect();
        lost.sort_unstable();
        for call in lost {
            self.settle(peer, call, Err(Fault::Undelivered(WhyUndelivered::PeerLost)));
        }
        let serving = self.serving.iter().filter(|call| call.key().0 == peer);
        let mut withdrawn: Vec<CallId> = serving.map(|call| call.key().1).collect();
        withdrawn.sort_unstable();
        for call in withdrawn {
            self.withdrawn(peer, call);
        }
    }

    /// Whoever waits for the answer to a call of ours is told by this.
    pub(crate) fn await_answer(
        &self,
        by: PeerId,
        call: CallId,
    ) -> oneshot::Receiver<Result<Body, Fault>> {
        let (settle, settled) = oneshot::channel();
        self.pending.insert(call, Pending { by, settle });
        settled
    }

    /// An answer has come from a peer, or there will be none. Only who was called can answer.
    pub(crate) fn settle(&self, by: PeerId, call: CallId, outcome: Result<Body, Fault>) {
        if let Some((_, pending)) = self.pending.remove_if(&call, |_, pending| pending.by == by) {
            // The call may have been given up meanwhile.
            _ = pending.settle.send(outcome).is_ok();
        }
    }

    /// Nobody waits any more for the answer to a call of a peer.
    pub(crate) fn withdrawn(&self, from: PeerId, call: CallId) {
        if let Some((_, withdrawal)) = self.serving.remove(&(from, call)) {
            withdrawal.tell();
        }
    }

    /// What comes back from elsewhere has no name with it.
    pub(crate) fn learn_name<M: Message>(&self) {
        let port = const { PortId::of::<M>() };
        // Most messages follow one of their kind.
        if self.last_name.load(Ordering::Relaxed) == port.number() {
            return;
        }
        self.names.entry(port).or_insert(M::NAME);
        self.last_name.store(port.number(), Ordering::Relaxed);
    }

    /// What the messages of a port are called, if any were sent there.
    pub(crate) fn name(&self, port: PortId) -> &'static str {
        self.names.get(&port).map_or("?", |name| *name)
    }
}

impl Proc {
    /// Sends an envelope, and waits while there is no room.
    pub(crate) async fn send_away(&self, envelope: Envelope) -> Result<(), Box<Returned>> {
        self.send_away_aging(envelope, |body, _| body).await
    }

    /// The same; while there is no room, `age` is given the body, and how long it has waited since it was
    /// given last.
    async fn send_away_aging(
        &self,
        envelope: Envelope,
        age: impl FnMut(Body, Duration) -> Body,
    ) -> Result<(), Box<Returned>> {
        let Err(unsent) = self.send_or_unsent(envelope, age).await else { return Ok(()) };
        let Unsent { envelope, why } = *unsent;
        match why {
            WhyUnsent::Returned(why) => Err(Box::new(Returned { envelope, why })),
            WhyUnsent::NoSession | WhyUnsent::NoRoom => {
                self.no_route(Some(envelope));
                Ok(())
            }
        }
    }

    /// The same; what is not sent comes back, also where there is no way.
    async fn send_or_unsent(
        &self,
        envelope: Envelope,
        mut age: impl FnMut(Body, Duration) -> Body,
    ) -> Result<(), Box<Unsent>> {
        let mut sending = Sending::new(&self.remote().routes, self.way(&envelope.head));
        let (mut envelope, mut since) = (Some(envelope), None::<Instant>);
        let send = |cx: &mut Context<'_>| {
            if let Some(since) = &mut since {
                let now = Instant::now();
                let waited = now - std::mem::replace(since, now);
                let older = |it: Envelope| Envelope { body: age(it.body, waited), ..it };
                envelope = envelope.take().map(older);
            }
            let sent = sending.poll(cx, &mut envelope);
            if sent.is_pending() {
                since.get_or_insert_with(Instant::now);
            }
            sent
        };
        match poll_fn(send).await {
            Some(Ok(())) => Ok(()),
            Some(Err(returned)) => {
                let Returned { envelope, why } = *returned;
                Err(Box::new(Unsent { envelope, why: WhyUnsent::Returned(why) }))
            }
            None => {
                let unsent = |envelope| Box::new(Unsent { envelope, why: WhyUnsent::NoSession });
                envelope.map_or(Ok(()), |envelope| Err(unsent(envelope)))
            }
        }
    }

    /// Whom an envelope is for, and by which lane it goes: by that of the actor that it is for, and an
    /// answer by that of who answers, so that what supervises never waits behind a user's data.
    const fn way(&self, head: &Head) -> Way {
        let lane = match head {
            Head::Cast { to, .. }
            | Head::Call { to, .. }
            | Head::Withdrawn { to, .. }
            | Head::Returned { to, .. } => to.plane().lane(),
            Head::Answer { .. } | Head::Fault { .. } => self.lane(),
        };
        (head.peer(), lane)
    }

    /// Sends an answer, which never waits: it may go by any session, and overtake what goes by another. If it cannot
    /// be sent, whoever waits is told that much.
    pub(crate) fn answer_away(&self, head: Head, body: Body) {
        let Some(Err(returned)) = self.try_answer(head, body) else { return };
        let Returned { envelope: Envelope { head, body }, why } = *returned;
        discard(body);
        let (to, call, fault) = match head {
            Head::Answer { to, call } => (to, call, Fault::Undelivered(self.why_returned(&why))),
            Head::Fault { to, call, .. } => (to, call, Fault::Unanswered(None)),
            // It may be that nobody is there for it any more.
            Head::Cast { .. }
            | Head::Call { .. }
            | Head::Withdrawn { .. }
            | Head::Returned { .. } => {
                return;
            }
        };
        tracing::error!(%why, "an answer cannot be sent");
        _ = self.try_answer(Head::Fault { to, call, fault }, Body::EMPTY).is_some();
    }

    /// Sends it by the first session that is open; `None` if there is none.
    fn try_answer(&self, head: Head, body: Body) -> Option<Result<(), Box<Returned>>> {
        match self.offer(Envelope { head, body }) {
            Ok(()) => Some(Ok(())),
            Err(unsent) => {
                let Unsent { envelope, why } = *unsent;
                let WhyUnsent::Returned(why) = why else {
                    discard(envelope.body);
                    return None;
                };
                Some(Err(Box::new(Returned { envelope, why })))
            }
        }
    }

    /// Gives it to the first session that is open.
    fn offer(&self, envelope: Envelope) -> Result<(), Box<Unsent>> {
        let (peer, lane) = self.way(&envelope.head);
        if peer == self.peer() {
            let Envelope { head, body } = envelope;
            self.answer_here(head, body);
            return Ok(());
        }
        let routes = &self.remote().routes;
        let session = match envelope.head {
            Head::Withdrawn { .. } => routes.for_withdrawals((peer, lane)),
            _ => routes.for_answers((peer, lane)),
        };
        let Some(session) = session else {
            return Err(Box::new(Unsent { envelope, why: WhyUnsent::NoSession }));
        };
        let mut envelope = Some(envelope);
        match session.poll_send(&mut Context::from_waker(Waker::noop()), &mut envelope) {
            Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(returned)) => {
                let Returned { envelope, why } = *returned;
                Err(Box::new(Unsent { envelope, why: WhyUnsent::Returned(why) }))
            }
            Poll::Pending => {
                let unsent = |envelope| Box::new(Unsent { envelope, why: WhyUnsent::NoRoom });
                envelope.map_or(Ok(()), |envelope| Err(unsent(envelope)))
            }
        }
    }

    /// There is no way to the process that an envelope is for.
    fn no_route(&self, envelope: Option<Envelope>) {
        let Some(Envelope { head, body }) = envelope else { return };
        let why = self.why_no_route(head.peer());
        self.not_sent(head, body, why);
    }

    /// Why nothing goes to a process that there is no way to: of this one it is another life.
    fn why_no_route(&self, peer: PeerId) -> WhyUndelivered {
        let is_us = peer.proc == self.id();
        if is_us { WhyUndelivered::NoActor } else { WhyUndelivered::NoRoute }
    }

    /// Why an envelope that came back was not delivered.
    fn why_returned(&self, why: &WhyReturned) -> WhyUndelivered {
        match why {
            WhyReturned::Encode(error) => {
                tracing::error!(%error, "a message cannot be encoded");
                WhyUndelivered::Malformed
            }
            WhyReturned::TooLarge { bytes, max } => {
                tracing::error!(%why, "a message is too large");
                WhyUndelivered::too_large(*bytes, *max)
            }
            // Another life of this very process.
            WhyReturned::Ended(peer) if peer.proc == self.id() => WhyUndelivered::NoActor,
            _ => WhyUndelivered::PeerLost,
        }
    }

    /// A cast of another process that could not be delivered goes back, counted and logged (R3).
    pub(crate) fn return_away(&self, head: Head, body: Body) {
        self.tell_returned(&head);
        self.give_back_away(head, body);
    }

    fn give_back_away(&self, head: Head, body: Body) {
        match head {
            Head::Returned { .. } => self.return_by_session(head, body),
            _ => self.answer_away(head, body),
        }
    }

    /// Counts and logs what goes back.
    pub(crate) fn tell_returned(&self, head: &Head) {
        if let Head::Returned { why, of, port, .. } = head {
            self.metrics().undelivered(*why);
            let what = format_args!("port {port} of actor {of}, which returns: {why}");
            log_undelivered(*of, &what);
        }
    }

    /// An envelope that was not sent: a cast goes back to its sender, and a call is told.
    pub(crate) fn came_back(&self, Returned { envelope, why }: Returned) {
        let Envelope { head, body } = envelope;
        let why = self.why_returned(&why);
        self.not_sent(head, body, why);
    }

    fn not_sent(&self, head: Head, body: Body, why: WhyUndelivered) {
        match head {
            Head::Cast { to, port, from } => {
                let name = self.remote().name(port);
                self.give_back(Undelivered::new((from, to), name, why, body));
            }
            Head::Call { to, call, .. } => {
                self.remote().settle(to.peer(), call, Err(Fault::Undelivered(why)));
                discard(body);
            }
            // By another session, if there is one; otherwise whoever waits for these has lost us, too.
            Head::Answer { .. } | Head::Fault { .. } | Head::Withdrawn { .. } => {
                discard(self.try_answer(head, body));
            }
            Head::Returned { .. } => self.return_by_session(head, body),
        }
    }

    /// Calls a port of another process.
    ///
    /// # Cancellation
    ///
    /// The peer is told that nobody waits any more.
    pub(crate) async fn call_away<M>(&self, to: PortRef<M>, body: Body) -> Result<M::Reply, Fault>
    where
        M: Message<Reply: DeserializeOwned>,
    {
        let remote = self.remote();
        let call = CallId::new(remote.next_call.fetch_add(1, Ordering::Relaxed));
        let settled = remote.await_answer(to.actor().peer(), call);
        let _withdraw = Withdraw { proc: self.clone(), to: to.actor(), call };
        let head = Head::Call { to: to.actor(), port: to.port(), from: self.peer(), call };
        if let Err(returned) = self.send_away(Envelope { head, body }).await {
            self.came_back(*returned);
        }
        reply_of(settled.await.unwrap_or(Err(Fault::Undelivered(WhyUndelivered::PeerLost)))?)
    }

    /// A call of a peer has come: its answer goes there.
    pub(crate) fn reply_away<R>(
        &self,
        name: &'static str,
        to: PeerId,
        call: CallId,
    ) -> Box<AwayReply<R>>
    where
        R: Serialize + Send + 'static,
    {
        let withdrawal = Arc::new(Withdrawal::default());
        self.remote().serving.insert((to, call), Arc::clone(&withdrawal));
        let body = |name, reply| Body::Value(Box::new(OutgoingReply { name, reply }));
        Box::new(AwayReply { proc: self.clone(), name, to, call, withdrawal, body })
    }
}

/// The reply in a body.
fn reply_of<R: DeserializeOwned + 'static>(body: Body) -> Result<R, Fault> {
    let malformed = Fault::Undelivered(WhyUndelivered::Malformed);
    match body {
        Body::Bytes(bytes) => codec::decode_shared(&bytes).or(Err(malformed)),
        Body::Value(value) => value.into_any().downcast().map(|reply| *reply).or(Err(malformed)),
    }
}

/// Tells the peer when nobody waits for the answer any more. Once it is there, nothing is pending.
#[derive(Debug)]
pub(crate) struct Withdraw {
    pub(crate) proc: Proc,
    pub(crate) to: ActorId,
    pub(crate) call: CallId,
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        if self.proc.remote().pending.remove(&self.call).is_some() {
            let head = Head::Withdrawn { to: self.to, from: self.proc.peer(), call: self.call };
            self.proc.answer_away(head, Body::EMPTY);
        }
    }
}

/// Where the answer to a call of another process goes.
pub(crate) struct AwayReply<R> {
    proc: Proc,
    name: &'static str,
    to: PeerId,
    call: CallId,
    withdrawal: Arc<Withdrawal>,
    body: fn(&'static str, R) -> Body,
}

impl<R> AwayReply<R> {
    /// Answers. The answer comes back if it is known that nobody waits.
    pub(crate) fn send(self, reply: R) -> Result<(), R> {
        if self.is_withdrawn() {
            return Err(reply);
        }
        self.proc.remote().serving.remove(&(self.to, self.call));
        let head = Head::Answer { to: self.to, call: self.call };
        self.proc.answer_away(head, (self.body)(self.name, reply));
        Ok(())
    }

    /// There will be no answer, and this is why.
    pub(crate) fn refuse(self, fault: Fault) {
        if !self.is_withdrawn() {
            self.proc.remote().serving.remove(&(self.to, self.call));
            let head = Head::Fault { to: self.to, call: self.call, fault };
            self.proc.answer_away(head, Body::EMPTY);
        }
    }

    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawal.has_come.load(Ordering::Acquire)
    }

    pub(crate) async fn withdrawn(&self) {
        loop {
            let told = self.withdrawal.told.notified();
            if self.is_withdrawn() {
                return;
            }
            told.await;
        }
    }
}
