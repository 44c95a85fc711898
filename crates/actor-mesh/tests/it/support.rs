//! An actor that does what it is told, and a place for it to live.

use std::sync::Arc;
use std::time::Duration;

use actor_mesh::agent::GetState;
use actor_mesh::{
    ActorMesh, ActorMeshRef, ActorRegistry, ActorSpec, LocalProcs, LocalSpec, RankError,
};
use controller::{Config, RestartConfig};
use mesh_cast::FanOut;
use mesh_core::{ActorId, Doors, Message, OwnerNews, PortRef, RankState, Status, Transport};
use mesh_runtime::{
    Actor, Context, Failure, Handler, Handlers, LocalTransport, Network, Port, PortReceiver, Proc,
    ReplyTo, Verdict, codec,
};
use mesh_shape::{Extent, Rank, ValueMesh};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

/// Longer than anything here takes, on the busiest machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Has a number, and does what it is told.
pub(crate) struct Tool(u64, Vec<u64>);

impl Actor for Tool {
    const NAME: &'static str = "tool";
    /// Its number. 13 fails to start, and 14 never does.
    type Params = u64;

    async fn start(number: u64, _: &mut Context<Self>) -> Result<Self, Failure> {
        match number {
            13 => Err(Failure::new("13 is not a good number")),
            14 => std::future::pending().await,
            _ => Ok(Self(number, Vec::new())),
        }
    }

    async fn on_failure(
        &mut self,
        _: mesh_runtime::ChildFailure,
        _: &mut Context<Self>,
    ) -> Result<Verdict, Failure> {
        Ok(Verdict::Escalate)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers
            .takes::<Add>()
            .takes::<Panic>()
            .takes::<Hang>()
            .takes::<HangKnown>()
            .takes::<HangBefore>()
            .takes::<Forget>()
            .takes::<Nothing>()
            .takes::<AskOthers>()
            .takes::<Where>()
            .takes::<Say>()
            .takes::<Heard>()
            .takes::<Crate>();
    }
}

/// Adds to the number, and is answered with the sum.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Add(pub(crate) u64);

/// Panics, if the number is this.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Panic(pub(crate) u64);

/// Is never answered.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Hang;

/// Is never answered either; that it has come is said there.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct HangKnown(pub(crate) PortRef<Began>);

/// The same; and when the next message waits in the mailbox, that is said, too.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct HangBefore(pub(crate) PortRef<Began>);

/// It hangs now.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Began;

/// No bytes at all.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Nothing;

/// Lets go of the call.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Forget;

/// Adds to the numbers of others, and is answered with what they say.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AskOthers(pub(crate) ActorMeshRef<Tool>, pub(crate) u64);

/// Says something.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Say(pub(crate) u64);

/// Is answered with all that was said.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Heard;

/// Is answered with the sum of its bytes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Crate(pub(crate) Vec<u8>);

/// Is answered with which actor it is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Where;

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("test.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Add, u64);
message!(Panic, ());
message!(Hang, ());
message!(HangKnown, ());
message!(HangBefore, ());
message!(Began, ());
message!(Forget, ());
message!(Nothing, ());
message!(AskOthers, Vec<Option<u64>>);
message!(Where, ActorId);
message!(Say, ());
message!(Heard, Vec<u64>);
message!(Crate, u64);

impl Handler<Add> for Tool {
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> Result<u64, Failure> {
        self.0 += n;
        Ok(self.0)
    }
}

impl Handler<Panic> for Tool {
    async fn handle(&mut self, Panic(n): Panic, _: &mut Context<Self>) -> Result<(), Failure> {
        assert_ne!(self.0, n, "this is the number");
        Ok(())
    }
}

impl Handler<Hang> for Tool {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) -> Result<(), Failure> {
        std::future::pending().await
    }
}

