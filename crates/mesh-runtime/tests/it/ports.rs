//! ports: sending by address, and what comes back.

use std::time::Duration;

use mesh_core::{ActorId, Incarnation, Message, PortRef, ProcId, WhyUndelivered};
use mesh_runtime::{
    Actor, ActorRef, CallError, Context, Failure, Handler, Handlers, Port, Proc, Stop, TryCastError,
};
use serde::{Deserialize, Serialize};

use crate::script::{Log, Say, Scripted, WaitFor, gate, one, say};

#[tokio::test]
async fn an_actor_is_reached_through_its_port() {
    let (proc, actor, log) = one("a");
    let port: PortRef<Say> = actor.port();
    port.cast(&proc, say("cast")).await;
    assert_eq!(port.call(&proc, say("call")).await, Ok(3));
    port.try_cast(&proc, say("try")).unwrap();
    actor.stop(Stop::Drain);
    actor.ended().await;
    assert_eq!(log.lines()[1..4], ["a hears cast", "a hears call", "a hears try"]);
}

#[tokio::test]
async fn a_port_travels_as_a_value() {
    let (proc, actor, _log) = one("a");
    let port: PortRef<Say> = actor.port();
    let bytes = serde_json::to_vec(&port).unwrap();
    let arrived: PortRef<Say> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((arrived, arrived.call(&proc, say("hello")).await), (port, Ok(2)));
}

#[tokio::test(start_paused = true)]
async fn a_port_has_the_bound_of_its_mailbox() {
    let (proc, actor, _log) = one("a");
    let port: PortRef<Say> = actor.port();
    let gate = gate();
    actor.cast(&proc, WaitFor(gate.clone())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    while port.try_cast(&proc, say("data")).is_ok() {}
    let full = TryCastError::Full { actor: "a".to_owned(), message: say("full") };
    assert_eq!(port.try_cast(&proc, say("full")), Err(full));
    assert_eq!(actor.n_waiting(), 4);
    let open = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.add_permits(1);
    };
    tokio::join!(port.cast(&proc, say("waits")), open);
    assert_eq!(port.call(&proc, say("last")).await, Ok(8));
}

/// R3: what cannot be delivered comes back with the reason, and fails nobody.
#[tokio::test]
async fn what_cannot_be_delivered_comes_back_to_its_sender() {
    let log = Log::default();
    let proc = crate::script::proc(&log);
    let sender = proc.spawn_named::<Sending>("s", log.clone());
    let target = proc.spawn_named::<Scripted>("t", crate::script::script("t", &Log::default()));
    let port: PortRef<Say> = target.port();
    target.stop(Stop::Now);
    target.ended().await;
    let elsewhere = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 1 };
    let before = ActorId { life: Incarnation::new(7), ..target.id() };
    for (port, word) in
        [(port, "gone"), (PortRef::of(elsewhere), "far"), (PortRef::of(before), "old")]
    {
        sender.call(&proc, Send(port, word.to_owned())).await.unwrap();
    }
    sender.stop(Stop::Drain);
    sender.ended().await;
    let back = [
        "\"gone\": there is no such actor here, or no longer",
        "\"far\": there is no way to its process from here",
        "\"old\": there is no such actor here, or no longer",
    ];
    assert_eq!(log.lines(), back);
}

/// R3: also what was accepted, and not handled.
#[tokio::test(start_paused = true)]
async fn what_an_actor_leaves_unhandled_comes_back_to_its_sender() {
    let log = Log::default();
    let proc = crate::script::proc(&log);
    let sender = proc.spawn_named::<Sending>("s", log.clone());
    let target = proc.spawn_named::<Scripted>("t", crate::script::script("t", &Log::default()));
    target.cast(&proc, WaitFor(gate())).await.unwrap();
    sender.call(&proc, Send(target.port(), "queued".to_owned())).await.unwrap();
    target.stop(Stop::Kill);
    target.ended().await;
    sender.stop(Stop::Drain);
    sender.ended().await;
    assert_eq!(log.lines(), ["\"queued\": the actor ended before it handled it"]);
}

