//! Routes that come and go while somebody is about to send.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use mesh_core::{ActorId, Body, Head, Incarnation, PortId, ProcId};

use super::*;

/// A session whose peer acknowledges what it is told to.
#[derive(Default)]
struct Fake {
    state: Mutex<State>,
    /// What happens as the next envelope is about to be taken.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[derive(Default)]
struct State {
    has_ended: bool,
    n_taken: u64,
    n_acknowledged: u64,
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    fn acknowledge_all(&self) {
        let mut state = self.state();
        state.n_acknowledged = state.n_taken;
    }
}

fn peer() -> PeerId {
    PeerId { proc: ProcId::from_random(2), life: Incarnation::FIRST }
}

impl Outbound for Fake {
    fn peer(&self) -> PeerId {
        peer()
    }

    fn is_open(&self) -> bool {
        !self.state().has_ended
    }

    fn close(&self) {
        self.state().has_ended = true;
    }

    fn poll_send(
        &self,
        _: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let meanwhile = self.meanwhile.lock().expect("nobody panics with it").take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        let envelope = envelope.take().expect("there is one");
        let mut state = self.state();
        if state.has_ended {
            let why = WhyReturned::Ended(peer());
            return Poll::Ready(Err(Box::new(Returned { envelope, why })));
        }
        state.n_taken += 1;
        Poll::Ready(Ok(()))
    }

    fn n_taken(&self) -> u64 {
        self.state().n_taken
    }

    fn poll_acknowledged(&self, _: &mut Context<'_>, n_taken: u64) -> Poll<()> {
        let state = self.state();
        let is_so = state.has_ended || state.n_acknowledged >= n_taken;
        if is_so { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The way of data, which may go by the lane of control while it has none of its own.
const WAY: Lane = Lane::Data;

impl Routes {
    fn open(&self, lane: Lane) -> Arc<Fake> {
        let session = Arc::new(Fake::default());
        self.connect(lane, Arc::clone(&session) as Arc<dyn Outbound>);
        session
    }

    fn end(&self, session: &Fake) {
        session.close();
        self.disconnect(peer());
    }

    /// Sends a message, and says whether it was taken.
    fn sends(&self) -> bool {
        let PeerId { proc, life } = peer();
        let to = ActorId { proc, life, index: 1 };
        let head = Head::Cast { to, port: PortId::named("test"), from: None };
        let mut envelope = Some(Envelope { head, body: Body::Bytes(Bytes::new()) });
        matches!(self.try_send((peer(), WAY), &mut envelope), Attempt::Over(Ok(())))
    }
}

/// R2: who is about to send by the lane of others, as one of its own comes and goes, is waited for: also if nothing of
/// the route was left meanwhile.
#[test]
fn who_sends_as_the_route_ends_is_waited_for() {
    let routes = Arc::new(Routes::new(Company::Alone));
    let other = routes.open(Lane::Control);
    assert!(routes.sends());
    other.acknowledge_all();
    let meanwhile = {
        let routes = Arc::clone(&routes);
        move || {
            let own = routes.open(WAY);
            assert!(routes.sends(), "somebody else's goes by the lane of its own");
            assert_eq!(own.n_taken(), 1);
            routes.end(&own);
        }
    };
    *other.meanwhile.lock().unwrap() = Some(Box::new(meanwhile));
    assert!(routes.sends());
    assert_eq!(other.n_taken(), 2, "it had been on its way there");

    let own = routes.open(WAY);
    assert!(!routes.sends(), "the one before is not there yet");
    other.acknowledge_all();
    assert!(routes.sends());
    assert_eq!(own.n_taken(), 1);
}

/// Of a session that ended before it came here nothing is kept: its end was told before.
#[test]
fn a_session_that_ended_before_it_came_leaves_nothing() {
    let routes = Routes::new(Company::Alone);
    let session = Arc::new(Fake::default());
    routes.end(&session);
    routes.connect(WAY, Arc::clone(&session) as Arc<dyn Outbound>);
    assert!(routes.routes.is_empty());
    assert_eq!(Arc::strong_count(&session), 1);
}

/// Nor of a route whose sessions end as somebody sends by one of them.
#[test]
fn a_message_that_is_late_for_a_session_that_has_ended_leaves_nothing() {
    let routes = Arc::new(Routes::new(Company::Alone));
    let other = routes.open(Lane::Control);
    let meanwhile = {
        let (routes, other) = (Arc::clone(&routes), Arc::clone(&other));
        move || {
            let own = routes.open(WAY);
            assert!(routes.sends());
            routes.end(&own);
            routes.end(&other);
        }
    };
    *other.meanwhile.lock().unwrap() = Some(Box::new(meanwhile));
    assert!(!routes.sends(), "it comes back");
    assert!(routes.routes.is_empty());
}
