//! What comes from other processes: found its actor, or answered.
//!
//! Nothing here blocks. What finds no room waits, with the credit that it was sent on, so that no more
//! can wait than the peers were given room for.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh_core::{
    ActorId, Arrival, Body, Casts, Credit, Envelope, Fault, Head, Identity, Inbound, Lane, Lost,
    Outbound, PeerId, PortId, Returned, WhyReturned, WhyUndelivered,
};

use crate::endpoint::{Arrived, Away, Endpoint, NeverTaken, Rejected, Room, Waiting};
use crate::letter::AnyLetter;
use crate::panics::discard;
use crate::proc::{Proc, WeakProc};
use crate::undelivered::{Undelivered, log_undelivered};

/// Letters that wait for room, by whom they are for. One task for each endpoint that is full.
#[derive(Default)]
pub(crate) struct Overflow(Mutex<BTreeMap<NonZeroU64, VecDeque<Waiting>>>);

/// Casts for one endpoint that have come one after the other.
struct Run {
    to: ActorId,
    endpoint: Arc<dyn Endpoint>,
    casts: Vec<Arrived>,
}

/// The receiving end of all sessions of a process. It keeps nothing alive.
struct Receiver {
    proc: WeakProc,
    identity: Identity,
}

impl Proc {
    /// Where transports are to deliver what comes for this process. `registry` is a hash of the messages
    /// that its program knows, or 0.
    #[must_use]
    pub fn inbound(&self, registry: u64) -> Arc<dyn Inbound> {
        let identity = Identity { peer: self.peer(), registry };
        Arc::new(Receiver { proc: self.downgrade(), identity })
    }

    /// From now on messages for its peer go through this session.
    pub fn connect(&self, lane: Lane, session: Arc<dyn Outbound>) {
        let peer = session.peer();
        self.remote().routes.connect(lane, session);
        self.send_returns(peer);
    }

    fn receive(&self, sender: PeerId, Envelope { head, body }: Envelope, credit: Credit) {
        if head.peer() != self.peer() {
            return self.refuse(&head, WhyUndelivered::NoActor, body);
        }
        // A peer speaks for itself only.
        let says = match &head {
            Head::Cast { from, .. } => from.map(|from| from.peer()),
            Head::Call { from, .. } | Head::Withdrawn { from, .. } => Some(*from),
            Head::Returned { of, .. } => Some(of.peer()),
            Head::Answer { .. } | Head::Fault { .. } => None,
        };
        if says.is_some_and(|says| says != sender) {
            tracing::warn!(peer = %sender, "a peer speaks for another: what it said is dropped");
            return discard(body);
        }
        match head {
            Head::Cast { to, port, from } => {
                if let Err((why, body)) = self.open((to, port), body, Away::Cast(from), credit) {
                    self.refuse(&Head::Cast { to, port, from }, why, body);
                }
            }
            Head::Call { to, port, from, call } => {
                // Answered by the lane of the actor that is called.
                let proc = self.on(to.plane());
                let away = Away::Call { proc: &proc, from, call };
                if let Err((why, body)) = self.open((to, port), body, away, credit) {
                    proc.refuse(&Head::Call { to, port, from, call }, why, body);
                }
            }
            Head::Answer { call, .. } => self.remote().settle(sender, call, Ok(body)),
            Head::Fault { call, fault, .. } => self.remote().settle(sender, call, Err(fault)),
            Head::Withdrawn { from, call, .. } => self.remote().withdrawn(from, call),
            Head::Returned { to, of, port, why } => {
                let name = self.remote().name(port);
                self.give_back(Undelivered::new((Some(to), of), name, why, body));
            }
        }
    }

    /// Of casts that follow each other to one actor, that is looked for once, and they are delivered together.
    fn receive_all(&self, sender: PeerId, arrived: &mut Vec<Arrival>) {
        let mut run = None::<Run>;
        for arrival in arrived.drain(..) {
            let (to, cast) = match arrival {
                Arrival::One(
                    Envelope { head: Head::Cast { to, port, from }, body: Body::Bytes(bytes) },
                    credit,
                ) => (to, Arrived { port, from, bytes, credit }),
                other => {
                    run.take().into_iter().for_each(|run| self.deliver_run(run));
                    match other {
                        Arrival::One(envelope, credit) => self.receive(sender, envelope, credit),
                        Arrival::Casts(casts) => self.receive_casts(sender, casts),
                    }
                    continue;
                }
            };
            if run.as_ref().is_some_and(|run| run.to != to) {
                run.take().into_iter().for_each(|run| self.deliver_run(run));
            }
            let is_good = cast.from.is_none_or(|from| from.peer() == sender);
            if run.is_none() && is_good && to.peer() == self.peer() {
                run = self.find(to).map(|endpoint| Run { to, endpoint, casts: Vec::new() });
            }
            match &mut run {
                Some(run) if is_good => run.casts.push(cast),
                _ => {
                    let Arrived { port, from, bytes, credit } = cast;
                    let head = Head::Cast { to, port, from };
                    self.receive(sender, Envelope { head, body: Body::Bytes(bytes) }, credit);
                }
            }
        }
        run.into_iter().for_each(|run| self.deliver_run(run));
    }

