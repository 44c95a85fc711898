//! The two ends of each session, and what the network knows of one: [`End`].

use std::time::Duration;

use mesh_core::{Lane, PeerId};

use super::faults::SessionConfig;
use super::packet::{Ended, Packet};
use super::session::Session;

/// Names one end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndId {
    /// Sessions are numbered as they are dialled; no number is used twice.
    pub(crate) session: u64,
    pub(crate) side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Dialler,
    Listener,
}

impl EndId {
    pub(crate) const fn other(self) -> Self {
        let side = match self.side {
            Side::Dialler => Side::Listener,
            Side::Listener => Side::Dialler,
        };
        Self { side, ..self }
    }
}

/// Names a transport. No number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TransportId(pub(crate) u64);

/// Names a site: an index, in the order in which they were first named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SiteId(pub(crate) usize);

/// One end of a session. What `I` is, only the shell knows: who receives there.
#[derive(Debug)]
pub(crate) struct End<I> {
    pub(crate) transport: TransportId,
    pub(crate) here: SiteId,
    pub(crate) there: SiteId,
    pub(crate) lane: Lane,
    pub(crate) state: State<I>,
    /// When it is to be looked at.
    pub(crate) deadline: Option<Duration>,
}

#[derive(Debug)]
pub(crate) enum State<I> {
    /// Nobody has answered yet.
    Dialling(Dialling, I),
    /// It is open.
    Open(Box<Open<I>>),
    /// It has ended, and this is what the other side is told if it still speaks.
    Ended(Ended),
}

/// An end that is open.
#[derive(Debug)]
pub(crate) struct Open<I> {
    pub(crate) peer: PeerId,
    pub(crate) into: I,
    pub(crate) session: Session,
}

/// A question for a session, asked until it is answered or time is over.
#[derive(Debug)]
pub(crate) struct Dialling {
    pub(crate) to: String,
    pub(crate) packet: Packet,
    pub(crate) until: Duration,
    resend_at: Duration,
    n_times: u32,
}

impl Dialling {
    pub(crate) fn new(now: Duration, to: String, packet: Packet, config: &SessionConfig) -> Self {
        Self { to, packet, until: now + config.dial, resend_at: now, n_times: 0 }
    }

    /// The question, if it is to be asked now.
    pub(crate) fn next_outgoing(
        &mut self,
        now: Duration,
        config: &SessionConfig,
    ) -> Option<Packet> {
        if now < self.resend_at {
            return None;
        }
        let factor = 2_u32.saturating_pow(self.n_times);
        self.resend_at = now + config.resend.saturating_mul(factor).min(config.resend_max);
        self.n_times += 1;
        Some(self.packet.clone())
    }

    pub(crate) fn next_deadline(&self) -> Duration {
        self.resend_at.min(self.until)
    }
}

impl<I> End<I> {
    /// When it is to be looked at, if nothing happens before.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Dialling(dialling, _) => Some(dialling.next_deadline()),
            State::Open(open) => Some(open.session.next_deadline()),
            State::Ended(_) => None,
        }
    }

    /// Its process was paused for so long: that counts for nobody.
    pub(crate) fn forgive(&mut self, gap: Duration) {
        match &mut self.state {
            State::Dialling(dialling, _) => dialling.until += gap,
            State::Open(open) => open.session.forgive(gap),
            State::Ended(_) => (),
        }
    }
}
