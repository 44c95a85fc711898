//! Ours, as programs use it: actors that are spawned in a process, and sent to by their references or by their
//! addresses.

use futures_util::future::try_join_all;
use meshwarden::mesh_core::{Message, PortRef};
use meshwarden::mesh_runtime::{
    Actor, Broadcast, ChildFailure, Context, Failure, Handler, Handlers, Port, Proc, Verdict,
    multi_call,
};
use meshwarden_bench_player::Failed;
use meshwarden_bench_player::actors::{Actors, panic_now, since_panic, started};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// Adds up numbers. So many may wait for it.
pub(crate) struct Adder<const ROOM: usize>(u64);

/// One more number; nobody asks for the sum.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Add(u64);

/// One more number, and what is the sum?
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ask(u64);

/// Nothing else is handled until it is open.
struct Hold(oneshot::Receiver<()>);

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("actors.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Add, ());
message!(Ask, u64);
message!(Hold, ());
message!(Breed, ());
message!(Panic, ());

impl<const ROOM: usize> Actor for Adder<ROOM> {
    const NAME: &'static str = "adder";
    const MAILBOX: usize = ROOM;
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        started();
        Ok(Self(0))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Add>().takes::<Ask>();
    }
}

impl<const ROOM: usize> Handler<Add> for Adder<ROOM> {
    async fn handle(&mut self, Add(number): Add, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0 += number;
        Ok(())
    }
}

impl<const ROOM: usize> Handler<Ask> for Adder<ROOM> {
    async fn handle(&mut self, Ask(number): Ask, _: &mut Context<Self>) -> Result<u64, Failure> {
        self.0 += number;
        Ok(self.0)
    }
}

impl<const ROOM: usize> Handler<Hold> for Adder<ROOM> {
    async fn handle(&mut self, Hold(gate): Hold, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(gate.await?)
    }
}

/// By reference: the type of the actor is known.
#[derive(Clone)]
pub(crate) struct ByRef<const ROOM: usize>(pub(crate) Proc);

type Ref<const ROOM: usize> = meshwarden::mesh_runtime::ActorRef<Adder<ROOM>>;

impl<const ROOM: usize> Actors for ByRef<ROOM> {
    type Adder = Ref<ROOM>;

    async fn spawn(&self, _: usize) -> Result<Ref<ROOM>, Failed> {
        Ok(self.0.spawn::<Adder<ROOM>>(()))
    }

    async fn add(to: &Ref<ROOM>, number: u64) -> Result<(), Failed> {
        Ok(to.cast(to.proc(), Add(number)).await?)
    }

    async fn ask(to: &Ref<ROOM>, number: u64) -> Result<u64, Failed> {
        Ok(to.call(to.proc(), Ask(number)).await?)
    }

    async fn ask_all(all: &[Ref<ROOM>], number: u64) -> Result<u64, Failed> {
        let Some(first) = all.first() else { return Ok(0) };
        let answers = multi_call(first.proc(), all.iter().map(|to| (to, Ask(number)))).await;
        Ok(answers.into_iter().sum::<Result<u64, _>>()?)
    }

    async fn hold(to: &Ref<ROOM>, gate: oneshot::Receiver<()>) -> Result<(), Failed> {
        to.cast(to.proc(), Hold(gate)).await.map_err(|error| error.to_string().into())
    }

    async fn panics(&self, n: usize) -> Result<Vec<u64>, Failed> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let parent = self.0.spawn::<Parent>(tell);
        let mut nanos = Vec::new();
        for _ in 0..n {
            parent.cast(&self.0, Breed).await.map_err(|error| error.to_string())?;
            nanos.push(told.recv().await.ok_or("the parent lives")?);
        }
        Ok(nanos)
    }
}

/// By address: whoever has it knows no type, and may be elsewhere.
#[derive(Clone)]
pub(crate) struct ByAddress<const ROOM: usize>(pub(crate) Proc);

/// Where it is, and who sends.
#[derive(Clone)]
pub(crate) struct Address(PortRef<Add>, Proc);

impl<const ROOM: usize> Actors for ByAddress<ROOM> {
    type Adder = Address;

    async fn spawn(&self, _: usize) -> Result<Address, Failed> {
        Ok(Address(self.0.spawn::<Adder<ROOM>>(()).port(), self.0.clone()))
    }

    async fn add(Address(to, from): &Address, number: u64) -> Result<(), Failed> {
        to.cast(from, Add(number)).await;
        Ok(())
    }

    async fn ask(Address(to, from): &Address, number: u64) -> Result<u64, Failed> {
        Ok(PortRef::of(to.actor()).call(from, Ask(number)).await?)
    }

    async fn ask_all(all: &[Address], number: u64) -> Result<u64, Failed> {
        let ask = Broadcast::new(Ask(number));
        let calls = all.iter().map(|Address(to, from)| ask.call(from, PortRef::of(to.actor())));
        let answers = try_join_all(calls).await.map_err(|fault| format!("{fault:?}"))?;
        Ok(answers.into_iter().sum())
    }

    async fn hold(_: &Address, _: oneshot::Receiver<()>) -> Result<(), Failed> {
        Err("a gate has no address".into())
    }

    async fn panics(&self, _: usize) -> Result<Vec<u64>, Failed> {
        Ok(Vec::new())
    }
}

/// Has a child that panics, and says what it was told.
struct Parent(mpsc::UnboundedSender<u64>);

/// Have one.
struct Breed;

struct Child;

struct Panic;

impl Actor for Parent {
    const NAME: &'static str = "parent";
    type Params = mpsc::UnboundedSender<u64>;

    async fn start(told: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(told))
    }

    async fn on_failure(
        &mut self,
        _: ChildFailure,
        _: &mut Context<Self>,
    ) -> Result<Verdict, Failure> {
        self.0.send(since_panic())?;
        Ok(Verdict::Handled)
    }
}

impl Handler<Breed> for Parent {
    async fn handle(&mut self, _: Breed, cx: &mut Context<Self>) -> Result<(), Failure> {
        let child = cx.spawn::<Child>(());
        Ok(child.cast(cx, Panic).await?)
    }
}

impl Actor for Child {
    const NAME: &'static str = "child";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

impl Handler<Panic> for Child {
    async fn handle(&mut self, _: Panic, _: &mut Context<Self>) -> Result<(), Failure> {
        panic_now()
    }
}
