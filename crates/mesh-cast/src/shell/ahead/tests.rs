//! Places, and what comes back.

use std::time::Duration;

use bytes::Bytes;
use mesh_core::{ActorId, Incarnation, MeshId, PortId};
use mesh_runtime::{Actor, Context, Failure, Undelivered};
use mesh_shape::{Extent, RankSet, Region, ValueMesh};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::message::{Body, Payload};
use super::super::table::{Seat, Table};
use super::*;
use crate::plan::FanOut;

/// Says what has come back to it.
struct Caller(mpsc::UnboundedSender<ActorId>);

impl Actor for Caller {
    const NAME: &'static str = "caller";
    type Params = mpsc::UnboundedSender<ActorId>;

    async fn start(told: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(told))
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        assert_eq!(undelivered.why, WhyUndelivered::Ended);
        Ok(self.0.send(undelivered.to)?)
    }
}

/// A cast to four ranks, of which the last is not there.
fn cast(from: Option<ActorId>, n_bytes: usize) -> Cast {
    let seat = Seat { life: Incarnation::FIRST, relay: Some(1), actor: Some(2), since: 0 };
    let region = Arc::new(Region::all(Extent::new([("ranks", 4)]).expect("a small extent")));
    let table = Table {
        mesh: MeshId::from_random(1),
        version: 1,
        fan_out: FanOut::new(2).expect("at least two"),
        procs: MeshId::from_random(2),
        region,
        seats: ValueMesh::uniform(4, seat),
        directory: ActorId { proc: mesh_core::ProcId::from_random(8), life: seat.life, index: 1 },
    };
    let except: RankSet = (3..4).into();
    let body = Body::Same(Bytes::from(vec![0; n_bytes]));
    Cast {
        table: Arc::new(table),
        region: None,
        range: None,
        kind: Kind::Cast,
        name: "test.Message",
        payload: Payload { port: PortId::named("test.Message"), from, except, body },
        gone: RankSet::new(),
    }
}

/// R3: what was taken and is never sent comes back to its sender, once for each rank that it was for.
#[tokio::test]
async fn what_is_dropped_before_it_is_on_its_way_comes_back() {
    let proc = Proc::local().expect("there is a runtime");
    let (told, mut back) = mpsc::unbounded_channel();
    let caller = proc.spawn::<Caller>(told);
    let (cast, places) = (cast(Some(caller.id()), 8), Ahead::places());
    drop(Ahead::try_new(&cast, &proc, &places).expect("there are places"));
    for rank in 0..3 {
        let next = timeout(Duration::from_secs(10), back.recv()).await;
        assert_eq!(next.expect("it comes back"), cast.table.actor(Rank::new(rank)));
    }
    let sent = Ahead::try_new(&cast, &proc, &places).expect("the place is free again");
    drop(sent.settle());
    // Behind it comes one that is for the last rank alone: if it had come back, it would be first.
    let mut last = cast;
    last.payload.except = (0..3).into();
    drop(Ahead::try_new(&last, &proc, &places).expect("the place is free again"));
    let next = timeout(Duration::from_secs(10), back.recv()).await;
    assert_eq!(next.expect("it comes back"), last.table.actor(Rank::new(3)), "the other was sent");
}

#[tokio::test]
async fn there_are_so_many_places_for_small_casts() {
    let proc = Proc::local().expect("there is a runtime");
    let places = Ahead::places();
    let take = |n_bytes| Ahead::try_new(&cast(None, n_bytes), &proc, &places).map(Ahead::settle);
    assert!(take(AHEAD_BYTES + 1).is_none(), "it is large");
    let taken: Vec<Option<Place>> = (0..AHEAD).map(|_| take(AHEAD_BYTES)).collect();
    assert!(taken.iter().all(Option::is_some));
    assert!(take(1).is_none(), "all are taken");
    drop(taken);
    assert!(take(1).is_some());
    let call = Cast { kind: Kind::Call, ..cast(None, 1) };
    assert!(Ahead::try_new(&call, &proc, &places).is_none(), "its sender waits anyway");
}
