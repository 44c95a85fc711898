//! Takes sessions that others open.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_core::{Inbound, Incarnation, Lane, Lost, ProcId};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::arrivals::Arrivals;
use crate::complaints::Complaints;
use crate::config::TcpConfig;
use crate::connection::{Ended, carry};
use crate::handshake::Peer;
use crate::link::Link;
use crate::meet::{answer, welcome};
use crate::metrics;
use crate::own_time::own_time;
use crate::stream::{Accepted, Carrier, Fresh, Listener, Stream};
use crate::turned_away::TurnedAway;

/// One address at which we listen, and the sessions that came in there.
pub(crate) struct Acceptor {
    pub(crate) into: Arc<dyn Inbound>,
    pub(crate) lane: Lane,
    pub(crate) config: Arc<TcpConfig>,
    known: Mutex<Known>,
    /// Who is at the door.
    arrivals: Arrivals,
    complaints: Complaints,
}

/// Who has been here.
#[derive(Default)]
struct Known {
    /// The session of each peer: one, since a newer one shows that the older is forgotten.
    sessions: BTreeMap<ProcId, Arc<Link>>,
    /// The latest life of each peer: what was before it stays dead. Bound: [`LIVES_MAX`].
    lives: BTreeMap<ProcId, Incarnation>,
    /// The transport is gone: nobody is admitted any more.
    is_closed: bool,
}

/// What becomes of a peer that has proved itself.
enum Admitted {
    New(Arc<Link>),
    Resumed(Arc<Link>),
    /// It wants a session that is not there any more.
    Forgotten,
    /// A later life of it has been here.
    Outdated,
}

impl Acceptor {
    pub(crate) fn new(into: Arc<dyn Inbound>, lane: Lane, config: Arc<TcpConfig>) -> Self {
        Self {
            into,
            lane,
            config,
            known: Mutex::default(),
            arrivals: Arrivals::default(),
            complaints: Complaints::default(),
        }
    }

