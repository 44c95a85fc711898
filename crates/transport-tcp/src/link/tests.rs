//! A link and two connections that carry it one after the other.

use std::sync::mpsc;
use std::task::Context;
use std::thread;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use mesh_core::{
    ActorId, Body, CallId, Credit, Head, Identity, Incarnation, Outbound, PortId, ProcId,
};

use super::*;
use crate::connection::Side;
use crate::wire::Frame;

/// Keeps the room of what it gets.
#[derive(Default)]
struct Hoard(Mutex<Vec<Credit>>);

impl Inbound for Hoard {
    fn identity(&self) -> Identity {
        Identity { peer: peer(1), registry: 0 }
    }

    fn joined(&self, _: Lane, _: Arc<dyn Outbound>) {}

    fn deliver(&self, _: PeerId, _: Envelope, credit: Credit) {
        lock(&self.0).push(credit);
    }

    fn lost(&self, _: PeerId, _: Lane, _: Lost, _: Vec<Envelope>) {}
}

/// Ends the session as soon as something arrives: it may be the last to have what owns the transport.
#[derive(Default)]
struct Quitter {
    link: Mutex<Option<Arc<Link>>>,
    heard: Mutex<Vec<u64>>,
}

impl Inbound for Quitter {
    fn identity(&self) -> Identity {
        Identity { peer: peer(1), registry: 0 }
    }

    fn joined(&self, _: Lane, _: Arc<dyn Outbound>) {}

    fn deliver(&self, _: PeerId, mut envelope: Envelope, _: Credit) {
        if let Some(link) = lock(&self.link).take() {
            link.end(Lost::Closed);
        }
        let body = envelope.body.bytes().expect("it came over a wire");
        lock(&self.heard).push(u64::from(body[0]));
    }

    fn lost(&self, _: PeerId, _: Lane, _: Lost, _: Vec<Envelope>) {
        lock(&self.heard).push(LOST);
    }
}

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

/// An acknowledgement on the wire.
const ACK_BYTES: usize = 21;

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
        move || link.receive((old, Side::Dialled), &mut vec![data(0)])
    });
    has_begun.recv().unwrap();
    let new = link.connected(ACK, ACK).unwrap();
    let next = thread::spawn({
        let link = Arc::clone(&link);
        move || {
            let received = link.receive((new, Side::Dialled), &mut vec![data(1)]);
            link.end(Lost::Closed);
            received
        }
    });
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!((reader.join().unwrap(), next.join().unwrap()), (Ok(true), Ok(true)));
    assert_eq!(*lock(&ear.heard), [0, 1, LOST]);
    // The old connection is not listened to any more, and nothing comes after the end.
    assert_eq!(link.receive((old, Side::Dialled), &mut vec![data(2)]), Ok(true));
    assert_eq!(*lock(&ear.heard), [0, 1, LOST]);
}

/// R2: whoever is told that something has arrived may go over to another session: so it was handed over by then.
#[test]
fn what_is_being_delivered_is_not_acknowledged() {
    let (link, _ear, has_begun, go) = link();
    let number = link.connected(ACK, ACK).unwrap();
    let reader = thread::spawn({
        let link = Arc::clone(&link);
        move || link.receive((number, Side::Dialled), &mut vec![data(0)])
    });
    has_begun.recv().unwrap();
    assert_eq!(
        (link.next_write(number, true), link.ack().received),
        (Write::Wait { ack_within: None }, 0)
    );
    go.send(()).unwrap();
    assert_eq!(reader.join().unwrap(), Ok(true));
    assert_eq!(link.ack().received, 1);
    assert!(matches!(link.next_write(number, false), Write::Wait { ack_within: Some(_) }));
    assert!(matches!(link.next_write(number, true), Write::Chunks(_)));
}

/// Whoever receives may end the session, also by being the last of its process: that holds nobody up, and is told
/// after what has arrived.
#[test]
fn a_session_may_end_while_it_delivers() {
    let quitter = Arc::new(Quitter::default());
    let names = (SessionId([0; 16]), peer(2), Lane::Data);
    let link = Arc::new(Link::new(names, quitter.clone(), (1 << 20, 1 << 20)));
    let number = link.connected(ACK, ACK).unwrap();
    *lock(&quitter.link) = Some(Arc::clone(&link));
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let received = link.receive((number, Side::Dialled), &mut vec![data(0), data(1)]);
        link.end(Lost::Closed);
        done.send(received)
    });
    assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(Ok(true)));
    assert_eq!(*lock(&quitter.heard), [0, 1, LOST]);
}

