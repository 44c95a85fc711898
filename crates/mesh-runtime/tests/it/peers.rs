//! peers: what another process can say and do, shown with sessions that a test holds in its hand.

use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use mesh_core::{
    ActorId, Body, CallId, Credit, Envelope, Fault, Head, Incarnation, Lane, Lost, Message,
    Outbound, PeerId, PortId, PortRef, ProcId, Returned, Transport, WhyReturned, WhyUndelivered,
};
use mesh_runtime::{Actor, CallError, Context, Failure, Handler, Handlers, Port, Proc};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A session: keeps what it is sent.
struct Session {
    peer: PeerId,
    takes: Takes,
    sent: Mutex<Vec<Envelope>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    All,
    /// One that is no answer, and then only answers.
    One,
    /// Nothing, as too large.
    Nothing,
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
        _: &mut TaskContext<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let Some(taken) = envelope.take() else { return Poll::Ready(Ok(())) };
        let mut sent = self.sent.lock().expect("nobody panics with it");
        if self.takes == Takes::One && !sent.is_empty() && !taken.head.is_answer() {
            *envelope = Some(taken);
            return Poll::Pending;
        }
        if self.takes == Takes::Nothing {
            let why = WhyReturned::TooLarge { bytes: 99, max: 9 };
            return Poll::Ready(Err(Box::new(Returned { envelope: taken, why })));
        }
        sent.push(taken);
        Poll::Ready(Ok(()))
    }
}

impl Session {
    fn new(proc: &Proc, peer: u128, lane: Lane, takes: Takes) -> Arc<Self> {
        let session = Arc::new(Self { peer: who(peer), takes, sent: Mutex::default() });
        proc.connect(lane, session.clone());
        session
    }

    fn heads(&self) -> Vec<Head> {
        let sent = self.sent.lock().expect("nobody panics with it");
        sent.iter().map(|envelope| envelope.head.clone()).collect()
    }
}

fn who(number: u128) -> PeerId {
    PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST }
}

/// An actor of another process.
fn far(number: u128) -> ActorId {
    let PeerId { proc, life } = who(number);
    ActorId { proc, life, index: 1 }
}

#[derive(Serialize, Deserialize)]
struct Ask;

/// Its bytes cannot be read: reading fails, or panics.
#[derive(Serialize)]
struct Odd {
    panics: bool,
}

/// Its reply cannot be written.
#[derive(Serialize, Deserialize)]
struct AskForOdd;

struct OddReply;

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("peers.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Ask, u8);
message!(Odd, ());
message!(AskForOdd, OddReply);

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        assert!(!bool::deserialize(deserializer)?, "reading panics");
        Err(D::Error::custom("reading fails"))
    }
}

impl Serialize for OddReply {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("no"))
    }
}

impl<'de> Deserialize<'de> for OddReply {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

struct Answering;

impl Actor for Answering {
    const NAME: &'static str = "answering";
    type Params = ();

