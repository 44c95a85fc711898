//! The whole network, pure: sites, the links between them, what is on its way, and the ends of sessions.
//!
//! Things happen in the order of `(time, number)`, one at a time, so that the same seed and the same
//! inputs at the same times give the same history. There is no clock, no I/O and no map without an order.

mod dials;
mod faulty;
mod sessions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{DialError, Envelope, Identity, Lane, Lost, PeerId};

use super::end::{End, EndId, SiteId, State, TransportId};
use super::event::{Event, Fate, History, News, PacketKind, What};
use super::faults::{Faults, SessionConfig};
use super::link::{Carried, Link};
use super::packet::Packet;
use super::rng::SplitMix64;

/// A network. What `I` is, only the shell knows: who receives.
#[derive(Debug)]
pub(crate) struct Net<I> {
    seed: u64,
    /// Of the links that were given none of their own.
    faults: Faults,
    config: SessionConfig,
    now: Duration,
    sites: Vec<Site>,
    /// Which site has which name.
    site_ids: BTreeMap<Arc<str>, SiteId>,
    links: BTreeMap<(SiteId, SiteId), Link>,
    /// The transports that live, and where.
    transports: BTreeMap<TransportId, SiteId>,
    n_transports: u64,
    listeners: BTreeMap<(String, Lane), Listener<I>>,
    /// Where each address leads, also after its listener has gone.
    addresses: BTreeMap<String, SiteId>,
    /// Those that have ended stay, so that what comes late is answered and opens nothing: a few words for
    /// each session that was dialled.
    ends: BTreeMap<EndId, End<I>>,
    n_sessions: u64,
    deadlines: BTreeSet<(Duration, EndId)>,
    /// By when they arrive, and then by their numbers.
    on_the_way: BTreeMap<(Duration, u64), Flying>,
    n_sent: u64,
    effects: VecDeque<Effect<I>>,
    history: History,
}

/// One end of links: what runs there is reached, cut off, paused and killed together.
#[derive(Debug)]
struct Site {
    name: Arc<str>,
    pause: Option<Pause>,
}

/// What a site that is paused finds when it goes on.
#[derive(Debug)]
struct Pause {
    since: Duration,
    arriving: Vec<Flying>,
    leaving: Vec<Flying>,
}

/// Who takes sessions at an address.
#[derive(Clone, Debug)]
struct Listener<I> {
    transport: TransportId,
    identity: Identity,
    into: I,
}

/// The way of a packet.
#[derive(Clone, Copy, Debug)]
struct Route {
    from: SiteId,
    to: SiteId,
    /// Which end it is for.
    end: EndId,
}

impl Route {
    /// The way back.
    const fn back(self) -> Self {
        Self { from: self.to, to: self.from, end: self.end.other() }
    }
}

/// A packet on its way.
#[derive(Clone, Debug)]
struct Flying {
    route: Route,
    kind: PacketKind,
    bytes: Bytes,
}

/// What the shell is to do, in this order.
#[derive(Debug)]
pub(crate) enum Effect<I> {
    /// Tell a listener of a session.
    Joined { into: I, end: EndId, peer: PeerId, lane: Lane },
    /// Tell who has dialled what has become of it.
    Dialled { end: EndId, outcome: Result<PeerId, DialError> },
    /// Deliver an envelope.
    Deliver { into: I, end: EndId, from: PeerId, envelope: Envelope },
    /// Wake who waits for room, or for an acknowledgement.
    Room(EndId),
    /// Tell that a session has ended.
    Lost { into: I, end: EndId, peer: PeerId, lane: Lane, why: Lost, back: Vec<Envelope> },
}

impl<I: Clone> Net<I> {
    pub(crate) fn new(seed: u64, faults: Faults, config: SessionConfig) -> Self {
        let config = config.bounded();
        let history = History::new(config.history_max);
        Self {
            seed,
            faults,
            config,
            now: Duration::ZERO,
            sites: Vec::new(),
            site_ids: BTreeMap::new(),
            links: BTreeMap::new(),
            transports: BTreeMap::new(),
            n_transports: 0,
            listeners: BTreeMap::new(),
            addresses: BTreeMap::new(),
            ends: BTreeMap::new(),
            n_sessions: 0,
            deadlines: BTreeSet::new(),
            on_the_way: BTreeMap::new(),
            n_sent: 0,
            effects: VecDeque::new(),
            history,
        }
    }

    /// It is so late now. Time never runs back.
    pub(crate) fn set_now(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// When something is to be done, if nothing happens before.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let arrival = self.on_the_way.first_key_value().map(|((at, _), _)| *at);
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        arrival.into_iter().chain(deadline).min()
    }

    /// Does the one thing that is due first.
    pub(crate) fn step(&mut self) {
        let deadline = self.deadlines.first().copied();
        let arrival = self.on_the_way.first_entry().filter(|arrival| {
            // What arrives counts, also if it arrives at the last moment.
            deadline.is_none_or(|(at, _)| arrival.key().0 <= at)
        });
        if let Some(arrival) = arrival {
            let ((at, _), flying) = arrival.remove_entry();
            self.set_now(at);
            self.arrive(flying);
        } else if let Some((at, end)) = deadline {
            self.set_now(at);
            self.look_at(end);
        }
    }

    pub(crate) fn next_effect(&mut self) -> Option<Effect<I>> {
        self.effects.pop_front()
    }

    /// Whether a transport lives.
    pub(crate) fn is_in_use(&self) -> bool {
        !self.transports.is_empty()
    }

    pub(crate) const fn config(&self) -> &SessionConfig {
        &self.config
    }

