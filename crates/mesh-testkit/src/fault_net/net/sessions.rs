//! What goes over sessions, and how they end.

use std::io::ErrorKind;

use bytes::Bytes;
use mesh_core::{DialError, Head, Lost};

use super::{Effect, Net, Route};
use crate::fault_net::end::{End, EndId, Open, State, TransportId};
use crate::fault_net::event::News;
use crate::fault_net::packet::{Ack, Ended, Packet};

impl<I: Clone> Net<I> {
    pub(crate) fn is_open(&self, id: EndId) -> bool {
        self.open(id).is_some()
    }

    /// Whether an envelope may be taken that is no answer.
    pub(crate) fn has_room(&self, id: EndId) -> bool {
        self.open(id).is_some_and(|open| open.session.has_room())
    }

    /// How many envelopes were taken.
    pub(crate) fn n_taken(&self, id: EndId) -> u64 {
        self.open(id).map_or(0, |open| open.session.n_taken())
    }

    /// Whether so many of them were acknowledged, or the session has ended. If not, it is told when it is so, with
    /// the room.
    pub(crate) fn is_acknowledged(&mut self, id: EndId, n_taken: u64) -> bool {
        self.open_mut(id).is_none_or(|open| open.session.is_acknowledged(n_taken))
    }

    /// Takes an envelope, if the session has not ended.
    pub(crate) fn send(&mut self, id: EndId, head: Head, body: Bytes) {
        if let Some(open) = self.open_mut(id) {
            open.session.send(head, body);
            self.pump(id);
        }
    }

    /// Somebody has taken an envelope that counts.
    pub(crate) fn release(&mut self, id: EndId) {
        if let Some(open) = self.open_mut(id) {
            open.session.release();
            self.pump(id);
        }
    }

    /// One side has had enough.
    pub(crate) fn close(&mut self, id: EndId) {
        self.lose(id, Lost::Closed);
    }

    /// A transport is dropped: its listeners and sessions end.
    pub(crate) fn drop_transport(&mut self, transport: TransportId) {
        self.end_transport(transport, Lost::Closed);
    }

    /// Ends all that a transport has.
    pub(super) fn end_transport(&mut self, transport: TransportId, why: Lost) {
        self.transports.remove(&transport);
        self.listeners.retain(|_, listener| listener.transport != transport);
        let ends = self.ends.iter().filter(|(_, end)| end.transport == transport);
        let ids: Vec<EndId> = ends.map(|(id, _)| *id).collect();
        for id in ids {
            let kind = ErrorKind::ConnectionAborted;
            self.fail_dial(id, ended(why), |to| DialError::Os { to, kind });
            self.lose(id, why);
        }
    }

    /// A session has ended here; the other side is told.
    pub(super) fn lose(&mut self, id: EndId, why: Lost) {
        if let Some(route) = self.end_session(id, why) {
            self.transmit(route, &Packet::Ended(ended(why)), &[]);
        }
    }

    /// An envelope has arrived.
    pub(super) fn on_data(&mut self, route: Route, data: (u64, Head, Bytes), ack: Ack) {
        self.on_ack(route, ack);
        let (seq, head, body) = data;
        let Some(open) = self.open_mut(route.end) else { return };
        let arrived = open.session.receive(seq, head, body);
        let (from, into) = (open.peer, open.into.clone());
        for arrived in arrived {
            self.record_news(route.end, News::Delivered(arrived.seq));
            let (into, envelope) = (into.clone(), arrived.envelope);
            self.effects.push_back(Effect::Deliver { into, end: route.end, from, envelope });
        }
    }

    /// The peer is heard.
    pub(super) fn on_ack(&mut self, route: Route, ack: Ack) {
        let now = self.now;
        match self.ends.get_mut(&route.end).map(|end| &mut end.state) {
            Some(State::Open(open)) => {
                if open.session.acknowledged(now, ack) {
                    self.effects.push_back(Effect::Room(route.end));
                }
            }
            Some(State::Ended(ended)) => {
                let answer = Packet::Ended(*ended);
                self.transmit(route.back(), &answer, &[]);
            }
            // It has overtaken the answer to our question, and comes again.
            Some(State::Dialling(..)) | None => (),
        }
    }

    /// The session has ended at the other side.
    pub(super) fn on_ended(&mut self, id: EndId, ended: Ended) {
        let (kind, why) = match ended {
            Ended::Closed => (ErrorKind::ConnectionReset, Lost::Closed),
            Ended::Gone => (ErrorKind::ConnectionRefused, Lost::Gone),
        };
        self.fail_dial(id, ended, |to| DialError::Os { to, kind });
        // Who has told it need not be told.
        _ = self.end_session(id, why).is_some();
    }

    /// Ends a session that is open, and tells its process. Returns the way to the other side.
    fn end_session(&mut self, id: EndId, why: Lost) -> Option<Route> {
        let end = self.ends.get_mut(&id)?;
        let route = Route { from: end.here, to: end.there, end: id.other() };
        let lane = end.lane;
        let state = std::mem::replace(&mut end.state, State::Ended(ended(why)));
        let State::Open(open) = state else {
            end.state = state;
            return None;
        };
        let Open { peer, into, session } = *open;
        let back = session.end();
        self.pump(id);
        self.record_news(id, News::Lost { why, n_back: back.len() });
        self.effects.push_back(Effect::Lost { into, end: id, peer, lane, why, back });
        Some(route)
    }

    fn open(&self, id: EndId) -> Option<&Open<I>> {
        match self.ends.get(&id) {
            Some(End { state: State::Open(open), .. }) => Some(open),
            _ => None,
        }
    }

    fn open_mut(&mut self, id: EndId) -> Option<&mut Open<I>> {
        match self.ends.get_mut(&id) {
            Some(End { state: State::Open(open), .. }) => Some(open),
            _ => None,
        }
    }
}

/// What the other side is told of an end.
const fn ended(why: Lost) -> Ended {
    match why {
        Lost::Gone => Ended::Gone,
        _ => Ended::Closed,
    }
}
