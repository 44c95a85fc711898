//! counted: what an agent refuses, ends and forgets, as a recorder of metrics has it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use actor_mesh::agent::{StreamState, Streamed, WaitRankStatus};
use actor_mesh::{ActorMesh, ActorRegistry, ActorSpec, LocalProcs, SpawnError};
use mesh_core::{ActorId, MeshId, Message, PortRef, Progress, Refusal};
use mesh_runtime::{
    Actor, Context, ControlThread, Failure, Handler, Handlers, LocalTransport, Port, PortReceiver,
    Proc, ProcConfig,
};
use mesh_shape::{Rank, extent};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Handle};
use tokio::time::{pause, resume, sleep, timeout};

use crate::support::{SOON, Tool, World, soon, tens, world, world_and_guest};

/// Every series of the crate: its name, and its label if it has one.
const SERIES: [(&str, Option<&str>); 5] = [
    ("meshwarden_agent_refusals_total", Some("wait")),
    ("meshwarden_agent_refusals_total", Some("stream")),
    ("meshwarden_actors_culled_total", None),
    ("meshwarden_poisoned_spawns_total", None),
    ("meshwarden_orphans_forgotten_total", None),
];

/// What is counted in each series while something is done, whose control plane is this thread.
fn counted(work: impl AsyncFnOnce()) -> [u64; SERIES.len()] {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        actor_mesh::metrics::describe();
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime needs nothing").block_on(work());
    });
    let all = snapshotter.snapshot().into_vec();
    SERIES.map(|(name, what)| {
        let series = all.iter().find(|(key, ..)| {
            let mut labels = key.key().labels().map(|label| (label.key(), label.value()));
            key.key().name() == name && labels.next() == what.map(|what| ("what", what))
        });
        let Some((.., DebugValue::Counter(n))) = series else {
            panic!("there is no {name} {what:?}")
        };
        *n
    })
}

/// How many messages keepers have handled in a minute in which nothing happened to a mesh of so many ranks.
fn handled_by_the_keeper(extent: &str) -> u64 {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let handled = || {
        let all = snapshotter.snapshot().into_vec().into_iter();
        let is_keeper = |key: &metrics::Key| {
            let mut labels = key.labels().map(|label| (label.key(), label.value()));
            key.name() == "meshwarden_actor_messages_total"
                && labels.any(|label| label == ("actor", "keeper"))
        };
        let count = |value| if let DebugValue::Counter(n) = value { n } else { 0 };
        all.filter(|(key, ..)| is_keeper(key.key())).map(|(.., value)| count(value)).sum::<u64>()
    };
    metrics::with_local_recorder(&recorder, || {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime needs nothing").block_on(async {
            let world = world(extent).await;
            let _tools = world.tools().await;
            sleep(Duration::from_secs(10)).await;
            assert!(handled() > 0, "it has begun its ranks");
            sleep(Duration::from_secs(60)).await;
            handled()
        })
    })
}

/// H8: where nothing happens nothing is said of each rank.
#[test]
fn a_quiet_mesh_costs_its_keeper_nothing_for_each_rank() {
    let [few, many] = ["procs=2", "procs=12"].map(handled_by_the_keeper);
    // It looks after itself some ten times a second, and the minute may begin a little before or after.
    assert!(many <= few + 2, "{few} of 2 ranks, {many} of 12");
}

fn agent(world: &World) -> ActorId {
    world.procs.procs().seat(Rank::new(0)).expect("it is there").agent
}

