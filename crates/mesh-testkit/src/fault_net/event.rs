//! What has happened in a network: [`Event`], and the history that keeps the newest of them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::Lost;

/// Something that has happened. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, since the network began.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// To a packet.
    Packet {
        /// The site that sent it.
        from: Arc<str>,
        /// The site that it is for.
        to: Arc<str>,
        /// The session that it belongs to, numbered as they are dialled.
        session: u64,
        /// What it is.
        packet: PacketKind,
        /// What has become of it.
        fate: Fate,
    },
    /// To a session; its process is told.
    Session {
        /// The site of the process that is told.
        site: Arc<str>,
        /// Which session.
        session: u64,
        /// What it is told.
        news: News,
    },
    /// From now on nothing gets through, this way.
    Cut {
        /// From this site.
        from: Arc<str>,
        /// To this one.
        to: Arc<str>,
        /// For so long; for good, if it is not said.
        lasting: Option<Duration>,
    },
    /// What was cut is whole.
    Healed {
        /// From this site.
        from: Arc<str>,
        /// To this one.
        to: Arc<str>,
    },
    /// A site takes and sends nothing.
    Paused(Arc<str>),
    /// It goes on.
    Resumed(Arc<str>),
    /// All that ran at a site has died.
    Crashed(Arc<str>),
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// It asks for a session.
    Open,
    /// There is one.
    Opened,
    /// There will be none.
    Refused,
    /// The envelope with this number.
    Data(u64),
    /// All envelopes before this one have arrived.
    Ack(u64),
    /// The session has ended.
    Ended,
}

/// What has become of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on its way, for so long.
    Sent(Duration),
    /// It is on its way a second time, for so long.
    Repeated(Duration),
    /// It is lost.
    Lost,
    /// It is lost, since nothing gets through.
    Cut,
    /// It has arrived.
    Arrived,
    /// It waits until its site goes on.
    Held,
}

/// What a process is told of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A peer has opened it.
    Joined,
    /// It was dialled, and is open.
    Opened,
    /// It was dialled, and will not be open.
    NotOpened,
    /// The envelope with this number is delivered.
    Delivered(u64),
    /// It has ended, and so many envelopes come back.
    Lost {
        /// Why.
        why: Lost,
        /// How many.
        n_back: usize,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.as_micros();
        write!(f, "{:>9}.{:03} ms  {}", micros / 1_000, micros % 1_000, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet { from, to, session, packet, fate } => {
                write!(f, "{from} > {to}  #{session} {packet}: {fate}")
            }
            Self::Session { site, session, news } => write!(f, "{site}  #{session} {news}"),
            Self::Cut { from, to, lasting: None } => write!(f, "{from} > {to}  cut"),
            Self::Cut { from, to, lasting: Some(lasting) } => {
                write!(f, "{from} > {to}  cut for {lasting:?}")
            }
            Self::Healed { from, to } => write!(f, "{from} > {to}  healed"),
            Self::Paused(site) => write!(f, "{site}  paused"),
            Self::Resumed(site) => write!(f, "{site}  resumed"),
            Self::Crashed(site) => write!(f, "{site}  crashed"),
        }
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Opened => f.write_str("opened"),
            Self::Refused => f.write_str("refused"),
            Self::Data(seq) => write!(f, "data {seq}"),
            Self::Ack(received) => write!(f, "ack {received}"),
            Self::Ended => f.write_str("ended"),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(delay) => write!(f, "sent, arrives in {delay:?}"),
            Self::Repeated(delay) => write!(f, "sent twice, arrives again in {delay:?}"),
            Self::Lost => f.write_str("lost"),
            Self::Cut => f.write_str("lost in the cut"),
            Self::Arrived => f.write_str("arrived"),
            Self::Held => f.write_str("held"),
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined => f.write_str("joined"),
            Self::Opened => f.write_str("opened"),
            Self::NotOpened => f.write_str("not opened"),
            Self::Delivered(seq) => write!(f, "delivered {seq}"),
            Self::Lost { why, n_back } => write!(f, "lost, {n_back} back: {why}"),
        }
    }
}

/// The newest events.
#[derive(Debug)]
pub(crate) struct History {
    max: usize,
    events: VecDeque<Event>,
}

impl History {
    pub(crate) const fn new(max: usize) -> Self {
        Self { max, events: VecDeque::new() }
    }

    pub(crate) fn add(&mut self, at: Duration, what: What) {
        if self.events.len() >= self.max {
            self.events.pop_front();
        }
        if self.max > 0 {
            self.events.push_back(Event { at, what });
        }
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.iter().cloned().collect()
    }
}
