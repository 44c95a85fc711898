//! together: messages of a peer that are delivered together are what they are one by one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};

use mesh_core::{
    ActorId, Arrival, Body, CallId, Casts, Credit, Envelope, Head, Incarnation, Lane, Message,
    Outbound, PeerId, PortId, ProcId, Returned, Sheaf, WhyUndelivered,
};
use mesh_runtime::{Actor, ActorRef, Context, Failure, Handler, Handlers, Proc, Stop};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Note(u8);

impl Message for Note {
    const NAME: &'static str = "together.Note";
    type Reply = ();
}

type Notes = Arc<Mutex<Vec<u8>>>;

/// Writes down what it gets, and has room for little.
struct Writer(Notes);

impl Actor for Writer {
    const NAME: &'static str = "writer";
    const MAILBOX: usize = 3;
    type Params = Notes;

    async fn start(notes: Notes, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(notes))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Note>();
    }
}

impl Handler<Note> for Writer {
    async fn handle(&mut self, Note(number): Note, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0.lock().expect("nobody panics with it").push(number);
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// The way back: keeps what it is sent.
struct Back(Mutex<Vec<Head>>);

impl Outbound for Back {
    fn peer(&self) -> PeerId {
        who(5)
    }

    fn is_open(&self) -> bool {
        true
    }

    fn close(&self) {}

    fn poll_send(
        &self,
        _: &mut TaskContext<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let heads = envelope.take().map(|envelope| envelope.head);
        self.0.lock().expect("nobody panics with it").extend(heads);
        Poll::Ready(Ok(()))
    }
}

fn who(number: u128) -> PeerId {
    PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST }
}

/// An actor of the peer.
fn theirs(number: u128) -> ActorId {
    let PeerId { proc, life } = who(number);
    ActorId { proc, life, index: 4 }
}

fn note(to: ActorId, from: u128, number: u8) -> Envelope {
    let from = Some(theirs(from));
    let head = Head::Cast { to, port: PortId::of::<Note>(), from };
    Envelope { head, body: Body::Bytes(vec![number].into()) }
}

fn writer(proc: &Proc) -> (ActorRef<Writer>, ActorId, Notes) {
    let notes = Notes::default();
    let actor = proc.spawn::<Writer>(Arc::clone(&notes));
    let id = actor.id();
    (actor, id, notes)
}

/// Order, R3, and room: each message has its own, whoever it is delivered with, and however little room there is.
#[tokio::test]
async fn messages_that_come_together_are_delivered_each_by_itself() {
    let proc = Proc::local().unwrap();
    let back = Arc::new(Back(Mutex::default()));
    proc.connect(Lane::Data, back.clone());
    let (inbound, given_back) = (proc.inbound(0), Arc::new(AtomicUsize::new(0)));
    let (one, to_one, of_one) = writer(&proc);
    let (_other, to_other, of_other) = writer(&proc);
    let nobody = ActorId { index: 1 << 40, ..to_one };
    let calls = |number| {
        let call = CallId::new(number);
        let head = Head::Call { to: to_one, port: PortId::of::<Note>(), from: who(5), call };
        Envelope { head, body: Body::Bytes(vec![number as u8].into()) }
    };
    for first in [0, 100] {
        let mut envelopes = Vec::new();
        for number in first..first + 40 {
            envelopes.push(match number % 10 {
                3 => note(nobody, 5, number),
                5 => note(to_one, 6, number),
                7 => calls(u64::from(number)),
                8 | 9 => note(to_other, 5, number),
                _ => note(to_one, 5, number),
            });
        }
        let credit = || {
            let given_back = Arc::clone(&given_back);
            Credit::new(move || _ = given_back.fetch_add(1, Ordering::SeqCst))
        };
        let arrived = |envelope| Arrival::One(envelope, credit());
        let mut together = envelopes.into_iter().map(arrived).collect();
        inbound.deliver_all(who(5), &mut together);
        assert!(together.is_empty());
    }
    assert!(
        given_back.load(Ordering::SeqCst) < 40,
        "what waits for room keeps the room of its sender"
    );
    while given_back.load(Ordering::SeqCst) < 80 || of_other.lock().unwrap().len() < 16 {
        tokio::task::yield_now().await;
    }
    let told = |ends: &[u8]| -> Vec<u8> {
        let all = (0..40).chain(100..140);
        all.filter(|number| ends.contains(&(number % 10))).collect()
    };
    while of_one.lock().unwrap().len() < 48 || back.0.lock().unwrap().len() < 16 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*of_one.lock().unwrap(), told(&[0, 1, 2, 4, 6, 7]));
    assert_eq!(*of_other.lock().unwrap(), told(&[8, 9]));

