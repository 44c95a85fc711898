//! doubts: orders to spawn that come back, though they may have arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actor_mesh::agent::GetState;
use actor_mesh::{ActorMesh, ActorSpec, RankError};
use controller::Config;
use mesh_core::{
    Cause, Incarnation, MeshState, PortRef, Procs, RankState, Reason, Stall, Status, Transport,
};
use mesh_runtime::{LocalTransport, Network, Port};
use mesh_shape::Rank;
use tokio::time::{Instant, sleep};

use crate::support::{Hang, Panic, Tool, World, next_failures, on_failure, soon};

mod herald;
mod losing;

use herald::Heralded;
use losing::{Fate, Losing, Session};

const RANK: Rank = Rank::new(1);

/// An actor that is being created ends only if it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A rank of which it is not known whether its second life has begun: its first one has failed, and the session by
/// which its agent was told to begin the next one was lost.
struct Doubt {
    world: World,
    /// The processes, as the mesh hears of them.
    heralded: Arc<Heralded>,
    tools: ActorMesh<Tool>,
    session: Arc<Session>,
}

impl Doubt {
    /// The order to begin has this fate. If it arrives the actor is being created, for ever.
    async fn of(fate: Fate, config: Config) -> Self {
        Self::among("procs=2", fate, config).await
    }

    /// The same, on so many processes.
    async fn among(extent: &str, fate: Fate, config: Config) -> Self {
        let (board, session) = (LocalTransport::encoding(), Arc::new(Session::default()));
        let (owner, n_made) = (Arc::clone(&session), AtomicU64::new(0));
        let transports = move || -> Arc<dyn Transport> {
            // The first is that of the owner.
            match n_made.fetch_add(1, Ordering::Relaxed) {
                0 => Arc::new(Losing::new(board.another(), Arc::clone(&owner))),
                _ => Arc::new(board.another()),
            }
        };
        let world = World::with(extent, config, transports).await;
        let n_lives = AtomicU64::new(0);
        let spec = ActorSpec::<Tool>::per_rank("tools", move |point| match point.rank() {
            RANK if n_lives.fetch_add(1, Ordering::Relaxed) > 0 => 14,
            rank => 10 * rank.index() as u64,
        });
        let heralded = Arc::new(Heralded::new(&world.proc, world.procs.procs()));
        let (procs, spec) = (Arc::clone(&heralded) as Arc<dyn Procs>, spec.restart(on_failure()));
        let tools = soon(ActorMesh::spawn(&world.proc, &procs, spec)).await;
        let mut tools = tools.expect("they start");
        session.lose_with_the_next_spawn(fate);
        soon(tools.cast(&world.proc, Panic(10))).await.complete().expect("it is sent");
        assert_eq!(next_failures(&mut tools).await.len(), 1);
        soon(session.is_lost()).await;
        sleep(Duration::from_millis(100)).await;
        Self { world, heralded, tools, session }
    }

    /// Opens the sessions with the process of the rank again.
    async fn meet_again(&self) {
        let seat = self.world.procs.procs().seat(RANK).expect("it is there");
        let network = Network::of(&self.world.proc).expect("it has one");
        network.dial(seat.peer, &seat.doors.expect("it has some")).await.expect("it listens");
    }

    /// What the agent says that the rank is.
    async fn truth(&self) -> Option<RankState> {
        let agent = self.world.procs.procs().seat(RANK).expect("it is there").agent;
        let ask = GetState { mesh: self.tools.label().id() };
        let ranks = soon(PortRef::of(agent).call(&self.world.proc, ask)).await;
        ranks.expect("it is answered").into_iter().find(|(rank, _)| *rank == RANK).map(|it| it.1)
    }

    /// Tells the mesh what the process of the rank is now.
    async fn tell(&self, status: Status) {
        self.heralded.tell(&self.world.proc, RANK, status).await;
    }

    /// What is known of the rank by its controller.
    async fn known(&self) -> Status {
        status(&self.tools.controller().state().await.expect("it is answered"))
    }
}

fn status(state: &MeshState) -> Status {
    state.ranks.get(RANK).expect("it is one of them").status.clone()
}

fn is_second(state: Option<RankState>) -> Option<Status> {
    state.filter(|it| it.incarnation == Incarnation::new(1)).map(|it| it.status)
}