/// A writer whose connection does not carry the session any more passes on what it was woken for.
#[tokio::test]
async fn an_old_writer_takes_no_wake_up_from_the_new_one() {
    let (link, ..) = link();
    let old = link.connected(ACK, ACK).unwrap();
    assert_eq!(link.next_write(old, false), Write::Wait { ack_within: None });
    let new = link.connected(ACK, ACK).unwrap();
    assert_eq!(link.next_write(new, false), Write::Wait { ack_within: None });
    let mut cx = Context::from_waker(Waker::noop());
    let mut waits = [Box::pin(link.to_write()), Box::pin(link.to_write())];
    assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut cx).is_pending()));
    let mut envelope = Some(Envelope { head: head(), body: Body::EMPTY });
    assert!(link.poll_send(&mut cx, &mut envelope).is_ready());
    let [old_waits, new_waits] = &mut waits;
    assert!(old_waits.as_mut().poll(&mut cx).is_ready());
    assert_eq!(link.next_write(old, false), Write::Superseded);
    assert!(new_waits.as_mut().poll(&mut cx).is_ready());
}

/// The same of one that was about to wait as the new connection came.
#[tokio::test]
async fn an_old_writer_that_waits_late_takes_no_wake_up_from_the_new_one() {
    let (link, ..) = link();
    let old = link.connected(ACK, ACK).unwrap();
    assert_eq!(link.next_write(old, false), Write::Wait { ack_within: None });
    let new = link.connected(ACK, ACK).unwrap();
    link.park(old, Box::new(tokio::io::sink()));
    assert_eq!(link.next_write(new, false), Write::Wait { ack_within: None });
    let mut cx = Context::from_waker(Waker::noop());
    let mut waits = [Box::pin(link.to_write()), Box::pin(link.to_write())];
    assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut cx).is_pending()));
    let mut envelope = Some(Envelope { head: head(), body: Body::EMPTY });
    assert!(link.poll_send(&mut cx, &mut envelope).is_ready());
    let [old_waits, new_waits] = &mut waits;
    assert!(old_waits.as_mut().poll(&mut cx).is_ready());
    assert!(link.unpark(old).is_none());
    assert!(new_waits.as_mut().poll(&mut cx).is_ready());
}

fn call() -> Option<Envelope> {
    let PeerId { proc, life } = peer(2);
    let to = ActorId { proc, life, index: 1 };
    let (port, from, call) = (PortId::named("test"), peer(1), CallId::new(1));
    let head = Head::Call { to, port, from, call };
    Some(Envelope { head, body: Body::Bytes(vec![7; 64].into()) })
}

/// Sends a call over a connection that takes so many bytes, and whose task waits. Returns how many bytes the
/// peer can read at once, and how many are left to the task.
async fn send_to_parked(link: &Link, number: u64, capacity: usize) -> (usize, usize) {
    let (near, mut far) = tokio::io::duplex(capacity);
    link.park(number, Box::new(near));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(link.poll_send(&mut cx, &mut call()).is_ready());
    let (_writer, rest) = link.unpark(number).expect("it is parked");
    let mut buffer = BytesMut::with_capacity(1 << 10);
    let n_read = tokio::time::timeout(Duration::ZERO, far.read_buf(&mut buffer)).await;
    (n_read.map_or(0, |n_read| n_read.expect("it is open")), rest.remaining())
}

/// An envelope arrives, and is handed over at once.
fn receive(link: &Link, (number, seq): (u64, u8), go: &mpsc::Sender<()>) {
    go.send(()).unwrap();
    assert_eq!(link.receive((number, Side::Dialled), &mut vec![data(seq)]), Ok(true));
}

