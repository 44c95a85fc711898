//! The sessions of a process with its peers, and by which of them a message goes: [`Routes`].

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use mesh_core::{Envelope, Head, Lane, Outbound, Payload, PeerId, Returned, WhyReturned};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::route::{Route, Step, Stretch};
use super::table::{Company, Table};

/// Every lane.
const LANES: [Lane; 3] = [Lane::Control, Lane::Liveness, Lane::Data];

/// The lanes whose sessions carry the messages of others that have none.
const FOR_OTHERS: [Lane; 2] = [Lane::Data, Lane::Control];

/// To whom, and by which lane.
pub(crate) type Way = (PeerId, Lane);

/// The ways to all peers.
pub(crate) struct Routes {
    routes: Table<Way, Route>,
    /// There is a session more, or less.
    changed: Notify,
    /// The process is gone, as far as others are concerned.
    has_left: AtomicBool,
}

impl Routes {
    pub(crate) fn new(company: Company) -> Self {
        let (changed, has_left) = (Notify::new(), AtomicBool::new(false));
        Self { routes: company.table(), changed, has_left }
    }

    /// From now on messages for the peer go this way.
    pub(crate) fn connect(&self, lane: Lane, session: Arc<dyn Outbound>) {
        let peer = session.peer();
        self.routes.entry((peer, lane)).or_default().connect(Arc::clone(&session));
        // It is found by who leaves after this, and sees who has left before.
        if self.has_left() {
            session.close();
        }
        // Of one that ended before it came here there is no more word.
        self.tidy(peer);
        self.changed.notify_waiters();
    }

    /// A session with the peer has ended.
    pub(crate) fn disconnect(&self, peer: PeerId) {
        self.tidy(peer);
        self.changed.notify_waiters();
    }

    /// From now on there is no session: each ends at once. Those that are there are to be closed by who says so.
    pub(crate) fn leave(&self) {
        self.has_left.store(true, Ordering::SeqCst);
    }

    /// Whether there will be no session any more.
    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::SeqCst)
    }

    fn tidy(&self, peer: PeerId) {
        for lane in LANES {
            self.routes.remove_if_mut(&(peer, lane), |_, route| !route.tidy());
        }
    }

    /// Whether there is an open session with a peer on this very lane.
    pub(crate) fn is_connected(&self, peer: PeerId, lane: Lane) -> bool {
        self.first(peer, lane).is_some()
    }

    /// Whether there is an open session with a peer.
    pub(crate) fn is_reached(&self, peer: PeerId) -> bool {
        LANES.into_iter().any(|lane| self.is_connected(peer, lane))
    }

    /// Every session, in the order of the peers, so that the same run goes the same way again.
    pub(crate) fn all_sessions(&self) -> Vec<Arc<dyn Outbound>> {
        let routes = self.routes.iter().map(|route| (*route.key(), route.own().to_vec()));
        let mut routes: Vec<_> = routes.collect();
        routes.sort_unstable_by_key(|(way, _)| *way);
        routes.into_iter().flat_map(|(_, sessions)| sessions).collect()
    }

    /// Every session with a peer.
    pub(crate) fn sessions_with(&self, peer: PeerId) -> Vec<Arc<dyn Outbound>> {
        let on = |lane| self.routes.get(&(peer, lane)).map(|route| route.own().to_vec());
        LANES.into_iter().filter_map(on).flatten().collect()
    }

    /// The session for what waits for no other: an answer, for which no order is promised, goes by whatever session
    /// there is.
    pub(crate) fn for_answers(&self, (peer, lane): Way) -> Option<Arc<dyn Outbound>> {
        self.first(peer, lane).or_else(|| self.other(peer, lane))
    }

    /// The same for word that nobody waits for a call any more. If it can, it comes after the call; before it, it would
    /// be of no use.
    pub(crate) fn for_withdrawals(&self, way: Way) -> Option<Arc<dyn Outbound>> {
        let last = self.routes.get(&way).and_then(|route| route.last().cloned());
        last.or_else(|| self.for_answers(way))
    }

    /// The oldest session on this lane that is open.
    fn first(&self, peer: PeerId, lane: Lane) -> Option<Arc<dyn Outbound>> {
        self.routes.get(&(peer, lane))?.first().cloned()
    }

    /// A session on another lane.
    fn other(&self, peer: PeerId, lane: Lane) -> Option<Arc<dyn Outbound>> {
        let others = FOR_OTHERS.into_iter().filter(|other| *other != lane);
        others.filter_map(|other| self.first(peer, other)).next()
    }

    /// By which session the messages of a way go until it ends, where there is nothing to wait for.
    pub(crate) fn lasting(&self, way: Way) -> Option<Arc<Stretch>> {
        match self.poll_stretch(&mut Context::from_waker(Waker::noop()), way) {
            Poll::Ready(stretch) => stretch.filter(|stretch| stretch.is_to_last()),
            Poll::Pending => None,
        }
    }

    /// By which session the next message goes, as soon as it may: what went by another before is acknowledged first.
    /// `None` if there is none.
    fn poll_stretch(&self, cx: &mut Context<'_>, way: Way) -> Poll<Option<Arc<Stretch>>> {
        if let Some(route) = self.routes.get(&way)
            && let Some(stretch) = route.settled()
        {
            return Poll::Ready(Some(Arc::clone(stretch)));
        }
        self.poll_unsettled(cx, way)
    }

    #[cold]
    fn poll_unsettled(&self, cx: &mut Context<'_>, way: Way) -> Poll<Option<Arc<Stretch>>> {
        loop {
            let other = self.other(way.0, way.1);
            let step = match self.routes.get_mut(&way) {
                Some(mut route) => route.step(other),
                None if other.is_some() => self.routes.entry(way).or_default().step(other),
                None => Step::Nowhere,
            };
            match step {
                Step::Send(stretch) => {
                    // One that ended meanwhile may have been told of before it came here.
                    if !stretch.session().is_open() {
                        self.tidy(way.0);
                    }
                    return Poll::Ready(Some(stretch));
                }
                Step::Nowhere => return Poll::Ready(None),
                Step::Wait(before) => {
                    // Not with the lock of the route.
                    if before.session.poll_acknowledged(cx, before.n_taken).is_pending() {
                        return Poll::Pending;
                    }
                    if let Some(mut route) = self.routes.get_mut(&way) {
                        route.acknowledged(&before);
                    }
                }
            }
        }
    }

    /// Sends an envelope if it may go now and there is room for it. If not, it stays where it is.
    pub(crate) fn try_send(&self, way: Way, envelope: &mut Option<Envelope>) -> Attempt {
        self.poll_send(&mut Context::from_waker(Waker::noop()), way, envelope)
    }

    /// Sends a value if it may go now and there is room for it. `false` if not, for whatever reason; then nothing was
    /// done.
    pub(crate) fn send_now(&self, way: Way, head: &Head, value: &dyn Payload) -> bool {
        let settled = self.routes.get(&way).and_then(|route| route.settled().cloned());
        let Some(stretch) = settled else { return false };
        let is_sent = stretch.session().send_now(head, value);
        if is_sent {
            self.was_sent(way, &stretch);
        }
        is_sent
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        way: Way,
        envelope: &mut Option<Envelope>,
    ) -> Attempt {
        let stretch = match self.poll_stretch(cx, way) {
            Poll::Ready(Some(stretch)) => stretch,
            Poll::Ready(None) => return Attempt::Nowhere,
            Poll::Pending => return Attempt::Waits { is_to_last: false },
        };
        match stretch.session().poll_send(cx, envelope) {
            Poll::Pending => Attempt::Waits { is_to_last: stretch.is_to_last() },
            Poll::Ready(outcome) => {
                self.was_sent(way, &stretch);
                Attempt::Over(outcome)
            }
        }
    }

    /// A message was taken by the session of a stretch.
    fn was_sent(&self, way: Way, stretch: &Stretch) {
        if stretch.is_over() {
            self.was_late(way, stretch);
        }
    }

    /// A message was taken by the session of a stretch that was over by then; nothing of its route may be left.
    #[cold]
    fn was_late(&self, way: Way, stretch: &Stretch) {
        self.routes.entry(way).or_default().was_late(stretch);
        // Its end may have been told of before.
        if !stretch.session().is_open() {
            self.tidy(way.0);
        }
    }
}

