//! Keeps a session that we have opened: connects, and connects again when a connection breaks.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Addr, DialError, Inbound, Lane, Lost, ProcId};
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Backoff;
use crate::config::TcpConfig;
use crate::connection::{Ended, carry};
use crate::handshake::{Refused, SessionId};
use crate::link::Link;
use crate::meet::{Call, Met, NotMet, call, random};
use crate::own_time::own_time;
use crate::stream::{Carrier, Fresh, connect};
use crate::tls::Tls;

/// Where a session leads.
pub(crate) struct Route {
    pub(crate) to: Addr,
    pub(crate) peer: ProcId,
    pub(crate) lane: Lane,
    pub(crate) into: Arc<dyn Inbound>,
    pub(crate) config: Arc<TcpConfig>,
    /// When the transport did: its connections count from there.
    pub(crate) began: Instant,
}

/// A connection on which the two have met.
type Connected = (Carrier, Met);

impl Route {
    /// Opens a new session. The future that is returned keeps it, until it ends.
    pub(crate) async fn open(
        self,
    ) -> Result<(Arc<Link>, impl Future<Output = ()> + Send), DialError> {
        let os = |error: std::io::Error| DialError::Os { to: self.to.clone(), kind: error.kind() };
        let id = SessionId(random().map_err(os)?);
        let limits = (self.config.window, self.config.frame_max(self.lane));
        // Whom it leads to is known when the two have met; until then nothing is sent.
        let ack = crate::session::Session::new(limits.0).ack();
        let (carrier, met) = self.connect(id, ack, false).await?;
        let known = (id, met.identity.peer, self.lane);
        let link = Arc::new(Link::new(known, Arc::clone(&self.into), limits));
        let number = link
            .connected(met.ack, ack)
            .map_err(|_violation| DialError::Unauthenticated(self.to.clone()))?;
        // Nobody else keeps it: however this ends, also before it begins, so does the session.
        let kept = Kept(Arc::clone(&link));
        Ok((link, self.keep(kept, number, carrier)))
    }

    /// Carries the session, over as many connections as it takes.
    async fn keep(self, kept: Kept, mut number: u64, mut carrier: Carrier) {
        let link = &kept.0;
        let (mut backoff, mut progress) = (Backoff::new(link.id), 0);
        loop {
            let begun = Instant::now();
            let limits = self.config.limits_to(self.peer, self.lane, self.began);
            match carry(link, number, carrier, limits).await {
                Ended::Broken => (),
                Ended::Session(why) => return link.end(why),
                Ended::Left => return,
            }
            // One that breaks at once, before anything has got through, is as good as none. Of what got through
            // without a word of it back is known as the two meet again.
            let before = std::mem::replace(&mut progress, link.progress());
            let was_good = progress > before || begun.elapsed() >= CALM;
            if was_good {
                backoff = Backoff::new(link.id);
            }
            (number, carrier) = match self.reconnect(link, (&mut backoff, was_good)).await {
                Ok(next) => next,
                Err(why) => return link.end(why),
            };
        }
    }

    /// Connects again, at once or after a pause, until the session has been without a connection for too long,
    /// in which it could have been tried.
    async fn reconnect(
        &self,
        link: &Link,
        how: (&mut Backoff, bool),
    ) -> Result<(u64, Carrier), Lost> {
        let within = self.config.no_contact;
        own_time(within, self.try_again(link, how)).await.unwrap_or(Err(Lost::NoContact(within)))
    }

    async fn try_again(
        &self,
        link: &Link,
        (backoff, at_once): (&mut Backoff, bool),
    ) -> Result<(u64, Carrier), Lost> {
        let mut n_at_once = if at_once { AT_ONCE } else { 0 };
        loop {
            if n_at_once > 0 {
                n_at_once -= 1;
            } else {
                sleep(backoff.next_delay()).await;
            }
            if let Some(why) = link.ended() {
                return Err(why);
            }
            let told = link.ack();
            match self.connect(link.id, told, true).await {
                Ok((carrier, met)) => {
                    let there = met.identity.peer;
                    if there.life != link.peer.life {
                        return Err(Lost::Replaced(there.life));
                    }
                    // It has given the session up, and what we were to it.
                    if met.is_new {
                        return Err(Lost::Closed);
                    }
                    let number = link.connected(met.ack, told).or(Err(Lost::Protocol))?;
                    return Ok((number, carrier));
                }
                Err(error) => {
                    if let Some(why) = final_answer(&error) {
                        return Err(why);
                    }
                    if !hangs_up(&error) {
                        n_at_once = 0;
                    }
                    tracing::debug!(peer = %link.peer, %error, "cannot connect again yet");
                }
            }
        }
    }

