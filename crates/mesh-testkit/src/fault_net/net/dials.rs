//! How sessions are opened.

use std::io::ErrorKind;

use mesh_core::{Addr, DialError, Identity, Lane, PeerId, ProcId};

use super::{Effect, Listener, Net, Route};
use crate::fault_net::end::{Dialling, End, EndId, Open, Side, State, TransportId};
use crate::fault_net::event::News;
use crate::fault_net::packet::{Ended, Packet, Refusal};
use crate::fault_net::session::Session;

impl<I: Clone> Net<I> {
    /// From now on a transport takes sessions at an address.
    pub(crate) fn listen(
        &mut self,
        transport: TransportId,
        at: (&str, Lane),
        identity: Identity,
        into: I,
    ) -> Result<(), ErrorKind> {
        let site = *self.transports.get(&transport).ok_or(ErrorKind::ConnectionAborted)?;
        let (name, lane) = (at.0.to_owned(), at.1);
        if self.listeners.contains_key(&(name.clone(), lane)) {
            return Err(ErrorKind::AddrInUse);
        }
        self.addresses.insert(name.clone(), site);
        self.listeners.insert((name, lane), Listener { transport, identity, into });
        Ok(())
    }

    /// Begins to open a session. What becomes of it is told by [`Effect::Dialled`].
    pub(crate) fn dial(
        &mut self,
        transport: TransportId,
        to: (&str, Lane, ProcId),
        by: Identity,
        into: I,
    ) -> Result<EndId, ErrorKind> {
        let here = *self.transports.get(&transport).ok_or(ErrorKind::ConnectionAborted)?;
        let (name, lane, wanted) = (to.0.to_owned(), to.1, to.2);
        // Where nobody has ever listened there is no site that could answer.
        let there = *self.addresses.get(&name).ok_or(ErrorKind::ConnectionRefused)?;
        let id = EndId { session: self.n_sessions, side: Side::Dialler };
        self.n_sessions += 1;
        let packet = Packet::Open { at: name.clone(), lane, wanted, by };
        let dialling = Dialling::new(self.now, name, packet, &self.config);
        let state = State::Dialling(dialling, into);
        self.ends.insert(id, End { transport, here, there, lane, state, deadline: None });
        self.pump(id);
        Ok(id)
    }

    /// Whoever has dialled has gone without waiting for what becomes of it.
    pub(crate) fn abandon(&mut self, id: EndId) {
        match self.ends.get_mut(&id) {
            Some(End { state: state @ State::Dialling(..), .. }) => {
                *state = State::Ended(Ended::Closed);
                self.pump(id);
            }
            Some(_) => self.close(id),
            None => (),
        }
    }

    /// Nobody has answered in time.
    pub(super) fn give_up_dial(&mut self, id: EndId) {
        let within = self.config.dial;
        self.fail_dial(id, Ended::Closed, |to| DialError::Deadline { to, within });
    }

    /// There will be no session.
    pub(super) fn fail_dial(
        &mut self,
        id: EndId,
        ended: Ended,
        why: impl FnOnce(Addr) -> DialError,
    ) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        let State::Dialling(dialling, _) = &mut end.state else { return };
        let to = Addr::Local { name: std::mem::take(&mut dialling.to) };
        end.state = State::Ended(ended);
        self.pump(id);
        self.record_news(id, News::NotOpened);
        self.effects.push_back(Effect::Dialled { end: id, outcome: Err(why(to)) });
    }

    /// Somebody asks for a session.
    pub(super) fn on_open(
        &mut self,
        route: Route,
        at: (String, Lane),
        wanted: ProcId,
        by: Identity,
    ) {
        let answer = match self.ends.get(&route.end).map(|end| &end.state) {
            Some(State::Ended(ended)) => Packet::Ended(*ended),
            // Asked again, since our answer is lost or late.
            Some(State::Open(_) | State::Dialling(..)) => self.opened(&at),
            None => match self.admit(route, &at, wanted, by) {
                Err(refusal) => Packet::Refused(refusal),
                Ok(listener) => {
                    self.join(route, at.1, by.peer, &listener);
                    Packet::Opened { by: listener.identity }
                }
            },
        };
        self.transmit(route.back(), &answer, &[]);
    }

    fn opened(&self, at: &(String, Lane)) -> Packet {
        match self.listeners.get(at) {
            Some(listener) => Packet::Opened { by: listener.identity },
            None => Packet::Refused(Refusal::Nobody),
        }
    }

    fn admit(
        &self,
        route: Route,
        at: &(String, Lane),
        wanted: ProcId,
        by: Identity,
    ) -> Result<Listener<I>, Refusal> {
        let listener = self.listeners.get(at).ok_or(Refusal::Nobody)?;
        // The address may lead elsewhere by now.
        if self.transports.get(&listener.transport) != Some(&route.to) {
            return Err(Refusal::Nobody);
        }
        let Identity { peer, registry } = listener.identity;
        if peer.proc != wanted {
            return Err(Refusal::Stranger(peer.proc));
        }
        if registry != by.registry && registry != 0 && by.registry != 0 {
            return Err(Refusal::OtherProgram);
        }
        Ok(listener.clone())
    }

    fn join(&mut self, route: Route, lane: Lane, peer: PeerId, listener: &Listener<I>) {
        let Listener { transport, into, .. } = listener.clone();
        let session = Session::new(self.now, self.config.clone());
        let state = State::Open(Box::new(Open { peer, into: into.clone(), session }));
        let (here, there) = (route.to, route.from);
        self.ends.insert(route.end, End { transport, here, there, lane, state, deadline: None });
        self.record_news(route.end, News::Joined);
        self.effects.push_back(Effect::Joined { into, end: route.end, peer, lane });
    }

    /// A session that was dialled is open.
    pub(super) fn on_opened(&mut self, route: Route, by: Identity) {
        let id = route.end;
        let Some(end) = self.ends.get_mut(&id) else { return };
        match &mut end.state {
            State::Dialling(_, into) => {
                let session = Session::new(self.now, self.config.clone());
                let (peer, into) = (by.peer, into.clone());
                end.state = State::Open(Box::new(Open { peer, into, session }));
                self.record_news(id, News::Opened);
                self.effects.push_back(Effect::Dialled { end: id, outcome: Ok(by.peer) });
            }
            State::Open(_) => (),
            State::Ended(ended) => {
                let answer = Packet::Ended(*ended);
                self.transmit(route.back(), &answer, &[]);
            }
        }
    }

    /// A session that was dialled will not be open.
    pub(super) fn on_refused(&mut self, id: EndId, why: Refusal) {
        let Some(End { state: State::Dialling(dialling, _), .. }) = self.ends.get(&id) else {
            return;
        };
        let Packet::Open { wanted, .. } = dialling.packet else { return };
        self.fail_dial(id, Ended::Closed, |to| match why {
            Refusal::Nobody => DialError::Os { to, kind: ErrorKind::ConnectionRefused },
            Refusal::Stranger(found) => DialError::Stranger { to, wanted, found },
            Refusal::OtherProgram => DialError::OtherProgram(to),
        });
    }
}
