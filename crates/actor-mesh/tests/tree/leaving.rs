//! leaving: how much leaves the process that casts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use actor_mesh::{ActorMesh, LocalProcs, LocalSpec};
use async_trait::async_trait;
use controller::Config;
use mesh_core::{
    Addr, DialError, Envelope, Head, Inbound, Lane, ListenError, Outbound, PeerId, PortId, ProcId,
    Returned, Transport,
};
use mesh_runtime::{LocalTransport, Proc};

use crate::support::{Add, Tool, World, all, registry, tens};

/// A caster sends no cast more often than the fan-out says.
#[tokio::test(start_paused = true)]
async fn a_cast_leaves_its_process_no_more_often_than_the_fan_out_says() {
    let legs = Arc::new(AtomicUsize::new(0));
    // What is sent is encoded, as between machines.
    let (board, made) = (LocalTransport::encoding(), AtomicUsize::new(0));
    let counted = Arc::clone(&legs);
    let transports = Box::new(move || {
        let inner = board.another();
        // The first is that of the program.
        match made.fetch_add(1, Ordering::Relaxed) {
            0 => Arc::new(Counting { inner, legs: Arc::clone(&counted) }) as Arc<dyn Transport>,
            _ => Arc::new(inner) as Arc<dyn Transport>,
        }
    });
    let proc = Proc::local().expect("there is a runtime");
    let (name, extent) = ("homes".to_owned(), "procs=21".parse().expect("it is an extent"));
    let (config, registry) = (Config::local(), registry());
    let spec = LocalSpec { name, extent, config, registry, transports, stalled_handler: None };
    let procs = LocalProcs::start_with(&proc, spec).await.expect("they start");
    let world = World { proc, procs };
    let tools: ActorMesh<Tool> = world.spawn(tens("tools")).await;
    for _ in 0..10 {
        tools.cast(&world.proc, Add(1)).await;
    }
    let answers = tools.call(&world.proc, Add(0)).await;
    let expected: Vec<u64> = (0..21).map(|rank| 10 * rank + 10).collect();
    assert_eq!(all(&answers), expected);
    assert_eq!(legs.load(Ordering::Relaxed), 11 * crate::FAN_OUT, "ten casts and a call");
}

/// Counts the legs of casts, and whatever goes to the actors themselves.
struct Counting {
    inner: LocalTransport,
    legs: Arc<AtomicUsize>,
}

struct Counted {
    inner: Arc<dyn Outbound>,
    legs: Arc<AtomicUsize>,
}

#[async_trait]
impl Transport for Counting {
    async fn listen(
        &self,
        at: &Addr,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Addr, ListenError> {
        self.inner.listen(at, lane, into).await
    }

    async fn dial(
        &self,
        to: &Addr,
        peer: ProcId,
        lane: Lane,
        into: Arc<dyn Inbound>,
    ) -> Result<Arc<dyn Outbound>, DialError> {
        let inner = self.inner.dial(to, peer, lane, into).await?;
        Ok(Arc::new(Counted { inner, legs: Arc::clone(&self.legs) }))
    }
}

impl Outbound for Counted {
    fn peer(&self) -> PeerId {
        self.inner.peer()
    }

    fn is_open(&self) -> bool {
        self.inner.is_open()
    }

    fn close(&self) {
        self.inner.close();
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let legs = [PortId::named("meshwarden.CastLeg"), PortId::of::<Add>()];
        let is_leg = envelope.as_ref().is_some_and(|envelope| match envelope.head {
            Head::Cast { port, .. } | Head::Call { port, .. } => legs.contains(&port),
            _ => false,
        });
        let sent = self.inner.poll_send(cx, envelope);
        if is_leg && sent.is_ready() {
            self.legs.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }
}
