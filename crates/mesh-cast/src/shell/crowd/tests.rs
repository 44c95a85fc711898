//! Who waits behind whom, and how many may.

use std::ops::Range;

use mesh_core::{ActorId, Incarnation, ProcId};

use super::*;

mod random;

fn actor(index: u64) -> ActorId {
    ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index }
}

/// A cast of an actor, or of a program that is none, to some of those ranks.
fn who(from: Option<u64>, ranks: Range<usize>, bytes: usize) -> Who {
    Who { from: from.map(actor), ranks: ranks.into(), is_call: false, bytes, is_ahead: false }
}

/// A crowd before a caster that has no room at some ranks.
struct Booth {
    crowd: Crowd<()>,
    full: RankSet,
    unreached: RankSet,
    last: u64,
    /// How often one was looked at.
    n_looks: usize,
}

/// What becomes of one.
#[derive(Debug, PartialEq)]
enum Became {
    Cast(u64),
    Refused(u64, RankSet, Bound),
}

impl Booth {
    fn new(limits: Limits) -> Self {
        let (full, unreached) = (RankSet::new(), RankSet::new());
        Self { crowd: Crowd::new(limits), full, unreached, last: 0, n_looks: 0 }
    }

    fn come(&mut self, from: Option<u64>, ranks: Range<usize>, bytes: usize) -> Vec<Became> {
        self.last += 1;
        self.crowd.come(self.last, who(from, ranks, bytes), ());
        self.look()
    }

    /// How many of nine may wait.
    fn n_places(&mut self, from: Option<u64>, ranks: Range<usize>) -> usize {
        (0..9).filter(|_| self.come(from, ranks.clone(), 1).is_empty()).count()
    }

    /// Some ranks have room, for all that comes.
    fn free(&mut self, ranks: Range<usize>) -> Vec<Became> {
        self.full.remove_range(ranks.clone());
        let news = News { ranks: ranks.into(), has_arrived: self.unreached.is_empty() };
        self.crowd.hear(&news, &Share { n: 0, bytes: 0, n_calls: 0 });
        self.look()
    }

    /// How many go on when some ranks have room, and how often one is looked at.
    fn looks_for(&mut self, ranks: Range<usize>) -> (usize, usize) {
        self.n_looks = 0;
        (self.free(ranks).len(), self.n_looks)
    }

    /// How many go on when one waits no longer, and how often one is looked at.
    fn looks_without(&mut self, number: u64) -> (usize, usize) {
        self.n_looks = 0;
        assert!(self.crowd.leave(number).is_some());
        (self.look().len(), self.n_looks)
    }

    /// As [`Crowd::next`], and counts.
    fn next(&mut self) -> Option<Turn<()>> {
        let full = &self.full;
        let lacks = |_, _, ranks: &RankSet| ranks.difference(full).is_empty().then(Until::default);
        while let Some(number) = self.crowd.obstacles.next_due() {
            self.n_looks += 1;
            let turn = self.crowd.look_at(number, &lacks);
            if turn.is_some() {
                return turn;
            }
        }
        None
    }

    fn look(&mut self) -> Vec<Became> {
        let mut became = Vec::new();
        while let Some(turn) = self.next() {
            let refused = match turn {
                Turn::Refuse(refused) => Some((self.last, refused)),
                Turn::Try(number, ()) => {
                    let full = self.crowd.waiting[&number].who.ranks.intersection(&self.full);
                    let busy = match (full.is_empty(), self.unreached.is_empty()) {
                        (false, _) => Some(Busy::Ranks(full)),
                        (true, false) => Some(Busy::All(self.unreached.clone())),
                        (true, true) => None,
                    };
                    let Some(busy) = busy else {
                        self.crowd.done(number);
                        became.push(Became::Cast(number));
                        continue;
                    };
                    let refused = self.crowd.wait(number, (), (busy, Until::default()));
                    refused.map(|refused| (number, refused))
                }
            };
            let refused = refused.map(|(number, it)| Became::Refused(number, it.ranks, it.bound));
            became.extend(refused);
        }
        became
    }
}

/// Few of each sender, and more of all together.
const FEW: Limits = {
    let limits = Limits { waiting: 2, waiting_bytes: 10, ..Limits::DEFAULT };
    Limits { waiting_in_all: 100, waiting_bytes_in_all: 1000, ..limits }
};

