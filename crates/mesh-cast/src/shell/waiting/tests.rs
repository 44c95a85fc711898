//! Who waits behind whom.

use mesh_core::{ActorId, Incarnation, MeshId, PortId, ProcId};
use mesh_runtime::Proc;
use mesh_shape::{Extent, RankSet, Region, ValueMesh};

use super::super::ahead::Ahead;
use super::super::casters::Cast;
use super::super::door::Door;
use super::super::message::{Body, Payload};
use super::super::submit::Accepted;
use super::super::table::{Book, Seat, Table};
use super::*;
use crate::limits::Limits;
use crate::wire::Kind;

fn actor(index: u64) -> ActorId {
    ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index }
}

fn table() -> Arc<Table> {
    let extent = Extent::new([("r", 3)]).expect("its size is allowed");
    let seat = Seat { life: Incarnation::FIRST, relay: Some(1), actor: Some(2) };
    Arc::new(Table {
        mesh: MeshId::from_random(7),
        version: 1,
        fan_out: 2,
        procs: MeshId::from_random(1),
        region: Arc::new(Region::all(extent)),
        seats: ValueMesh::uniform(3, seat),
        directory: actor(1),
    })
}

/// A cast of an actor, and what it waits for.
fn cast_of(index: u64) -> (Ready, Accepted) {
    let table = table();
    let payload = Payload {
        port: PortId::named("test"),
        from: Some(actor(index)),
        except: RankSet::new(),
        body: Body::EMPTY,
    };
    let plan = Arc::clone(Book::new(Arc::clone(&table)).expect("it holds together").whole());
    let (region, range, kind, gone) = (None, None, Kind::Cast, RankSet::new());
    let cast = Cast { table, region, range, kind, name: "test", payload, gone };
    let pass = Door::new(&Limits::default()).try_enter(0).expect("there is room");
    let (submit, _, accepted) = Submit::new(cast, pass);
    (Ready { submit, plan }, accepted)
}

/// The same, made ahead.
fn ahead_of(index: u64, proc: &Proc) -> Ready {
    let (mut ready, _) = cast_of(index);
    ready.submit.ahead = Ahead::try_new(&ready.submit.cast, proc, &Ahead::places());
    ready
}

/// R2: also of what is not looked at, since there is no room for anything, the senders are known.
#[tokio::test]
async fn nobody_passes_another_of_the_same_sender_behind_a_full_window() {
    let proc = Proc::local().expect("there is a runtime");
    let mut waiting = Waiting::default();
    let (first, second) = (cast_of(1), cast_of(2));
    waiting.join(first.0, Busy::All);
    waiting.follow(second.0);
    let mut again = waiting.take();
    assert!(!waiting.must_wait(&cast_of(1).0), "nobody is before it now");
    waiting.join(again.pop_front().expect("there are two"), Busy::All);
    waiting.put_back(again);
    assert_eq!(waiting.len(), 2);
    assert!(waiting.must_wait(&cast_of(3).0), "it is full");
    let must_wait = [1, 2, 3].map(|index| {
        let mut ahead = ahead_of(index, &proc);
        let must_wait = waiting.must_wait(&ahead);
        drop(ahead.submit.ahead.take().map(Ahead::settle));
        must_wait
    });
    assert_eq!(must_wait, [true, true, false], "there is room for what is made ahead");
    let order = waiting.take().into_iter().map(|ready| ready.submit.cast.payload.from);
    assert_eq!(order.collect::<Vec<_>>(), [Some(actor(1)), Some(actor(2))]);
}

#[tokio::test]
async fn who_does_not_wait_any_more_is_forgotten_at_once() {
    let mut waiting = Waiting::default();
    let (first, second) = (cast_of(1), cast_of(2));
    waiting.join(first.0, Busy::All);
    waiting.follow(second.0);
    assert!(!waiting.forget_gone());
    drop(first.1);
    assert!(waiting.forget_gone(), "others may have waited for it");
    assert_eq!(waiting.len(), 1);
}
