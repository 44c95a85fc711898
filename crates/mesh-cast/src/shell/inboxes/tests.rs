//! What is not told yet.

use mesh_core::{Incarnation, MeshId, Plane};
use mesh_runtime::ProcConfig;
use tokio::runtime::{Builder, Handle};
use tokio::task::yield_now;

use super::*;
use crate::wire::StreamId;

/// R1: an actor has ended, and its relay has no room to be told so: its inbox stays until it is.
#[tokio::test]
async fn an_inbox_is_not_swept_before_all_of_it_is_told() {
    // Nobody runs what is on the control plane.
    let idle = Builder::new_current_thread().build().expect("a runtime");
    let config = ProcConfig { control: Some(idle.handle().clone()), ..ProcConfig::local() };
    let proc = Proc::start(config, Handle::current());
    let relay = RelayActor::start(&proc);
    while relay.try_cast(&proc, Said(Vec::new())).is_ok() {}
    let user = proc.on(Plane::User);
    let to = ActorId { proc: proc.peer().proc, life: Incarnation::FIRST, index: 999 };
    let stream = StreamId { caster: to, mesh: MeshId::from_random(1) };
    let cast = CastId { stream, number: 1 };
    let (port, bytes) = (PortId::named("test.Message"), Bytes::new());
    let mut inboxes = Inboxes::new(user);
    let (kind, rank) = (Kind::Cast, Rank::new(0));
    inboxes.deliver(Delivery { cast, kind, rank, to, port, from: None, bytes }, &relay);
    for _ in 0..100 {
        yield_now().await;
    }
    inboxes.sweep(|_| true);
    assert_eq!(inboxes.inboxes.len(), 1, "that it was not taken is still to be said");
    idle.shutdown_background();
}