    /// Casts that are alike. What the actor does not take of them together, for want of room or since it is not there, is
    /// received one by one.
    fn receive_casts(&self, sender: PeerId, mut casts: Casts) {
        let Casts { to, port, from, ref mut bodies, .. } = casts;
        let is_good = from.is_none_or(|from| from.peer() == sender) && to.peer() == self.peer();
        // Behind those that wait already. Nobody begins to wait meanwhile whom these may not overtake: what comes by a
        // session is delivered one after the other.
        let waits =
            |endpoint: &Arc<dyn Endpoint>| self.overflow().lock().contains_key(&endpoint.index());
        if is_good && let Some(endpoint) = self.find(to).filter(|endpoint| !waits(endpoint)) {
            endpoint.take_alike(port, from, bodies);
        }
        if !bodies.is_empty() {
            let one_by_one = casts.into_envelopes();
            let one = |(envelope, credit)| Arrival::One(envelope, credit);
            self.receive_all(sender, &mut one_by_one.map(one).collect());
        }
    }

    /// Delivers casts, now or when there is room; behind those that wait already.
    fn deliver_run(&self, Run { to, endpoint, mut casts }: Run) {
        let mut overflow = self.overflow().lock();
        let queue = overflow.get_mut(&endpoint.index());
        if queue.is_none() {
            endpoint.take_casts(&mut casts);
            if casts.is_empty() {
                return;
            }
        }
        let (mut letters, mut refused, mut unopened) = (VecDeque::new(), Vec::new(), Vec::new());
        for Arrived { port, from, bytes, credit } in casts {
            match endpoint.open(port, Body::Bytes(bytes), Away::Cast(from)) {
                Ok(letter) => letters.push_back(Waiting { port, letter, credit }),
                Err((why, body)) => unopened.push((Head::Cast { to, port, from }, why, body)),
            }
        }
        let mut is_full = false;
        if let Some(queue) = queue {
            queue.append(&mut letters);
        } else {
            endpoint.deliver_all(&mut letters, &mut refused);
            is_full = !letters.is_empty();
            if is_full {
                overflow.insert(endpoint.index(), letters);
                endpoint.hold_up(true);
            }
        }
        drop(overflow);
        if is_full {
            self.drain_later(&endpoint);
        }
        unopened.into_iter().for_each(|(head, why, body)| self.refuse(&head, why, body));
        self.bounce_all(&*endpoint, refused);
    }

    fn drain_later(&self, endpoint: &Arc<dyn Endpoint>) {
        let to = self.actor_id(endpoint.index());
        let runtime = self.on(to.plane()).runtime().clone();
        drop(runtime.spawn(drain(self.downgrade(), Arc::clone(endpoint))));
    }

    /// Opens a message and delivers it, now or when there is room.
    pub(crate) fn open(
        &self,
        (to, port): (ActorId, PortId),
        body: Body,
        from: Away<'_>,
        credit: Credit,
    ) -> Result<(), (WhyUndelivered, Body)> {
        let Some(endpoint) = self.find(to) else { return Err((WhyUndelivered::NoActor, body)) };
        let letter = endpoint.open(port, body, from)?;
        self.deliver(endpoint, Waiting { port, letter, credit });
        Ok(())
    }

    fn deliver(&self, endpoint: Arc<dyn Endpoint>, waiting: Waiting) {
        let mut overflow = self.overflow().lock();
        if let Some(queue) = overflow.get_mut(&endpoint.index()) {
            return queue.push_back(waiting);
        }
        match try_deliver(&*endpoint, waiting, Room::Free) {
            Delivery::Done => (),
            Delivery::Full(waiting) => {
                overflow.insert(endpoint.index(), VecDeque::from([waiting]));
                endpoint.hold_up(true);
                drop(overflow);
                self.drain_later(&endpoint);
            }
            Delivery::Never(why, letter) => {
                drop(overflow);
                self.bounce(&*endpoint, why, letter);
            }
        }
    }

    /// Delivers what has waited longest into the room that is kept for it, and what there is more room for, if
    /// nobody else waits for that; `false` if nothing waits any more.
    fn drain_some(&self, endpoint: &dyn Endpoint) -> bool {
        let mut refused = Vec::new();
        let mut overflow = self.overflow().lock();
        let Some(queue) = overflow.get_mut(&endpoint.index()) else { return false };
        let first = queue.pop_front().map(|waiting| try_deliver(endpoint, waiting, Room::Kept));
        endpoint.deliver_all(queue, &mut refused);
        let is_left = !queue.is_empty();
        if !is_left {
            overflow.remove(&endpoint.index());
            endpoint.hold_up(false);
        }
        drop(overflow);
        if let Some(Delivery::Never(why, letter)) = first {
            self.bounce(endpoint, why, letter);
        }
        self.bounce_all(endpoint, refused);
        is_left
    }

