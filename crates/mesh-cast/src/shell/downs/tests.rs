//! What waits, and for how long.

use std::sync::Arc;

use bytes::Bytes;
use mesh_core::{ActorId, Incarnation, MeshId, PortId, ProcId};
use mesh_shape::{Extent, Overlay, RankSet, Region, ValueMesh};
use tokio::time::advance;

use super::super::message::Body;
use super::super::table::{Seat, Table};
use super::*;
use crate::plan::FanOut;
use crate::wire::{CastId, Kind, LegId, Sender, Settled, StreamId};

fn actor(number: u128) -> ActorId {
    let (proc, life) = (ProcId::from_random(number), Incarnation::FIRST);
    ActorId { proc, life, index: 1 }
}

fn way(to: u128, version: u64) -> Way {
    way_of(1, to, version)
}

fn way_of(mesh: u128, to: u128, version: u64) -> Way {
    let seat = Seat { life: Incarnation::FIRST, relay: Some(1), actor: Some(2), since: 0 };
    let extent = Extent::new([("ranks", 4)]).expect("a small extent");
    let region = Arc::new(Region::all(extent));
    let table = Table {
        mesh: MeshId::from_random(mesh),
        version,
        fan_out: FanOut::new(2).expect("at least two"),
        procs: MeshId::from_random(2),
        seats: ValueMesh::uniform(4, seat),
        region,
        directory: actor(8),
    };
    Way { relay: actor(to), table: Arc::new(table) }
}

fn leg(number: u64, kind: Kind, n_bytes: usize) -> Leg<Payload> {
    let stream = StreamId { caster: actor(9), mesh: MeshId::from_random(1) };
    let body = Body::Same(Bytes::from(vec![0; n_bytes]));
    let (from, except) = (None, RankSet::new());
    Leg {
        cast: CastId { stream, number },
        id: LegId { sender: Sender::Caster, number },
        kind,
        table: 1,
        region: None,
        range: 0..4,
        expects: Overlay::new(),
        settled: Settled { through: 0, waiting: Arc::new([]) },
        payload: Some(Payload { port: PortId::named("test"), from, except, body }),
    }
}

/// The numbers of the casts that are sent together.
fn numbers(due: impl IntoIterator<Item = Due>) -> Vec<Vec<u64>> {
    let each = |due: Due| due.legs.iter().map(|leg| leg.cast.number).collect();
    due.into_iter().map(each).collect()
}

fn peer(number: u128) -> PeerId {
    actor(number).peer()
}

#[tokio::test(start_paused = true)]
async fn the_first_goes_at_once_and_what_follows_closely_goes_together() {
    let mut downs = Downs::default();
    assert!(downs.add(peer(1), way(1, 1), leg(1, Kind::Cast, 8)).is_none());
    assert_eq!(numbers(downs.due()), [[1]]);
    for number in 2..=4 {
        assert!(downs.add(peer(1), way(1, 1), leg(number, Kind::Cast, 8)).is_none());
        assert_eq!(numbers(downs.due()), Vec::<Vec<u64>>::new());
    }
    // Another process has been sent nothing.
    assert!(downs.add(peer(2), way(2, 1), leg(4, Kind::Cast, 8)).is_none());
    assert_eq!(numbers(downs.due()), [[4]]);
    advance(TOGETHER_WITHIN).await;
    assert_eq!(numbers(downs.all()), [[2, 3, 4]]);
    assert!(downs.is_empty());
    advance(TOGETHER_WITHIN).await;
    assert!(downs.add(peer(1), way(1, 1), leg(5, Kind::Cast, 8)).is_none());
    assert_eq!(numbers(downs.due()), [[5]]);
}

/// R2: a call does not wait, and what waits goes before it.
#[tokio::test(start_paused = true)]
async fn a_call_takes_with_it_what_waits() {
    let mut downs = Downs::default();
    for number in [1, 2] {
        assert!(downs.add(peer(1), way(1, 1), leg(number, Kind::Cast, 8)).is_none());
    }
    assert_eq!(numbers(downs.due()), [[1, 2]]);
    assert!(downs.add(peer(1), way(1, 1), leg(3, Kind::Cast, 8)).is_none());
    assert!(downs.add(peer(1), way(1, 1), leg(4, Kind::Call, 8)).is_none());
    assert_eq!(numbers(downs.due()), [[3, 4]]);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_together_goes_in_several_in_order() {
    let mut downs = Downs::default();
    assert!(downs.add(peer(1), way(1, 1), leg(1, Kind::Cast, 8)).is_none());
    let large = downs.add(peer(1), way(1, 1), leg(2, Kind::Cast, BYTES));
    assert_eq!(numbers(large), [[1]]);
    // A newer table says where the others are.
    let newer = downs.add(peer(1), way(1, 2), leg(3, Kind::Cast, 8));
    assert_eq!(numbers(newer), [[2]]);
    let full: Vec<Due> = (4..4 + LEGS as u64)
        .filter_map(|number| downs.add(peer(1), way(1, 2), leg(number, Kind::Cast, 8)))
        .collect();
    assert_eq!(numbers(full), [(3..3 + LEGS as u64).collect::<Vec<_>>()]);
    downs.lose(peer(1));
    assert!(downs.is_empty());
}

/// The table that goes before them is that of one mesh.
#[tokio::test(start_paused = true)]
async fn legs_of_two_meshes_do_not_go_together() {
    let mut downs = Downs::default();
    assert!(downs.add(peer(1), way_of(1, 1, 1), leg(1, Kind::Cast, 8)).is_none());
    let before = downs.add(peer(1), way_of(2, 1, 1), leg(2, Kind::Cast, 8));
    assert_eq!(numbers(before), [[1]]);
    assert_eq!(numbers(downs.due()), [[2]]);
    advance(TOGETHER_WITHIN).await;
    downs.sweep();
    assert!(downs.0.is_empty(), "nobody is remembered for long");
}