#[tokio::test]
async fn what_an_actor_does_not_take_by_address_is_refused() {
    let (proc, actor, _log) = one("a");
    let id = actor.id();
    let answer = PortRef::<Unknown>::of(id).call(&proc, Unknown).await;
    let why = WhyUndelivered::NoPort;
    assert_eq!(answer, Err(CallError::Undelivered { actor: id.to_string(), why }));
}

#[tokio::test]
async fn a_queue_is_read_by_whoever_opened_it() {
    let (proc, _actor, _log) = one("a");
    let mut queue = proc.open_port::<Say>(2);
    let port = queue.port();
    port.cast(&proc, say("one")).await;
    port.cast(&proc, say("two")).await;
    assert!(port.try_cast(&proc, say("three")).is_err(), "it has a bound");
    assert_eq!((queue.recv().await, queue.try_recv()), (say("one"), Some(say("two"))));
    assert_eq!(queue.try_recv(), None);
    let answer = port.call(&proc, say("call"));
    let drop_it = async { drop(queue) };
    let (answer, ()) = tokio::join!(answer, drop_it);
    let (actor, why) = (port.actor().to_string(), WhyUndelivered::Ended);
    assert_eq!(answer, Err(CallError::Undelivered { actor, why }));
}

/// R3: what was queued and not read comes back too.
#[tokio::test]
async fn what_is_left_in_a_queue_comes_back() {
    let log = Log::default();
    let proc = crate::script::proc(&log);
    let sender = proc.spawn_named::<Sending>("s", log.clone());
    let queue = proc.open_port::<Say>(2);
    sender.call(&proc, Send(queue.port(), "unread".to_owned())).await.unwrap();
    drop(queue);
    sender.stop(Stop::Drain);
    sender.ended().await;
    assert_eq!(log.lines(), ["\"unread\": the actor ended before it handled it"]);
}

#[test]
fn two_messages_of_one_name_are_refused() {
    let handlers = Handlers::<Confused>::of();
    let error = handlers.check().expect_err("they have the same name").to_string();
    assert_eq!(
        error,
        "the messages \"test.Same\" and \"test.Same\" have the same port: give one of them another \
         NAME"
    );
    assert_eq!(handlers.names().collect::<Vec<_>>(), ["test.Same"]);
}

/// Sends what it is told to, and writes down what comes back.
struct Sending(Log);

impl Actor for Sending {
    const NAME: &'static str = "sending";
    type Params = Log;

    async fn start(log: Log, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(log))
    }

    async fn on_undelivered(
        &mut self,
        undelivered: mesh_runtime::Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let why = undelivered.why;
        let message = undelivered.into_message::<Say>();
        self.0.add(format!("{:?}: {why}", message.map_or_else(|_| String::new(), |say| say.0)));
        Ok(())
    }
}

struct Send(PortRef<Say>, String);

impl Message for Send {
    const NAME: &'static str = "test.Send";
    type Reply = ();
}

impl Handler<Send> for Sending {
    async fn handle(
        &mut self,
        Send(port, word): Send,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        port.cast(cx, Say(word)).await;
        Ok(())
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Unknown;

impl Message for Unknown {
    const NAME: &'static str = "test.Unknown";
    type Reply = ();
}

#[derive(Serialize, Deserialize)]
struct Same<const N: usize>;

impl<const N: usize> Message for Same<N> {
    const NAME: &'static str = "test.Same";
    type Reply = ();
}

struct Confused;

impl Actor for Confused {
    const NAME: &'static str = "confused";
    type Params = ();

    async fn start(_: (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Same<1>>().takes::<Same<2>>();
    }
}

impl<const N: usize> Handler<Same<N>> for Confused {
    async fn handle(&mut self, _: Same<N>, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// An actor keeps nobody alive, and nobody it: a dropped address changes nothing.
#[tokio::test]
async fn a_dropped_ref_ends_nothing() {
    let (proc, actor, log) = one("a");
    let port: PortRef<Say> = actor.port();
    drop::<ActorRef<Scripted>>(actor);
    assert_eq!(port.call(&proc, say("still here")).await, Ok(2));
    assert_eq!(Proc::n_roots(&proc), 1);
    assert_eq!(log.lines(), ["a starts", "a hears still here"]);
}
