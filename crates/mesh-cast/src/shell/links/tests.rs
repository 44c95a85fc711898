//! What comes back to a relay.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mesh_core::{
    Body, Envelope, Head, Incarnation, Lane, Lost, MeshId, Outbound, PortRef, ProcId, Returned,
};
use mesh_runtime::{Port, Proc, codec};
use mesh_shape::Overlay;
use tokio::sync::mpsc;

use super::*;
use crate::shell::RelayActor;
use crate::wire::{CastId, LegId, Sender, StreamId};

/// A session that says what it is sent.
struct Session(PeerId, mpsc::UnboundedSender<Head>);

impl Outbound for Session {
    fn peer(&self) -> PeerId {
        self.0
    }

    fn is_open(&self) -> bool {
        true
    }

    fn close(&self) {}

    fn poll_send(
        &self,
        _: &mut std::task::Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        if let Some(Envelope { head, .. }) = envelope.take() {
            self.1.send(head).expect("the test listens");
        }
        Poll::Ready(Ok(()))
    }
}

/// That a leg is done.
fn done(caster: ActorId) -> Up {
    let stream = StreamId { caster, mesh: MeshId::from_random(1) };
    let (cast, leg) = (CastId { stream, number: 1 }, LegId { sender: Sender::Caster, number: 1 });
    let (outcomes, unreached) = (Overlay::new(), Overlay::new());
    let progress = Progress::Done;
    Up { answers: vec![Answer { cast, leg, progress, outcomes, unreached, merged: None }] }
}

/// R1, R2: whoever asked had lost that session before, and has asked again by the next one: there it is still waited for.
#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_back_goes_by_the_session_that_is_left() {
    let proc = Proc::local().expect("there is a runtime");
    let relay = RelayActor::start(&proc);
    let (id, life) = (ProcId::from_random(5), Incarnation::FIRST);
    let (caster, peer) = (ActorId { proc: id, life, index: 1 }, PeerId { proc: id, life });
    let (told, mut sent) = mpsc::unbounded_channel();
    proc.connect(Lane::Control, Arc::new(Session(peer, told)));
    // So it is known what messages of that port are called.
    PortRef::<Up>::of(caster).cast(&proc, done(caster)).await;

    let head = Head::Cast { to: caster, port: PortId::of::<Up>(), from: Some(relay.id()) };
    let body = codec::encode(Up::NAME, &done(caster)).expect("it can be encoded");
    let back = vec![Envelope { head: head.clone(), body: Body::Bytes(body) }];
    proc.inbound(0).lost(peer, Lane::Data, Lost::NoContact(Duration::from_secs(4)), back);
    let again = async { while sent.recv().await.as_ref() != Some(&head) {} };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("it is sent again");
}