    /// Takes connections for as long as it is run.
    pub(crate) async fn accept(self: Arc<Self>, listener: Listener) {
        let handshakes = Arc::new(Semaphore::new(self.config.unauthenticated_max));
        loop {
            // Whoever comes while all are taken waits in the kernel's queue.
            let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
            match listener.accept().await {
                Ok(stream) => {
                    let max = self.config.unauthenticated_per_address_max;
                    let Some(arrival) = self.arrivals.admit(stream.from(), max) else {
                        self.refuse(&TurnedAway::Crowd, stream.address());
                        continue;
                    };
                    let acceptor = Arc::clone(&self);
                    tokio::spawn(async move {
                        let met = acceptor.meet(stream).await;
                        drop((permit, arrival));
                        if let Some((link, number, carrier)) = met {
                            acceptor.keep(link, number, carrier).await;
                        }
                    });
                }
                // Somebody else's process on a Unix socket: it holds up nobody.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.refuse(&TurnedAway::Foreign, None);
                }
                Err(error) => {
                    self.refuse(&TurnedAway::NotTaken(error), None);
                    // Without descriptors the next one would fail at once, too.
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Ends every session that came in here.
    pub(crate) fn end(&self) {
        let mut known = self.known();
        known.is_closed = true;
        let sessions = std::mem::take(&mut known.sessions);
        drop(known);
        for link in sessions.into_values() {
            link.end(Lost::Closed);
        }
    }

    /// A connection is turned away: it is counted, and some are logged.
    fn refuse(&self, why: &TurnedAway, from: Option<IpAddr>) {
        let reason = why.reason();
        metrics::refused(reason);
        let from = from.map(tracing::field::display);
        match self.complaints.make(Instant::now()) {
            Some(unsaid) => {
                tracing::warn!(reason, from, %why, unsaid, "a connection was refused");
            }
            None => tracing::debug!(reason, from, %why, "a connection was refused"),
        }
    }

    /// The handshake, within its deadline.
    async fn meet(&self, stream: Accepted) -> Option<(Arc<Link>, u64, Carrier)> {
        let from = stream.address();
        let met = timeout(self.config.handshake, self.try_meet(stream)).await;
        let met = met.unwrap_or(Err(TurnedAway::TooSlow));
        met.map_err(|why| self.refuse(&why, from)).ok()
    }

    async fn try_meet(&self, accepted: Accepted) -> Result<(Arc<Link>, u64, Carrier), TurnedAway> {
        let us = self.into.identity();
        let Fresh { mut carrier, binding, budget } =
            accepted.guarded(self.lane, self.config.silence).await?;
        let peer = answer((&mut *carrier.stream, binding), us, &self.config.secret).await?;
        budget.lift();
        if peer.lane != self.lane {
            return Err(TurnedAway::OtherLane);
        }
        let (link, number) = self.take_in(&mut *carrier.stream, &peer).await?;
        Ok((link, number, carrier))
    }

    /// A peer has proved itself on a connection: that carries its session from now on.
    async fn take_in(
        &self,
        stream: &mut dyn Stream,
        peer: &Peer,
    ) -> Result<(Arc<Link>, u64), TurnedAway> {
        let (link, is_new) = match self.admit(peer) {
            Admitted::New(link) => (link, true),
            Admitted::Resumed(link) => (link, false),
            Admitted::Forgotten => {
                welcome(stream, peer.ack, true).await?;
                return Err(TurnedAway::Forgotten);
            }
            Admitted::Outdated => return Err(TurnedAway::Outdated),
        };
        let _admission = Admission { acceptor: self, link: Arc::clone(&link), is_new };
        // Before the connection is taken over: nothing else may be written first.
        let told = link.ack();
        welcome(stream, told, is_new).await?;
        let Ok(number) = link.connected(peer.ack, told) else {
            link.end(Lost::Protocol);
            return Err(TurnedAway::Protocol);
        };
        // Another handshake of the same peer may have ended it meanwhile.
        if link.ended().is_some() {
            return Err(TurnedAway::Forgotten);
        }
        if is_new {
            self.into.joined(self.lane, Arc::clone(&link) as Arc<dyn mesh_core::Outbound>);
        }
        Ok((link, number))
    }

    /// Finds the session of a peer, or begins one.
    fn admit(&self, peer: &Peer) -> Admitted {
        let who = peer.identity.peer;
        let mut known = self.known();
        if known.is_closed || known.lives.get(&who.proc).is_some_and(|latest| *latest > who.life) {
            return Admitted::Outdated;
        }
        let old = known.sessions.get(&who.proc).filter(|link| link.ended().is_none()).cloned();
        if let Some(link) = old.as_ref().filter(|link| link.id == peer.session && link.peer == who)
        {
            return Admitted::Resumed(Arc::clone(link));
        }
        if peer.resumes {
            return Admitted::Forgotten;
        }
        if known.lives.len() >= LIVES_MAX && !known.lives.contains_key(&who.proc) {
            known.lives.pop_first();
        }
        known.lives.insert(who.proc, who.life);
        let limits = (self.config.window, self.config.frame_max(self.lane));
        let names = (peer.session, who, self.lane);
        let link = Arc::new(Link::new(names, Arc::clone(&self.into), limits));
        known.sessions.insert(who.proc, Arc::clone(&link));
        drop(known);
        if let Some(old) = old {
            old.end(if old.peer == who { Lost::Closed } else { Lost::Replaced(who.life) });
        }
        Admitted::New(link)
    }

    /// Carries the session over this connection, and then waits for the peer to come back.
    async fn keep(&self, link: Arc<Link>, number: u64, carrier: Carrier) {
        let limits = self.config.limits(self.lane);
        let _carried = Carried { link: Arc::clone(&link), number };
        match carry(&link, number, carrier, limits).await {
            Ended::Left => (),
            Ended::Session(why) => link.end(why),
            Ended::Broken => {
                let within = self.config.no_contact;
                if own_time(within, link.left(number)).await.is_none() {
                    link.end(Lost::NoContact(within));
                }
            }
        }
        if link.ended().is_some() {
            self.forget(&link);
        }
    }

    /// The session is not there any more; that of a later handshake stays.
    fn forget(&self, link: &Arc<Link>) {
        let mut known = self.known();
        if known.sessions.get(&link.peer.proc).is_some_and(|other| Arc::ptr_eq(other, link)) {
            known.sessions.remove(&link.peer.proc);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the session if whoever receives panics, or if the runtime ends: nobody would read it any more.
struct Carried {
    link: Arc<Link>,
    number: u64,
}

impl Drop for Carried {
    fn drop(&mut self) {
        if std::thread::panicking() || !self.link.is_left(self.number) {
            self.link.end(Lost::Closed);
        }
    }
}

/// The session of a peer that has proved itself, which may not take our word: until it is connected, nobody has
/// joined by it, and nobody else keeps it.
struct Admission<'a> {
    acceptor: &'a Acceptor,
    link: Arc<Link>,
    is_new: bool,
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.is_new && !self.link.was_connected() {
            self.acceptor.forget(&self.link);
        }
    }
}

/// How long nobody is taken after taking somebody has failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Of how many peers the latest life is remembered.
const LIVES_MAX: usize = 65_536;

#[cfg(test)]
mod tests;
