//! `kameo` in the bench `actors`.

use std::ops::ControlFlow;

use kameo::Actor;
use kameo::actor::{ActorId, ActorRef, Spawn, WeakActorRef};
use kameo::error::{ActorStopReason, Infallible};
use kameo::mailbox;
use kameo::message::{Context, Message};
use meshwarden_bench_player::Failed;
use meshwarden_bench_player::actors::{Actors, Job, panic_now, since_panic, started};
use tokio::sync::{mpsc, oneshot};

struct Adder(u64);

struct Add(u64);
struct Ask(u64);
struct Hold(oneshot::Receiver<()>);

impl Actor for Adder {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        started();
        Ok(Self(0))
    }
}

impl Message<Add> for Adder {
    type Reply = ();
    async fn handle(&mut self, Add(number): Add, _: &mut Context<Self, ()>) {
        self.0 += number;
    }
}

impl Message<Ask> for Adder {
    type Reply = u64;
    async fn handle(&mut self, Ask(number): Ask, _: &mut Context<Self, u64>) -> u64 {
        self.0 += number;
        self.0
    }
}

impl Message<Hold> for Adder {
    type Reply = ();
    async fn handle(&mut self, Hold(gate): Hold, _: &mut Context<Self, ()>) {
        _ = gate.await.is_ok();
    }
}

/// With room for so many messages.
#[derive(Clone)]
struct Kameo(usize);

impl Actors for Kameo {
    type Adder = ActorRef<Adder>;

    async fn spawn(&self, _: usize) -> Result<ActorRef<Adder>, Failed> {
        Ok(Adder::spawn_with_mailbox((), mailbox::bounded(self.0)))
    }

    async fn add(to: &ActorRef<Adder>, number: u64) -> Result<(), Failed> {
        Ok(to.tell(Add(number)).await?)
    }

    async fn ask(to: &ActorRef<Adder>, number: u64) -> Result<u64, Failed> {
        Ok(to.ask(Ask(number)).await?)
    }

    async fn ask_all(all: &[ActorRef<Adder>], number: u64) -> Result<u64, Failed> {
        let mut answers = Vec::with_capacity(all.len());
        for to in all {
            answers.push(to.ask(Ask(number)).enqueue().await?);
        }
        let mut sum = 0;
        for answer in answers {
            sum += answer.await?;
        }
        Ok(sum)
    }

    async fn hold(to: &ActorRef<Adder>, gate: oneshot::Receiver<()>) -> Result<(), Failed> {
        to.tell(Hold(gate)).await.map_err(|_| "it takes the gate".into())
    }

    async fn panics(&self, n: usize) -> Result<Vec<u64>, Failed> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let parent = Parent::spawn(tell);
        let mut nanos = Vec::new();
        for _ in 0..n {
            parent.tell(Breed).await?;
            nanos.push(told.recv().await.ok_or("the parent lives")?);
        }
        Ok(nanos)
    }
}

/// Has a child that panics, and says what it was told.
struct Parent(mpsc::UnboundedSender<u64>);
struct Breed;

impl Actor for Parent {
    type Args = mpsc::UnboundedSender<u64>;
    type Error = Infallible;

    async fn on_start(told: Self::Args, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self(told))
    }

    async fn on_link_died(
        &mut self,
        _: WeakActorRef<Self>,
        _: ActorId,
        _: ActorStopReason,
    ) -> Result<ControlFlow<ActorStopReason>, Infallible> {
        _ = self.0.send(since_panic()).is_ok();
        Ok(ControlFlow::Continue(()))
    }
}

impl Message<Breed> for Parent {
    type Reply = ();
    async fn handle(&mut self, _: Breed, cx: &mut Context<Self, ()>) {
        let child = Child::spawn_link(cx.actor_ref(), Child).await;
        _ = child.tell(Panic).await.is_ok();
    }
}

#[derive(Actor)]
struct Child;
struct Panic;

impl Message<Panic> for Child {
    type Reply = ();
    async fn handle(&mut self, _: Panic, _: &mut Context<Self, ()>) {
        panic_now()
    }
}

fn main() -> Result<(), Failed> {
    let job = Job::from_args()?;
    job.run(move || Kameo(job.room()))
}
