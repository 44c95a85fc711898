//! planes: what supervises goes on while a user's handler blocks; one message for many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mesh_core::{Addr, End, Fault, Message, Plane, PortRef, Reason, WhyUndelivered};
use mesh_runtime::{
    Actor, Broadcast, Context, ControlThread, Failure, Handler, Handlers, LocalTransport,
    Milestone, Network, Port, Proc, ProcConfig, Stop,
};
use serde::{Deserialize, Serialize, Serializer};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// Does what it is told.
struct Tool;

impl Actor for Tool {
    const NAME: &'static str = "tool";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Where>().takes::<Block>().takes::<Hang>().takes::<Counted>();
    }
}

/// Asks on which thread it is handled.
#[derive(Clone, Serialize, Deserialize)]
struct Where;

/// Blocks the thread for so many milliseconds.
#[derive(Serialize, Deserialize)]
struct Block(u64);

/// Is never answered.
#[derive(Clone, Serialize, Deserialize)]
struct Hang;

/// Counts how often it is encoded.
#[derive(Clone, Deserialize)]
struct Counted;

static ENCODED: AtomicUsize = AtomicUsize::new(0);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ENCODED.fetch_add(1, Ordering::Relaxed);
        serializer.serialize_unit_struct("Counted")
    }
}

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("planes.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Where, String);
message!(Block, ());
message!(Hang, ());
message!(Counted, u32);

impl Handler<Where> for Tool {
    async fn handle(&mut self, _: Where, _: &mut Context<Self>) -> Result<String, Failure> {
        Ok(std::thread::current().name().unwrap_or_default().to_owned())
    }
}

impl Handler<Block> for Tool {
    async fn handle(&mut self, block: Block, _: &mut Context<Self>) -> Result<(), Failure> {
        std::thread::sleep(Duration::from_millis(block.0));
        Ok(())
    }
}

impl Handler<Hang> for Tool {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) -> Result<(), Failure> {
        std::future::pending().await
    }
}

impl Handler<Counted> for Tool {
    async fn handle(&mut self, _: Counted, _: &mut Context<Self>) -> Result<u32, Failure> {
        Ok(1)
    }
}

/// A process with a control thread.
struct Both {
    proc: Proc,
    control: ControlThread,
}

fn both() -> Both {
    let control = ControlThread::start("test-control").expect("there is a thread");
    let mut config = ProcConfig::local();
    config.control = Some(control.handle().clone());
    Both { proc: Proc::start(config, Handle::current()), control }
}

async fn network(proc: &Proc, board: &LocalTransport, name: &str) -> (Network, mesh_core::Doors) {
    let network = Network::new(proc.clone(), Arc::new(board.another()), 0);
    let at: Addr = format!("local://{name}").parse().expect("it is an address");
    let doors = network.listen(&at).await.expect("nobody else listens");
    (network, doors)
}

#[tokio::test]
async fn the_control_plane_answers_while_the_user_blocks() {
    let Both { proc, control } = both();
    let user = proc.spawn::<Tool>(());
    let supervisor = proc.on(Plane::Control).spawn::<Tool>(());
    assert_eq!((user.id().plane(), supervisor.id().plane()), (Plane::User, Plane::Control));

    let (answered, is_answered) = oneshot::channel();
    let port: PortRef<Where> = supervisor.port();
    let blocked = user.call(&proc, Block(1)).await;
    assert!(blocked.is_ok(), "it can be blocked: {blocked:?}");
    let asker = proc.on(Plane::Control);
    control.spawn(async move { answered.send(port.call(&asker, Where).await).is_ok() });
    // This thread is the user's, and does nothing else until the answer is there.
    let thread = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| is_answered.blocking_recv());
        waiting.join().expect("it does not panic").expect("it is answered")
    });
    assert_eq!(thread.as_deref(), Ok("test-control"));
}

/// R1
#[tokio::test]
async fn hanging_up_tells_whoever_waits_at_once() {
    let Both { proc: here, control: _control } = both();
    let Both { proc: there, control: _other } = both();
    let board = LocalTransport::encoding();
    let (network_here, _) = network(&here, &board, "here").await;
    let (_network_there, doors) = network(&there, &board, "there").await;
    network_here.dial(there.peer(), &doors).await.expect("it listens");

    let hang = Broadcast::new(Hang);
    let tool = there.spawn::<Tool>(());
    let mut call = std::pin::pin!(hang.call(&here, tool.port()));
    assert!(timeout(Duration::from_millis(20), call.as_mut()).await.is_err(), "nobody answers");
    network_here.hang_up(there.peer());
    let outcome = timeout(SOON, call).await.expect("it is told");
    assert_eq!(outcome, Err(Fault::Undelivered(WhyUndelivered::PeerLost)));
    assert!(!here.has_way_to(tool.id()));
    network_here.dial(there.peer(), &doors).await.expect("it still listens");
    let port: PortRef<Where> = tool.port();
    assert!(here.has_way_to(port.actor()));
}

#[tokio::test]
async fn a_message_for_many_is_encoded_once() {
    let board = LocalTransport::encoding();
    let Both { proc: here, control: _control } = both();
    let (network_here, _) = network(&here, &board, "here").await;
    let message = Broadcast::new(Counted);
    let mut others = Vec::new();
    for name in ["a", "b", "c"] {
        let Both { proc, control } = both();
        let (network, doors) = network(&proc, &board, name).await;
        network_here.dial(proc.peer(), &doors).await.expect("it listens");
        let tool = proc.spawn::<Tool>(());
        assert_eq!(message.call(&here, tool.port()).await, Ok(1));
        others.push((network, control));
    }
    let tool = here.spawn::<Tool>(());
    assert_eq!(message.call(&here, tool.port()).await, Ok(1));
    assert_eq!(ENCODED.load(Ordering::Relaxed), 1);
}

/// E1
#[tokio::test]
async fn whoever_looks_after_an_actor_is_told_how_it_ends() {
    let unhandled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&unhandled);
    let mut config = ProcConfig::local();
    config.on_failure = Box::new(move |_| _ = counter.fetch_add(1, Ordering::Relaxed));
    let proc = Proc::start(config, Handle::current());
    let (told, mut milestones) = mpsc::unbounded_channel();
    let told_too = told.clone();
    let fragile = proc.spawn_for::<Fragile>("cup", || Ok(()), move |is| _ = told.send(is).is_ok());
    let Some(Milestone::Ended(End::Failed(cause))) = milestones.recv().await else {
        panic!("it fails before it is there")
    };
    assert!(matches!(&cause.reason, Reason::Error { message } if message == "broken"));
    assert_eq!(fragile.ended().await, End::Failed(cause));
    let sturdy = proc.spawn_for::<Tool>("can", || Ok(()), move |is| _ = told_too.send(is).is_ok());
    assert_eq!(milestones.recv().await, Some(Milestone::Created));
    sturdy.stop(Stop::Now);
    assert_eq!(milestones.recv().await, Some(Milestone::Ended(End::Stopped)));
    assert_eq!(proc.n_roots(), 0);
    assert_eq!(unhandled.load(Ordering::Relaxed), 0, "nobody else is told");
}

struct Fragile;

impl Actor for Fragile {
    const NAME: &'static str = "fragile";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Err(Failure::new("broken"))
    }
}
