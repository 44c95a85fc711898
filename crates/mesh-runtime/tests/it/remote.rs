//! remote: the same between processes, over the transport within one.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{
    Addr, DialError, End, Fault, Head, Lane, Message, PortRef, Reason, Transport, WhyUndelivered,
};
use mesh_runtime::{
    Actor, ActorRef, CallError, Context, Failure, Handler, Handlers, LocalTransport, Port, Proc,
    ReplyTo, Stop, Undelivered,
};
use serde::{Deserialize, Serialize};

use crate::script::{Log, gate};

/// Two processes with a session between them.
struct Pair {
    transport: LocalTransport,
    here: Proc,
    there: Proc,
    log: Log,
}

async fn pair() -> Pair {
    let log = Log::default();
    let [here, there] = [crate::script::proc(&log), crate::script::proc(&log)];
    // What works encoded works as it is; the ports' own tests send values.
    let transport = LocalTransport::encoding();
    let at: Addr = "local://there".parse().expect("it is an address");
    transport.listen(&at, Lane::Data, there.inbound(7)).await.expect("nobody else listens");
    let session = transport.dial(&at, there.id(), Lane::Data, here.inbound(7)).await;
    here.connect(Lane::Data, session.expect("it listens"));
    Pair { transport, here, there, log }
}

impl Pair {
    fn spawn_there(&self) -> ActorRef<Remote> {
        self.there.spawn::<Remote>(self.log.clone())
    }

    fn spawn_here(&self) -> ActorRef<Remote> {
        self.here.spawn::<Remote>(self.log.clone())
    }
}

/// Does what it is sent.
struct Remote(Log);

impl Actor for Remote {
    const NAME: &'static str = "remote";
    const MAILBOX: usize = 2;
    type Params = Log;

    async fn start(log: Log, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(log))
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let (name, why) = (undelivered.name, undelivered.why);
        let Word(word) = undelivered.decode()?;
        self.0.add(format!("{name} {word:?} comes back: {why}"));
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Word>().takes::<Send>().takes::<Crash>().takes::<Hang>();
        handlers.takes::<Endless>();
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Word(String);

/// Sends a word on, from here.
#[derive(Serialize, Deserialize)]
struct Send {
    to: PortRef<Word>,
    word: String,
}

#[derive(Serialize, Deserialize)]
struct Crash;

/// Answers when nobody waits any more.
#[derive(Serialize, Deserialize)]
struct Hang;

/// Never answers, and may be cut off at any await.
#[derive(Serialize, Deserialize)]
struct Endless;

impl Handler<Endless> for Remote {
    const IS_CANCEL_SAFE: bool = true;

    async fn handle(&mut self, _: Endless, _: &mut Context<Self>) -> Result<(), Failure> {
        std::future::pending().await
    }
}

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("remote.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Word, usize);
message!(Send, ());
message!(Crash, ());
message!(Hang, ());
message!(Endless, ());

impl Handler<Word> for Remote {
    async fn handle(&mut self, Word(word): Word, _: &mut Context<Self>) -> Result<usize, Failure> {
        self.0.add(format!("hears {word}"));
        Ok(word.len())
    }
}

impl Handler<Send> for Remote {
    async fn handle(&mut self, send: Send, cx: &mut Context<Self>) -> Result<(), Failure> {
        send.to.cast(cx, Word(send.word)).await;
        Ok(())
    }
}

impl Handler<Crash> for Remote {
    async fn handle(&mut self, _: Crash, _: &mut Context<Self>) -> Result<(), Failure> {
        panic!("crashed")
    }
}

impl Handler<Hang> for Remote {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) -> Result<(), Failure> {
        std::future::pending().await
    }

    async fn handle_call(
        &mut self,
        _: Hang,
        mut reply: ReplyTo<()>,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let log = self.0.clone();
        cx.attach(async move {
            reply.abandoned().await;
            log.add("withdrawn");
            Ok(())
        });
        Ok(())
    }
}

fn word(text: &str) -> Word {
    Word(text.to_owned())
}

async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_actor_of_another_process_is_cast_and_called() {
    let pair = pair().await;
    let port: PortRef<Word> = pair.spawn_there().port();
    port.cast(&pair.here, word("cast")).await;
    assert_eq!(port.call(&pair.here, word("called")).await, Ok(6));
    port.try_cast(&pair.here, word("tried")).unwrap();
    settle().await;
    assert_eq!(pair.log.lines(), ["hears cast", "hears called", "hears tried"]);
}

/// What cannot be encoded is no reason to end anything: it comes back.
#[tokio::test]
async fn a_message_that_cannot_be_encoded_comes_back() {
    let pair = pair().await;
    let port = PortRef::<Broken>::of(pair.spawn_there().id());
    let answer = port.call(&pair.here, Broken).await;
    let (actor, why) = (port.actor().to_string(), WhyUndelivered::Malformed);
    assert_eq!(answer, Err(CallError::Undelivered { actor, why }));
    assert_eq!(PortRef::of(port.actor()).call(&pair.here, word("still here")).await, Ok(10));
}

struct Broken;

message!(Broken, ());

impl Serialize for Broken {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
}

impl<'de> Deserialize<'de> for Broken {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// Addresses travel in messages, and lead back.
#[tokio::test]
async fn a_port_that_was_sent_away_leads_back() {
    let pair = pair().await;
    let mut queue = pair.here.open_port::<Word>(4);
    let there: PortRef<Send> = pair.spawn_there().port();
    let send = Send { to: queue.port(), word: "back".to_owned() };
    assert_eq!(there.call(&pair.here, send).await, Ok(()));
    assert_eq!(queue.recv().await, word("back"));
}

/// R1
#[tokio::test]
async fn a_call_of_an_actor_that_panics_there_is_told_why_here() {
    let pair = pair().await;
    let answer = PortRef::<Crash>::of(pair.spawn_there().id()).call(&pair.here, Crash).await;
    let Err(CallError::Failed { cause, .. }) = &answer else { panic!("{answer:?}") };
    assert!(matches!(&cause.reason, Reason::Panic { message, .. } if message == "crashed"));
}

/// R1: as soon as it is known, and never later than the deadline.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_pending_at_a_lost_process_ends_at_once() {
    let pair = pair().await;
    let port = PortRef::<Hang>::of(pair.spawn_there().id());
    let begun = tokio::time::Instant::now();
    let cut = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        pair.transport.cut(pair.there.id());
    };
    let (answer, ()) = tokio::join!(port.call(&pair.here, Hang), cut);
    assert_eq!(answer, Err(CallError::PeerLost { actor: port.actor().to_string() }));
    assert_eq!(begun.elapsed().as_secs(), 1);
    settle().await;
    assert_eq!(pair.log.lines(), ["withdrawn"], "its caller has gone with the session");
}