fn is_woken(link: &Link) -> bool {
    let wait = std::pin::pin!(link.to_write());
    wait.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[tokio::test]
async fn a_call_is_written_by_its_sender_while_nothing_else_is_on_its_way() {
    let (link, ..) = link();
    let number = link.connected(ACK, ACK).unwrap();
    assert!(!is_woken(&link), "nobody waited");
    let (n_read, n_left) = send_to_parked(&link, number, 1 << 10).await;
    assert!(n_read > 64 && n_left == 0, "{n_read}, {n_left}");
    assert!(!is_woken(&link), "there is nothing left to do");
    // The first is not acknowledged yet: the task may put more of them together.
    assert_eq!(send_to_parked(&link, number, 1 << 10).await, (0, 0));
    assert!(is_woken(&link));
}

#[tokio::test]
async fn what_the_socket_does_not_take_is_left_to_the_task() {
    let (link, ..) = link();
    let number = link.connected(ACK, ACK).unwrap();
    let (n_read, n_left) = send_to_parked(&link, number, 10).await;
    assert!(n_read == 10 && n_left > 54, "{n_read}, {n_left}");
    assert!(is_woken(&link));
}

#[tokio::test]
async fn the_writer_of_an_old_connection_is_dropped() {
    let (link, ..) = link();
    let old = link.connected(ACK, ACK).unwrap();
    let (near, mut far) = tokio::io::duplex(10);
    link.park(old, Box::new(near));
    link.connected(ACK, ACK).unwrap();
    assert!(link.unpark(old).is_none());
    assert_eq!(far.read_buf(&mut BytesMut::with_capacity(1)).await.unwrap(), 0, "it is closed");
}

#[test]
fn what_has_arrived_is_acknowledged_together_with_what_is_sent() {
    let (link, _ear, _begun, go) = link();
    let number = link.connected(ACK, ACK).unwrap();
    let receive = |seq| receive(&link, (number, seq), &go);
    receive(0);
    assert!(link.tell_of_arrivals(Asked::First), "it may be told with an answer");
    assert!(!is_woken(&link));
    link.tell_of_arrivals(Asked::Again);
    assert!(is_woken(&link), "the peer is to be told soon");
    assert!(matches!(link.next_write(number, false), Write::Wait { ack_within: Some(_) }));
    receive(1);
    assert!(!link.tell_of_arrivals(Asked::First) && !is_woken(&link), "it will be");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(link.poll_send(&mut cx, &mut call()).is_ready());
    let Write::Chunks(chunks) = link.next_write(number, false) else { panic!("there is a call") };
    assert!(chunks.remaining() > ACK_BYTES + 64);
    assert_eq!(
        link.next_write(number, false),
        Write::Wait { ack_within: None },
        "it was told with the call"
    );

    receive(2);
    assert!(matches!(link.next_write(number, false), Write::Wait { ack_within: Some(_) }));
    let Write::Chunks(chunks) = link.next_write(number, true) else { panic!("it has waited") };
    assert_eq!(chunks.remaining(), ACK_BYTES);
}

/// Whoever calls many in turn says something to each before its answer has waited for long, and wakes nobody else.
#[tokio::test]
async fn what_came_after_the_peer_was_told_of_others_waits_anew() {
    let (link, _ear, _begun, go) = link();
    let number = link.connected(ACK, ACK).unwrap();
    let receive = |seq| receive(&link, (number, seq), &go);
    receive(0);
    let waits = link.next_write(number, false);
    assert!(matches!(waits, Write::Wait { ack_within: Some(_) }));
    let (n_read, _) = send_to_parked(&link, number, 1 << 10).await;
    assert!(n_read > ACK_BYTES + 64, "it is told with the call");
    receive(1);
    assert_eq!(link.next_write(number, true), waits, "this has not waited for so long");
    let Write::Chunks(chunks) = link.next_write(number, true) else { panic!("it has waited") };
    assert_eq!(chunks.remaining(), ACK_BYTES);
    assert_eq!(link.next_write(number, true), Write::Wait { ack_within: None });
}

/// Where what has arrived is answered before it is asked for a second time.
#[test]
fn no_timer_is_set_for_an_acknowledgement_that_an_answer_takes_along() {
    let (link, _ear, _begun, go) = link();
    let number = link.connected(ACK, ACK).unwrap();
    receive(&link, (number, 0), &go);
    assert!(link.tell_of_arrivals(Asked::First));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(link.poll_send(&mut cx, &mut call()).is_ready() && is_woken(&link));
    link.tell_of_arrivals(Asked::Again);
    assert!(!is_woken(&link), "whoever writes says it as well");
    assert!(matches!(link.next_write(number, false), Write::Chunks(_)));
    assert_eq!(link.next_write(number, false), Write::Wait { ack_within: None });
}

#[test]
fn many_envelopes_are_acknowledged_without_waiting() {
    let (link, _ear, _begun, go) = link();
    let number = link.connected(ACK, ACK).unwrap();
    for seq in 0..40 {
        receive(&link, (number, seq), &go);
    }
    assert!(matches!(link.next_write(number, false), Write::Chunks(_)));
}

/// Whoever asks whether we are here is answered, also while the task of the connection is at something else.
#[tokio::test]
async fn a_ping_is_answered_whether_the_writer_waits_or_not() {
    let (link, ..) = link();
    let number = link.connected(ACK, ACK).unwrap();
    link.answer_ping(number);
    assert_eq!(link.next_write(number, false), Write::Chunks(ping().into()));
    assert_eq!(link.next_write(number, false), Write::Wait { ack_within: None });

    let (ours, mut theirs) = tokio::io::duplex(64);
    link.park(number, Box::new(ours));
    link.answer_ping(number);
    let mut answer = [0; 5];
    theirs.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..], ping()[..]);
}

