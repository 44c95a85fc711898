//! ends: whoever ends takes what is theirs with them, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorRegistry, ActorSpec, RankError, RegistryError, SpawnError};
use controller::Config;
use mesh_core::{
    ActorId, Incarnation, Interest, MeshEvent, MeshRequest, News, PortRef, Status, Subscribe,
    Transport,
};
use mesh_runtime::{Actor, Context, Failure, Handlers, LocalTransport, Port, Proc, ProcConfig};
use mesh_shape::Rank;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::{
    Add, Began, HangKnown, Tool, Where, World, all, begun, on_failure, soon, tens, world,
};

/// A program that says which failures nobody has handled.
fn program() -> (Proc, mpsc::Receiver<String>) {
    let (failed, failures) = mpsc::channel(8);
    let on_failure = move |failure: &mesh_runtime::ChildFailure| {
        _ = failed.try_send(failure.report().to_string()).is_ok();
    };
    let config = ProcConfig { on_failure: Box::new(on_failure), ..ProcConfig::local() };
    (Proc::start(config, Handle::current()), failures)
}

/// H7: whoever asks a controller that is about to end gets no answer, and the program goes on.
#[tokio::test]
async fn a_question_to_a_mesh_that_ends_fails_nobody() {
    let (proc, mut failures) = program();
    let world = World::on(proc, "procs=2").await;
    let tools = world.tools().await;
    let home: PortRef<MeshRequest> = tools.home();
    drop(tools);
    while world.proc.has_way_to(home.actor()) {
        _ = home.try_cast(&world.proc, MeshRequest::GetSubscriberCount).is_ok();
        tokio::task::yield_now().await;
    }
    assert_eq!(failures.try_recv().ok(), None);
}

/// N4: the end of a mesh reaches whoever was told of it so far, also one that is slow.
#[tokio::test(start_paused = true)]
async fn the_last_event_waits_for_room_at_a_port() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let mut port = world.proc.open_port::<MeshEvent>(1);
    let (to, interest, region) = (port.port(), Interest::All, None);
    let door = PortRef::<Subscribe>::of(tools.home().actor());
    let taken = door.call(&world.proc, Subscribe { to, interest, region, again: false }).await;
    assert_eq!(taken, Ok(Ok(())));
    soon(tools.stop(Duration::from_secs(5))).await.expect("it is answered");
    drop(tools);
    tokio::time::sleep(Duration::from_secs(1)).await;
    soon(async { while port.recv().await.news != News::Closed {} }).await;
    // And nobody stays for its sake.
    soon(async {
        while world.proc.has_way_to(door.actor()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// C4: what makes the parameters is the user's, and fails only the rank that they are for.
#[tokio::test(start_paused = true)]
async fn parameters_that_cannot_be_made_fail_their_rank() {
    let (proc, mut failures) = program();
    let world = World::on(proc, "procs=3").await;
    let spec = ActorSpec::<Tool>::per_rank("odd", |point| {
        assert_ne!(point.rank(), Rank::new(1), "there are none for it");
        7
    });
    let error = soon(ActorMesh::spawn(&world.proc, &world.procs.procs(), spec)).await;
    let Err(SpawnError::Ranks { failures: failed }) = error else { panic!("{error:?}") };
    let failed: Vec<_> = failed.iter().flat_map(|it| it.each()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, Rank::new(1));
    let told = failed[0].1.status.to_string();
    assert!(told.contains("there are none for it"), "{told}");
    assert_eq!(failures.try_recv().ok(), None);
}

/// C2: also where the owner is killed, and can say nothing any more.
#[tokio::test(start_paused = true)]
async fn actors_end_with_a_keeper_that_is_killed() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let actors: Vec<ActorId> = all(&soon(tools.call(&world.proc, Where)).await);
    world.proc.kill();
    for actor in actors {
        soon(async {
            while PortRef::<Add>::of(actor).call(&world.proc, Add(0)).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}

/// C1: after its grace a process is killed, also while it waits for its actors.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_stopping_can_be_killed() {
    let world = world("procs=2").await;
    let tools = world.tools().await;
    let mut port = world.proc.open_port::<Began>(2);
    let call = tokio::spawn(tools.call(&world.proc, HangKnown(port.port())));
    begun(&mut port, 2).await;
    let asked = Instant::now();
    soon(world.procs.stop(Duration::from_millis(100))).await.expect("it is answered");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    drop(call);
}

/// R1: the failure of the life that was called is the answer, also of one who looks when the next one lives.
#[tokio::test(start_paused = true)]
async fn a_call_is_answered_with_the_end_of_the_life_that_it_called() {
    let config = Config { restart: on_failure(), ..Config::local() };
    let board = LocalTransport::default();
    let transports = move || Arc::new(board.another()) as Arc<dyn Transport>;
    let world = World::with("procs=2", config, transports).await;
    let tools = world.spawn(tens("tools").restart(on_failure())).await;
    all(&soon(tools.call(&world.proc, Add(0))).await);
    let mut port = world.proc.open_port::<Began>(2);
    let hang = HangKnown(port.port());
    let mut call = tools.call(&world.proc, hang).within(Duration::from_secs(60));
    tokio::select! {
        biased;
        answers = &mut call => panic!("it hangs: {answers:?}"),
        () = begun(&mut port, 2) => (),
    }
    world.procs.crash(Rank::new(1));
    // Nobody polls the call while the rank is started again.
    soon(async {
        loop {
            let state = tools.controller().state().await.expect("it is answered");
            let is_next = state.ranks.get(Rank::new(1)).is_some_and(|rank| {
                rank.incarnation > Incarnation::FIRST && rank.status == Status::Running
            });
            if is_next {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let one = tools.slice("procs", 1..).expect("there is one");
    assert_eq!(all(&soon(one.call(&world.proc, Add(0))).await), [10]);
    world.procs.crash(Rank::new(0));
    let answers = soon(call).await;
    for answer in answers.iter() {
        let Err(RankError::Ended(ended)) = answer else { panic!("they failed: {answers:?}") };
        assert!(ended.to_string().contains("signal 9"), "{ended}");
    }
}

struct Namesake;

impl Actor for Namesake {
    const NAME: &'static str = "tool";
    type Params = String;

    async fn start(_: String, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

struct Silent;

impl Actor for Silent {
    const NAME: &'static str = "tool";
    type Params = u8;

    async fn start(_: u8, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handlers(_: &mut Handlers<Self>) {}
}

#[test]
fn two_types_of_one_name_are_refused_also_if_they_take_the_same() {
    let mut registry = ActorRegistry::new();
    registry.actor::<Namesake>().actor::<Namesake>();
    assert_eq!(registry.check(), Ok(()));
    registry.actor::<Silent>();
    assert_eq!(registry.check(), Err(RegistryError::SameName("tool")));
}

/// C2: what looks after processes ends with them, and not with the last who knows of their mesh.
#[tokio::test]
async fn nothing_runs_of_processes_that_have_ended_though_somebody_knows_of_them() {
    let n_tasks = || Handle::current().metrics().num_alive_tasks();
    let proc = Proc::local().expect("there is a runtime");
    let before = n_tasks();
    let procs = World::on(proc.clone(), "procs=3").await.procs;
    let known = procs.procs();
    drop(procs);
    let ended = async {
        while n_tasks() > before {
            tokio::task::yield_now().await;
        }
    };
    soon(ended).await;
    assert!(known.seat(Rank::new(0)).is_some());
}
