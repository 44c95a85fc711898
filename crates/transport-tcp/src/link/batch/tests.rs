//! Casts that wait together belong to the session like any others.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use mesh_core::{
    ActorId, Body, CallId, Credit, Envelope, Head, Identity, Inbound, Incarnation, Lane, Lost,
    Outbound, PeerId, PortId, ProcId,
};

use crate::handshake::SessionId;
use crate::link::{Link, Write, lock};
use crate::wire::{Ack, Frame, KnownHead, take_frame};

/// Keeps what comes back.
#[derive(Default)]
struct Sender(Mutex<Vec<Envelope>>);

impl Inbound for Sender {
    fn identity(&self) -> Identity {
        Identity { peer: peer(1), registry: 0 }
    }

    fn joined(&self, _: Lane, _: Arc<dyn Outbound>) {}

    fn deliver(&self, _: PeerId, _: Envelope, _: Credit) {}

    fn lost(&self, _: PeerId, _: Lane, _: Lost, mut back: Vec<Envelope>) {
        lock(&self.0).append(&mut back);
    }
}

fn peer(number: u128) -> PeerId {
    PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST }
}

fn link(granted: u64) -> (Link, Arc<Sender>, u64) {
    let sender = Arc::new(Sender::default());
    let names = (SessionId([0; 16]), peer(2), Lane::Data);
    let link = Link::new(names, Arc::clone(&sender) as _, (1 << 20, 1 << 20));
    let number = link.connected(Ack { received: 0, granted }, link.ack()).unwrap();
    (link, sender, number)
}

fn send(link: &Link, head: Head, body: u8) -> bool {
    let mut envelope = Some(Envelope { head, body: Body::Bytes(vec![body].into()) });
    let sent = link.poll_send(&mut Context::from_waker(Waker::noop()), &mut envelope);
    matches!(sent, Poll::Ready(Ok(())))
}

fn to() -> (ActorId, PortId) {
    let PeerId { proc, life } = peer(2);
    (ActorId { proc, life, index: 1 }, PortId::named("test"))
}

fn cast() -> Head {
    let (to, port) = to();
    Head::Cast { to, port, from: None }
}

fn call() -> Head {
    let (to, port) = to();
    Head::Call { to, port, from: peer(1), call: CallId::new(1) }
}

/// The numbers and bodies of all that is to be written.
fn written(link: &Link, number: u64) -> Vec<(u64, u8)> {
    let (mut bytes, mut found) = (BytesMut::new(), Vec::new());
    while let Write::Chunks(mut chunks) = link.next_write(number, false) {
        let n = chunks.remaining();
        bytes.extend_from_slice(&chunks.copy_to_bytes(n));
    }
    while let Some(frame) = take_frame(&mut bytes, 1 << 20, &mut KnownHead::default()).unwrap() {
        if let Frame::Data { seq, body, .. } = frame {
            found.push((seq, body[0]));
        }
    }
    found
}

fn numbered(numbers: std::ops::Range<u8>) -> Vec<(u64, u8)> {
    numbers.map(|number| (number.into(), number)).collect()
}

/// Whatever is sent behind them, and however many they are.
#[test]
fn nothing_overtakes_casts_that_wait() {
    let (link, _, number) = link(1 << 20);
    for body in 0..200 {
        assert!(send(&link, if body % 70 == 69 { call() } else { cast() }, body));
    }
    assert_eq!(link.n_taken(), 200);
    assert_eq!(written(&link, number), numbered(0..200));
    assert!(send(&link, cast(), 200));
    assert_eq!(written(&link, number), numbered(200..201), "who is told once is told again");
}

#[test]
fn casts_that_wait_come_back_at_the_end() {
    let (link, sender, _) = link(1 << 20);
    assert!((0..10).all(|body| send(&link, cast(), body)));
    link.end(Lost::Gone);
    assert!(!send(&link, cast(), 10), "it has ended");
    let back = lock(&sender.0).iter_mut().map(|it| it.body.bytes().unwrap()[0]).collect::<Vec<_>>();
    assert_eq!(back, (0..10).collect::<Vec<_>>());
}

#[test]
fn casts_that_wait_take_room() {
    let (link, ..) = link(10 * 257);
    let n_sent = (0..20).take_while(|body| send(&link, cast(), *body)).count();
    assert_eq!(n_sent, 10);
}

/// The task of the connection also reads: it does not wait for somebody who encodes.
#[tokio::test]
async fn who_writes_does_not_wait_for_who_sends() {
    let (link, _, number) = link(1 << 20);
    assert!(send(&link, cast(), 0) && send(&link, cast(), 1));
    link.to_write().await;
    let sender = lock(&link.sending);
    let Write::Chunks(chunks) = link.next_write(number, false) else { panic!("one waits no more") };
    assert!(chunks.has_remaining());
    assert_eq!(link.next_write(number, false), Write::Wait { ack_within: None });
    drop(sender);
    link.to_write().await;
    assert_eq!(written(&link, number), numbered(1..2), "it comes again");
}