#[tokio::test(start_paused = true)]
async fn a_call_to_another_process_has_a_deadline_and_is_withdrawn_with_it() {
    let pair = pair().await;
    let port = PortRef::<Hang>::of(pair.spawn_there().id());
    let answer = port.call(&pair.here, Hang).await;
    assert!(matches!(answer, Err(CallError::Deadline { .. })), "{answer:?}");
    settle().await;
    assert_eq!(pair.log.lines(), ["withdrawn"]);
}

/// A handler that may be is cut off when its caller has gone, also in another process: the next message has its
/// turn.
#[tokio::test(start_paused = true)]
async fn a_handler_that_is_cancel_safe_ends_with_the_call_of_another_process() {
    let pair = pair().await;
    let there = pair.spawn_there();
    let port: PortRef<Endless> = there.port();
    let answer = port.call(&pair.here, Endless).await;
    assert!(matches!(answer, Err(CallError::Deadline { .. })), "{answer:?}");
    assert_eq!(there.call(&pair.there, word("next")).await, Ok(4));
}

/// R3
#[tokio::test]
async fn what_is_not_delivered_there_comes_back_here() {
    let pair = pair().await;
    let sender: PortRef<Send> = pair.spawn_here().port();
    let gone = pair.spawn_there();
    let (to, id) = (gone.port(), gone.id());
    gone.stop(Stop::Now);
    gone.ended().await;
    sender.call(&pair.here, Send { to, word: "late".to_owned() }).await.unwrap();
    settle().await;
    let back = "remote.Word \"late\" comes back: there is no such actor here, or no longer";
    assert_eq!(pair.log.lines(), [back]);
    let (actor, why) = (id.to_string(), WhyUndelivered::NoActor);
    let answer = to.call(&pair.here, word("late")).await;
    assert_eq!(answer, Err(CallError::Undelivered { actor, why }));
}

/// R3: what has arrived and was not handled before the end comes back, too.
#[tokio::test(start_paused = true)]
async fn what_waits_there_for_an_actor_that_ends_comes_back() {
    let pair = pair().await;
    let sender: PortRef<Send> = pair.spawn_here().port();
    let busy = pair.there.spawn::<Busy>(gate());
    for number in 0..5 {
        let send = Send { to: PortRef::of(busy.id()), word: number.to_string() };
        sender.call(&pair.here, send).await.unwrap();
    }
    settle().await;
    busy.stop(Stop::Kill);
    busy.ended().await;
    settle().await;
    let lines = pair.log.lines();
    // The one that was being handled was cut off; two had room, and two waited for it.
    let back: Vec<String> = (1..5)
        .map(|n| format!("remote.Word \"{n}\" comes back: the actor ended before it handled it"))
        .collect();
    assert_eq!(lines, back);
}

