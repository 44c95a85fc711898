//! Supervision: children start again by OTP's strategies; too often is a failure, told once at the root.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::{error::Error, time::Duration};

use mesh_runtime::mesh_core::{Message, Strategy};
use mesh_runtime::{
    Actor, Child, ChildFailure, ChildSpec, Context, Failure, Handler, Intensity, Proc, ProcConfig,
    Verdict,
};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Fails when it is told to.
struct Part;

impl Actor for Part {
    const NAME: &'static str = "part";
    type Params = &'static str;
    async fn start(name: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        println!("a {name} starts");
        Ok(Self)
    }
}

struct Break(&'static str);
impl Message for Break {
    const NAME: &'static str = "supervision.Break";
    type Reply = ();
}
impl Handler<Break> for Part {
    async fn handle(&mut self, Break(why): Break, _: &mut Context<Self>) -> Result<(), Failure> {
        Err(Failure::new(why))
    }
}

/// Has a disk, and a cache that is worth nothing without it.
struct Store;

impl Actor for Store {
    const NAME: &'static str = "store";
    const INTENSITY: Intensity = Intensity::new(2, Duration::from_secs(60));
    /// Where others learn of its children.
    type Params = oneshot::Sender<[Child<Part>; 2]>;
    async fn start(told: Self::Params, cx: &mut Context<Self>) -> Result<Self, Failure> {
        let disk = ChildSpec::new(|| "disk").named("disk").permanent();
        let cache = ChildSpec::new(|| "cache").named("cache");
        _ = told.send([cx.supervise(disk), cx.supervise(cache)]).is_ok();
        Ok(Self)
    }

    /// Without this, it would fail with the child.
    async fn on_failure(
        &mut self,
        failure: ChildFailure,
        _: &mut Context<Self>,
    ) -> Result<Verdict, Failure> {
        println!("the store is told: {failure}");
        Ok(Verdict::Restart(match &*failure.child {
            "disk" => Strategy::RestForOne, // The cache as well: it was spawned later.
            _ => Strategy::OneForOne,
        }))
    }
}

/// Does not say what the failure of its child means, and fails with it.
struct Shop;

impl Actor for Shop {
    const NAME: &'static str = "shop";
    type Params = <Store as Actor>::Params;
    async fn start(told: Self::Params, cx: &mut Context<Self>) -> Result<Self, Failure> {
        cx.spawn::<Store>(told);
        Ok(Self)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (told, mut reports) = mpsc::channel(8);
    // What nobody has handled ends here.
    let on_failure =
        move |failure: &ChildFailure| _ = told.try_send(failure.report().to_string()).is_ok();
    let config = ProcConfig { on_failure: Box::new(on_failure), ..ProcConfig::local() };
    let proc = Proc::start(config, Handle::current());
    let (children, are_known) = oneshot::channel();
    let shop = proc.spawn::<Shop>(children);
    let [mut disk, mut cache] = are_known.await?;

    cache.current().cast(&proc, Break("stale")).await?;
    let second = cache.restarted().await.ok_or("it is not started again")?;
    disk.current().cast(&proc, Break("no space left")).await?;
    let third = cache.restarted().await.ok_or("it is not started again")?;
    assert!(disk.restarted().await.is_some() && second != third);

    third.cast(&proc, Break("stale again")).await?; // The third time in a minute.
    let report = reports.recv().await.ok_or("nobody is told")?;
    println!("{}\nthe root is told:\n{report}", shop.ended().await);
    assert!(report.starts_with("actor cache failed: error: stale again\n  so actor store failed"));
    assert!(
        report.ends_with("so actor shop failed: the failure of its child store was not handled")
    );
    assert!(cache.is_over() && disk.is_over());
    proc.stop(Duration::from_secs(1)).await?;
    assert!(reports.try_recv().is_err()); // It was told once.
    Ok(())
}
