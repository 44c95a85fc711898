//! `Board`: where the transports of one program find each other, and what is to end with each of them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use mesh_core::{Addr, Inbound, Lane, ListenError, Lost, SessionEnd};

use super::{Session, lock};

/// Where the transports of one program find each other.
#[derive(Default)]
pub(super) struct Board {
    /// Whether messages are encoded, as between machines.
    pub(super) encodes: bool,
    n_transports: AtomicU64,
    n_sessions: AtomicU64,
    notes: Mutex<Notes>,
    /// Of which there is another one for each session.
    pub(super) ends: SessionEnd,
}

#[derive(Default)]
struct Notes {
    listeners: BTreeMap<Door, Listener>,
    /// What ends with each transport. One of a program has something of thousands, and each of these little: so that it
    /// costs one of them no more to end than what it has.
    held: BTreeMap<u64, Held>,
}

type Door = (String, Lane);

struct Listener {
    transport: u64,
    into: Arc<dyn Inbound>,
}

/// What one transport has.
#[derive(Default)]
struct Held {
    doors: Vec<Door>,
    /// By their numbers; those that nobody has any more are gone.
    sessions: BTreeMap<u64, Weak<Session>>,
}

impl Board {
    pub(super) fn encoding() -> Self {
        Self { encodes: true, ..Self::default() }
    }

