//! near: a mesh within this program, whose messages stay as they are.

use std::sync::Arc;

use actor_mesh::{ActorMesh, ActorSpec, RankError};
use controller::Config;
use futures_util::FutureExt;
use mesh_core::{Message, Transport};
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers, LocalTransport, ReplyTo};
use mesh_shape::Rank;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::{World, all, soon};

/// Neither written nor read: both fail.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step(u64);

/// The same. It is answered with what was stepped, and not before there was so much.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Walked(usize);

/// The same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Steps(Vec<u64>);

macro_rules! stays_here {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("it stays in the program"))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(serde::de::Error::custom("it stays in the program"))
            }
        }
    };
}

stays_here!(Step);
stays_here!(Walked);
stays_here!(Steps);

impl Message for Step {
    const NAME: &'static str = "near.Step";
    type Reply = Steps;
}

impl Message for Walked {
    const NAME: &'static str = "near.Walked";
    type Reply = Steps;
}

/// Has room for few steps at once, and sleeps for each.
struct Walker {
    steps: Vec<u64>,
    asked: Option<(usize, ReplyTo<Steps>)>,
}

impl Walker {
    fn answer(&mut self) {
        if let Some((_, reply)) = self.asked.take_if(|(n, _)| *n <= self.steps.len()) {
            _ = reply.send(Steps(self.steps.clone())).is_ok();
        }
    }
}

impl Actor for Walker {
    const NAME: &'static str = "walker";
    const MAILBOX: usize = 2;
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { steps: Vec::new(), asked: None })
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Step>().takes::<Walked>();
    }
}

impl Handler<Step> for Walker {
    async fn handle(&mut self, step: Step, _: &mut Context<Self>) -> Result<Steps, Failure> {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        self.steps.push(step.0);
        self.answer();
        Ok(Steps(self.steps.clone()))
    }
}

impl Handler<Walked> for Walker {
    async fn handle(&mut self, _: Walked, _: &mut Context<Self>) -> Result<Steps, Failure> {
        Err(Failure::new("it answers later"))
    }

    async fn handle_call(
        &mut self,
        asked: Walked,
        reply: ReplyTo<Steps>,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.asked = Some((asked.0, reply));
        self.answer();
        Ok(())
    }
}

const RANKS: usize = 5;

async fn walkers() -> (World, ActorMesh<Walker>) {
    let board = LocalTransport::default();
    let transports = move || Arc::new(board.another()) as Arc<dyn Transport>;
    let extent = format!("procs={RANKS}");
    let add = |registry: &mut actor_mesh::ActorRegistry| _ = registry.actor::<Walker>();
    let world = World::of(&extent, Config::local(), transports, add).await;
    let spec = ActorSpec::<Walker>::new("walkers", &());
    let walkers = soon(ActorMesh::spawn(&world.proc, &world.procs.procs(), spec)).await;
    (world, walkers.expect("they start"))
}

/// R2: also what finds no room is not serialised, and nothing overtakes it.
#[tokio::test(start_paused = true)]
async fn nothing_is_serialised_and_nothing_overtakes() {
    const STEPS: u64 = 40;
    let (world, walkers) = walkers().await;
    for step in 0..STEPS {
        let not_sent = soon(walkers.cast(&world.proc, Step(step))).await;
        assert!(not_sent.is_empty(), "{not_sent:?}");
    }
    let walked = Steps((0..STEPS).collect());
    let answers = soon(walkers.call(&world.proc, Walked(walked.0.len()))).await;
    assert_eq!(all(&answers), vec![walked.clone(); RANKS]);
    let last = |rank: usize| STEPS + rank as u64;
    let own = walkers.scatter_call(&world.proc, |point| Step(last(point.rank().index())));
    let answers = all(&soon(own).await);
    let own = |rank: usize| Steps([&walked.0[..], &[last(rank)]].concat());
    assert_eq!(answers, (0..RANKS).map(own).collect::<Vec<_>>());
}

/// R1: who is killed with its process while it is called has not answered, and all others have, whichever of them
/// begins.
#[tokio::test(start_paused = true)]
async fn a_rank_that_is_lost_while_it_is_called_is_answered_with_its_end() {
    let (world, walkers) = walkers().await;
    assert_eq!(all(&soon(walkers.call(&world.proc, Walked(0))).await), vec![Steps(vec![]); RANKS]);
    // Nobody answers but after a step.
    let mut replies = walkers.call_stream(&world.proc, Walked(1));
    assert!(replies.next().now_or_never().is_none());
    world.procs.crash(Rank::new(3));
    let (rank, answer) = soon(replies.next()).await.expect("all are answered for");
    assert_eq!(rank, Rank::new(3));
    assert!(matches!(answer, Err(RankError::Ended(_))), "{answer:?}");
    let others = walkers.slice("procs", ..3).expect("they are there");
    assert!(soon(others.cast(&world.proc, Step(1))).await.is_empty());
    let mut answered = Vec::new();
    for _ in 0..3 {
        let (rank, answer) = soon(replies.next()).await.expect("all are answered for");
        assert_eq!(answer, Ok(Steps(vec![1])));
        answered.push(rank.index());
    }
    answered.sort_unstable();
    assert_eq!(answered, [0, 1, 2]);
    drop(replies);
    let answers = soon(walkers.call(&world.proc, Step(2))).await;
    let is_there: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(is_there, [true, true, true, false, true]);
}
