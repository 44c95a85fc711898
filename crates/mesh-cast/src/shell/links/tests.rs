//! What comes back to a relay.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mesh_core::{
    Body, Credit, Envelope, Head, Incarnation, Lane, Lost, MeshId, Outbound, PortRef, ProcId,
    Returned,
};
use mesh_runtime::{Port, Proc, codec};
use mesh_shape::Overlay;
use tokio::sync::mpsc;

use super::*;
use crate::shell::RelayActor;
use crate::wire::{CastId, LegId, Sender, StreamId};

/// A session that says what it is sent.
struct Session(PeerId, mpsc::UnboundedSender<Envelope>);

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
        if let Some(envelope) = envelope.take() {
            self.1.send(envelope).expect("the test listens");
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

/// Its first two legs, whose answers go to `caster`.
fn names(caster: ActorId) -> Vec<LegName> {
    let up = done(caster);
    let (cast, leg) = up.legs()[0];
    vec![(cast, leg), (CastId { number: 2, ..cast }, LegId { number: 2, ..leg })]
}

/// A message that is cut in two.
fn cut<M: Message>(from: ActorId, legs: &[LegName]) -> [Piece; 2] {
    let whole = vec![7; crate::shell::pieces::PIECE_BYTES + 1].into();
    let of = (from, (Queue::Tree, 1), PortId::of::<M>());
    let pieces: Vec<_> = Piece::cut(of, legs, &whole).expect("it is not too large").collect();
    pieces.try_into().expect("there are two")
}

/// A relay that has a session with another process, where all that goes there is told.
struct World {
    proc: Proc,
    relay: mesh_runtime::ActorRef<RelayActor>,
    caster: ActorId,
    sent: mpsc::UnboundedReceiver<Envelope>,
}

impl World {
    async fn start() -> Self {
        let proc = Proc::local().expect("there is a runtime");
        let relay = RelayActor::start(&proc);
        let (id, life) = (ProcId::from_random(5), Incarnation::FIRST);
        let (caster, peer) = (ActorId { proc: id, life, index: 1 }, PeerId { proc: id, life });
        let (told, sent) = mpsc::unbounded_channel();
        proc.connect(Lane::Control, Arc::new(Session(peer, told)));
        // It has begun, and hears of losses.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Self { proc, relay, caster, sent }
    }

    /// A session is lost, and this with it.
    fn lose(&self, returned: Vec<Envelope>) {
        let why = Lost::NoContact(Duration::from_secs(4));
        self.proc.inbound(0).lost(self.caster.peer(), Lane::Data, why, returned);
    }

    /// What the legs are that are said to be dropped next.
    async fn dropped(&mut self) -> Vec<LegName> {
        let dropped = async {
            loop {
                let Envelope { head, body } = self.sent.recv().await.expect("the session is there");
                let is_up = matches!(head, Head::Cast { to, port, .. } if (to, port) == (self.caster, PortId::of::<Up>()));
                if !is_up {
                    continue;
                }
                let up: Up = match body {
                    Body::Bytes(bytes) => codec::decode(&bytes),
                    Body::Value(value) => codec::decode(&value.encode().expect("it can be")),
                }
                .expect("it is one");
                assert!(up.answers.iter().all(|it| it.progress == Progress::Dropped), "{up:?}");
                return up.legs();
            }
        };
        tokio::time::timeout(Duration::from_secs(10), dropped).await.expect("it is said")
    }
}

/// R1: whoever has sent them may have done so after it had heard of the loss, and hears nothing of it again.
#[tokio::test(start_paused = true)]
async fn legs_that_are_cut_off_are_said_to_be_dropped() {
    let mut world = World::start().await;
    let legs = names(world.caster);
    let [first, _] = cut::<Down>(world.caster, &legs);
    let head =
        Head::Cast { to: world.relay.id(), port: PortId::of::<Piece>(), from: Some(world.caster) };
    let body = Body::Bytes(codec::encode(Piece::NAME, &first).expect("it can be encoded"));
    let credit = Credit::new(|| ());
    world.proc.inbound(0).deliver(world.caster.peer(), Envelope { head, body }, credit);
    world.lose(Vec::new());
    assert_eq!(world.dropped().await, legs);
}

/// R1, R2: a part of it cannot be said again.
#[tokio::test(start_paused = true)]
async fn legs_whose_answer_comes_back_in_part_are_said_to_be_dropped() {
    let mut world = World::start().await;
    let legs = names(world.caster);
    let (from, port) = (world.relay.id(), PortId::of::<Piece>());
    let returned = cut::<Up>(from, &legs).map(|piece| Envelope {
        head: Head::Cast { to: world.caster, port, from: Some(from) },
        body: Body::Bytes(codec::encode(Piece::NAME, &piece).expect("it can be encoded")),
    });
    PortRef::<Piece>::of(world.caster).cast(&world.proc, cut::<Up>(from, &legs)[0].clone()).await;
    world.lose(returned.into());
    assert_eq!(world.dropped().await, legs);
}

/// R1, R2: whoever asked had lost that session before, and has asked again by the next one: there it is still waited for.
#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_back_goes_by_the_session_that_is_left() {
    let mut world = World::start().await;
    let caster = world.caster;
    // So it is known what messages of that port are called.
    PortRef::<Up>::of(caster).cast(&world.proc, done(caster)).await;

    let head = Head::Cast { to: caster, port: PortId::of::<Up>(), from: Some(world.relay.id()) };
    let body = codec::encode(Up::NAME, &done(caster)).expect("it can be encoded");
    world.lose(vec![Envelope { head: head.clone(), body: Body::Bytes(body) }]);
    let again =
        async { while world.sent.recv().await.map(|it| it.head).as_ref() != Some(&head) {} };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("it is sent again");
}
