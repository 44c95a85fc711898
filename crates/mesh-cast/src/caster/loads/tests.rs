//! What is counted as it changes is what counting all of it gives.

use proptest::prelude::*;

use super::super::flight::Flight;
use super::*;
use crate::members::{Member, Members};
use crate::plan::{FanOut, Plan};
use crate::wire::{Kind, Outcome};
use mesh_shape::{Overlay, Rank};
use std::sync::Arc;

const RANKS: usize = 12;

type Flights = BTreeMap<u64, Flight<usize, (), ()>>;

/// One thing that happens to casts: what begins, or what ranks say of the cast of that place.
#[derive(Clone, Debug)]
enum Step {
    Cast { ranks: Range<usize>, kind: Kind, bytes: usize, is_ahead: bool },
    Said { place: usize, ranks: Range<usize>, outcome: Outcome<()> },
}

fn ranks() -> impl Strategy<Value = Range<usize>> {
    (0..RANKS, 1..=RANKS).prop_map(|(start, len)| start..(start + len).min(RANKS))
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Cast), Just(Kind::Call)];
    let cast =
        (ranks(), kind, 0..4_usize, any::<bool>()).prop_map(|(ranks, kind, bytes, ahead)| {
            Step::Cast { ranks, kind, bytes, is_ahead: ahead && kind == Kind::Cast }
        });
    let outcome =
        prop_oneof![Just(Outcome::Arrived), Just(Outcome::Taken), Just(Outcome::Replied(()))];
    let said = (0..8_usize, ranks(), outcome).prop_map(|(place, ranks, outcome)| Step::Said {
        place,
        ranks,
        outcome,
    });
    prop_oneof![cast, said]
}

/// What each rank has, if all casts are looked at.
fn all_of(flights: &Flights) -> Vec<Load> {
    let load = |rank: usize| {
        let rank = Rank::new(rank);
        let untaken = flights.values().filter(|it| !it.is_ahead && it.untaken.contains(rank));
        let calls = flights.values().filter(|it| it.kind.wants_reply());
        Load {
            n: untaken.clone().count(),
            bytes: untaken.map(|it| it.bytes).sum(),
            n_calls: calls.filter(|it| it.pending.contains(rank)).count(),
        }
    };
    (0..RANKS).map(load).collect()
}

fn counted(loads: &Loads) -> Vec<Load> {
    let mut all = vec![Load::default(); RANKS];
    loads.within(0..RANKS).for_each(|(run, load)| all[run].fill(*load));
    all
}

proptest! {
    #[test]
    fn what_is_counted_is_what_there_is(steps in prop::collection::vec(step(), 1..60)) {
        let member = |node: usize| Member { node, host: 0, ranks: (node..node + 1).into() };
        let members = Members::new(1, (0..RANKS).map(member).collect()).unwrap();
        let whole = Plan::new(Arc::new(members), FanOut::ALL);
        let (mut flights, mut loads) = (Flights::new(), Loads::new());
        for (number, step) in (1..).zip(steps) {
            match step {
                Step::Cast { ranks, kind, bytes, is_ahead } => {
                    let mut flight = Flight::new(kind, Arc::new(whole.within(ranks)), ((), bytes));
                    flight.is_ahead = is_ahead;
                    loads.count(number, &mut flight);
                    flights.insert(number, flight);
                }
                Step::Said { place, ranks, outcome } => {
                    let Some((number, flight)) = flights.iter_mut().nth(place) else { continue };
                    let before = (flight.untaken.clone(), flight.pending.clone());
                    _ = flight.resolve(Overlay::from_range(ranks, outcome)).is_empty();
                    if flight.absent.is_empty() {
                        flight.payload = None;
                    }
                    loads.count(*number, flight);
                    let news = loads.take_news().ranks;
                    if !flight.is_ahead {
                        prop_assert_eq!(before.0.difference(&flight.untaken).difference(&news), RankSet::new());
                    }
                    if flight.kind.wants_reply() {
                        prop_assert_eq!(before.1.difference(&flight.pending).difference(&news), RankSet::new());
                    }
                }
            }
            flights.retain(|_, flight| !flight.is_over());
            let open = flights.values().filter(|it| !it.is_ahead);
            prop_assert_eq!(loads.n, open.clone().count());
            prop_assert_eq!(loads.open_bytes, open.filter(|it| !it.untaken.is_empty()).map(|it| it.bytes).sum::<usize>());
            prop_assert_eq!(loads.kept_bytes, flights.values().filter(|it| it.payload.is_some()).map(|it| it.bytes).sum::<usize>());
            prop_assert_eq!(loads.n_calls, flights.values().filter(|it| it.kind.wants_reply()).count());
            let absent = flights.iter().filter(|(_, it)| !it.absent.is_empty()).map(|it| *it.0);
            prop_assert_eq!(&loads.absent, &absent.collect::<BTreeSet<_>>());
            prop_assert_eq!(counted(&loads), all_of(&flights));
            let half = RANKS / 3..RANKS / 2;
            let part: Vec<_> = loads.within(half.clone()).map(|(run, _)| run).collect();
            prop_assert!(part.iter().all(|run| run.start >= half.start && run.end <= half.end));
        }
    }
}
