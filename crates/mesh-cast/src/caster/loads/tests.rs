//! What is counted as it changes is what counting all of it gives.

use proptest::prelude::*;

use super::super::flight::Flight;
use super::*;
use crate::members::{Member, Members};
use crate::plan::{FanOut, Plan};
use crate::wire::{Failure, Kind, Outcome, Unreached};
use mesh_shape::{Overlay, Rank};
use std::sync::Arc;

const RANKS: usize = 12;

type Flights = BTreeMap<u64, Flight<usize, (), ()>>;

/// One thing that happens to casts: what begins, or what becomes of the cast of that place before it is counted again.
#[derive(Clone, Debug)]
enum Step {
    Cast { ranks: Range<usize>, kind: Kind, bytes: usize, is_ahead: bool },
    Heard { place: usize, all: Vec<Heard> },
}

/// What is heard of ranks.
#[derive(Clone, Debug)]
enum Heard {
    Said(Range<usize>, Outcome<()>),
    Merged(RankSet),
    /// They have failed, or nobody waits for them.
    Failed(RankSet),
    GivenUp(usize),
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
    let heard = (0..8_usize, prop::collection::vec(heard(), 1..4))
        .prop_map(|(place, all)| Step::Heard { place, all });
    prop_oneof![cast, heard]
}

fn heard() -> impl Strategy<Value = Heard> {
    let outcome =
        prop_oneof![Just(Outcome::Arrived), Just(Outcome::Taken), Just(Outcome::Replied(()))];
    let some = || prop::collection::vec(0..RANKS, 0..5);
    let some = || some().prop_map(|some| RankSet::from_ranks(some.into_iter().map(Rank::new)));
    prop_oneof![
        6 => (ranks(), outcome).prop_map(|(ranks, outcome)| Heard::Said(ranks, outcome)),
        1 => some().prop_map(Heard::Merged),
        1 => some().prop_map(Heard::Failed),
        1 => (0..RANKS).prop_map(Heard::GivenUp),
    ]
}

fn hear(flight: &mut Flight<usize, (), ()>, heard: Heard) {
    match heard {
        Heard::Said(ranks, outcome) => drop(flight.resolve(Overlay::from_range(ranks, outcome))),
        Heard::Merged(ranks) => _ = flight.resolve_merged(&ranks),
        Heard::Failed(ranks) => drop(flight.resolve_only(&ranks, &Failure::Withdrawn)),
        Heard::GivenUp(position) => drop(flight.give_up((position, Unreached::Gone))),
    }
}

/// The ranks at which there is less than before.
fn lessened(before: &Flight<usize, (), ()>, now: &Flight<usize, (), ()>) -> RankSet {
    let pairs = [(&before.untaken, &now.untaken), (&before.pending, &now.pending)];
    let counts = [!now.is_ahead, now.kind.wants_reply()];
    let less = pairs.map(|(before, now)| before.ranks().difference(now.ranks()));
    let less = less.iter().zip(counts).filter(|(_, counts)| *counts);
    less.fold(RankSet::new(), |all, (less, _)| all.union(less))
}

/// What each rank has, if all casts are looked at.
fn all_of(flights: &Flights) -> Vec<Load> {
    let load = |rank: usize| {
        let rank = Rank::new(rank);
        let untaken =
            flights.values().filter(|it| !it.is_ahead && it.untaken.ranks().contains(rank));
        let calls = flights.values().filter(|it| it.kind.wants_reply());
        Load {
            n: untaken.clone().count(),
            bytes: untaken.map(|it| it.bytes).sum(),
            n_calls: calls.filter(|it| it.pending.ranks().contains(rank)).count(),
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
                    loads.begin(number, &mut flight);
                    flights.insert(number, flight);
                }
                Step::Heard { place, all } => {
                    let Some((number, flight)) = flights.iter_mut().nth(place) else { continue };
                    let before = flight.clone();
                    all.into_iter().for_each(|heard| hear(flight, heard));
                    if flight.absent.is_empty() {
                        flight.payload = None;
                    }
                    loads.count(*number, flight);
                    prop_assert_eq!(loads.take_news().ranks, lessened(&before, flight));
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