/// L1, L7
#[test]
fn what_an_agent_refuses_is_counted() {
    const MAX: usize = 1_024;
    let counted = counted(async || {
        pause();
        let world = world("procs=1").await;
        let (agent, mesh) = (agent(&world), MeshId::from_random(1));
        let door = PortRef::of(agent);
        let refused = Refusal::TooMany { limit: MAX };
        let wait = || {
            let (rank, until, within) =
                (Rank::new(0), Progress::Running, Duration::from_secs(3_600));
            door.call(&world.proc, WaitRankStatus { mesh, rank, until, within })
        };
        let mut waits: Vec<_> = (0..MAX).map(|_| Box::pin(wait())).collect();
        for one in &mut waits {
            assert!(timeout(Duration::ZERO, one).await.is_err(), "it is kept");
        }
        assert_eq!(soon(wait()).await, Ok(Err(refused.clone())));

        let follow = async |port: &PortReceiver<Streamed>| {
            let stream = StreamState { mesh, to: port.port() };
            soon(PortRef::of(agent).call(&world.proc, stream)).await.expect("it is answered")
        };
        let ports: Vec<_> = (0..=MAX).map(|_| world.proc.open_port(1)).collect();
        let (last, others) = ports.split_last().expect("there are some");
        for port in others {
            assert_eq!(follow(port).await, Ok(()));
        }
        assert_eq!(follow(last).await, Err(refused));
    });
    assert_eq!(counted, [1, 1, 0, 0, 0]);
}

/// C2
#[test]
fn who_is_ended_for_want_of_its_keeper_is_counted_and_who_is_forgotten_then() {
    const KEPT: usize = 1_024;
    let counted = counted(async || {
        pause();
        let board = LocalTransport::default();
        let (world, network, _) = world_and_guest("procs=1", &board).await;
        let (procs, guest) = (world.procs.procs(), network.proc());
        let seat = procs.seat(Rank::new(0)).expect("it is there");
        network.dial(seat.peer, &seat.doors.expect("it has some")).await.expect("it listens");
        let mut meshes = Vec::new();
        for _ in 0..KEPT + 2 {
            let spawned = ActorMesh::<Tool>::spawn(guest, &procs, tens("tools"));
            meshes.push(soon(spawned).await.expect("it starts"));
        }
        board.cut(guest.id());
        sleep(Duration::from_secs(8)).await;
    });
    assert_eq!(counted, [0, 0, KEPT as u64 + 2, 0, 2]);
}

/// Keeps its thread until it may go on.
struct Blocker;

#[derive(Clone, Serialize, Deserialize)]
struct Block;

static BLOCKS: AtomicBool = AtomicBool::new(false);
/// Whether it may go on.
static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

impl Message for Block {
    const NAME: &'static str = "counted.Block";
    type Reply = ();
}

impl Actor for Blocker {
    const NAME: &'static str = "blocker";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Block>();
    }
}

impl Handler<Block> for Blocker {
    async fn handle(&mut self, _: Block, _: &mut Context<Self>) -> Result<(), Failure> {
        BLOCKS.store(true, Ordering::SeqCst);
        let (may_go_on, changed) = &GATE;
        let Ok(shut) = may_go_on.lock() else { return Ok(()) };
        // Not for longer than the test: who waits for this thread at its end would wait for ever.
        drop(changed.wait_timeout_while(shut, SOON, |may_go_on| !*may_go_on));
        Ok(())
    }
}

/// C3
#[test]
fn what_is_not_spawned_in_a_poisoned_process_is_counted() {
    let counted = counted(async || {
        // A thread for the user's plane: what runs here is the control plane.
        let user = ControlThread::start("the-user").unwrap();
        let config = ProcConfig { control: Some(Handle::current()), ..ProcConfig::local() };
        let proc = Proc::start(config, user.handle().clone());
        let mut registry = ActorRegistry::new();
        registry.actor::<Blocker>();
        let procs = LocalProcs::start(&proc, "homes", extent!(procs = 1).unwrap(), registry);
        let procs = procs.await.unwrap();
        let spawn = async || {
            let spec = ActorSpec::new("blockers", &());
            soon(ActorMesh::<Blocker>::spawn(&proc, &procs.procs(), spec)).await
        };

        let mesh = spawn().await.unwrap();
        soon(mesh.cast(&proc, Block)).await.complete().unwrap();
        let blocks = async {
            while !BLOCKS.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        soon(blocks).await;
        drop(mesh);
        // It is asked to end, and killed, and has not ended some seconds after.
        pause();
        sleep(Duration::from_secs(12)).await;
        resume();
        let refused = spawn().await.err();
        let (may_go_on, changed) = &GATE;
        *may_go_on.lock().unwrap() = true;
        changed.notify_all();
        assert!(matches!(refused, Some(SpawnError::Ranks { .. })), "{refused:?}");
    });
    assert_eq!(counted, [0, 0, 0, 1, 0]);
}
