//! streams: what an agent tells of its actors, change by change, to whoever follows them.

use std::sync::Arc;
use std::time::Duration;

use actor_mesh::agent::{StateNews, StopStream, StreamState, Streamed};
use actor_mesh::{ActorMesh, ActorMeshRef, ActorRegistry, ActorSpec};
use controller::Config;
use mesh_core::{
    ActorId, Generation, Incarnation, MeshId, Message, PortRef, Refusal, Status, Transport,
};
use mesh_runtime::{
    Actor, Context, Failure, Handler, Handlers, LocalTransport, Network, Port, PortReceiver, Proc,
    ProcConfig, Sender,
};
use mesh_shape::Rank;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::support::{
    Add, Panic, Tool, World, all, on_failure, sent, soon, tens, world, world_and_guest,
};

/// The agent of a rank.
fn agent(world: &World, rank: usize) -> ActorId {
    world.procs.procs().seat(Rank::new(rank)).expect("it is there").agent
}

/// What an agent answers to whoever wants to follow a mesh.
async fn asked(
    from: &Proc,
    agent: ActorId,
    mesh: MeshId,
    to: &PortReceiver<Streamed>,
) -> Result<(), Refusal> {
    let stream = StreamState { mesh, to: to.port() };
    soon(PortRef::of(agent).call(from, stream)).await.expect("it is answered")
}

/// Follows a mesh, with room for so much that is not read.
async fn follow(from: &Proc, agent: ActorId, mesh: MeshId, room: usize) -> PortReceiver<Streamed> {
    let port = from.open_port(room);
    assert_eq!(asked(from, agent, mesh, &port).await, Ok(()));
    port
}

/// What is new, however long nothing was.
async fn next(port: &mut PortReceiver<Streamed>) -> StateNews {
    loop {
        match soon(port.recv()).await.news {
            StateNews::Unchanged => (),
            news => return news,
        }
    }
}

/// One state of a rank: which, in which life, and which report of that.
type State = (usize, Incarnation, Generation, Status);

/// The states that are told.
fn states(news: StateNews) -> Vec<State> {
    let StateNews::States(states) = news else { panic!("{news:?}") };
    let states = states.into_iter();
    states.map(|(rank, it)| (rank.index(), it.incarnation, it.generation, it.report)).collect()
}

/// What is told until a state is told that is waited for, or until nothing follows.
async fn told(port: &mut PortReceiver<Streamed>, until: impl Fn(&State) -> bool) -> Vec<State> {
    let mut told = Vec::new();
    while !told.iter().any(&until) {
        match next(port).await {
            StateNews::Closed => break,
            news => told.extend(states(news)),
        }
    }
    let pair = |state: &State| (state.1, state.2);
    assert!(told.is_sorted_by(|a, b| pair(a) < pair(b)), "{told:?}");
    told
}

fn life(number: u64) -> Incarnation {
    Incarnation::new(number)
}

/// The rank runs in this life.
fn runs_in(number: u64) -> impl Fn(&State) -> bool {
    move |(_, incarnation, _, status)| (*incarnation, status) == (life(number), &Status::Running)
}

/// What a rank has been, and in which life.
fn been(told: &[State]) -> Vec<(u64, &'static str)> {
    told.iter().map(|(_, life, _, status)| (life.number(), status.kind().label())).collect()
}

