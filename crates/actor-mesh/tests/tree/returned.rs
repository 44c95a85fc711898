//! returned: what was cast and reaches nobody comes back to the actor that sent it.

use std::time::Duration;

use actor_mesh::ActorMeshRef;
use mesh_core::{Message, WhyUndelivered};
use mesh_runtime::{Context, Failure, Handler};
use mesh_shape::Rank;
use tokio::sync::mpsc;

use crate::support::{Add, Began, HangBefore, Tool, all, begun, soon, world};
use crate::unsent::Teller;

struct CastAdd(ActorMeshRef<Tool>);

impl Message for CastAdd {
    const NAME: &'static str = "test.CastAdd";
    type Reply = usize;
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
    one.cast(&world.proc, HangBefore(port.port())).await.complete().expect("it is sent");
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
