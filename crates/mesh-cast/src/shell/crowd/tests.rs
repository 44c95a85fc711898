//! Who waits behind whom, and how many may.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use mesh_core::{Incarnation, MeshId, PortId, ProcId};
use mesh_shape::{Extent, Region, ValueMesh};

use super::super::message::{Body, Payload};
use super::super::table::{Book, Seat, Table};
use super::*;
use crate::plan::FanOut;
use crate::wire::Kind;

fn actor(index: u64) -> ActorId {
    ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index }
}

/// A cast of an actor, or of a program that is none, to some ranks of eight.
fn cast(from: Option<u64>, ranks: Range<usize>, n_bytes: usize) -> (Cast, Plan<PeerId>) {
    let seat = Seat { life: Incarnation::FIRST, relay: Some(1), actor: Some(2), since: 0 };
    let table = Arc::new(Table {
        mesh: MeshId::from_random(7),
        version: 1,
        fan_out: FanOut::new(2).expect("at least two"),
        procs: MeshId::from_random(1),
        region: Arc::new(Region::all(Extent::new([("r", 8)]).expect("its size is allowed"))),
        seats: ValueMesh::uniform(8, seat),
        directory: actor(1),
    });
    let book = Book::new(Arc::clone(&table)).expect("it holds together");
    let plan = book.whole().within(ranks.clone());
    let body = Body::Same(Bytes::from(vec![0; n_bytes]));
    let port = PortId::named("test");
    let payload = Payload { port, from: from.map(actor), except: RankSet::new(), body };
    let (region, range, kind, gone) = (None, Some(ranks), Kind::Cast, RankSet::new());
    (Cast { table, region, range, kind, name: "test", payload, gone }, plan)
}

fn crowd() -> Crowd {
    Crowd::new(&Limits { waiting: 2, waiting_bytes: 10, ..Limits::default() })
}

/// How many more casts may wait behind a crowd, for the same ranks.
fn n_places(crowd: &mut Crowd, from: Option<u64>, held_by: Range<usize>) -> usize {
    n_places_of(crowd, &cast(from, 0..8, 1), &held_by.into())
}

fn n_places_of(crowd: &mut Crowd, (cast, plan): &(Cast, Plan<PeerId>), held_by: &RankSet) -> usize {
    let whose = Whose::of(cast, held_by, plan);
    let places = (0..9).take_while(|_| {
        let has_place = crowd.has_place(whose, cast);
        crowd.follow(whose, cast, held_by);
        has_place
    });
    places.count()
}

/// R2: where nothing can be cast before one rank is reached, what programs send to others takes no place of what they
/// send to that one, nor has it none for that.
#[test]
fn what_programs_send_to_others_has_places_where_one_rank_is_not_reached() {
    let (mut crowd, unreached) = (crowd(), (3..4).into());
    crowd.join(&Busy::All((3..4).into()));
    let n_places =
        [3..4, 5..8, 0..8].map(|it| n_places_of(&mut crowd, &cast(None, it, 1), &unreached));
    assert_eq!(n_places, [2, 2, 0], "the last are for that rank, too");
}

/// R2: what one actor sends to a rank that takes nothing takes no place of others, nor what programs send to others.
#[test]
fn each_sender_has_places_of_its_own_and_programs_have_for_each_rank() {
    let mut crowd = crowd();
    crowd.join(&Busy::Ranks((3..4).into()));
    let all = [(Some(1), 3..4), (Some(2), 3..4), (None, 3..4), (None, 5..6)];
    let n_places = all.map(|(from, held_by)| n_places(&mut crowd, from, held_by));
    assert_eq!(n_places, [2; 4]);
}

/// A message that is larger than all that may wait waits alone.
#[test]
fn what_waits_has_a_bound_in_bytes() {
    let has_place = |before: &[usize], bytes: usize| {
        let (mut crowd, held_by, whose) = (crowd(), (3..4).into(), Whose::Actor(actor(1)));
        before.iter().for_each(|n| crowd.follow(whose, &cast(Some(1), 0..8, *n).0, &held_by));
        crowd.has_place(whose, &cast(Some(1), 0..8, bytes).0)
    };
    assert!(has_place(&[], 11) && has_place(&[4], 6));
    assert!(!has_place(&[4], 7) && !has_place(&[11], 1));
}

/// The ranks that have no room are named, also to those who wait behind others.
#[test]
fn who_waits_is_told_which_ranks_have_no_room() {
    let mut crowd = crowd();
    let holds = |crowd: &Crowd, from, ranks: Range<usize>| {
        let (cast, plan) = cast(from, ranks, 1);
        crowd.holds(&cast, &plan)
    };
    assert_eq!(holds(&crowd, Some(1), 0..8), None);
    crowd.join(&Busy::Ranks((3..5).into()));
    crowd.follow(Whose::Actor(actor(1)), &cast(Some(1), 0..8, 1).0, &(3..5).into());
    assert_eq!(holds(&crowd, None, 4..8), Some((4..5).into()));
    assert_eq!(holds(&crowd, None, 5..8), None);
    assert_eq!(holds(&crowd, Some(1), 5..8), Some((3..5).into()), "it is behind its own");
    assert_eq!(holds(&crowd, Some(2), 5..8), None);
    crowd.join(&Busy::All((7..8).into()));
    assert_eq!(holds(&crowd, Some(2), 0..1), Some((7..8).into()));
}