    pub(crate) fn history(&self) -> Vec<Event> {
        self.history.events()
    }

    /// A transport of its own for somebody at this site.
    pub(crate) fn add_transport(&mut self, site: &str) -> TransportId {
        let site = self.site(site);
        let id = TransportId(self.n_transports);
        self.n_transports += 1;
        self.transports.insert(id, site);
        id
    }

    /// The site with this name.
    fn site(&mut self, name: &str) -> SiteId {
        if let Some(site) = self.site_ids.get(name) {
            return *site;
        }
        let (site, name) = (SiteId(self.sites.len()), Arc::<str>::from(name));
        self.sites.push(Site { name: Arc::clone(&name), pause: None });
        self.site_ids.insert(name, site);
        site
    }

    fn name(&self, site: SiteId) -> Arc<str> {
        Arc::clone(&self.sites[site.0].name)
    }

    fn link(&mut self, from: SiteId, to: SiteId) -> &mut Link {
        let name = || format!("{} > {}", self.sites[from.0].name, self.sites[to.0].name);
        self.links.entry((from, to)).or_insert_with(|| {
            Link::new(SplitMix64::named(self.seed, &name()), self.faults.clone())
        })
    }

    /// A time has come that an end has named.
    fn look_at(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        match &end.state {
            State::Dialling(dialling, _) if self.now >= dialling.until => self.give_up_dial(id),
            State::Open(open) if open.session.is_overdue(self.now) => {
                self.lose(id, Lost::NoContact(self.config.delivery));
            }
            State::Dialling(..) | State::Open(_) | State::Ended(_) => self.pump(id),
        }
    }

    /// Sends what an end has to send now, and sees when it is to be looked at again.
    fn pump(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        let route = Route { from: end.here, to: end.there, end: id.other() };
        let is_paused = self.sites[end.here.0].pause.is_some();
        let mut outgoing = Vec::new();
        match &mut end.state {
            _ if is_paused => (),
            State::Dialling(dialling, _) => {
                let packet = dialling.next_outgoing(self.now, &self.config);
                outgoing.extend(packet.map(|packet| (packet, Bytes::new())));
            }
            State::Open(open) => {
                outgoing.extend(std::iter::from_fn(|| open.session.next_outgoing(self.now)));
            }
            State::Ended(_) => (),
        }
        // What is paused has no sense of time.
        let deadline = end.next_deadline().filter(|_| !is_paused);
        if let Some(before) = std::mem::replace(&mut end.deadline, deadline) {
            self.deadlines.remove(&(before, id));
        }
        self.deadlines.extend(deadline.map(|deadline| (deadline, id)));
        for (packet, body) in outgoing {
            self.transmit(route, &packet, &body);
        }
    }

    fn transmit(&mut self, route: Route, packet: &Packet, body: &[u8]) {
        // What cannot be encoded is as good as lost; nothing that gets here is.
        let Some(bytes) = packet.encode(body) else { return };
        self.set_out(Flying { route, kind: packet.kind(), bytes });
    }

    fn set_out(&mut self, flying: Flying) {
        let Route { from, to, .. } = flying.route;
        if let Some(pause) = &mut self.sites[from.0].pause {
            pause.leaving.push(flying.clone());
            return self.record_packet(&flying, Fate::Held);
        }
        let now = self.now;
        match self.link(from, to).carry(now) {
            Carried::Lost => self.record_packet(&flying, Fate::Lost),
            Carried::Cut => self.record_packet(&flying, Fate::Cut),
            Carried::Arrives(at, again) => {
                self.record_packet(&flying, Fate::Sent(at.saturating_sub(now)));
                if let Some(again) = again {
                    self.record_packet(&flying, Fate::Repeated(again.saturating_sub(now)));
                    self.put_on_the_way(again, flying.clone());
                }
                self.put_on_the_way(at, flying);
            }
        }
    }

    fn put_on_the_way(&mut self, at: Duration, flying: Flying) {
        self.on_the_way.insert((at, self.n_sent), flying);
        self.n_sent += 1;
    }

    fn arrive(&mut self, flying: Flying) {
        if let Some(pause) = &mut self.sites[flying.route.to.0].pause {
            pause.arriving.push(flying.clone());
            return self.record_packet(&flying, Fate::Held);
        }
        self.record_packet(&flying, Fate::Arrived);
        let Some((packet, body)) = Packet::decode(&flying.bytes) else { return };
        let route = flying.route;
        match packet {
            Packet::Open { at, lane, wanted, by } => self.on_open(route, (at, lane), wanted, by),
            Packet::Opened { by } => self.on_opened(route, by),
            Packet::Refused(why) => self.on_refused(route.end, why),
            Packet::Data { seq, head, ack } => self.on_data(route, (seq, head, body), ack),
            Packet::Ack(ack) => self.on_ack(route, ack),
            Packet::Ended(ended) => self.on_ended(route.end, ended),
        }
        self.pump(route.end);
    }

    fn record(&mut self, what: What) {
        self.history.add(self.now, what);
    }

    fn record_packet(&mut self, flying: &Flying, fate: Fate) {
        let Route { from, to, end } = flying.route;
        let (from, to) = (self.name(from), self.name(to));
        let (session, packet) = (end.session, flying.kind);
        self.record(What::Packet { from, to, session, packet, fate });
    }

    fn record_news(&mut self, id: EndId, news: News) {
        let Some(end) = self.ends.get(&id) else { return };
        let site = self.name(end.here);
        self.record(What::Session { site, session: id.session, news });
    }
}