/// R2: where nothing can be cast before one rank is reached, what programs send to others takes no place of what they
/// send to that one, nor has it none for that.
#[test]
fn what_programs_send_to_others_has_places_where_one_rank_is_not_reached() {
    let mut booth = Booth::new(FEW);
    booth.unreached = (3..4).into();
    let n_places = [3..4, 5..8, 0..8].map(|ranks| booth.n_places(None, ranks));
    assert_eq!(n_places, [2, 2, 0], "the last are for that rank, too");
}

/// R2: what one actor sends to a rank that takes nothing takes no place of others, nor what programs send to others.
#[test]
fn each_sender_has_places_of_its_own_and_programs_have_for_each_rank() {
    let mut booth = Booth::new(FEW);
    booth.full = (3..6).into();
    let all = [(Some(1), 3..4), (Some(2), 3..4), (None, 3..4), (None, 5..6)];
    let n_places = all.map(|(from, ranks)| booth.n_places(from, ranks));
    assert_eq!(n_places, [2; 4]);
}

/// A message that is larger than all that may wait waits alone.
#[test]
fn what_waits_has_a_bound_in_bytes() {
    let has_place = |before: &[usize], bytes: usize| {
        let mut booth = Booth::new(FEW);
        booth.full = (3..4).into();
        before.iter().for_each(|n| assert_eq!(booth.come(Some(1), 0..8, *n), []));
        booth.come(Some(1), 0..8, bytes).is_empty()
    };
    assert!(has_place(&[], 11) && has_place(&[4], 6));
    assert!(!has_place(&[4], 7) && !has_place(&[11], 1));
}

/// R2, R3: what all have waiting has a bound, which says that it is that one; and whoever has nothing waiting has the
/// place that becomes free, and not whoever has much.
#[test]
fn all_together_have_a_bound_and_who_has_little_waiting_comes_before_who_has_much() {
    let limits = Limits { waiting: 8, waiting_in_all: 16, ..FEW };
    let mut booth = Booth::new(Limits { waiting_bytes: 1000, ..limits });
    booth.full = (3..4).into();
    let n_places = [1, 2, 3, 4, 5, 6, 7].map(|from| booth.n_places(Some(from), 3..4));
    assert_eq!(n_places, [5, 4, 2, 2, 1, 1, 1]);
    let refused = booth.come(Some(8), 3..4, 1);
    assert_eq!(refused, [Became::Refused(booth.last, (3..4).into(), Bound::Shared)]);
    assert_eq!(booth.come(Some(8), 5..6, 1), [Became::Cast(booth.last)], "there is room");
    assert!(booth.crowd.leave(1).is_some());
    assert_eq!([1, 8, 9].map(|from| booth.n_places(Some(from), 3..4)), [0, 1, 0]);
}

/// R2: programs have places for each rank, and no more than one sender of what all share.
#[test]
fn programs_have_no_more_of_what_all_share_than_one_sender() {
    let mut booth = Booth::new(Limits { waiting: 4, waiting_in_all: 16, ..FEW });
    booth.full = (0..8).into();
    let n_places = [0, 1, 2].map(|rank| booth.n_places(None, rank..rank + 1));
    assert_eq!(n_places, [4, 1, 0]);
    assert_eq!([1, 2].map(|from| booth.n_places(Some(from), 0..1)), [4, 2]);
}

/// R2: small messages that come again and again leave a large one its place.
#[test]
fn the_first_of_a_sender_has_a_place_of_whatever_size() {
    let mut booth = Booth::new(Limits { waiting_bytes: 1000, waiting_bytes_in_all: 10, ..FEW });
    booth.full = (3..4).into();
    let has_place = |booth: &mut Booth, from, bytes| booth.come(Some(from), 3..4, bytes).is_empty();
    let came = [(1, 3), (2, 3), (3, 3), (4, 7), (5, 1), (5, 0)];
    let n_places = came.map(|(from, bytes)| has_place(&mut booth, from, bytes));
    assert_eq!(n_places, [true, true, true, true, false, true], "only bytes are used up");
}

