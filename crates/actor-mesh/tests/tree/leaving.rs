//! leaving: how much leaves the process that casts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actor_mesh::{ActorMesh, LocalProcs, LocalSpec};
use controller::Config;
use mesh_core::{Head, Lane, PortId, Transport};
use mesh_runtime::{LocalTransport, Proc};
use mesh_testkit::{Gate, Gated};
use tokio::time::sleep;

use crate::support::{Add, Tool, World, all, registry, tens};

/// A caster sends no cast more often than the fan-out says.
#[tokio::test(start_paused = true)]
async fn a_cast_leaves_its_process_no_more_often_than_the_fan_out_says() {
    let legs = Arc::new(Legs::default());
    // What is sent is encoded, as between machines.
    let (board, made) = (LocalTransport::encoding(), AtomicUsize::new(0));
    let counted = Arc::clone(&legs);
    let transports = Box::new(move || {
        let inner = board.another();
        // The first is that of the program.
        match made.fetch_add(1, Ordering::Relaxed) {
            0 => Arc::new(Gated::new(Arc::new(inner), Arc::clone(&counted) as Arc<dyn Gate>)),
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
        tools.cast(&world.proc, Add(1)).await.complete().expect("it is sent");
        // So long that it goes down by itself.
        sleep(Duration::from_millis(10)).await;
    }
    let answers = tools.call(&world.proc, Add(0)).await;
    let expected: Vec<u64> = (0..21).map(|rank| 10 * rank + 10).collect();
    assert_eq!(all(&answers), expected);
    assert_eq!(legs.0.swap(0, Ordering::Relaxed), 11 * crate::FAN_OUT, "ten casts and a call");

    for _ in 0..10 {
        tools.cast(&world.proc, Add(1)).await.complete().expect("it is sent");
    }
    assert_eq!(all(&tools.call(&world.proc, Add(0)).await)[0], 20);
    let n_sent = legs.0.load(Ordering::Relaxed);
    assert!(n_sent < 11 * crate::FAN_OUT, "in a row they travel together: {n_sent}");
}

/// Counts the legs of casts, and whatever goes to the actors themselves.
#[derive(Default)]
struct Legs(AtomicUsize);

impl Gate for Legs {
    fn sent(&self, _: Lane, head: &Head) {
        let legs = [PortId::named("meshwarden.CastLeg"), PortId::of::<Add>()];
        let (Head::Cast { port, .. } | Head::Call { port, .. }) = head else { return };
        if legs.contains(port) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