impl Handler<HangKnown> for Tool {
    async fn handle(
        &mut self,
        HangKnown(door): HangKnown,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        door.cast(cx, Began).await;
        std::future::pending().await
    }
}

impl Handler<HangBefore> for Tool {
    async fn handle(
        &mut self,
        HangBefore(door): HangBefore,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        door.cast(cx, Began).await;
        while cx.me().n_waiting() == 0 {
            tokio::task::yield_now().await;
        }
        door.cast(cx, Began).await;
        std::future::pending().await
    }
}

impl Handler<Nothing> for Tool {
    async fn handle(&mut self, _: Nothing, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Handler<Forget> for Tool {
    async fn handle(&mut self, _: Forget, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }

    async fn handle_call(
        &mut self,
        _: Forget,
        reply: ReplyTo<()>,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        drop(reply);
        Ok(())
    }
}

impl Handler<AskOthers> for Tool {
    async fn handle(
        &mut self,
        AskOthers(others, n): AskOthers,
        cx: &mut Context<Self>,
    ) -> Result<Vec<Option<u64>>, Failure> {
        let answers = others.call(cx, Add(n)).await;
        Ok(answers.iter().map(|answer| answer.as_ref().ok().copied()).collect())
    }
}

impl Handler<Where> for Tool {
    async fn handle(&mut self, _: Where, cx: &mut Context<Self>) -> Result<ActorId, Failure> {
        Ok(cx.me().id())
    }
}

impl Handler<Say> for Tool {
    async fn handle(&mut self, Say(what): Say, _: &mut Context<Self>) -> Result<(), Failure> {
        self.1.push(what);
        Ok(())
    }
}

impl Handler<Heard> for Tool {
    async fn handle(&mut self, _: Heard, _: &mut Context<Self>) -> Result<Vec<u64>, Failure> {
        Ok(self.1.clone())
    }
}

impl Handler<Crate> for Tool {
    async fn handle(&mut self, Crate(bytes): Crate, _: &mut Context<Self>) -> Result<u64, Failure> {
        Ok(bytes.iter().map(|byte| u64::from(*byte)).sum())
    }
}

/// A program with a mesh of processes.
pub(crate) struct World {
    pub(crate) proc: Proc,
    pub(crate) procs: LocalProcs,
}

pub(crate) fn registry() -> ActorRegistry {
    let mut registry = ActorRegistry::new();
    registry.actor::<Tool>().reducer(crate::verbs::Longest).reducer(crate::verbs::Careless);
    registry.reducer(crate::verbs::Joined);
    registry.reducer(crate::verbs::Hopeless).reducer::<_, u64>(actor_mesh::Sum);
    registry
}

pub(crate) async fn world(extent: &str) -> World {
    World::on(Proc::local().expect("there is a runtime"), extent).await
}

/// The same, where all that is sent is encoded.
pub(crate) async fn encoding(extent: &str, config: Config) -> World {
    let board = LocalTransport::encoding();
    World::with(extent, config, move || Arc::new(board.another()) as Arc<dyn Transport>).await
}

pub(crate) fn on_failure() -> RestartConfig {
    let (backoff_min, backoff_max) = (Duration::from_millis(10), Duration::from_millis(50));
    RestartConfig { backoff_min, backoff_max, ..RestartConfig::on_failure(10) }
}

impl World {
    pub(crate) async fn on(proc: Proc, extent: &str) -> Self {
        let extent: Extent = extent.parse().expect("it is an extent");
        let procs = LocalProcs::start(&proc, "homes", extent, registry()).await;
        Self { proc, procs: procs.expect("they start") }
    }

    pub(crate) async fn with(
        extent: &str,
        config: Config,
        transports: impl Fn() -> Arc<dyn Transport> + Send + Sync + 'static,
    ) -> Self {
        Self::of(extent, config, transports, |_| ()).await
    }

    /// The same, where more can be spawned than tools.
    pub(crate) async fn of(
        extent: &str,
        config: Config,
        transports: impl Fn() -> Arc<dyn Transport> + Send + Sync + 'static,
        more: impl FnOnce(&mut ActorRegistry),
    ) -> Self {
        let proc = Proc::local().expect("there is a runtime");
        let extent = extent.parse().expect("it is an extent");
        let (name, mut registry) = ("homes".to_owned(), registry());
        more(&mut registry);
        let transports = Box::new(transports);
        let spec = LocalSpec { name, extent, config, registry, transports, stalled_handler: None };
        let procs = LocalProcs::start_with(&proc, spec).await.expect("they start");
        Self { proc, procs }
    }

    /// A mesh of tools; the number of each is ten times its rank.
    pub(crate) async fn tools(&self) -> ActorMesh<Tool> {
        self.spawn(tens("tools")).await
    }

    pub(crate) async fn spawn(&self, spec: ActorSpec<Tool>) -> ActorMesh<Tool> {
        soon(ActorMesh::spawn(&self.proc, &self.procs.procs(), spec)).await.expect("they start")
    }
}

/// A world on a board, and a process beside it that has a session with its owner, and listens there.
pub(crate) async fn world_and_guest(
    extent: &str,
    board: &LocalTransport,
) -> (World, Network, Doors) {
    let another = board.another();
    let transports = move || Arc::new(another.another()) as Arc<dyn Transport>;
    let world = World::with(extent, Config::local(), transports).await;
    let guest = Proc::local().expect("there is a runtime");
    let network = Network::new(guest.clone(), Arc::new(board.another()), 0);
    let at = "local://guest".parse().expect("it is an address");
    let doors = network.listen(&at).await.expect("nobody else is there");
    let owner = Network::of(&world.proc).expect("it has one");
    owner.dial(guest.peer(), &doors).await.expect("it listens");
    (world, network, doors)
}

/// A ref as it arrives in another process.
pub(crate) fn sent(mesh: &ActorMeshRef<Tool>) -> ActorMeshRef<Tool> {
    let bytes = codec::encode("ref", mesh).expect("it can be");
    codec::decode(&bytes).expect("it is one")
}

pub(crate) fn tens(name: &str) -> ActorSpec<Tool> {
    let spec = ActorSpec::per_rank(name, |point| point.rank().index() as u64 * 10);
    spec.fan_out(FanOut::new(crate::FAN_OUT).expect("it is at least two"))
}

/// Waits until so many tools hang.
pub(crate) async fn begun(port: &mut PortReceiver<Began>, number: usize) {
    for _ in 0..number {
        soon(port.recv()).await;
    }
}

/// What the agent of rank 1 says of a mesh.
pub(crate) async fn known(world: &World, mesh: &ActorMeshRef<Tool>) -> Vec<(usize, Status)> {
    let agent = world.procs.procs().seat(Rank::new(1)).expect("it is there").agent;
    let (door, ask) = (PortRef::of(agent), GetState { mesh: mesh.label().id() });
    let ranks = soon(door.call(&world.proc, ask)).await.expect("it is answered");
    ranks.into_iter().map(|(rank, RankState { status, .. })| (rank.index(), status)).collect()
}

/// The answers, where all have answered.
pub(crate) fn all<T: Clone>(answers: &ValueMesh<Result<T, RankError>>) -> Vec<T> {
    let each = answers.iter().cloned();
    each.collect::<Result<_, _>>().expect("all have answered")
}

/// What something becomes, soon.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(SOON, work).await.expect("it does not take that long")
}

/// The failed ranks that the owner is told next, with what is said of each.
pub(crate) async fn next_failures(mesh: &mut ActorMesh<Tool>) -> Vec<(usize, String)> {
    let Some(OwnerNews::Failed(failures)) = soon(mesh.next()).await else {
        panic!("there is a failure to be told")
    };
    failures.each().map(|(rank, change)| (rank.index(), change.status.to_string())).collect()
}