/// The tool with this number panics, and is started again.
async fn again(from: &(impl Sender + Sync), tools: &ActorMeshRef<Tool>, number: u64) {
    assert!(soon(tools.cast(from, Panic(number))).await.is_empty());
    let all_run = async {
        while tools.call(from, Add(0)).await.iter().any(Result::is_err) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon(all_run).await;
}

/// L1, N4: what an actor is, that it has failed and why, and that this was all.
#[tokio::test]
async fn a_stream_tells_how_an_actor_ends_and_is_closed() {
    let world = world("procs=3").await;
    let (tools, agent) = (world.tools().await, agent(&world, 1));
    let mesh = tools.label().id();
    let mut port = follow(&world.proc, agent, mesh, 16).await;
    let first = told(&mut port, runs_in(0)).await;
    assert_eq!(been(&first), [(0, "running")], "as it is now");
    assert!(soon(tools.cast(&world.proc, Panic(10))).await.is_empty());
    let last = told(&mut port, |_| false).await;
    let [(1, incarnation, generation, Status::Failed(cause))] = &last[..] else {
        panic!("{last:?}")
    };
    assert_eq!((*incarnation, *generation), (Incarnation::FIRST, first[0].2.next()));
    assert!(cause.to_string().contains("this is the number"), "{cause}");
    drop(tools);
    let mut late = follow(&world.proc, agent, mesh, 16).await;
    assert_eq!(told(&mut late, |_| false).await, last, "it is known for a while");
    assert_eq!((port.try_recv(), late.try_recv()), (None, None), "and then nothing");
}

/// L1, N4
#[tokio::test]
async fn a_stream_tells_how_actors_are_stopped() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let mut port = follow(&world.proc, agent(&world, 0), tools.label().id(), 16).await;
    told(&mut port, runs_in(0)).await;
    soon(tools.stop(Duration::from_secs(1))).await.expect("it stops");
    let last = told(&mut port, |_| false).await;
    assert_eq!(been(&last), [(0, "stopping"), (0, "stopped")]);
}

/// L1, RS2: a stream goes on with the next life, and is closed with the mesh.
#[tokio::test]
async fn a_stream_tells_of_the_next_life() {
    let world = world("procs=2").await;
    let tools = world.spawn(tens("tools").restart(on_failure())).await;
    let mut port = follow(&world.proc, agent(&world, 1), tools.label().id(), 16).await;
    assert_eq!(been(&told(&mut port, runs_in(0)).await), [(0, "running")]);
    again(&world.proc, &tools, 10).await;
    let restarted = told(&mut port, runs_in(1)).await;
    assert_eq!(been(&restarted), [(0, "failed"), (1, "initializing"), (1, "running")]);
    drop(tools);
    let last = told(&mut port, |_| false).await;
    assert_eq!(been(&last), [(1, "stopping"), (1, "stopped")], "with its owner (C2)");
}

/// A program whose meshes have the same identities each time.
async fn seeded() -> World {
    let config = ProcConfig { seed: Some(7), ..ProcConfig::local() };
    World::on(Proc::start(config, Handle::current()), "procs=2").await
}

/// L1: of a mesh that does not exist yet it is told that, and then all of its life.
#[tokio::test]
async fn a_stream_may_be_asked_for_before_its_mesh_exists() {
    let mesh = seeded().await.tools().await.label().id();
    let world = seeded().await;
    let mut port = follow(&world.proc, agent(&world, 1), mesh, 16).await;
    assert_eq!(next(&mut port).await, StateNews::NotExist);
    let tools = world.tools().await;
    assert_eq!(tools.label().id(), mesh, "it follows from the seed");
    let begun = told(&mut port, runs_in(0)).await;
    assert_eq!(been(&begun), [(0, "initializing"), (0, "running")]);
    // The one before is that it is not known.
    assert_eq!(begun[0].2, Generation::FIRST.next(), "nothing was left out");
}

/// N5: subscribing twice counts once, and unsubscribing who is unknown is a no-op.
#[tokio::test]
async fn the_same_port_counts_once_and_an_unknown_one_is_no_error() {
    let world = world("procs=2").await;
    let tools = world.spawn(tens("tools").restart(on_failure())).await;
    let (agent, mesh) = (agent(&world, 1), tools.label().id());
    let mut port = follow(&world.proc, agent, mesh, 16).await;
    assert_eq!(been(&told(&mut port, |_| true).await), [(0, "running")]);
    assert_eq!(asked(&world.proc, agent, mesh, &port).await, Ok(()));
    let stop = async |mesh, to: &PortReceiver<Streamed>| {
        let stop = StopStream { mesh, to: to.port() };
        soon(PortRef::of(agent).call(&world.proc, stop)).await.expect("it is answered");
    };
    let mut other = follow(&world.proc, agent, mesh, 16).await;
    stop(MeshId::from_random(1), &port).await;
    stop(mesh, &world.proc.open_port(1)).await;
    again(&world.proc, &tools, 10).await;
    let all = [(0, "running"), (0, "failed"), (1, "initializing"), (1, "running")];
    assert_eq!(been(&told(&mut port, runs_in(1)).await), all);
    assert_eq!(been(&told(&mut other, runs_in(1)).await), all);
    stop(mesh, &port).await;
    stop(mesh, &port).await;
    again(&world.proc, &tools, 10).await;
    told(&mut other, runs_in(2)).await;
    assert_eq!(port.try_recv(), None, "it is told no more");
}

