//! A link and two connections that carry it one after the other.

use std::sync::mpsc;
use std::thread;

use mesh_core::{ActorId, Body, Head, Identity, Incarnation, PortId, ProcId};

use super::*;

/// Says what it gets, and takes as long as it is let.
struct Ear {
    heard: Mutex<Vec<u64>>,
    begun: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl Inbound for Ear {
    fn identity(&self) -> Identity {
        Identity { peer: peer(1), registry: 0 }
    }

    fn joined(&self, _: Lane, _: Arc<dyn Outbound>) {}

    fn deliver(&self, _: PeerId, mut envelope: Envelope, _: Credit) {
        self.begun.send(()).expect("the test listens");
        lock(&self.go_on).recv().expect("the test says so");
        let body = envelope.body.bytes().expect("it came over a wire");
        lock(&self.heard).push(u64::from(body[0]));
    }

    fn lost(&self, _: PeerId, _: Lane, _: Lost, _: Vec<Envelope>) {
        lock(&self.heard).push(LOST);
    }
}

/// What an [`Ear`] writes down at the end of a session.
const LOST: u64 = 999;

fn peer(number: u128) -> PeerId {
    PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST }
}

fn head() -> Head {
    let PeerId { proc, life } = peer(2);
    let to = ActorId { proc, life, index: 1 };
    Head::Cast { to, port: PortId::named("test"), from: None }
}

const ACK: Ack = Ack { received: 0, granted: 1 << 20 };

type Parts = (Arc<Link>, Arc<Ear>, mpsc::Receiver<()>, mpsc::Sender<()>);

fn link() -> Parts {
    let (begun, has_begun) = mpsc::channel();
    let (go, go_on) = mpsc::channel();
    let ear = Arc::new(Ear { heard: Mutex::default(), begun, go_on: Mutex::new(go_on) });
    let names = (SessionId([0; 16]), peer(2), Lane::Data);
    let link = Link::new(names, ear.clone(), (1 << 20, 1 << 20));
    (Arc::new(link), ear, has_begun, go)
}

fn data(seq: u8) -> Frame {
    Frame::Data { seq: seq.into(), head: head(), body: vec![seq].into() }
}

/// What arrives on a new connection, and the end of the session, come after what is being delivered from
/// the old one.
#[test]
fn nothing_overtakes_what_is_being_delivered() {
    let (link, ear, has_begun, go) = link();
    let old = link.connected(ACK, ACK).unwrap();
    let reader = thread::spawn({
        let link = Arc::clone(&link);
        move || link.receive(old, data(0))
    });
    has_begun.recv().unwrap();
    let new = link.connected(ACK, ACK).unwrap();
    let next = thread::spawn({
        let link = Arc::clone(&link);
        move || {
            let received = link.receive(new, data(1));
            link.end(Lost::Closed);
            received
        }
    });
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!((reader.join().unwrap(), next.join().unwrap()), (Ok(true), Ok(true)));
    assert_eq!(*lock(&ear.heard), [0, 1, LOST]);
    // The old connection is not listened to any more, and nothing comes after the end.
    assert_eq!(link.receive(old, data(2)), Ok(true));
    assert_eq!(*lock(&ear.heard), [0, 1, LOST]);
}

/// A writer whose connection does not carry the session any more passes on what it was woken for.
#[tokio::test]
async fn an_old_writer_takes_no_wake_up_from_the_new_one() {
    let (link, ..) = link();
    let old = link.connected(ACK, ACK).unwrap();
    assert_eq!(link.next_write(old), Write::Wait);
    let new = link.connected(ACK, ACK).unwrap();
    assert_eq!(link.next_write(new), Write::Wait);
    let mut cx = Context::from_waker(Waker::noop());
    let mut waits = [Box::pin(link.to_write()), Box::pin(link.to_write())];
    assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut cx).is_pending()));
    let mut envelope = Some(Envelope { head: head(), body: Body::EMPTY });
    assert!(link.poll_send(&mut cx, &mut envelope).is_ready());
    let [old_waits, new_waits] = &mut waits;
    assert!(old_waits.as_mut().poll(&mut cx).is_ready());
    assert_eq!(link.next_write(old), Write::Superseded);
    assert!(new_waits.as_mut().poll(&mut cx).is_ready());
}
