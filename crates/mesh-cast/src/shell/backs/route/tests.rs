//! Which way something goes back, and who is believed.

use std::sync::Arc;

use mesh_core::{Incarnation, MeshId, ProcId};
use mesh_shape::{Extent, Region, ValueMesh};

use super::*;
use crate::plan::FanOut;
use crate::shell::table::{Seat, Table};

/// In which life the processes of the ranks are.
const LIFE: Incarnation = Incarnation::FIRST.next();

/// Ranks 0 to 3, each with a relay and an actor.
fn book() -> Book {
    let seat = Seat { life: LIFE, relay: Some(1), actor: Some(2), since: 0 };
    let extent = Extent::new([("r", 4)]).expect("its size is allowed");
    let proc = ProcId::from_random(1);
    let table = Table {
        mesh: MeshId::from_random(7),
        version: 1,
        fan_out: FanOut::new(2).expect("at least two"),
        procs: MeshId::from_random(1),
        region: Arc::new(Region::all(extent)),
        seats: ValueMesh::uniform(4, seat),
        directory: ActorId { proc, life: Incarnation::FIRST, index: 1 },
    };
    Book::new(Arc::new(table)).expect("it holds together")
}

fn relay(book: &Book, rank: usize) -> ActorId {
    book.table().relay(mesh_shape::Rank::new(rank)).expect("it is there")
}

/// A caster of a process that is no rank.
fn stranger() -> ActorId {
    ActorId { proc: ProcId::from_random(9), life: Incarnation::FIRST, index: 5 }
}

/// Where something goes from rank 1, that rank `home` has sent and that came to it from `parent`.
fn from_one(
    (home, n_hops): (ActorId, u8),
    (parent, avoid): (Option<ActorId>, Option<ActorId>),
    open: &[ActorId],
) -> Result<ActorId, Nowhere> {
    let book = book();
    let (me, avoid) = (relay(&book, 1).peer(), avoid.map(|it| it.peer()));
    let station = Station { me, book: &book, parent, avoid };
    route((home.peer(), n_hops), &station, |to| open.contains(&to))
}

/// R3: straight if there is a session, else to the parent, else by a new session.
#[tokio::test]
async fn what_goes_back_goes_by_the_shortest_way_that_there_is() {
    let book = book();
    let [one, two, three] = [1, 2, 3].map(|rank| relay(&book, rank));
    let sent = (three, 0);
    assert_eq!(from_one(sent, (Some(two), None), &[two, three]), Ok(three), "straight");
    assert_eq!(from_one(sent, (Some(two), None), &[two]), Ok(two), "by the parent");
    assert_eq!(from_one(sent, (Some(two), None), &[]), Ok(three), "by a new session");
    assert_eq!(from_one(sent, (Some(two), Some(two)), &[two]), Ok(three), "not where it came from");
    assert_eq!(from_one(sent, (Some(one), None), &[one]), Ok(three), "not here");
    let vain = (None, Some(three));
    assert_eq!(from_one(sent, vain, &[two]), Ok(two), "by anybody");
    assert!(from_one(sent, vain, &[]).is_err(), "by nobody");
    assert_eq!(from_one((three, HOPS_MAX - 1), (None, None), &[]), Ok(three));
    assert!(from_one((three, HOPS_MAX), (None, None), &[three]).is_err(), "not for ever");
}

/// R3: what goes back to a process that has been started again meanwhile is not passed on round and round; of a life that
/// the table does not know yet that is not said.
#[tokio::test]
async fn what_goes_back_to_a_process_that_is_over_is_given_up() {
    let book = book();
    let [two, three] = [2, 3].map(|rank| relay(&book, rank));
    let in_life = |life| {
        let home = ActorId { life, ..three };
        from_one((home, 0), (Some(two), None), &[two])
    };
    assert_eq!(in_life(Incarnation::FIRST), Err(Nowhere::Over), "for good");
    assert_eq!(in_life(LIFE.next()), Ok(two));
}

/// R3: who is no rank is reached by its caster, and who claims to have passed a cast on gets nothing.
#[tokio::test]
async fn what_a_stranger_cast_goes_to_its_caster() {
    let book = book();
    let (caster, two) = (stranger(), relay(&book, 2));
    assert_eq!(from_one((caster, 0), (Some(caster), None), &[caster]), Ok(caster));
    assert_eq!(from_one((caster, 0), (Some(two), None), &[two]), Ok(two));
    let other = ActorId { index: 99, ..two };
    assert_eq!(from_one((caster, 0), (Some(other), None), &[other, two]), Ok(two));
    assert!(from_one((caster, 0), (Some(other), None), &[other]).is_err());
}

/// R3: only relays of a mesh say what becomes of casts to it, and only of what lives in its processes.
#[tokio::test]
async fn who_is_no_relay_of_the_mesh_says_nothing_of_it() {
    let book = book();
    let rank = ActorId { index: 2, ..relay(&book, 3) };
    assert!(book.vouches(relay(&book, 2), rank));
    assert!(!book.vouches(ActorId { index: 3, ..relay(&book, 2) }, rank), "another actor there");
    assert!(!book.vouches(stranger(), rank));
    assert!(!book.vouches(relay(&book, 2), relay(&book, 3)), "what supervises");
    assert!(!book.vouches(relay(&book, 2), ActorId { index: 2, ..stranger() }), "elsewhere");
}

/// R3: a process that has passed a message on has another life by the time that this comes back by way of it, and whoever
/// sent it has had no word of that yet.
#[tokio::test]
async fn who_relays_in_a_later_life_of_a_process_is_believed() {
    let book = book();
    let (rank, two) = (ActorId { index: 2, ..relay(&book, 3) }, relay(&book, 2));
    let next = ActorId { life: two.life.next(), ..two };
    assert!(book.vouches(next, rank));
    assert!(!book.vouches(ActorId { index: 3, ..next }, rank), "another actor there");
    assert!(!book.vouches(ActorId { life: Incarnation::FIRST, ..two }, rank), "an earlier life");
    assert!(!book.vouches(ActorId { life: two.life.next(), ..stranger() }, rank));
}

/// R3: an actor that has ended, or its process, has a successor by the time that what it had not handled is on its way.
#[tokio::test]
async fn what_was_for_a_rank_before_it_was_started_again_is_believed() {
    let book = book();
    let rank = ActorId { index: 2, ..relay(&book, 3) };
    let before = [ActorId { index: 4, ..rank }, ActorId { life: Incarnation::FIRST, ..rank }];
    for of in before {
        assert!(book.vouches(relay(&book, 2), of), "{of}");
    }
}