    // R3: what is not handled any more goes back, also what waits for room.
    let last = (0..9).map(|number| Arrival::One(note(to_one, 5, number), Credit::NONE));
    inbound.deliver_all(who(5), &mut last.collect());
    one.stop(Stop::Kill);
    one.ended().await;
    while back.0.lock().unwrap().len() < 8 + 8 + 9 {
        tokio::task::yield_now().await;
    }
    let heads = back.0.lock().unwrap();
    let n = |what: fn(&Head) -> bool| heads.iter().filter(|head| what(head)).count();
    assert_eq!(n(|head| matches!(head, Head::Answer { .. })), 8);
    let came_back = |of: ActorId, wanted| {
        let is_it = |head: &&Head| matches!(head, Head::Returned { of: it, why, .. } if *it == of && *why == wanted);
        heads.iter().filter(is_it).count()
    };
    assert_eq!(came_back(nobody, WhyUndelivered::NoActor), 8);
    assert_eq!(came_back(to_one, WhyUndelivered::Ended), 9);
}

/// Order, R3, and room: casts that are alike are as many casts, also where there is no room for all of them, and one
/// has their room as long as any of them waits.
#[tokio::test]
async fn casts_that_are_alike_are_delivered_each_by_itself() {
    let proc = Proc::local().unwrap();
    let back = Arc::new(Back(Mutex::default()));
    proc.connect(Lane::Data, back.clone());
    let (inbound, given_back) = (proc.inbound(0), Arc::new(AtomicUsize::new(0)));
    let (_actor, id, notes) = writer(&proc);
    let nobody = ActorId { index: 1 << 40, ..id };
    let casts = |to, peer, numbers: std::ops::Range<u8>| {
        let given_back = Arc::clone(&given_back);
        let Head::Cast { port, from, .. } = note(to, peer, 0).head else { panic!("it is a cast") };
        let places = (0..).zip(numbers.clone()).map(|(at, _)| at..at + 1);
        let bodies = Sheaf::new(numbers.collect::<Vec<_>>().into(), places);
        let credit = Credit::new(move || _ = given_back.fetch_add(1, Ordering::SeqCst));
        Arrival::Casts(Casts { to, port, from, bodies, credit })
    };
    let mut malformed = casts(id, 5, 90..92);
    if let Arrival::Casts(casts) = &mut malformed {
        casts.bodies = Sheaf::new(vec![90, 91].into(), [0..1, 1..1, 1..2]);
    }
    let mut together = vec![
        casts(id, 5, 0..30),
        casts(nobody, 5, 30..33),
        casts(id, 6, 33..36),
        Arrival::One(note(id, 5, 36), Credit::NONE),
        casts(id, 5, 37..90),
        malformed,
    ];
    inbound.deliver_all(who(5), &mut together);
    assert!(together.is_empty());
    assert!(given_back.load(Ordering::SeqCst) < 5, "what waits for room keeps that of its sender");
    while notes.lock().unwrap().len() < 86 || given_back.load(Ordering::SeqCst) < 5 {
        tokio::task::yield_now().await;
    }
    let expected: Vec<u8> = (0..30).chain(36..92).collect();
    assert_eq!(*notes.lock().unwrap(), expected, "and not what a peer says for another");
    let heads = std::mem::take(&mut *back.0.lock().unwrap());
    let returned = heads.into_iter().map(|head| match head {
        Head::Returned { of, why, .. } => (of, why),
        other => panic!("it is nothing that comes back: {other:?}"),
    });
    let lost = (nobody, WhyUndelivered::NoActor);
    assert_eq!(returned.collect::<Vec<_>>(), [lost, lost, lost, (id, WhyUndelivered::Malformed)]);
}