/// C1, H3: an actor that was asked for and may be there has not stopped before its agent says so.
#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_word_of_an_actor_that_may_be_there() {
    let doubt = Doubt::of(Fate::Arrives, Config::local()).await;
    let controller = doubt.tools.controller().clone();
    let stop = tokio::spawn(async move { controller.stop(GRACE).await });
    sleep(Duration::from_secs(1)).await;
    assert!(!doubt.known().await.is_terminal(), "it lives");
    assert!(!stop.is_finished(), "it lives");
    doubt.meet_again().await;
    let state = soon(stop).await.expect("it does not panic").expect("it is answered");
    assert_eq!(status(&state), Status::Stopped);
    assert_eq!(is_second(doubt.truth().await), Some(Status::Stopped));
}

/// C1: and one of which its agent has never heard is not waited for once that can be asked.
#[tokio::test(start_paused = true)]
async fn a_stop_asks_for_an_actor_that_is_not_there() {
    let doubt = Doubt::of(Fate::Vanishes, Config::local()).await;
    let controller = doubt.tools.controller().clone();
    let stop = tokio::spawn(async move { controller.stop(GRACE).await });
    sleep(Duration::from_secs(1)).await;
    assert!(!stop.is_finished(), "it may live");
    doubt.meet_again().await;
    let met = Instant::now();
    let state = soon(stop).await.expect("it does not panic").expect("it is answered");
    assert_eq!(status(&state), Status::Stopped);
    assert!(met.elapsed() < Duration::from_secs(1), "{:?}", met.elapsed());
    assert_eq!(is_second(doubt.truth().await), Some(Status::Stopped), "and it never begins");
}

/// C1, N9: of one that cannot be asked for nothing is made up; what has become of it is told when it is known.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_say_that_an_actor_has_stopped_that_nobody_can_ask_for() {
    let mut doubt = Doubt::of(Fate::Arrives, Config::local()).await;
    let state = soon(doubt.tools.stop(Duration::from_secs(1))).await.expect("it is answered");
    assert!(!status(&state).is_terminal(), "{state:?}");
    sleep(Duration::from_secs(8)).await;
    doubt.meet_again().await;
    // Its agent has heard nothing of its keeper for long (C2).
    let failures = next_failures(&mut doubt.tools).await;
    assert_eq!(failures.iter().map(|(rank, _)| *rank).collect::<Vec<_>>(), [1], "{failures:?}");
    assert!(failures[0].1.contains("orphaned"), "{failures:?}");
}

/// RS1: one that arrived goes on; and one that did not begins.
#[tokio::test(start_paused = true)]
async fn an_order_that_came_back_is_given_again() {
    for fate in [Fate::Arrives, Fate::Vanishes] {
        let doubt = Doubt::of(fate, Config::local()).await;
        doubt.meet_again().await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(is_second(doubt.truth().await), Some(Status::Initializing), "{fate:?}");
        assert_eq!(doubt.session.n_spawns(), 2, "{fate:?}: once again");
        let state = soon(doubt.tools.stop(GRACE)).await.expect("it is answered");
        assert_eq!(status(&state), Status::Stopped, "{fate:?}");
        assert_eq!(is_second(doubt.truth().await), Some(Status::Stopped), "{fate:?}");
    }
}

/// RS1, ST3: also where its process is told to run only some time after there is a way to it.
#[tokio::test(start_paused = true)]
async fn an_order_that_came_back_is_given_again_when_its_process_is_heard_of() {
    for silent in [Status::Suspect, Status::Unreachable] {
        let doubt = Doubt::of(Fate::Vanishes, Config::local()).await;
        doubt.tell(silent.clone()).await;
        sleep(Duration::from_millis(100)).await;
        doubt.meet_again().await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!((doubt.known().await, doubt.session.n_spawns()), (silent.clone(), 1));
        doubt.tell(Status::Running).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(is_second(doubt.truth().await), Some(Status::Initializing), "{silent}");
        assert_eq!(doubt.session.n_spawns(), 2, "{silent}: once again");
    }
}

/// ST3: an actor that may have been there is not there any more with the next life of its process, where it begins; or
/// not, if a stop was asked for meanwhile.
#[tokio::test(start_paused = true)]
async fn a_doubt_ends_with_the_process() {
    for is_stopped in [false, true] {
        let config = Config { restart: on_failure(), ..Config::local() };
        let doubt = Doubt::of(Fate::Arrives, config).await;
        let controller = doubt.tools.controller().clone();
        let stop = is_stopped.then(|| tokio::spawn(async move { controller.stop(GRACE).await }));
        sleep(Duration::from_millis(100)).await;
        doubt.world.procs.crash(RANK);
        sleep(Duration::from_secs(1)).await;
        let is = doubt.truth().await;
        match stop {
            Some(stop) => {
                let state = soon(stop).await.expect("it does not panic").expect("it is answered");
                assert_eq!((status(&state), is), (Status::Stopped, None));
            }
            None => assert_eq!(is_second(is), Some(Status::Initializing)),
        }
    }
}

