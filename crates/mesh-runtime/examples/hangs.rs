//! What hangs is named: which handler of which actor, whether it awaits something or keeps a thread.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::sync::{Arc, mpsc};
use std::{error::Error, time::Duration};

use mesh_runtime::mesh_core::Message;
use mesh_runtime::{Actor, Context, ControlThread, Failure, Handler, Proc, ProcConfig, Stalls};
use tokio::{runtime::Handle, sync::oneshot};

struct Baker;

impl Actor for Baker {
    const NAME: &'static str = "baker";
    type Params = ();
    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

/// Waits as one should.
struct AwaitDough(oneshot::Receiver<()>);
impl Message for AwaitDough {
    const NAME: &'static str = "hangs.AwaitDough";
    type Reply = ();
}
impl Handler<AwaitDough> for Baker {
    async fn handle(&mut self, dough: AwaitDough, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(dough.0.await?)
    }
}

/// Waits as one should not: it keeps a thread of the runtime.
struct BlockOven(mpsc::Receiver<()>);
impl Message for BlockOven {
    const NAME: &'static str = "hangs.BlockOven";
    type Reply = ();
}
impl Handler<BlockOven> for Baker {
    async fn handle(&mut self, oven: BlockOven, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(oven.0.recv()?)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    // Who looks lives on a thread of its own, which nobody blocks.
    let control = ControlThread::start("control")?;
    let config = ProcConfig {
        control: Some(control.handle().clone()),
        stalled_handler: Some(Duration::from_millis(100)),
        ..ProcConfig::local()
    };
    let proc = Proc::start(config, Handle::current());
    let mut stalls = proc.stalls().ok_or("nobody looks")?;
    let (go_on, dough) = oneshot::channel();
    let (close, oven) = mpsc::channel();
    proc.spawn_named::<Baker>("anna", ()).cast(&proc, AwaitDough(dough)).await?;
    proc.spawn_named::<Baker>("otto", ()).cast(&proc, BlockOven(oven)).await?;

    let are_told = |now: &Arc<Stalls>| now.handlers().len() == 2 && now.of_process().is_some();
    let both = stalls.wait_for(are_told).await?.clone();
    for long in both.handlers() {
        let how = if long.is_blocking { "and keeps a thread" } else { "and awaits something" };
        println!("{}, {how}", long.handler);
        let is_otto = long.handler.actor == "otto";
        assert_eq!((is_otto, is_otto), (long.is_blocking, long.handler.message == BlockOven::NAME));
    }
    // One that awaits holds up nobody else; one that keeps a thread may hold up the process.
    println!("the process: {}", both.of_process().ok_or("it goes well")?);

    go_on.send(()).map_err(|()| "nobody waits for it")?;
    close.send(())?;
    stalls.wait_for(|stalls| stalls.handlers().is_empty()).await?;
    println!("all go on");
    Ok(proc.stop(Duration::from_secs(1)).await?)
}
