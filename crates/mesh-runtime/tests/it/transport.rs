//! transport: the one within a process keeps the contract.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mesh_core::{
    ActorId, Addr, Body, Credit, Envelope, Head, Identity, Inbound, Incarnation, Lane, Lost,
    Outbound, PeerId, PortId, ProcId, Transport, WhyReturned,
};
use mesh_runtime::LocalTransport;
use mesh_testkit::{TransportSuite, transport_suite};

use crate::on_wake::on_wake;

fn suite() -> TransportSuite {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let address = || Addr::Local { name: NEXT.fetch_add(1, Ordering::Relaxed).to_string() };
    TransportSuite { address, patience: Duration::from_secs(10) }
}

#[tokio::test]
async fn the_local_transport_keeps_the_contract() {
    let all = LocalTransport::default();
    assert_eq!(transport_suite(|| all.another(), &suite()).await, Ok(()));
}

#[tokio::test]
async fn it_keeps_it_when_it_encodes() {
    let all = LocalTransport::encoding();
    assert_eq!(transport_suite(|| all.another(), &suite()).await, Ok(()));
}

/// Has no room for what it hears.
struct Ear {
    peer: PeerId,
    heard: Mutex<Vec<Credit>>,
    back: Mutex<Option<Arc<dyn Outbound>>>,
}

impl Ear {
    fn new(number: u128) -> Arc<Self> {
        let peer = PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST };
        Arc::new(Self { peer, heard: Mutex::default(), back: Mutex::default() })
    }

    fn heard(&self) -> MutexGuard<'_, Vec<Credit>> {
        self.heard.lock().expect("nobody panics with it")
    }

    /// Sends it something; why that came back, if it did.
    fn send(&self, by: &dyn Outbound, waker: &Waker) -> Poll<Option<WhyReturned>> {
        let PeerId { proc, life } = self.peer;
        let to = ActorId { proc, life, index: 1 };
        let head = Head::Cast { to, port: PortId::named("ear"), from: None };
        let mut envelope = Some(Envelope { head, body: Body::EMPTY });
        let sent = by.poll_send(&mut Context::from_waker(waker), &mut envelope);
        sent.map(|sent| sent.err().map(|returned| returned.why))
    }
}

impl Inbound for Ear {
    fn identity(&self) -> Identity {
        Identity { peer: self.peer, registry: 0 }
    }

    fn joined(&self, _: Lane, back: Arc<dyn Outbound>) {
        *self.back.lock().expect("nobody panics with it") = Some(back);
    }

    fn deliver(&self, _: PeerId, _: Envelope, credit: Credit) {
        self.heard().push(credit);
    }

    fn lost(&self, _: PeerId, _: Lane, _: Lost, _: Vec<Envelope>) {}
}

/// R3: one side is told of the end first, and what it sends by then comes back: the other is not there to take it.
#[tokio::test]
async fn a_session_that_has_ended_takes_nothing_while_its_end_is_told() {
    let (board, at) = (LocalTransport::default(), (suite().address)());
    let (dialler, listener) = (Ear::new(1), Ear::new(2));
    let (here, there) = (board.another(), board.another());
    let at = there.listen(&at, Lane::Data, Arc::clone(&listener) as Arc<dyn Inbound>).await;
    let (at, into) = (at.expect("it is free"), Arc::clone(&dialler) as Arc<dyn Inbound>);
    let out = here.dial(&at, listener.peer.proc, Lane::Data, into).await.expect("it listens");
    let back = listener.back.lock().expect("nobody panics with it").clone().expect("it joined");
    while dialler.send(&*back, Waker::noop()).is_ready() {}

    let said = Arc::new(Mutex::new(None));
    let waker = on_wake({
        let (said, listener, out) = (Arc::clone(&said), Arc::clone(&listener), Arc::clone(&out));
        move || {
            *said.lock().expect("nobody panics with it") =
                Some(listener.send(&*out, Waker::noop()));
        }
    });
    assert!(dialler.send(&*back, &waker).is_pending());
    out.close();
    let ended = Poll::Ready(Some(WhyReturned::Ended(listener.peer)));
    assert_eq!(*said.lock().expect("nobody panics with it"), Some(ended));
    assert_eq!(listener.heard().len(), 0);
}
