//! hangs: what is told of handlers that run for too long, and of a runtime that runs nothing.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use mesh_core::{Message, Plane, Silence, Stall};
use mesh_runtime::{
    Actor, CallError, Context, ControlThread, Failure, Handler, Proc, ProcConfig, Stalls,
};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

const THRESHOLD: Duration = Duration::from_millis(200);

/// By when something happens, on a busy machine too.
const SOON: Duration = Duration::from_secs(30);

struct Sleeper;

/// Blocks its thread until somebody lets it go on.
struct Block(mpsc::Receiver<()>);

/// Awaits somebody who lets it go on.
struct Await(oneshot::Receiver<()>);

/// Has a child that awaits.
struct Delegate(oneshot::Receiver<()>);

macro_rules! message {
    ($name:ident) => {
        impl Message for $name {
            const NAME: &'static str = concat!("hangs.", stringify!($name));
            type Reply = ();
        }
    };
}

message!(Block);
message!(Await);
message!(Delegate);

impl Actor for Sleeper {
    const NAME: &'static str = "sleeper";
    type Params = ();

    async fn start(_: (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

impl Handler<Block> for Sleeper {
    async fn handle(&mut self, block: Block, _: &mut Context<Self>) -> Result<(), Failure> {
        block.0.recv().map_err(Failure::new)
    }
}

impl Handler<Await> for Sleeper {
    async fn handle(&mut self, wait: Await, _: &mut Context<Self>) -> Result<(), Failure> {
        wait.0.await.map_err(Failure::new)
    }
}

impl Handler<Delegate> for Sleeper {
    async fn handle(
        &mut self,
        Delegate(until): Delegate,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let child = cx.spawn_named::<Self>("helper", ());
        let sent = child.cast(cx, Await(until)).await;
        sent.map_err(Failure::new)
    }
}

/// A process that is looked at from a thread of its own.
fn process(control: &ControlThread, user: Handle) -> (Proc, watch::Receiver<Arc<Stalls>>) {
    let config = ProcConfig {
        control: Some(control.handle().clone()),
        stalled_handler: Some(THRESHOLD),
        ..ProcConfig::local()
    };
    let proc = Proc::start(config, user);
    let stalls = proc.stalls().expect("it is looked at");
    (proc, stalls)
}

async fn until(
    stalls: &mut watch::Receiver<Arc<Stalls>>,
    is_so: impl Fn(&Stalls) -> bool,
) -> Arc<Stalls> {
    Arc::clone(&*stalls.wait_for(|stalls| is_so(stalls)).await.expect("somebody looks"))
}

fn user_runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("there are threads")
}

/// D7: by name, from a thread that does not wait for it; and it is over when the handler is.
#[test]
fn a_handler_that_blocks_its_thread_is_told_by_name_until_it_goes_on() {
    let control = ControlThread::start("test-control").expect("there are threads");
    let user = user_runtime();
    let (proc, mut stalls) = process(&control, user.handle().clone());
    let (go_on, blocks) = mpsc::channel();
    let watcher = user_runtime();
    watcher.block_on(async move {
        let actor = proc.spawn_named::<Sleeper>("sleeper[3]", ());
        actor.cast(&proc, Block(blocks)).await.expect("it is there");
        let told = until(&mut stalls, |stalls| stalls.of_process().is_some()).await;
        let Some(Stall::Handler(handler)) = told.of_process() else { panic!("{told:?}") };
        assert_eq!((&*handler.actor, &*handler.message), ("sleeper[3]", "hangs.Block"));
        assert!(handler.age >= THRESHOLD, "{handler}");
        assert!(told.handlers()[0].is_blocking);
        go_on.send(()).expect("it waits");
        until(&mut stalls, |stalls| *stalls == Stalls::default()).await;
    });
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_awaits_is_told_of_its_actor_also_where_a_child_does() {
    let config = ProcConfig { stalled_handler: Some(THRESHOLD), ..ProcConfig::local() };
    let proc = Proc::start(config, Handle::current());
    let mut stalls = proc.stalls().expect("it is looked at");
    let (go_on, waits) = oneshot::channel();
    let actor = proc.spawn_named::<Sleeper>("sleeper", ());
    actor.cast(&proc, Delegate(waits)).await.expect("it is there");
    let told = until(&mut stalls, |stalls| !stalls.handlers().is_empty()).await;
    assert_eq!(told.of_process(), None, "everybody else goes on");
    let handler = &told.handlers()[0].handler;
    assert_eq!((&*handler.actor, &*handler.message), ("helper", "hangs.Await"));
    assert_eq!(told.handlers()[0].root.get(), actor.id().index);
    go_on.send(()).expect("it waits");
    until(&mut stalls, |stalls| *stalls == Stalls::default()).await;
}

/// R1: the control thread sees to deadlines, and where it has ended, somebody else.
#[test]
fn a_call_has_its_deadline_also_when_the_control_thread_has_ended() {
    let control = ControlThread::start("test-control").expect("there are threads");
    let user = user_runtime();
    let config = ProcConfig {
        control: Some(control.handle().clone()),
        call_within: THRESHOLD,
        ..ProcConfig::local()
    };
    let proc = Proc::start(config, user.handle().clone());
    let (_go_on, waits) = oneshot::channel();
    let (_nor_this, waits_too) = oneshot::channel();
    user.block_on(async {
        let actor = proc.spawn::<Sleeper>(());
        let over = actor.call(&proc, Await(waits)).await;
        assert!(matches!(over, Err(CallError::Deadline { .. })), "{over:?}");
        drop(control);
        let over = timeout(SOON, actor.call(&proc, Await(waits_too))).await;
        assert!(matches!(over, Ok(Err(CallError::Deadline { .. }))), "{over:?}");
    });
}

/// D7: the runtime, where no handler is to blame.
#[test]
fn a_runtime_that_something_else_blocks_is_told_until_it_runs_again() {
    let control = ControlThread::start("test-control").expect("there are threads");
    let user = user_runtime();
    let (proc, mut stalls) = process(&control, user.handle().clone());
    let (go_on, blocks) = mpsc::channel::<()>();
    drop(user.spawn(async move { blocks.recv().is_ok() }));
    user_runtime().block_on(async {
        let told = until(&mut stalls, |stalls| stalls.of_process().is_some()).await;
        let stall = told.of_process();
        let is_so = matches!(stall, Some(Stall::Silent { what: Silence::Runtime, millis: 200.. }));
        assert!(is_so, "{stall:?}");
        go_on.send(()).expect("it waits");
        until(&mut stalls, |stalls| *stalls == Stalls::default()).await;
    });
    drop(proc);
}

/// What supervises is not looked at: it may wait for as long as it likes.
#[tokio::test]
async fn actors_of_the_control_plane_are_not_looked_at() {
    let control = ControlThread::start("test-control").expect("there are threads");
    let (proc, mut stalls) = process(&control, Handle::current());
    let (_go_on, waits) = oneshot::channel();
    let (go_on, also_waits) = oneshot::channel();
    let (control, user) = (proc.on(Plane::Control), proc.on(Plane::User));
    let there = control.spawn::<Sleeper>(());
    there.cast(&proc, Await(waits)).await.expect("it is there");
    let here = user.spawn_named::<Sleeper>("here", ());
    here.cast(&proc, Await(also_waits)).await.expect("it is there");
    let told = until(&mut stalls, |stalls| !stalls.handlers().is_empty()).await;
    let actors: Vec<&str> = told.handlers().iter().map(|long| &*long.handler.actor).collect();
    assert_eq!(actors, ["here"]);
    go_on.send(()).expect("it waits");
    until(&mut stalls, |stalls| stalls.handlers().is_empty()).await;
}
