//! near: a mesh within this program, whose messages stay as they are.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorSpec, RankError};
use controller::Config;
use futures_util::FutureExt;
use mesh_core::{Message, Transport};
use mesh_runtime::{
    Actor, Context, Failure, Handler, Handlers, LocalTransport, Network, Proc, ReplyTo,
};
use mesh_shape::Rank;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::{Heard, Say, World, all, sent, soon, world_and_guest};

/// Neither written nor read: both fail.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step(u64);

/// The same. It is answered with what was stepped, and not before there was so much.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Walked(usize);

/// The same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Steps(Vec<u64>);

/// The same. Whoever takes it gives away a hand on its process.
#[derive(Clone, Debug)]
struct Hand(UnboundedSender<Proc>);

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
stays_here!(Hand);

impl Message for Step {
    const NAME: &'static str = "near.Step";
    type Reply = Steps;
}

impl Message for Walked {
    const NAME: &'static str = "near.Walked";
    type Reply = Steps;
}

impl Message for Hand {
    const NAME: &'static str = "near.Hand";
    type Reply = ();
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
        handlers.takes::<Step>().takes::<Walked>().takes::<Hand>();
    }
}

impl Handler<Step> for Walker {
    async fn handle(&mut self, step: Step, _: &mut Context<Self>) -> Result<Steps, Failure> {
        tokio::time::sleep(Duration::from_millis(1)).await;
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

impl Handler<Hand> for Walker {
    async fn handle(&mut self, Hand(to): Hand, cx: &mut Context<Self>) -> Result<(), Failure> {
        to.send(cx.proc().clone()).ok().ok_or_else(|| Failure::new("nobody wants it"))
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

/// R2: what waits for room at its sender is not overtaken when there is room again, and nobody has looked yet.
#[tokio::test(start_paused = true)]
async fn what_is_given_does_not_overtake_what_waits_for_room_at_its_sender() {
    let (world, walkers) = walkers().await;
    assert_eq!(all(&soon(walkers.call(&world.proc, Walked(0))).await), vec![Steps(vec![]); RANKS]);
    let mut n_sent = 0;
    let waits = loop {
        let mut cast = Box::pin(walkers.cast(&world.proc, Step(n_sent)));
        n_sent += 1;
        match (&mut cast).now_or_never() {
            Some(not_sent) => assert!(not_sent.is_empty(), "{not_sent:?}"),
            None => break cast,
        }
    };
    assert!(n_sent > LocalTransport::WINDOW as u64, "it waits for room");
    // All that was sent is walked meanwhile.
    tokio::time::sleep(Duration::from_millis(4 * n_sent)).await;
    let next = walkers.cast(&world.proc, Step(n_sent));
    let own = walkers.scatter(&world.proc, |_| Step(n_sent + 1));
    let called = walkers.call(&world.proc, Walked(0));
    let (next, own, called, first) = soon(async { tokio::join!(next, own, called, waits) }).await;
    assert!([first, next, own].iter().all(|not_sent| not_sent.is_empty()));
    let steps: Vec<u64> = (0..n_sent + 2).collect();
    assert_eq!(all(&called), vec![Steps(steps); RANKS]);
}

/// R2: the same where it waits for the way to be opened, which somebody else does meanwhile.
#[tokio::test(start_paused = true)]
async fn what_is_given_does_not_overtake_what_waits_for_a_session() {
    let (world, guest, _) = world_and_guest("procs=3", &LocalTransport::default()).await;
    let tools = world.tools().await;
    let mesh = sent(tools.mesh_ref());
    let from = guest.proc();
    // Now it knows of the mesh, and has met nobody.
    soon(mesh.choose(actor_mesh::Choice::Random).rank(from)).await.expect("they run");
    let mut first = pin!(mesh.cast(from, Say(1)));
    assert!(first.as_mut().now_or_never().is_none(), "there is no way yet");
    for rank in 0..3 {
        let seat = world.procs.procs().seat(Rank::new(rank)).expect("it is there");
        let doors = seat.doors.expect("it has some");
        soon(guest.dial(seat.peer, &doors)).await.expect("it listens");
    }
    let second = mesh.cast(from, Say(2));
    let (second, first) = soon(async { tokio::join!(second, first) }).await;
    assert!(first.is_empty() && second.is_empty());
    assert_eq!(all(&soon(mesh.call(from, Heard)).await), vec![[1, 2]; 3]);
}

/// R2: the same where nobody knows yet where the ranks are; what is called comes behind what was cast, too.
#[tokio::test(start_paused = true)]
async fn what_is_sent_first_of_all_arrives_in_order() {
    let (world, guest, _) = world_and_guest("procs=3", &LocalTransport::default()).await;
    let tools = world.tools().await;
    let (mesh, from) = (sent(tools.mesh_ref()), guest.proc());
    let [mut first, mut second] = [1, 2].map(|n| Box::pin(mesh.cast(from, Say(n))));
    assert!([&mut first, &mut second].into_iter().all(|cast| cast.now_or_never().is_none()));
    let mut heard = Box::pin(mesh.call(from, Heard));
    assert!((&mut heard).now_or_never().is_none());
    let all_sent = async { tokio::join!(heard, second, first) };
    let (heard, second, first) = soon(all_sent).await;
    assert!(first.is_empty() && second.is_empty());
    assert_eq!(all(&heard), vec![[1, 2]; 3]);
}

/// R1, R2: whoever stands behind a cast that is given up has its turn.
#[tokio::test(start_paused = true)]
async fn a_cast_that_is_dropped_while_it_waits_lets_the_next_one_go() {
    let (world, guest, _) = world_and_guest("procs=3", &LocalTransport::default()).await;
    let tools = world.tools().await;
    let mesh = sent(tools.mesh_ref());
    let from = guest.proc();
    soon(mesh.choose(actor_mesh::Choice::Random).rank(from)).await.expect("they run");
    let [mut first, mut second, mut third] = [1, 2, 3].map(|n| Box::pin(mesh.cast(from, Say(n))));
    let all_wait = [&mut first, &mut second, &mut third].map(|cast| cast.now_or_never().is_none());
    assert_eq!(all_wait, [true; 3]);
    drop(second);
    let (third, first) = soon(async { tokio::join!(third, first) }).await;
    assert!(first.is_empty() && third.is_empty());
    assert_eq!(all(&soon(mesh.call(from, Heard)).await), vec![[1, 3]; 3]);
}

/// H2: a process that has crashed takes nobody in any more, also while somebody has a hand on it.
#[tokio::test(start_paused = true)]
async fn a_process_that_has_crashed_opens_to_nobody() {
    let (mut world, walkers) = walkers().await;
    let (give, mut given) = unbounded_channel();
    let one = walkers.slice("procs", 1).expect("it is there");
    assert!(soon(one.cast(&world.proc, Hand(give))).await.is_empty());
    let kept = soon(given.recv()).await.expect("it gives one");
    let seat = world.procs.procs().seat(Rank::new(1)).expect("it is there");
    world.procs.crash(Rank::new(1));
    _ = soon(world.procs.next()).await.expect("it is told");
    let network = Network::of(&world.proc).expect("it has one");
    let refused = soon(network.dial(seat.peer, &seat.doors.expect("it has some"))).await;
    assert!(refused.is_err() && !network.is_open(seat.peer));
    drop(kept);
}
