//! returns: what comes back of the events that were sent to another process (N7).

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use mesh_core::{ActorId, Envelope, Incarnation, Lost, Outbound, PeerId, ProcId, Returned};

use super::*;

/// A session with a process that keeps what it is sent, and acknowledges nothing.
struct Session {
    peer: PeerId,
    sent: Mutex<Vec<Envelope>>,
}

impl Outbound for Session {
    fn peer(&self) -> PeerId {
        self.peer
    }

    fn is_open(&self) -> bool {
        true
    }

    fn close(&self) {}

    fn poll_send(
        &self,
        _: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).extend(envelope.take());
        Poll::Ready(Ok(()))
    }
}

impl Session {
    fn take(&self) -> Vec<Envelope> {
        std::mem::take(&mut self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// N7: a return ends the subscription whose event it is, and none that the same port has by then.
#[tokio::test(start_paused = true)]
async fn a_late_return_does_not_end_a_newer_subscription_of_the_same_port() {
    let mesh = mesh(2).await;
    let peer = PeerId { proc: ProcId::from_random(7), life: Incarnation::FIRST };
    let session = Arc::new(Session { peer, sent: Mutex::default() });
    mesh.proc.connect(Lane::Control, session.clone());
    let there = ActorId { proc: peer.proc, life: peer.life, index: 1 };
    let port = PortRef::<MeshEvent>::of(there);
    let come_back = |back: Vec<Envelope>| {
        assert_eq!(back.len(), 1, "a snapshot");
        mesh.proc.inbound(0).lost(peer, Lane::Control, Lost::Closed, back);
    };

    assert_eq!(mesh.subscribe(port, None).await, Ok(()));
    settle().await;
    let of_the_first = session.take();
    mesh.unsubscribe(port).await;
    assert_eq!(mesh.subscribe(port, None).await, Ok(()));
    settle().await;
    come_back(of_the_first);
    settle().await;
    assert_eq!(mesh.n_subscribers().await, 1, "it is another one");
    come_back(session.take());
    settle().await;
    assert_eq!(mesh.n_subscribers().await, 0, "at the first return of its own");
}

/// N5, N7: whoever subscribes again while the end of its subscription is on its way has one afterwards.
#[tokio::test(start_paused = true)]
async fn a_port_that_subscribes_again_as_its_subscription_ends_is_told() {
    let mesh = mesh(2).await;
    let peer = PeerId { proc: ProcId::from_random(7), life: Incarnation::FIRST };
    let session = Arc::new(Session { peer, sent: Mutex::default() });
    mesh.proc.connect(Lane::Control, session.clone());
    let there = ActorId { proc: peer.proc, life: peer.life, index: 1 };
    let port = PortRef::<MeshEvent>::of(there);
    assert_eq!(mesh.subscribe(port, None).await, Ok(()));
    settle().await;
    // The session breaks, and the next one is there at once.
    mesh.proc.inbound(0).lost(peer, Lane::Control, Lost::Closed, session.take());
    mesh.proc.connect(Lane::Control, session.clone());
    assert_eq!(mesh.subscribe(port, None).await, Ok(()));
    settle().await;
    assert_eq!(mesh.n_subscribers().await, 1);
    assert_eq!(session.take().len(), 1, "a snapshot");
}