    /// The number of another transport.
    pub(super) fn next_transport(&self) -> u64 {
        self.n_transports.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of another session.
    pub(super) fn next_session(&self) -> u64 {
        self.n_sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// A transport listens there.
    pub(super) fn listen(
        &self,
        transport: u64,
        (name, lane): (&str, Lane),
        into: Arc<dyn Inbound>,
    ) -> Result<(), ListenError> {
        let mut notes = lock(&self.notes);
        let door = (name.to_owned(), lane);
        if notes.listeners.contains_key(&door) {
            let at = Addr::Local { name: door.0 };
            return Err(ListenError::Os { at, kind: ErrorKind::AddrInUse });
        }
        notes.held.entry(transport).or_default().doors.push(door.clone());
        notes.listeners.insert(door, Listener { transport, into });
        Ok(())
    }

    /// Who listens there, and by which transport.
    pub(super) fn find(&self, name: &str, lane: Lane) -> Option<(u64, Arc<dyn Inbound>)> {
        let notes = lock(&self.notes);
        let listener = notes.listeners.get(&(name.to_owned(), lane))?;
        Some((listener.transport, Arc::clone(&listener.into)))
    }

    /// A session by a door is to end with either of its transports. `false` if the one that listened there has gone since
    /// it was found: then there is to be none.
    pub(super) fn keep(&self, session: &Arc<Session>, (name, lane): (&str, Lane)) -> bool {
        let mut notes = lock(&self.notes);
        let listener = notes.listeners.get(&(name.to_owned(), lane));
        if listener.is_none_or(|it| it.transport != session.listener.transport) {
            return false;
        }
        for half in session.halves() {
            let held = notes.held.entry(half.transport).or_default();
            held.sessions.insert(session.number, Arc::downgrade(session));
        }
        true
    }

    /// Nobody has the session any more.
    pub(super) fn forget(&self, session: &Session) {
        let mut notes = lock(&self.notes);
        for half in session.halves() {
            let Some(held) = notes.held.get_mut(&half.transport) else { continue };
            held.sessions.remove(&session.number);
            if held.sessions.is_empty() && held.doors.is_empty() {
                notes.held.remove(&half.transport);
            }
        }
    }

    /// A transport has gone: what it had ends.
    pub(super) fn leave(&self, transport: u64) {
        let mut notes = lock(&self.notes);
        let Held { doors, sessions } = notes.held.remove(&transport).unwrap_or_default();
        let listeners: Vec<_> =
            doors.iter().filter_map(|door| notes.listeners.remove(door)).collect();
        drop(notes);
        drop(listeners);
        end(sessions.values().filter_map(Weak::upgrade));
    }

    /// Ends the sessions that are chosen, in the order in which they were opened.
    pub(super) fn end(&self, is_chosen: impl Fn(&Session) -> bool) {
        let notes = lock(&self.notes);
        let sessions = notes.held.values().flat_map(|held| &held.sessions);
        // Each is there twice. Whoever has the last of one forgets it, under the lock.
        let sessions: BTreeMap<_, _> =
            sessions.filter_map(|(number, it)| Some((*number, it.upgrade()?))).collect();
        drop(notes);
        end(sessions.into_values().filter(|session| is_chosen(session)));
    }
}

fn end(sessions: impl Iterator<Item = Arc<Session>>) {
    sessions.for_each(|session| session.end(Lost::Closed));
}

#[cfg(test)]
mod tests {
    use mesh_core::{
        Credit, DialError, Doors, Envelope, Identity, Incarnation, Outbound, PeerId, ProcId,
        Transport,
    };

    use crate::local_transport::LocalTransport;
    use crate::{Network, Proc};

    use super::*;

    /// Of how many transports something is known, and how many sessions of all of them.
    fn held(board: &Board) -> (usize, usize) {
        let notes = lock(&board.notes);
        (notes.held.len(), notes.held.values().map(|held| held.sessions.len()).sum())
    }

    /// A process that listens under this name.
    async fn start(transport: LocalTransport, name: &str) -> (Network, Doors) {
        let network = Network::new(Proc::local().unwrap(), Arc::new(transport), 0);
        let doors = network.listen(&Addr::Local { name: name.to_owned() }).await.unwrap();
        (network, doors)
    }

    /// C2
    #[tokio::test]
    async fn a_transport_that_goes_leaves_nothing_and_what_others_have_stays() {
        let all = LocalTransport::default();
        let board = Arc::clone(&all.board);
        let (owner, _) = start(all.another(), "owner").await;
        let mut ranks = Vec::new();
        for rank in 0..3 {
            let (network, doors) = start(all.another(), &format!("rank {rank}")).await;
            owner.dial(network.proc().peer(), &doors).await.unwrap();
            ranks.push((network, doors));
        }
        let (_, with_all) = held(&board);
        assert!(with_all > 0 && with_all % 3 == 0, "as many for each");
        let (gone, doors) = ranks.remove(1);
        let peer = gone.proc().peer();
        gone.leave();
        drop(gone);
        tokio::task::yield_now().await;
        assert_eq!(held(&board), (3, with_all / 3 * 2));
        assert!(owner.dial(peer, &doors).await.is_err(), "nobody listens there");
        assert!(ranks.iter().all(|(it, _)| it.is_open(owner.proc().peer())));
        drop(ranks);
        tokio::task::yield_now().await;
        assert_eq!(held(&board), (1, 0), "the owner listens still");
    }

    /// Its transport goes when it is asked who it is, which is between those that it is found and that it has a session.
    struct Leaves(PeerId, Mutex<Option<LocalTransport>>);

    impl Inbound for Leaves {
        fn identity(&self) -> Identity {
            drop(lock(&self.1).take());
            Identity { peer: self.0, registry: 0 }
        }

        fn joined(&self, _: Lane, _: Arc<dyn Outbound>) {
            unreachable!("it has gone");
        }

        fn deliver(&self, _: PeerId, _: Envelope, _: Credit) {}

        fn lost(&self, _: PeerId, _: Lane, _: Lost, _: Vec<Envelope>) {}
    }

    /// R1: who is dialled as it goes has no session that would never end.
    #[tokio::test]
    async fn who_goes_as_it_is_dialled_has_no_session() {
        let all = LocalTransport::default();
        let peer = PeerId { proc: ProcId::from_random(1), life: Incarnation::FIRST };
        let (listener, at) = (all.another(), Addr::Local { name: "it".to_owned() });
        let leaves = Arc::new(Leaves(peer, Mutex::default()));
        listener.listen(&at, Lane::Data, leaves.clone()).await.unwrap();
        *lock(&leaves.1) = Some(listener);
        let other = Arc::new(Leaves(PeerId { life: peer.life.next(), ..peer }, Mutex::default()));
        let dialled = all.another().dial(&at, peer.proc, Lane::Data, other).await;
        let refused = DialError::Os { to: at, kind: ErrorKind::ConnectionRefused };
        assert_eq!(dialled.err(), Some(refused));
        assert_eq!(held(&all.board), (0, 0));
    }

    #[tokio::test]
    async fn two_cannot_listen_under_one_name_and_the_second_leaves_it_to_the_first() {
        let all = LocalTransport::default();
        let (first, doors) = start(all.another(), "one").await;
        let second = Network::new(Proc::local().unwrap(), Arc::new(all.another()), 0);
        assert!(second.listen(&Addr::Local { name: "one".to_owned() }).await.is_err());
        drop(second);
        let (other, _) = start(all.another(), "other").await;
        assert_eq!(other.dial(first.proc().peer(), &doors).await, Ok(()));
    }
}