    /// The endpoint takes nothing any more: all that waits for it goes back.
    fn drain_back(&self, endpoint: &dyn Endpoint) {
        let mut overflow = self.overflow().lock();
        let waiting = overflow.remove(&endpoint.index()).unwrap_or_default();
        endpoint.hold_up(false);
        drop(overflow);
        for Waiting { letter, .. } in waiting {
            self.bounce(endpoint, WhyUndelivered::Ended, letter);
        }
    }

    /// Whoever sent the letter is told. Not under a lock: that may be in this process.
    fn bounce(&self, endpoint: &dyn Endpoint, why: WhyUndelivered, letter: Box<dyn AnyLetter>) {
        let to = self.actor_id(endpoint.index());
        letter.undelivered(self, to, why, Fault::Undelivered(why));
    }

    fn bounce_all(&self, endpoint: &dyn Endpoint, refused: Vec<NeverTaken>) {
        refused.into_iter().for_each(|(why, letter)| self.bounce(endpoint, why, letter));
    }

    /// A peer is out of reach for what supervises it, if nothing else of that kind leads there: then so it is
    /// for data. Where bytes vanish without a word, a data connection would stay as it is for very long.
    fn give_up(&self, peer: PeerId) {
        let is_reached = |lane| self.remote().routes.is_connected(peer, lane);
        if ![Lane::Control, Lane::Liveness].into_iter().any(is_reached) {
            self.remote().routes.sessions_with(peer).iter().for_each(|session| session.close());
        }
    }

    /// A message that reaches nobody here goes back.
    fn refuse(&self, head: &Head, why: WhyUndelivered, body: Body) {
        if let Head::Cast { to, port, from: Some(from) } = *head {
            return self.return_away(Head::Returned { to: from, of: to, port, why }, body);
        }
        discard(body);
        match *head {
            Head::Call { from, call, .. } => {
                let fault = Fault::Undelivered(why);
                self.return_away(Head::Fault { to: from, call, fault }, Body::EMPTY);
            }
            Head::Cast { to, port, .. } => {
                self.metrics().undelivered(why);
                log_undelivered(to, &format_args!("port {port} of actor {to}: {why}"));
            }
            // Answers of a life that is over.
            Head::Answer { .. }
            | Head::Fault { .. }
            | Head::Withdrawn { .. }
            | Head::Returned { .. } => (),
        }
    }
}

/// What becomes of a letter that is offered.
enum Delivery {
    Done,
    Full(Waiting),
    Never(WhyUndelivered, Box<dyn AnyLetter>),
}

fn try_deliver(endpoint: &dyn Endpoint, waiting: Waiting, room: Room) -> Delivery {
    let Waiting { port, letter, credit } = waiting;
    match endpoint.deliver(port, letter, room) {
        Ok(()) => Delivery::Done,
        Err(Rejected::Full(letter)) => Delivery::Full(Waiting { port, letter, credit }),
        Err(Rejected::Never(why, letter)) => Delivery::Never(why, letter),
    }
}

/// Whose receiving end it is, if it is one of a process.
pub(crate) fn proc_of(inbound: &dyn Inbound) -> Option<Proc> {
    inbound.as_any()?.downcast_ref::<Receiver>()?.proc.upgrade()
}

impl Overflow {
    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NonZeroU64, VecDeque<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers what waits for one endpoint, in order, until nothing does.
async fn drain(proc: WeakProc, endpoint: Arc<dyn Endpoint>) {
    loop {
        let has_room = Arc::clone(&endpoint).room().await;
        let Some(proc) = proc.upgrade() else { return };
        if !has_room {
            return proc.drain_back(&*endpoint);
        }
        if !proc.drain_some(&*endpoint) {
            return;
        }
    }
}

impl Inbound for Receiver {
    fn identity(&self) -> Identity {
        self.identity
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn joined(&self, lane: Lane, back: Arc<dyn Outbound>) {
        if let Some(proc) = self.proc.upgrade() {
            proc.connect(lane, back);
        }
    }

    fn deliver(&self, from: PeerId, envelope: Envelope, credit: Credit) {
        if let Some(proc) = self.proc.upgrade() {
            proc.receive(from, envelope, credit);
        }
    }

    fn deliver_all(&self, from: PeerId, arrived: &mut Vec<Arrival>) {
        match self.proc.upgrade() {
            Some(proc) => proc.receive_all(from, arrived),
            None => arrived.clear(),
        }
    }

    fn lost(&self, peer: PeerId, lane: Lane, why: Lost, back: Vec<Envelope>) {
        let Some(proc) = self.proc.upgrade() else { return };
        tracing::info!(%peer, lane = lane.label(), %why, "a session has ended");
        proc.remote().disconnect(peer);
        if lane != Lane::Data && why != Lost::Closed {
            proc.give_up(peer);
        }
        proc.tell_lost(peer);
        for envelope in back {
            proc.came_back(Returned { envelope, why: WhyReturned::Ended(peer) });
        }
    }
}