/// C1, ST3: nor does an actor begin with the next life of its process whose agent was told to end it, and has not
/// answered.
#[tokio::test(start_paused = true)]
async fn an_actor_that_is_to_end_does_not_begin_after_a_doubt() {
    let config = Config { restart: on_failure(), ..Config::local() };
    let doubt = Doubt::of(Fate::Arrives, config).await;
    let controller = doubt.tools.controller().clone();
    let asked = Instant::now();
    let stop = tokio::spawn(async move { controller.stop(GRACE).await });
    sleep(Duration::from_millis(100)).await;
    doubt.session.swallow_ends();
    doubt.meet_again().await;
    soon(doubt.session.has_swallowed()).await;
    doubt.world.procs.crash(RANK);
    let state = soon(stop).await.expect("it does not panic").expect("it is answered");
    assert_eq!(status(&state), Status::Stopped);
    assert!(asked.elapsed() < GRACE, "{:?}", asked.elapsed());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(doubt.truth().await, None);
    assert_eq!(doubt.session.n_spawns(), 1, "nobody is asked to begin it");
}

/// R1: who is suspended for longer than its sessions live has not ended: a call that is lost with one says so, as one says that
/// is late which handler runs.
#[tokio::test(start_paused = true)]
async fn a_call_of_who_is_suspended_is_told_that() {
    let board = Arc::new(LocalTransport::encoding());
    let transports = {
        let board = Arc::clone(&board);
        move || -> Arc<dyn Transport> { Arc::new(board.another()) }
    };
    let world = World::with("procs=2", Config::local(), transports).await;
    let heralded = Arc::new(Heralded::new(&world.proc, world.procs.procs()));
    let procs = Arc::clone(&heralded) as Arc<dyn Procs>;
    let spec = ActorSpec::<Tool>::per_rank("tools", |point| 10 * point.rank().index() as u64);
    let tools = soon(ActorMesh::spawn(&world.proc, &procs, spec)).await.expect("they start");
    let call = tools.call(&world.proc, Hang);
    let suspended = Status::Stalled(Stall::Suspended { signal: 19 });
    let cut = async {
        sleep(Duration::from_millis(100)).await;
        heralded.tell(&world.proc, RANK, suspended.clone()).await;
        sleep(Duration::from_millis(100)).await;
        board.cut(world.procs.procs().seat(RANK).expect("it is there").peer.proc);
    };
    let (answers, ()) = soon(async { tokio::join!(call, cut) }).await;
    assert_eq!(answers.get(RANK), Some(&Err(RankError::OutOfReach(suspended))));
    let late = answers.get(Rank::new(0)).and_then(|answer| answer.as_ref().err());
    let Some(RankError::Stalled { status: Status::Stalled(Stall::Handler(handler)), .. }) = late
    else {
        panic!("it says which handler it waits for: {late:?}")
    };
    assert_eq!(handler.actor, "tools[0]");
}

/// H8: to wait for a way to a process costs what waits for it, and not what the mesh has.
#[tokio::test(start_paused = true)]
async fn a_process_without_a_way_is_looked_at_alone() {
    let doubt = Doubt::among("procs=64", Fate::Arrives, Config::local()).await;
    let before = doubt.heralded.n_seats();
    sleep(Duration::from_secs(1)).await;
    let n_seats = doubt.heralded.n_seats() - before;
    assert!((1..200).contains(&n_seats), "processes were looked at {n_seats} times");
    doubt.meet_again().await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(is_second(doubt.truth().await), Some(Status::Initializing));
}

/// H8: what a process was to be told that has ended is not tried again for as long as its mesh is there.
#[tokio::test(start_paused = true)]
async fn a_process_that_has_ended_is_told_nothing_more() {
    let doubt = Doubt::of(Fate::Arrives, Config::local()).await;
    let controller = doubt.tools.controller().clone();
    let stop = tokio::spawn(async move { controller.stop(GRACE).await });
    sleep(Duration::from_millis(100)).await;
    let before = doubt.heralded.n_seats();
    sleep(Duration::from_millis(100)).await;
    assert_ne!(doubt.heralded.n_seats(), before, "it waits for a way");
    doubt.tell(Status::failed(Cause::new(Reason::Exit { code: 1 }))).await;
    let state = soon(stop).await.expect("it does not panic").expect("it is answered");
    assert!(status(&state).is_failure(), "{state:?}");
    let before = doubt.heralded.n_seats();
    sleep(Duration::from_secs(10)).await;
    let n_seats = doubt.heralded.n_seats() - before;
    assert!(n_seats < 5, "it was looked at {n_seats} times");
}