    async fn start(_: (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Ask>().takes::<Odd>().takes::<AskForOdd>();
    }
}

impl Handler<Ask> for Answering {
    async fn handle(&mut self, _: Ask, _: &mut Context<Self>) -> Result<u8, Failure> {
        Ok(7)
    }
}

impl Handler<Odd> for Answering {
    async fn handle(&mut self, _: Odd, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Handler<AskForOdd> for Answering {
    async fn handle(&mut self, _: AskForOdd, _: &mut Context<Self>) -> Result<OddReply, Failure> {
        Ok(OddReply)
    }
}

fn call(to: ActorId, port: PortId, number: u64) -> Head {
    Head::Call { to, port, from: who(5), call: CallId::new(number) }
}

async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// What a stranger sends is read by the actor that it is for; what cannot be read goes back, and ends
/// nobody.
#[tokio::test]
async fn bytes_that_cannot_be_read_go_back_and_end_nobody() {
    let proc = Proc::local().unwrap();
    let session = Session::new(&proc, 5, Lane::Data, Takes::All);
    let actor = proc.spawn::<Answering>(());
    let (to, inbound) = (actor.id(), proc.inbound(0));
    let bytes: [&'static [u8]; 4] = [&[0], &[1], &[], &[0, 0]];
    for (number, bytes) in (0..).zip(bytes) {
        let body = Body::Bytes(bytes.into());
        let head = call(to, PortId::of::<Odd>(), number);
        inbound.deliver(who(5), Envelope { head, body }, Credit::NONE);
    }
    settle().await;
    let fault = |call| {
        let fault = Fault::Undelivered(WhyUndelivered::Malformed);
        Head::Fault { to: who(5), call: CallId::new(call), fault }
    };
    assert_eq!(session.heads(), [0, 1, 2, 3].map(fault));
    assert_eq!(actor.call(&proc, Ask).await, Ok(7));
}

/// R1: a reply that cannot be sent is told as that, and not waited for.
#[tokio::test]
async fn an_answer_that_cannot_be_sent_is_told_as_that() {
    let proc = Proc::local().unwrap();
    let session = Session::new(&proc, 5, Lane::Data, Takes::All);
    let to = proc.spawn::<Answering>(()).id();
    let head = call(to, PortId::of::<AskForOdd>(), 3);
    proc.inbound(0).deliver(who(5), Envelope { head, body: Body::EMPTY }, Credit::NONE);
    settle().await;
    // This session encodes nothing; one that does gives it back, as too large a one is given back.
    let [Head::Answer { .. }] = session.heads()[..] else { panic!("{:?}", session.heads()) };

    let proc = Proc::local().unwrap();
    let transport = mesh_runtime::LocalTransport::encoding();
    let client = Proc::local().unwrap();
    let at = "local://odd".parse().unwrap();
    transport.listen(&at, Lane::Data, proc.inbound(0)).await.unwrap();
    let session = transport.dial(&at, proc.id(), Lane::Data, client.inbound(0)).await.unwrap();
    client.connect(Lane::Data, session);
    let port = PortRef::<AskForOdd>::of(proc.spawn::<Answering>(()).id());
    let answer = port.call(&client, AskForOdd).await.map(|_| ());
    let (actor, why) = (port.actor().to_string(), WhyUndelivered::Malformed);
    assert_eq!(answer, Err(CallError::Undelivered { actor, why }));
}

/// R3: the reason is the true one.
#[tokio::test]
async fn what_is_too_large_is_told_as_that() {
    let proc = Proc::local().unwrap();
    Session::new(&proc, 5, Lane::Data, Takes::Nothing);
    let answer = PortRef::<Ask>::of(far(5)).call(&proc, Ask).await;
    let (actor, why) = (far(5).to_string(), WhyUndelivered::TooLarge { bytes: 99, max: 9 });
    assert_eq!(answer, Err(CallError::Undelivered { actor, why }));
}

/// That nobody waits any more is told also when there is no room.
#[tokio::test(start_paused = true)]
async fn a_call_is_withdrawn_also_when_there_is_no_room() {
    let proc = Proc::local().unwrap();
    let session = Session::new(&proc, 5, Lane::Data, Takes::One);
    let port = PortRef::<Ask>::of(far(5));
    let call = tokio::time::timeout(Duration::from_secs(1), port.call(&proc, Ask)).await;
    assert!(call.is_err());
    let heads = session.heads();
    assert!(matches!(heads[..], [Head::Call { .. }, Head::Withdrawn { .. }]), "{heads:?}");
}

/// Only who was called can answer, and nobody can speak for another.
#[tokio::test(start_paused = true)]
async fn a_peer_speaks_for_itself_only() {
    let proc = Proc::local().unwrap();
    Session::new(&proc, 5, Lane::Data, Takes::All);
    let (inbound, to) = (proc.inbound(0), proc.peer());
    let answer = |from, byte: u8| {
        let head = Head::Answer { to, call: CallId::new(0) };
        let body = Body::Bytes(vec![byte].into());
        inbound.deliver(who(from), Envelope { head, body }, Credit::NONE);
    };
    let port = PortRef::<Ask>::of(far(5));
    let called = port.call(&proc, Ask);
    let answers = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        answer(6, 66);
        tokio::time::sleep(Duration::from_secs(1)).await;
        answer(5, 55);
    };
    let (called, ()) = tokio::join!(called, answers);
    assert_eq!(called, Ok(55));

    let session = Session::new(&proc, 6, Lane::Data, Takes::All);
    let head = call(proc.spawn::<Answering>(()).id(), PortId::of::<Ask>(), 1);
    inbound.deliver(who(6), Envelope { head, body: Body::EMPTY }, Credit::NONE);
    settle().await;
    assert_eq!(session.heads(), [], "a call in the name of 5");
}

/// R1: an answer that a lost session gives back goes by another one.
#[tokio::test]
async fn an_answer_that_comes_back_goes_by_another_session() {
    let proc = Proc::local().unwrap();
    let other = Session::new(&proc, 5, Lane::Control, Takes::All);
    let head = Head::Answer { to: who(5), call: CallId::new(3) };
    let back = vec![Envelope { head: head.clone(), body: Body::EMPTY }];
    proc.inbound(0).lost(who(5), Lane::Data, Lost::NoContact(Duration::from_secs(1)), back);
    assert_eq!(other.heads(), [head]);
}

/// How long it has waited on its way.
#[derive(Serialize, Deserialize)]
struct Old(Duration);

impl Message for Old {
    const NAME: &'static str = "peers.Old";
    type Reply = ();
}

/// A session that has no room until it is asked after a while.
struct Later {
    room_at: tokio::time::Instant,
    taken: Mutex<Vec<Duration>>,
}

impl Outbound for Later {
    fn peer(&self) -> PeerId {
        who(5)
    }

    fn is_open(&self) -> bool {
        true
    }

    fn close(&self) {}

    fn poll_send(
        &self,
        cx: &mut TaskContext<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        if tokio::time::Instant::now() < self.room_at {
            // It is asked again when the clock has moved.
            let (waker, second) = (cx.waker().clone(), Duration::from_secs(1));
            tokio::spawn(async move {
                tokio::time::sleep(second).await;
                waker.wake();
            });
            return Poll::Pending;
        }
        if let Some(Body::Value(value)) = envelope.take().map(|envelope| envelope.body) {
            let old = value.into_any().downcast::<Old>().expect("nothing else is sent");
            self.taken.lock().expect("nobody panics with it").push(old.0);
        }
        Poll::Ready(Ok(()))
    }
}

/// N8: what waits for room on a session grows older by that, however often it is asked meanwhile.
#[tokio::test(start_paused = true)]
async fn what_waits_for_room_to_another_process_grows_older() {
    let proc = Proc::local().unwrap();
    let room_at = tokio::time::Instant::now() + Duration::from_secs(3);
    let session = Arc::new(Later { room_at, taken: Mutex::default() });
    proc.connect(Lane::Control, session.clone());
    let port = PortRef::<Old>::of(far(5));
    port.cast_aging(&proc, Old(Duration::from_secs(1)), |old, by| old.0 += by).await;
    let taken = session.taken.lock().expect("nobody panics with it").clone();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].abs_diff(Duration::from_secs(4)) < Duration::from_millis(10), "{taken:?}");
}
