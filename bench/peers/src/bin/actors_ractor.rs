//! `ractor` in the bench `actors`. Its mailboxes have no bound: nobody waits for room.

use meshwarden_bench_player::Failed;
use meshwarden_bench_player::actors::{Actors, Job, panic_now, since_panic, started};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::{mpsc, oneshot};

struct Adder;

enum Word {
    Add(u64),
    Ask(u64, RpcReplyPort<u64>),
    Hold(oneshot::Receiver<()>),
}

impl Actor for Adder {
    type Msg = Word;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Word>, (): ()) -> Result<u64, ActorProcessingErr> {
        started();
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Word>,
        word: Word,
        sum: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match word {
            Word::Add(number) => *sum += number,
            Word::Ask(number, reply) => {
                *sum += number;
                reply.send(*sum)?;
            }
            Word::Hold(gate) => gate.await?,
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Ractor;

impl Actors for Ractor {
    type Adder = ActorRef<Word>;

    async fn spawn(&self, _: usize) -> Result<ActorRef<Word>, Failed> {
        Ok(Actor::spawn(None, Adder, ()).await?.0)
    }

    async fn add(to: &ActorRef<Word>, number: u64) -> Result<(), Failed> {
        Ok(to.cast(Word::Add(number))?)
    }

    async fn ask(to: &ActorRef<Word>, number: u64) -> Result<u64, Failed> {
        Ok(ractor::call!(to, Word::Ask, number)?)
    }

    /// `multi_call` makes a task for each answer; this is what it does, without them.
    async fn ask_all(all: &[ActorRef<Word>], number: u64) -> Result<u64, Failed> {
        let mut answers = Vec::with_capacity(all.len());
        for to in all {
            let (answer, answered) = oneshot::channel();
            to.cast(Word::Ask(number, answer.into()))?;
            answers.push(answered);
        }
        let mut sum = 0;
        for answer in answers {
            sum += answer.await?;
        }
        Ok(sum)
    }

    async fn hold(to: &ActorRef<Word>, gate: oneshot::Receiver<()>) -> Result<(), Failed> {
        Ok(to.cast(Word::Hold(gate))?)
    }

    async fn panics(&self, n: usize) -> Result<Vec<u64>, Failed> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let (parent, _) = Actor::spawn(None, Parent, tell).await?;
        let mut nanos = Vec::new();
        for _ in 0..n {
            parent.cast(())?;
            nanos.push(told.recv().await.ok_or("the parent lives")?);
        }
        Ok(nanos)
    }
}

/// Has a child that panics, and says what it was told.
struct Parent;

impl Actor for Parent {
    type Msg = ();
    type State = mpsc::UnboundedSender<u64>;
    type Arguments = mpsc::UnboundedSender<u64>;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        told: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle(
        &self,
        me: ActorRef<()>,
        (): (),
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let (child, _) = Actor::spawn_linked(None, Child, (), me.get_cell()).await?;
        Ok(child.cast(())?)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        told: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            told.send(since_panic())?;
        }
        Ok(())
    }
}

struct Child;

impl Actor for Child {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<()>, (): (), (): &mut ()) -> Result<(), ActorProcessingErr> {
        panic_now()
    }
}

fn main() -> Result<(), Failed> {
    Job::from_args()?.run(|| Ractor)
}