    async fn connect(
        &self,
        session: SessionId,
        ack: crate::wire::Ack,
        resumes: bool,
    ) -> Result<Connected, DialError> {
        let (to, within) = (&self.to, self.config.handshake);
        let attempt = async {
            let Fresh { mut carrier, binding, budget } = self.knock(session).await?;
            let from = self.into.identity();
            let said = Call { from, to: self.peer, lane: self.lane, session, ack, resumes };
            match call((&mut *carrier.stream, binding), said, &self.config.secret).await {
                Ok(met) => {
                    budget.lift();
                    Ok((carrier, met))
                }
                Err(not_met) => Err(self.error(not_met)),
            }
        };
        timeout(within, attempt)
            .await
            .unwrap_or_else(|_| Err(DialError::Deadline { to: to.clone(), within }))
    }

    /// A connection. At a Unix socket where many wait to be taken there may be no place to wait: then there is
    /// one soon.
    async fn knock(&self, session: SessionId) -> Result<Fresh, DialError> {
        let mut backoff = Backoff::new(session);
        loop {
            match connect(&self.to, self.lane, &self.config).await {
                Err(DialError::Os { kind: std::io::ErrorKind::WouldBlock, .. }) => {
                    sleep(backoff.next_delay()).await;
                }
                other => return other,
            }
        }
    }

    fn error(&self, not_met: NotMet) -> DialError {
        let to = self.to.clone();
        match not_met {
            NotMet::Broken(error) => match Tls::refusal(&error) {
                Some(why) => DialError::Untrusted { to, why },
                None => DialError::Os { to, kind: error.kind() },
            },
            NotMet::Untrusted(why) => DialError::Untrusted { to, why },
            NotMet::Refused(Refused::Tls) => DialError::TlsThere(to),
            NotMet::Refused(Refused::Stranger(found)) => {
                DialError::Stranger { to, wanted: self.peer, found }
            }
            NotMet::Refused(Refused::OtherProgram | Refused::Version(_) | Refused::Garbled)
            | NotMet::TooMuch => DialError::OtherProgram(to),
            NotMet::Refused(Refused::Unauthenticated) => DialError::Unauthenticated(to),
        }
    }
}

/// Ends the session when it is dropped.
struct Kept(Arc<Link>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.end(Lost::Closed);
    }
}

/// Whether an attempt to connect again shows that the peer is gone.
fn final_answer(error: &DialError) -> Option<Lost> {
    match error {
        // On one machine a port that refuses, or a socket file that is gone, has no process behind it.
        DialError::Os { kind: std::io::ErrorKind::ConnectionRefused, .. }
        | DialError::Os { kind: std::io::ErrorKind::NotFound, .. }
        | DialError::Stranger { .. } => Some(Lost::Gone),
        DialError::Unauthenticated(_) | DialError::OtherProgram(_) => Some(Lost::Gone),
        _ => None,
    }
}

/// Whether a connection was made, and ended before anything was said on it. The kernel closes what a dead process
/// had one after the other: its listener, where we have queued, may be the next, and then it refuses.
fn hangs_up(error: &DialError) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};

    let DialError::Os { kind, .. } = error else { return false };
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// How often it is tried to connect again without a pause, where the peer hangs up.
const AT_ONCE: u32 = 2;

/// A connection that lasts for so long was one, whatever has got through. More than the longest pause between
/// two attempts.
const CALM: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use mesh_core::{Credit, Envelope, Identity, Incarnation, Outbound, PeerId};

    use super::*;
    use crate::acceptor::Acceptor;
    use crate::secret::Secret;
    use crate::stream::Listener;

    struct Ear(PeerId, Mutex<Vec<Lost>>);

    impl Inbound for Ear {
        fn identity(&self) -> Identity {
            Identity { peer: self.0, registry: 0 }
        }

        fn joined(&self, _: Lane, _: Arc<dyn Outbound>) {}

        fn deliver(&self, _: PeerId, _: Envelope, _: Credit) {}

        fn lost(&self, _: PeerId, _: Lane, why: Lost, _: Vec<Envelope>) {
            self.1.lock().unwrap().push(why);
        }
    }

    fn ear(number: u128) -> Arc<Ear> {
        let peer = PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST };
        Arc::new(Ear(peer, Mutex::default()))
    }

    /// A runtime that is about to end does not even begin what it is given.
    #[tokio::test]
    async fn a_session_that_nobody_begins_to_keep_has_ended() {
        let secret = Secret::from_bytes([1; 32]);
        let config = Arc::new(TcpConfig::for_lease(secret, Duration::from_secs(10)));
        let (here, there) = (ear(1), ear(2));
        let at = "tcp://127.0.0.1:0".parse().unwrap();
        let (listener, to) = Listener::bind(&at, &config).await.unwrap();
        let acceptor = Acceptor::new(there.clone(), Lane::Data, Arc::clone(&config));
        tokio::spawn(Arc::new(acceptor).accept(listener));
        let into = Arc::clone(&here) as Arc<dyn Inbound>;
        let route =
            Route { to, peer: there.0.proc, lane: Lane::Data, into, config, began: Instant::now() };
        let (link, keep) = route.open().await.unwrap();
        drop(keep);
        assert!(!link.is_open());
        assert_eq!(*here.1.lock().unwrap(), [Lost::Closed]);
    }
}