/// What has become of a message that was to be sent.
pub(crate) enum Attempt {
    /// It was taken, or comes back.
    Over(Result<(), Box<Returned>>),
    /// There is no way to its peer.
    Nowhere,
    /// It waits: for room, or until what went by another session is acknowledged. Whether its session tells when
    /// it is to be tried again; otherwise another session may do so too.
    Waits { is_to_last: bool },
}

/// A message that is to be sent.
pub(crate) struct Sending<'a> {
    routes: &'a Routes,
    way: Way,
    has_waited: bool,
    /// Only where it waits for more than room.
    changed: Option<Pin<Box<Notified<'a>>>>,
}

impl<'a> Sending<'a> {
    pub(crate) const fn new(routes: &'a Routes, way: Way) -> Self {
        Self { routes, way, has_waited: false, changed: None }
    }

    /// Sends it as soon as there is room, by whatever session is the right one then. `None` if there was no way from
    /// the beginning; then it stays where it is.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Option<Result<(), Box<Returned>>>> {
        loop {
            match self.routes.poll_send(cx, self.way, envelope) {
                Attempt::Over(outcome) => return Poll::Ready(Some(outcome)),
                Attempt::Nowhere => return Poll::Ready(self.lost(envelope)),
                Attempt::Waits { is_to_last } => {
                    self.has_waited = true;
                    if is_to_last {
                        return Poll::Pending;
                    }
                }
            }
            // What changes from here on is noticed; what has changed before, by trying once more.
            let Some(changed) = &mut self.changed else {
                let mut changed = Box::pin(self.routes.changed.notified());
                changed.as_mut().enable();
                self.changed = Some(changed);
                continue;
            };
            match changed.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => self.changed = None,
            }
        }
    }

    /// There is no session. If there was one, it has ended meanwhile.
    fn lost(&self, envelope: &mut Option<Envelope>) -> Option<Result<(), Box<Returned>>> {
        if !self.has_waited {
            return None;
        }
        let why = WhyReturned::Ended(self.way.0);
        envelope.take().map(|envelope| Err(Box::new(Returned { envelope, why })))
    }
}

#[cfg(test)]
mod tests;