/// The ranks that have no room are named, also to those who wait behind others.
#[test]
fn who_waits_is_told_which_ranks_have_no_room() {
    let mut booth = Booth::new(Limits { waiting: 9, ..FEW });
    booth.full = (3..5).into();
    let told = |booth: &mut Booth, from, ranks| {
        let became = booth.come(from, ranks, 1);
        became.is_empty().then(|| booth.crowd.leave(booth.last).expect("it waits").0)
    };
    assert_eq!(booth.come(Some(1), 0..8, 1), []);
    assert_eq!(told(&mut booth, None, 4..8), Some((4..5).into()));
    assert_eq!(told(&mut booth, None, 5..8), None);
    assert_eq!(told(&mut booth, Some(1), 5..8), Some((3..5).into()), "it is behind its own");
    assert_eq!(told(&mut booth, Some(2), 5..8), None);
    booth.unreached = (7..8).into();
    assert_eq!(booth.come(Some(2), 0..1, 1), []);
    assert_eq!(told(&mut booth, Some(3), 0..1), Some((7..8).into()));
}

/// R2: as when nobody waits any more for a call of several ranks.
#[test]
fn where_several_ranks_have_room_at_once_all_go_on_who_wait_there() {
    let mut booth = Booth::new(FEW);
    booth.full = (3..6).into();
    for (from, rank) in [(1, 3), (2, 4), (3, 5)] {
        assert_eq!(booth.come(Some(from), rank..rank + 1, 1), []);
    }
    assert_eq!(booth.free(3..5), [Became::Cast(1), Became::Cast(2)]);
}

/// A thousand wait, and an event looks at those that it may make room for, and at nobody else.
#[test]
fn an_event_looks_at_nobody_whom_it_makes_no_room_for() {
    let mut booth = Booth::new(Limits::DEFAULT);
    booth.full = (0..8).into();
    for number in 0..1000 {
        let from = Some(number % 500).filter(|from| from % 2 == 0);
        assert_eq!(booth.come(from, (number as usize % 7)..7, 1), []);
    }
    assert_eq!(booth.looks_for(7..8), (0, 0), "nobody waits there");
    let (_, n) = booth.looks_for(3..4);
    assert!(n <= 8, "the first that waits there, and one for each set of ranks: {n}");
    assert_eq!(booth.looks_without(500), (0, 0), "it was not the first");
}

/// Those that wait for the same ranks do not move from one to another, whichever of these has room.
#[test]
fn who_waits_for_the_same_ranks_as_one_before_him_is_not_looked_at() {
    let mut booth = Booth::new(Limits::DEFAULT);
    booth.full = (0..2).into();
    for from in 1..=1000 {
        assert_eq!(booth.come(Some(from), 0..2, 1), []);
    }
    for rank in [0, 1, 0, 1] {
        let (n_cast, n_looks) = booth.looks_for(rank..rank + 1);
        assert!((n_cast, n_looks) <= (0, 2), "at {rank}: {n_cast} cast, {n_looks} looked at");
        booth.full.insert_range(rank..rank + 1);
    }
    assert_eq!(booth.looks_without(1), (0, 1), "the next of them");
}

/// A thousand wait at ranks of their own behind a broadcast that is refused again each time.
#[test]
fn a_broadcast_that_is_refused_again_is_looked_at_alone() {
    let mut booth = Booth::new(Limits::DEFAULT);
    booth.full = (0..1002).into();
    assert_eq!(booth.come(Some(0), 0..1002, 1), []);
    for (from, rank) in (1..).zip(1..1001) {
        assert_eq!(booth.come(Some(from), rank..rank + 1, 1), []);
    }
    for rank in [0, 1001, 0, 1001] {
        assert_eq!(booth.looks_for(rank..rank + 1), (0, 1), "nobody else waits at {rank}");
        booth.full.insert_range(rank..rank + 1);
    }
    assert_eq!(booth.looks_for(500..501), (1, 2), "it, and who waits there");
}

/// R3: a caster that fails at one leaves the others to the next, and nobody stands behind the one.
#[test]
fn what_a_caster_has_failed_at_is_in_nobodys_way() {
    let mut booth = Booth::new(FEW);
    booth.full = (3..4).into();
    assert_eq!((booth.come(Some(1), 3..4, 1), booth.come(Some(1), 5..6, 1)), (vec![], vec![]));
    booth.full = RankSet::new();
    booth.crowd.begin_anew();
    assert!(matches!(booth.crowd.next(|_, _, _| None), Some(Turn::Try(1, ()))));
    booth.crowd.begin_anew();
    assert_eq!(booth.look(), [Became::Cast(2)]);
    assert_eq!((booth.crowd.len(), booth.n_places(Some(1), 3..4)), (0, 0), "there is room");
}
