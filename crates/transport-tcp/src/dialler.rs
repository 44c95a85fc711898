//! Keeps a session that we have opened: connects, and connects again when a connection breaks.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Addr, DialError, Inbound, Lane, Lost, ProcId};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::backoff::Backoff;
use crate::config::TcpConfig;
use crate::connection::{Ended, Side, carry};
use crate::handshake::{Refused, SessionId};
use crate::link::Link;
use crate::meet::{Call, Met, NotMet, call, random};
use crate::stream::{Fresh, Stream, connect};
use crate::tls::Tls;

/// Where a session leads.
pub(crate) struct Route {
    pub(crate) to: Addr,
    pub(crate) peer: ProcId,
    pub(crate) lane: Lane,
    pub(crate) into: Arc<dyn Inbound>,
    pub(crate) config: Arc<TcpConfig>,
}

/// A connection on which the two have met.
type Connected = (Box<dyn Stream>, Met);

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
        let (stream, met) = self.connect(id, ack, false).await?;
        let known = (id, met.identity.peer, self.lane);
        let link = Arc::new(Link::new(known, Arc::clone(&self.into), limits));
        let number = link
            .connected(met.ack, ack)
            .map_err(|_violation| DialError::Unauthenticated(self.to.clone()))?;
        Ok((Arc::clone(&link), self.keep(link, number, stream)))
    }

    /// Carries the session, over as many connections as it takes.
    async fn keep(self, link: Arc<Link>, mut number: u64, mut stream: Box<dyn Stream>) {
        // Nobody else keeps it: however this ends, so does the session.
        let _kept = Kept(Arc::clone(&link));
        let (mut backoff, mut progress) = (Backoff::new(link.id), 0);
        loop {
            let begun = Instant::now();
            let limits = self.config.limits(self.lane, Side::Dialled);
            match carry(&link, number, stream, limits).await {
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
            (number, stream) = match self.reconnect(&link, (&mut backoff, was_good)).await {
                Ok(next) => next,
                Err(why) => return link.end(why),
            };
        }
    }

    /// Connects again, at once or after a pause, until the session has been without a connection for too long.
    async fn reconnect(
        &self,
        link: &Link,
        (backoff, mut at_once): (&mut Backoff, bool),
    ) -> Result<(u64, Box<dyn Stream>), Lost> {
        let given_up = Lost::NoContact(self.config.no_contact);
        let until = Instant::now().checked_add(self.config.no_contact).ok_or(given_up)?;
        loop {
            if !std::mem::take(&mut at_once)
                && timeout_at(until, sleep(backoff.next_delay())).await.is_err()
            {
                return Err(given_up);
            }
            if let Some(why) = link.ended() {
                return Err(why);
            }
            let told = link.ack();
            let attempt = self.connect(link.id, told, true);
            match timeout_at(until, attempt).await {
                Err(_) => return Err(given_up),
                Ok(Ok((stream, met))) => {
                    let there = met.identity.peer;
                    if there.life != link.peer.life {
                        return Err(Lost::Replaced(there.life));
                    }
                    // It has given the session up, and what we were to it.
                    if met.is_new {
                        return Err(Lost::Closed);
                    }
                    let number = link.connected(met.ack, told).or(Err(Lost::Protocol))?;
                    return Ok((number, stream));
                }
                Ok(Err(error)) => {
                    if let Some(why) = final_answer(&error) {
                        return Err(why);
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
            let Fresh { mut stream, binding, budget } = self.knock(session).await?;
            let from = self.into.identity();
            let said = Call { from, to: self.peer, lane: self.lane, session, ack, resumes };
            match call((&mut *stream, binding), said, &self.config.secret).await {
                Ok(met) => {
                    budget.lift();
                    Ok((stream, met))
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

/// A connection that lasts for so long was one, whatever has got through. More than the longest pause between
/// two attempts.
const CALM: Duration = Duration::from_secs(2);