/// Whoever is slow there makes senders here wait; nothing is lost, nothing is out of order.
#[tokio::test(start_paused = true)]
async fn a_full_mailbox_there_makes_senders_here_wait() {
    const WINDOW: usize = LocalTransport::WINDOW;
    let pair = pair().await;
    let gate = gate();
    let busy = pair.there.spawn::<Busy>(gate.clone());
    let port = PortRef::<Word>::of(busy.id());
    let sender = tokio::spawn({
        let here = pair.here.clone();
        async move {
            for number in 0..3 * WINDOW {
                port.cast(&here, Word(number.to_string())).await;
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!sender.is_finished(), "it waits for room");
    assert!(busy.n_waiting() <= 2);
    assert!(port.try_cast(&pair.here, word("no room")).is_err());
    gate.add_permits(3 * WINDOW);
    sender.await.unwrap();
    busy.stop(Stop::Drain);
    assert_eq!(busy.ended().await, End::Stopped);
}

/// Both sides may dial at once: the end of one of the two sessions is not the end of the other.
#[tokio::test]
async fn a_second_session_outlives_the_first() {
    let pair = pair().await;
    let port: PortRef<Word> = pair.spawn_there().port();
    let (second, at) = (LocalTransport::encoding(), "local://here".parse().unwrap());
    let other = second.another();
    second.listen(&at, Lane::Data, pair.here.inbound(7)).await.unwrap();
    let session = other.dial(&at, pair.here.id(), Lane::Data, pair.there.inbound(7)).await;
    pair.there.connect(Lane::Data, session.unwrap());
    pair.transport.cut(pair.there.id());
    settle().await;
    assert_eq!(port.call(&pair.here, word("by the second")).await, Ok(13));
    second.cut(pair.there.id());
    settle().await;
    assert!(port.call(&pair.here, word("by none")).await.is_err());
}

#[tokio::test]
async fn without_a_session_there_is_no_way() {
    let pair = pair().await;
    let stranger = crate::script::proc(&pair.log);
    let port: PortRef<Word> = pair.spawn_there().port();
    let answer = port.call(&stranger, word("hello")).await;
    let (actor, why) = (port.actor().to_string(), WhyUndelivered::NoRoute);
    assert_eq!(answer, Err(CallError::Undelivered { actor, why }));
}

#[tokio::test]
async fn a_stranger_and_another_program_are_refused() {
    let pair = pair().await;
    let at: Addr = "local://there".parse().unwrap();
    let dial =
        |peer, registry| pair.transport.dial(&at, peer, Lane::Data, pair.here.inbound(registry));
    let (wanted, found) = (pair.here.id(), pair.there.id());
    let stranger = DialError::Stranger { to: at.clone(), wanted, found };
    assert_eq!(dial(wanted, 7).await.err(), Some(stranger));
    assert_eq!(dial(found, 8).await.err(), Some(DialError::OtherProgram(at.clone())));
    assert!(dial(found, 0).await.is_ok(), "who names no program is not compared");
}

/// What travels is plain data.
#[test]
fn heads_survive_their_bytes() {
    let actor = mesh_core::ActorId {
        proc: mesh_core::ProcId::from_random(1),
        life: mesh_core::Incarnation::FIRST,
        index: 9,
    };
    let (to, call) = (actor.peer(), mesh_core::CallId::new(3));
    let fault = Fault::NotTaken(End::Failed(Arc::new(mesh_core::Cause::new(Reason::OutOfMemory))));
    for head in [
        Head::Cast { to: actor, port: mesh_core::PortId::of::<Word>(), from: Some(actor) },
        Head::Fault { to, call, fault },
        Head::Withdrawn { to: actor, from: to, call },
    ] {
        let bytes = serde_json::to_vec(&head).unwrap();
        assert_eq!(serde_json::from_slice::<Head>(&bytes).unwrap(), head);
    }
}

/// Handles one word for each permit, and wants them in order.
struct Busy {
    gate: Arc<tokio::sync::Semaphore>,
    next: usize,
}

impl Actor for Busy {
    const NAME: &'static str = "busy";
    const MAILBOX: usize = 2;
    type Params = Arc<tokio::sync::Semaphore>;

    async fn start(gate: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { gate, next: 0 })
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Word>();
    }
}

impl Handler<Word> for Busy {
    async fn handle(&mut self, Word(word): Word, _: &mut Context<Self>) -> Result<usize, Failure> {
        self.gate.acquire().await?.forget();
        if word != self.next.to_string() {
            return Err(Failure::new(format!("{word} comes in the place of {}", self.next)));
        }
        self.next += 1;
        Ok(self.next)
    }
}