/// N7: a port that is gone is let go of with the first message that comes back, and fails nothing. Streams are bounded.
#[tokio::test]
async fn a_follower_whose_port_is_gone_makes_room_for_another() {
    let world = world("procs=2").await;
    let tools = world.spawn(tens("tools").restart(on_failure())).await;
    let (agent, mesh) = (agent(&world, 1), tools.label().id());
    let mut gone = follow(&world.proc, agent, mesh, 16).await;
    // What it has not read would come back at once.
    told(&mut gone, runs_in(0)).await;
    let mut stays = follow(&world.proc, agent, mesh, 16).await;
    let many = world.proc.open_port(1_024);
    for number in 1..=1_022 {
        assert_eq!(asked(&world.proc, agent, MeshId::from_random(number), &many).await, Ok(()));
    }
    let mut late = world.proc.open_port(16);
    let refused = Err(Refusal::TooMany { limit: 1_024 });
    assert_eq!(asked(&world.proc, agent, mesh, &late).await, refused);
    drop(gone);
    assert_eq!(asked(&world.proc, agent, mesh, &late).await, refused, "nothing has come back yet");
    again(&world.proc, &tools, 10).await;
    told(&mut stays, runs_in(1)).await;
    assert_eq!(asked(&world.proc, agent, mesh, &late).await, Ok(()));
    assert_eq!(been(&told(&mut late, runs_in(1)).await), [(1, "running")]);
    again(&world.proc, &tools, 10).await;
    told(&mut stays, runs_in(2)).await;
    told(&mut late, runs_in(2)).await;
}

/// N7: nor is a port that is gone kept for ever where nothing changes.
#[tokio::test(start_paused = true)]
async fn where_nothing_changes_a_port_that_is_gone_is_found_out() {
    let world = world("procs=2").await;
    let (agent, mesh) = (agent(&world, 0), MeshId::from_random(9));
    let mut stays = follow(&world.proc, agent, mesh, 16).await;
    let begun = Instant::now();
    let mut gone = world.proc.open_port(16);
    for number in 10..1_033 {
        assert_eq!(asked(&world.proc, agent, MeshId::from_random(number), &gone).await, Ok(()));
        assert_eq!(next(&mut gone).await, StateNews::NotExist);
    }
    let late = world.proc.open_port(1);
    assert!(asked(&world.proc, agent, mesh, &late).await.is_err());
    drop(gone);
    assert_eq!(stays.recv().await.news, StateNews::NotExist);
    assert_eq!(stays.recv().await.news, StateNews::Unchanged);
    assert!(begun.elapsed() >= StreamState::PERIOD, "{:?}", begun.elapsed());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(asked(&world.proc, agent, mesh, &late).await, Ok(()));
}

/// Is told in the process of its agent, where there is no session between, and reads when it is asked to.
struct Ear(PortReceiver<Streamed>);

impl Actor for Ear {
    const NAME: &'static str = "ear";
    type Params = ();

    async fn start((): (), cx: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(cx.proc().open_port(1)))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Lend>().takes::<Read>();
    }
}

/// Is answered with where it is told.
#[derive(Clone, Serialize, Deserialize)]
struct Lend;

impl Message for Lend {
    const NAME: &'static str = "streams.Lend";
    type Reply = PortRef<Streamed>;
}