/// A peer that asks all the time and reads nothing is owed one answer, and costs no memory.
#[tokio::test]
async fn a_peer_that_only_asks_is_owed_one_answer() {
    let (link, ..) = link();
    let number = link.connected(ACK, ACK).unwrap();
    let (ours, _theirs) = tokio::io::duplex(7);
    link.park(number, Box::new(ours));
    for _ in 0..1_000 {
        link.answer_ping(number);
    }
    let (_writer, rest) = link.unpark(number).unwrap();
    assert_eq!(rest.remaining(), 3, "of the second answer, which did not fit");
    for _ in 0..1_000 {
        link.answer_ping(number);
    }
    assert_eq!(link.next_write(number, false), Write::Chunks(ping().into()));
    assert_eq!(link.next_write(number, false), Write::Wait { ack_within: None });
}

/// Room that is given back little by little, while others look for room to send, is told as well: whoever
/// looks takes it into account, and has nothing to write.
#[test]
fn room_that_is_given_back_is_told_whoever_sees_it_first() {
    let hoard = Arc::new(Hoard::default());
    let names = (SessionId([0; 16]), peer(2), Lane::Data);
    let link = Link::new(names, hoard.clone(), (10 * 356, 1 << 20));
    let number = link.connected(Ack { received: 0, granted: 0 }, link.ack()).unwrap();
    let mut frames =
        (0..10).map(|seq| Frame::Data { seq, head: head(), body: vec![0; 100].into() }).collect();
    assert_eq!(link.receive((number, Side::Dialled), &mut frames), Ok(true));
    assert!(matches!(link.next_write(number, false), Write::Wait { ack_within: Some(_) }));
    assert!(matches!(link.next_write(number, true), Write::Chunks(_)), "it is told what has come");
    assert_eq!(link.next_write(number, false), Write::Wait { ack_within: None });

    let mut cx = Context::from_waker(Waker::noop());
    let mut n_told = 0;
    while lock(&hoard.0).pop().is_some() {
        assert!(link.poll_send(&mut cx, &mut call()).is_pending(), "the peer has no room");
        n_told += u32::from(
            is_woken(&link) && matches!(link.next_write(number, false), Write::Chunks(_)),
        );
    }
    assert!(n_told >= 3, "{n_told}");
}

/// Casts to one actor give their room back together, as soon as the last of them is taken, and never too many of them.
#[test]
fn casts_to_one_actor_share_their_room() {
    let hoard = Arc::new(Hoard::default());
    let names = (SessionId([0; 16]), peer(2), Lane::Data);
    let link = Link::new(names, hoard.clone(), (64 * 1_024, 1 << 20));
    let number = link.connected(ACK, link.ack()).unwrap();
    let other = |head| match head {
        Head::Cast { to, port, from } => Head::Cast { to: ActorId { index: 2, ..to }, port, from },
        other => other,
    };
    let heads = [head(), head(), head(), other(head()), head(), head(), head(), head()];
    let frame = |(seq, head)| Frame::Data { seq, head, body: vec![0; 44].into() };
    let mut frames = (0..).zip(heads).map(frame).collect();
    assert_eq!(link.receive((number, Side::Dialled), &mut frames), Ok(true));
    let given_back = |credit| {
        drop(credit);
        link.freed.take()
    };
    let credits = std::mem::take(&mut *lock(&hoard.0));
    let given_back: Vec<_> = credits.into_iter().map(given_back).collect();
    assert_eq!(given_back, [0, 0, 900, 300, 0, 0, 900, 300]);
}
