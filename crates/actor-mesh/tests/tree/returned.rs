//! returned: what was cast and reaches nobody comes back to the actor that sent it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorMeshRef, ActorSpec};
use controller::Config;
use mesh_core::{ActorId, Message, PortRef, Transport, WhyUndelivered};
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers, LocalTransport, Port, Undelivered};
use mesh_shape::Rank;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::support::{Add, Began, Crate, HangBefore, Tool, World, all, begun, soon, world};

/// Casts what it is told to, and says what comes back.
struct Teller(mpsc::UnboundedSender<Undelivered>);

struct CastAdd(ActorMeshRef<Tool>);

impl Message for CastAdd {
    const NAME: &'static str = "test.CastAdd";
    type Reply = usize;
}

impl Actor for Teller {
    const NAME: &'static str = "teller";
    type Params = mpsc::UnboundedSender<Undelivered>;

    async fn start(back: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(back))
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.0.send(undelivered).expect("the test listens");
        Ok(())
    }
}

impl Handler<CastAdd> for Teller {
    async fn handle(
        &mut self,
        CastAdd(mesh): CastAdd,
        cx: &mut Context<Self>,
    ) -> Result<usize, Failure> {
        Ok(mesh.cast(cx, Add(1)).await.len())
    }
}

/// R3: both what was taken and not handled, and what was not taken.
#[tokio::test]
async fn a_cast_that_reaches_a_rank_in_vain_comes_back() {
    let world = world("procs=5").await;
    let tools = world.tools().await;
    let (back, mut returned) = mpsc::unbounded_channel();
    let teller = world.proc.spawn::<Teller>(back);
    let one = tools.slice("procs", 3..4).expect("there is one");
    let mut port = world.proc.open_port::<Began>(2);
    one.cast(&world.proc, HangBefore(port.port())).await;
    begun(&mut port, 1).await;
    let not_sent = soon(teller.call(&world.proc, CastAdd(tools.mesh_ref().clone()))).await;
    assert_eq!(not_sent, Ok(0));
    let others = tools.slice("procs", 0..3).expect("there are three");
    assert_eq!(all(&soon(others.call(&world.proc, Add(0))).await), [1, 11, 21]);
    // It waits there, too.
    begun(&mut port, 1).await;
    tools.stop(Duration::ZERO).await.expect("it is answered");
    let undelivered = soon(returned.recv()).await.expect("it comes back");
    assert_eq!((undelivered.name, undelivered.why), (Add::NAME, WhyUndelivered::Ended));
    let homes = world.procs.procs().seat(Rank::new(3)).expect("its process lives");
    assert_eq!(undelivered.to.peer(), homes.peer);

    let tools = world.tools().await;
    let mesh = tools.mesh_ref().clone();
    all(&soon(tools.call(&world.proc, Add(0))).await);
    assert_eq!(soon(teller.call(&world.proc, CastAdd(mesh.clone()))).await, Ok(0));
    world.procs.crash(Rank::new(1));
    let not_sent = soon(teller.call(&world.proc, CastAdd(mesh))).await.expect("it answers");
    if not_sent == 0 {
        let undelivered = soon(returned.recv()).await.expect("it comes back");
        assert_eq!((undelivered.name, undelivered.why), (Add::NAME, WhyUndelivered::PeerLost));
    }
    assert!(returned.try_recv().is_err(), "each once");
}

/// Casts from a process of the mesh, and says what comes back.
struct Courier {
    tell: PortRef<CameBack>,
    /// Kept, as somebody who casts again.
    mesh: Option<ActorMeshRef<Tool>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct CameBack {
    of: ActorId,
    name: String,
    why: WhyUndelivered,
    n_bytes: usize,
}

#[derive(Clone, Serialize, Deserialize)]
struct Deliver(ActorMeshRef<Tool>);

impl Message for CameBack {
    const NAME: &'static str = "test.CameBack";
    type Reply = ();
}

impl Message for Deliver {
    const NAME: &'static str = "test.Deliver";
    type Reply = usize;
}

impl Actor for Courier {
    const NAME: &'static str = "courier";
    type Params = PortRef<CameBack>;

    async fn start(tell: PortRef<CameBack>, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { tell, mesh: None })
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let (of, name, why) = (undelivered.to, undelivered.name.to_owned(), undelivered.why);
        let n_bytes = undelivered.decode::<Crate>().map_or(0, |Crate(bytes)| bytes.len());
        self.tell.cast(cx, CameBack { of, name, why, n_bytes }).await;
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Deliver>();
    }
}

impl Handler<Deliver> for Courier {
    async fn handle(
        &mut self,
        Deliver(mesh): Deliver,
        cx: &mut Context<Self>,
    ) -> Result<usize, Failure> {
        // Larger than a frame of the control lane may be.
        let n_not_sent = mesh.cast(cx, Crate(vec![7; LARGE])).await.len();
        self.mesh = Some(mesh);
        Ok(n_not_sent)
    }
}

const LARGE: usize = 3 << 20;

/// R3: what a worker has cast down the tree to others, and they have taken and not handled, comes back, though most
/// of them have no session with it.
#[tokio::test]
async fn a_cast_of_a_worker_comes_back_up_the_tree() {
    const OTHERS: usize = 12;
    let board = LocalTransport::encoding();
    let transports = move || Arc::new(board.another()) as Arc<dyn Transport>;
    let world = World::of("procs=13", Config::local(), transports, |registry| {
        registry.actor::<Courier>();
    })
    .await;
    let tools = world.tools().await;
    let mut port = world.proc.open_port::<CameBack>(2 * OTHERS);
    let spec = ActorSpec::<Courier>::new("couriers", &port.port());
    let procs = world.procs.procs();
    let couriers = soon(ActorMesh::spawn(&world.proc, &procs, spec)).await.expect("they start");
    let last = couriers.slice("procs", 12).expect("it is there");
    let others = tools.slice("procs", ..12).expect("they are there");
    let mut began = world.proc.open_port::<Began>(2 * OTHERS);
    assert!(soon(others.cast(&world.proc, HangBefore(began.port()))).await.is_empty());
    begun(&mut began, OTHERS).await;
    let not_sent = soon(last.call(&world.proc, Deliver(others))).await;
    assert_eq!(all(&not_sent), [0]);
    // It waits at each of them.
    begun(&mut began, OTHERS).await;
    tools.stop(Duration::ZERO).await.expect("it is answered");
    let mut of = BTreeSet::new();
    for _ in 0..OTHERS {
        let back = soon(port.recv()).await;
        assert_eq!((&*back.name, back.why), (Crate::NAME, WhyUndelivered::Ended));
        assert_eq!(back.n_bytes, LARGE, "all of it");
        assert!(of.insert(back.of), "{} is told twice", back.of);
    }
    assert!(port.try_recv().is_none(), "each once");
}