impl Handler<Lend> for Ear {
    async fn handle(
        &mut self,
        _: Lend,
        _: &mut Context<Self>,
    ) -> Result<PortRef<Streamed>, Failure> {
        Ok(self.0.port())
    }
}

/// Is answered with what was told next.
#[derive(Clone, Serialize, Deserialize)]
struct Read;

impl Message for Read {
    const NAME: &'static str = "streams.Read";
    type Reply = StateNews;
}

impl Handler<Read> for Ear {
    async fn handle(&mut self, _: Read, _: &mut Context<Self>) -> Result<StateNews, Failure> {
        Ok(next(&mut self.0).await)
    }
}

/// N7: a slow one costs bounded memory, holds nobody up, and loses no end.
#[tokio::test]
async fn a_slow_follower_is_told_what_is_newest_and_every_end() {
    let board = LocalTransport::default();
    let transports = move || Arc::new(board.another()) as Arc<dyn Transport>;
    let more = |registry: &mut ActorRegistry| _ = registry.actor::<Ear>();
    let world = World::of("procs=2", Config::local(), transports, more).await;
    let spec = ActorSpec::new("ears", &());
    let ears = soon(ActorMesh::<Ear>::spawn(&world.proc, &world.procs.procs(), spec)).await;
    let ears = ears.expect("they start");
    let ear = ears.slice("procs", 1..).expect("there is one");
    let tools = world.spawn(tens("tools").restart(on_failure())).await;
    let (agent, mesh) = (agent(&world, 1), tools.label().id());
    let to = all(&soon(ear.call(&world.proc, Lend)).await)[0];
    let taken = soon(PortRef::of(agent).call(&world.proc, StreamState { mesh, to })).await;
    assert_eq!(taken, Ok(Ok(())));
    for _ in 0..4 {
        again(&world.proc, &tools, 10).await;
    }
    let mut told = Vec::new();
    while !told.iter().any(runs_in(4)) {
        let news = all(&soon(ear.call(&world.proc, Read)).await).pop();
        told.extend(states(news.expect("there is one ear")));
    }
    let ends = [(0, "failed"), (1, "failed"), (2, "failed"), (3, "failed")];
    let whole = [&[(0, "running")][..], &ends, &[(4, "running")]].concat();
    assert_eq!(been(&told), whole);
}

/// Dials the process of each rank, which has listened for that.
async fn dial(network: &Network, world: &World, rank: usize) {
    let seat = world.procs.procs().seat(Rank::new(rank)).expect("it is there");
    network.dial(seat.peer, &seat.doors.expect("it has some")).await.expect("it listens");
}

/// L8, N7: from another process; who is cut off is let go of, and may follow again with the same port.
#[tokio::test]
async fn a_follower_that_was_cut_off_follows_again() {
    let board = LocalTransport::default();
    let (world, network, _) = world_and_guest("procs=2", &board).await;
    let tools = world.spawn(tens("tools").restart(on_failure())).await;
    let (agent, mesh) = (agent(&world, 1), tools.label().id());
    let guest = network.proc().clone();
    dial(&network, &world, 1).await;
    let mut port = follow(&guest, agent, mesh, 16).await;
    let first = soon(port.recv()).await;
    assert!(matches!(first.news, StateNews::States(_)), "{first:?}");

    board.cut(guest.id());
    again(&world.proc, &tools, 10).await;
    dial(&network, &world, 1).await;
    assert_eq!(asked(&guest, agent, mesh, &port).await, Ok(()));
    let second = soon(port.recv()).await;
    assert!(second.stream > first.stream, "{second:?}");
    let StateNews::States(states) = second.news else { panic!("{second:?}") };
    let lives: Vec<_> = states.iter().map(|(rank, it)| (rank.index(), it.incarnation)).collect();
    assert_eq!(lives, [(1, life(1))]);
    again(&world.proc, &sent(tools.mesh_ref()), 10).await;
    told(&mut port, runs_in(2)).await;
}
