//! caster: numbers, bounds, and one outcome for each rank, whatever is said or not said.

use std::sync::Arc;

use mesh_cast::caster::{Effect, Event};
use mesh_cast::{
    Answer, Busy, Caster, Expect, Failure, FanOut, Kind, Leg, Limits, Member, Members, Outcome,
    Plan, Progress, Relay, Settlement, StreamId, Unreached, relay,
};
use mesh_core::{ActorId, End, Fault, Incarnation, MeshId, ProcId};
use mesh_shape::{Overlay, Rank};

type Effects = Vec<Effect<usize, &'static str, u8>>;

fn stream() -> StreamId {
    let caster = ActorId { proc: ProcId::from_random(1), life: Incarnation::FIRST, index: 0 };
    StreamId { caster, mesh: MeshId::from_random(1) }
}

/// `nodes` with one rank each, in one host.
fn plan_of(version: u64, nodes: &[usize]) -> Arc<Plan<usize>> {
    let member = |(position, node): (usize, &usize)| Member {
        node: *node,
        host: 0,
        ranks: (position..position + 1).into(),
    };
    let members = Members::new(version, nodes.iter().enumerate().map(member).collect());
    let members = Arc::new(members.expect("nodes differ"));
    Arc::new(Plan::new(members, FanOut::new(2).expect("at least two")))
}

fn caster(limits: Limits) -> Caster<usize, &'static str, u8> {
    Caster::new(stream(), limits)
}

fn legs(effects: &Effects) -> Vec<(usize, Leg<&'static str>)> {
    let legs = effects.iter().filter_map(|effect| match effect {
        Effect::Forward { to, leg } => Some((*to, leg.clone())),
        Effect::PassOn { .. }
        | Effect::Resolved { .. }
        | Effect::Merged { .. }
        | Effect::Finished { .. }
        | Effect::Room => None,
    });
    legs.collect()
}

fn receivers(effects: &Effects) -> Vec<usize> {
    legs(effects).into_iter().map(|(to, _)| to).collect()
}

fn answer(sent: &(usize, Leg<&'static str>), outcome: Option<Outcome<u8>>) -> Event<usize, u8> {
    let (to, leg) = sent;
    let answer = Answer {
        cast: leg.cast,
        leg: leg.id,
        progress: Progress::Done,
        outcomes: outcome
            .map_or_else(Overlay::new, |outcome| Overlay::from_range(leg.range.clone(), outcome)),
        unreached: Overlay::new(),
        merged: None,
    };
    Event::Answered(*to, answer)
}

fn resolved(
    number: u64,
    range: std::ops::Range<usize>,
    failure: Failure,
) -> Effect<usize, &'static str, u8> {
    Effect::Resolved { number, outcomes: Overlay::from_range(range, Outcome::Failed(failure)) }
}

/// R1
#[test]
fn a_failed_rank_is_resolved_at_once_and_its_late_reply_is_not_told() {
    let mut caster = caster(Limits::default());
    let (number, sent) = caster.cast(plan_of(1, &[10]), Kind::Call, "?", 1).expect("there is room");
    let fault = Fault::NotTaken(End::Killed);
    let told = caster.step(Event::Failed(Overlay::from_rank(Rank::new(0), fault.clone())));
    assert_eq!(told, [resolved(number, 0..1, Failure::Fault(fault))]);
    // It may have been taken: until that is known the number is kept.
    let late = answer(&legs(&sent)[0], Some(Outcome::Replied(7)));
    assert_eq!(caster.step(late), [Effect::Finished { number }]);
}

/// R1
#[test]
fn a_caller_that_does_not_wait_any_longer_is_told_so_once() {
    let mut caster = caster(Limits::default());
    let (number, _) = caster.cast(plan_of(1, &[10]), Kind::Call, "?", 1).expect("there is room");
    let told = caster.step(Event::Withdrawn(number));
    assert_eq!(told, [resolved(number, 0..1, Failure::Withdrawn)]);
    assert_eq!(caster.step(Event::Withdrawn(number)), []);
}

/// H9
#[test]
fn a_cast_to_nobody_is_finished_at_once() {
    let (number, effects) =
        caster(Limits::default()).cast(plan_of(1, &[]), Kind::Call, "?", 1).expect("there is room");
    assert_eq!(effects, [Effect::Finished { number }]);
}

/// R3
#[test]
fn a_node_that_is_known_to_be_dead_is_named_and_not_sent_to() {
    let plan = Arc::new(plan_of(1, &[10, 11]).without(&(0..1).into()));
    let (number, effects) =
        caster(Limits::default()).cast(plan, Kind::Cast, "!", 1).expect("there is room");
    assert_eq!(receivers(&effects), [11]);
    assert!(effects.contains(&resolved(number, 0..1, Failure::Unreached(Unreached::Gone))));
}

/// R3: that nothing is for a rank now says nothing of what it was cast before.
#[test]
fn who_is_passed_over_still_answers_for_what_it_was_cast_before() {
    let mut caster = caster(Limits::default());
    let plan = plan_of(1, &[10]);
    let (first, sent) = caster.cast(Arc::clone(&plan), Kind::Cast, "a", 1).expect("there is room");
    let except = Arc::new(plan.except(&(0..1).into()));
    let (second, effects) = caster.cast(except, Kind::Cast, "b", 1).expect("there is room");
    assert_eq!(receivers(&effects), [10], "it may have to pass it on");
    assert_eq!(effects.last(), Some(&Effect::Finished { number: second }));
    assert_eq!(effects.len(), 2, "nothing is given up: {effects:?}");
    let outcomes = Overlay::from_range(0..1, Outcome::Taken);
    let taken = Effect::Resolved { number: first, outcomes };
    let told = caster.step(answer(&legs(&sent)[0], Some(Outcome::Taken)));
    assert_eq!(told, [taken, Effect::Finished { number: first }]);
}

#[test]
fn a_full_window_gives_the_message_back_and_says_when_there_is_room() {
    let mut caster = caster(Limits { window: 1, ..Limits::default() });
    let plan = plan_of(1, &[10]);
    let (_, sent) = caster.cast(Arc::clone(&plan), Kind::Cast, "a", 1).expect("there is room");
    let full = caster.cast(Arc::clone(&plan), Kind::Cast, "b", 1).expect_err("it is full");
    assert_eq!((full.message, full.busy), ("b", Busy::All((0..1).into())));
    let effects = caster.step(answer(&legs(&sent)[0], Some(Outcome::Taken)));
    assert_eq!(effects.last(), Some(&Effect::Room));
    let (_, sent) = caster.cast(Arc::clone(&plan), Kind::Cast, "b", 1).expect("there is room");
    assert!(caster.cast_if(plan, Kind::Cast, ("c", 1), || true).is_err());
    let effects = caster.step(answer(&legs(&sent)[0], Some(Outcome::Taken)));
    assert!(!effects.contains(&Effect::Room), "whoever may claim it looks himself");
}

/// Ranks `range` of three.
fn some_of_three(range: std::ops::Range<isize>) -> Arc<Plan<usize>> {
    let extent = mesh_shape::Extent::new([("r", 3)]).expect("it is small");
    let some = mesh_shape::Region::all(extent).slice("r", range).expect("they are there");
    Arc::new(plan_of(1, &[10, 11, 12]).to(some))
}

/// A mesh may be far larger than what is cast to.
#[test]
fn a_farewell_goes_to_those_that_anything_was_cast_to() {
    let mut caster = caster(Limits::default());
    let whole = plan_of(1, &[10, 11, 12]);
    assert_eq!(caster.farewell(&whole), [], "nothing was");
    let sent = caster.cast(some_of_three(1..3), Kind::Cast, "!", 1).expect("there is room").1;
    for leg in legs(&sent) {
        drop(caster.step(answer(&leg, Some(Outcome::Taken))));
    }
    let word = |position: usize| {
        let range = position..position + 1;
        let settled = caster.settled();
        let settlement = Settlement { stream: stream(), table: 1, range, settled, is_last: true };
        Effect::PassOn { to: 10 + position, settlement }
    };
    assert_eq!((caster.settled().through, caster.farewell(&whole)), (1, vec![word(1), word(2)]));
}

fn arrived(leg: &(usize, Leg<&'static str>)) -> Event<usize, u8> {
    let Event::Answered(from, answer) = answer(leg, Some(Outcome::Arrived)) else {
        panic!("it is one")
    };
    Event::Answered(from, Answer { progress: Progress::Delivered, ..answer })
}

/// R2: a cast that has arrived is before its rank in order: the tree goes on.
#[test]
fn a_rank_that_takes_nothing_holds_up_what_is_for_it_and_nothing_else() {
    let limits = Limits { window: 1, rank: 2, ..Limits::default() };
    let mut caster = caster(limits);
    let extent = mesh_shape::Extent::new([("r", 3)]).expect("it is small");
    let all = plan_of(1, &[10, 11, 12]);
    let two = mesh_shape::Region::all(extent).slice("r", 1..3).expect("there are two");
    let others = Arc::new(all.to(two));
    for _ in 0..2 {
        let sent = caster.cast(Arc::clone(&all), Kind::Cast, "!", 1).expect("there is room").1;
        for leg in legs(&sent) {
            let said = caster.step(arrived(&leg));
            assert_eq!(said, [], "nobody has taken it");
            let others = Overlay::from_range(1..3, Outcome::Taken);
            let Event::Answered(from, news) = arrived(&leg) else { panic!("it is one") };
            drop(caster.step(Event::Answered(from, Answer { outcomes: others, ..news })));
        }
    }
    assert_eq!(caster.settled().waiting.to_vec(), [1, 2]);
    let full = caster.cast(Arc::clone(&all), Kind::Cast, "!", 1).expect_err("the first is full");
    assert_eq!(full.busy, Busy::Ranks((0..1).into()));
    for _ in 0..9 {
        let sent = caster.cast(Arc::clone(&others), Kind::Cast, "!", 1).expect("they are not").1;
        for leg in legs(&sent) {
            drop(caster.step(answer(&leg, Some(Outcome::Taken))));
        }
    }
    assert_eq!(caster.n_flights(), 2);
    // A large message is for a rank that has as much to take no smaller one.
    let large = caster.cast(others, Kind::Cast, "!", limits.window_bytes).map(|(number, _)| number);
    assert_eq!(large, Ok(12));
}

#[test]
fn bytes_and_calls_have_bounds_of_their_own() {
    let limits = Limits { window_bytes: 10, calls: 1, ..Limits::default() };
    let plan = plan_of(1, &[10]);
    let mut bytes = caster(limits);
    assert!(bytes.cast(Arc::clone(&plan), Kind::Cast, "larger than all", 99).is_ok());
    assert!(bytes.cast(Arc::clone(&plan), Kind::Cast, "", 1).is_err());
    let mut calls = caster(limits);
    assert!(calls.cast(Arc::clone(&plan), Kind::Call, "?", 1).is_ok());
    let full = calls.cast(Arc::clone(&plan), Kind::Call, "?", 1).expect_err("one is not answered");
    assert_eq!(full.busy, Busy::Calls((0..1).into()));
    assert!(calls.cast(Arc::clone(&plan), Kind::Cast, "!", 1).is_ok());
    // What has arrived is not kept for others any more, and still for its rank; and what is open in all is
    // bounded as well.
    let bounds = [
        Limits { open_bytes: 9, ..Limits::default() },
        Limits { open: 1, ..Limits::default() },
        Limits { window_bytes: 9, ..Limits::default() },
    ];
    for limits in bounds {
        let mut open = caster(limits);
        let sent = open.cast(Arc::clone(&plan), Kind::Cast, "!", 5).expect("there is room").1;
        drop(open.step(arrived(&legs(&sent)[0])));
        let full = open.cast(Arc::clone(&plan), Kind::Cast, "!", 5).expect_err("it is full");
        assert_eq!(full.busy, Busy::Ranks((0..1).into()));
    }
}

#[test]
fn a_call_that_was_taken_does_not_hold_back_casts() {
    let mut caster = caster(Limits { window: 1, ..Limits::default() });
    let plan = plan_of(1, &[10]);
    let (_, sent) = caster.cast(Arc::clone(&plan), Kind::Call, "?", 1).expect("there is room");
    let Event::Answered(from, taken) = answer(&legs(&sent)[0], Some(Outcome::Taken)) else {
        return;
    };
    let taken = Answer { progress: Progress::Delivered, ..taken };
    assert_eq!(caster.step(Event::Answered(from, taken)), []);
    assert_eq!((caster.settled().through, caster.settled().waiting.to_vec()), (1, vec![1]));
    assert!(caster.cast(plan, Kind::Cast, "!", 1).is_ok());
}

/// N9: that a helper is gone says nothing about whom it was to reach.
#[test]
fn a_helper_that_is_gone_is_no_evidence_about_the_node_behind_it() {
    let mut caster = caster(Limits { tries: 3, ..Limits::default() });
    let plan = plan_of(1, &[10, 11, 12]);
    let (number, sent) = caster.cast(plan, Kind::Cast, "!", 1).expect("there is room");
    assert_eq!(receivers(&sent), [10, 11]);
    let lost = Event::Lost { node: 10, why: Unreached::Lost };
    assert_eq!(receivers(&caster.step(lost.clone())), [10]);
    assert_eq!(receivers(&caster.step(lost)), [11]);
    // The helper was the child at position 1 too, so its own place is resolved.
    let effects = caster.step(Event::Lost { node: 11, why: Unreached::Gone });
    let gone = resolved(number, 1..2, Failure::Unreached(Unreached::Gone));
    assert!(effects.contains(&gone), "{effects:?}");
    assert!(receivers(&effects).contains(&10), "{effects:?}");
}

/// R1: a peer that does not keep to the protocol cannot make a call hang.
#[test]
fn a_rank_that_nobody_speaks_for_is_asked_again_and_then_given_up() {
    let mut caster = caster(Limits { tries: 2, ..Limits::default() });
    let plan = plan_of(1, &[10]);
    let (number, mut effects) = caster.cast(plan, Kind::Call, "?", 1).expect("there is room");
    for _ in 0..3 {
        assert_eq!(receivers(&effects), [10]);
        let leg = legs(&effects)[0].clone();
        effects = caster.step(answer(&leg, None));
    }
    let lost = resolved(number, 0..1, Failure::Unreached(Unreached::Lost));
    assert_eq!(effects, [lost, Effect::Finished { number }]);
}

/// R2: what waits there for a cast that was given up cannot be taken either.
#[test]
fn a_node_that_is_given_up_is_given_up_for_all_it_has_not_taken_and_begins_anew() {
    let mut caster = caster(Limits { tries: 0, ..Limits::default() });
    let plan = plan_of(1, &[10]);
    let cast = |caster: &mut Caster<_, _, _>| {
        caster.cast(Arc::clone(&plan), Kind::Cast, "!", 1).expect("there is room").1
    };
    let first = cast(&mut caster);
    let second = cast(&mut caster);
    assert_eq!(legs(&second)[0].1.expects.get(Rank::new(0)), Some(&Expect::After(1)));
    let id = legs(&first)[0].1.id;
    let failed = Event::LegFailed { number: 1, leg: id.number, why: Unreached::Lost };
    let lost = Failure::Unreached(Unreached::Lost);
    assert_eq!(
        caster.step(failed),
        [
            resolved(1, 0..1, lost.clone()),
            Effect::Finished { number: 1 },
            resolved(2, 0..1, lost),
            Effect::Finished { number: 2 },
        ]
    );
    let third = cast(&mut caster);
    let leg = &legs(&third)[0].1;
    assert_eq!((leg.settled.through, leg.expects.get(Rank::new(0))), (2, Some(&Expect::After(0))));
}

/// R2: another life of a process has had nothing.
#[test]
fn a_node_that_was_started_again_is_sent_to_from_the_start() {
    let mut caster = caster(Limits::default());
    let old = plan_of(1, &[10, 11]);
    let (first, sent) = caster.cast(old, Kind::Cast, "a", 1).expect("there is room");
    let sent_to_10 = legs(&sent)[0].clone();
    assert_eq!(caster.step(answer(&sent_to_10, Some(Outcome::Taken))).len(), 1);
    let (_, effects) =
        caster.cast(plan_of(2, &[20, 11]), Kind::Cast, "b", 1).expect("there is room");
    let expects: Vec<_> = legs(&effects)
        .iter()
        .map(|(to, leg)| (*to, leg.expects.get(Rank::new(leg.range.start)).copied()))
        .collect();
    assert_eq!(expects, [(20, Some(Expect::From(first))), (11, Some(Expect::After(first)))]);
}

/// R1, R2: nobody waits for the next cast to hear that a node has gone.
#[test]
fn a_node_that_was_replaced_is_given_up_as_soon_as_that_is_known() {
    let mut caster = caster(Limits::default());
    let (number, _) =
        caster.cast(plan_of(1, &[10, 11]), Kind::Call, "?", 1).expect("there is room");
    let newer = Arc::clone(plan_of(2, &[20, 11]).members());
    let told = caster.step(Event::Members(newer));
    assert_eq!(told, [resolved(number, 0..1, Failure::Unreached(Unreached::Gone))]);
}

#[test]
fn what_nobody_asked_for_changes_nothing() {
    let mut caster = caster(Limits::default());
    let (_, sent) = caster.cast(plan_of(1, &[10]), Kind::Cast, "!", 1).expect("there is room");
    let leg = legs(&sent)[0].clone();
    let mut other = leg.clone();
    other.1.id.number += 9;
    assert_eq!(caster.step(answer(&other, Some(Outcome::Taken))), []);
    other = leg;
    other.1.cast.number += 9;
    assert_eq!(caster.step(answer(&other, Some(Outcome::Taken))), []);
    // Nor what somebody else says of it.
    other = (11, legs(&sent)[0].1.clone());
    assert_eq!(caster.step(answer(&other, Some(Outcome::Taken))), []);
    assert_eq!(caster.n_flights(), 1);
}

/// Casts to one rank of a mesh of so many, of which nobody takes or answers anything, until there is no room for
/// more. Returns how many there are.
fn fill(caster: &mut Caster<usize, &'static str, u8>, rank: usize, of: (Kind, usize)) -> usize {
    let (kind, bytes) = of;
    for n_cast in 0.. {
        let Ok((_, sent)) = caster.cast(one_of_many(rank), kind, "!", bytes) else {
            return n_cast;
        };
        for leg in legs(&sent) {
            let said = if kind == Kind::Call { Outcome::Taken } else { Outcome::Arrived };
            let Event::Answered(from, news) = answer(&leg, Some(said)) else { panic!("it is one") };
            drop(
                caster
                    .step(Event::Answered(from, Answer { progress: Progress::Delivered, ..news })),
            );
        }
    }
    unreachable!("there is a bound")
}

const MANY: usize = 256;

fn one_of_many(rank: usize) -> Arc<Plan<usize>> {
    static MESH: std::sync::OnceLock<Arc<Plan<usize>>> = std::sync::OnceLock::new();
    let all = MESH.get_or_init(|| plan_of(1, &(0..MANY).collect::<Vec<_>>()));
    let extent = mesh_shape::Extent::new([("r", MANY)]).expect("it is small");
    let one = (rank as isize)..(rank as isize + 1);
    let one = mesh_shape::Region::all(extent).slice("r", one).expect("it is there");
    Arc::new(all.to(Arc::new(one)))
}

/// R2: however many ranks take nothing, or answer nothing, each of the others has room; and all of it has a bound.
#[test]
fn many_ranks_that_take_nothing_hold_up_no_other() {
    let limits = Limits::default();
    for (n_full, of, bound) in [
        (16, (Kind::Cast, 1), limits.open),
        (200, (Kind::Cast, 1), limits.open),
        (9, (Kind::Cast, 9 << 20), limits.open_bytes / (9 << 20)),
        (60, (Kind::Call, 1), limits.calls),
    ] {
        let mut caster = caster(limits);
        let n_each: Vec<usize> = (0..n_full).map(|rank| fill(&mut caster, rank, of)).collect();
        assert!(n_each.iter().all(|n| *n > 0), "{of:?}: {n_each:?}");
        assert!(n_each.iter().sum::<usize>() <= bound + n_full, "{of:?}: {n_each:?}");
        let (kind, bytes) = of;
        let last = if kind == Kind::Call { Outcome::Replied(1) } else { Outcome::Taken };
        for rank in n_full..n_full + 20 {
            for _ in 0..5 {
                let sent = caster.cast(one_of_many(rank), kind, "!", bytes).expect("it is idle").1;
                for leg in legs(&sent) {
                    drop(caster.step(answer(&leg, Some(last.clone()))));
                }
            }
        }
        // After sixteen full ranks the others still need not take one after the other.
        let n_other = fill(&mut caster, n_full, of);
        assert!(n_other >= if n_full == 16 { 8 } else { 1 }, "{of:?}: {n_other}");
    }
}

/// R1, R2: what a caster sends to ranks that take nothing and answer nothing, one after the other, nodes take: the bounds
/// of both are the same.
#[test]
fn nodes_take_whatever_a_caster_has_room_for() {
    let limits = Limits { open: 4, ..Limits::default() };
    let mut caster = caster(limits);
    let mut n_most = 0;
    for kind in [Kind::Call, Kind::Cast] {
        for rank in 0..MANY {
            let plan = one_of_many(rank);
            let Ok((_, sent)) = caster.cast(Arc::clone(&plan), kind, "!", 1) else { continue };
            for (to, leg) in legs(&sent) {
                let mut node = Relay::<usize, &str, u8>::new(to, limits);
                n_most = n_most.max(leg.settled.waiting.len());
                let incoming =
                    relay::Event::Incoming { from: 1, leg: leg.clone(), plan: Arc::clone(&plan) };
                let taken = node.step(incoming);
                let is_taken = matches!(taken[..], [relay::Effect::Deliver { .. }, ..]);
                assert!(is_taken, "{n_most} wait: {taken:?}");
                let said = if kind == Kind::Call { Outcome::Taken } else { Outcome::Arrived };
                let Event::Answered(from, news) = answer(&(to, leg), Some(said)) else {
                    panic!("it is one")
                };
                let progress = Progress::Delivered;
                drop(caster.step(Event::Answered(from, Answer { progress, ..news })));
            }
        }
    }
    assert!(n_most > MANY + limits.open, "{n_most}: more than one for each rank");
}

/// Those below a node that says nothing hear what is settled before it speaks again.
#[test]
fn word_of_what_is_settled_goes_past_a_node_that_says_nothing() {
    let plan = plan_of(1, &[10, 11, 12, 13, 14, 15, 16]);
    let mut caster = caster(Limits::default());
    let (_, sent) = caster.cast(Arc::clone(&plan), Kind::Cast, "!", 1).expect("there is room");
    let [_, ref speaks] = legs(&sent)[..] else { panic!("{sent:?}") };
    for _ in 0..3 {
        let Event::Answered(from, said) = answer(speaks, None) else { unreachable!("it is one") };
        let is_there = Answer { progress: Progress::Open, ..said };
        drop(caster.step(Event::Answered(from, is_there)));
        drop(caster.step(Event::Tick));
    }
    let words = caster.settle(&plan).into_iter().map(|effect| match effect {
        Effect::PassOn { to, settlement } => (to, settlement.range),
        other => panic!("it is no word: {other:?}"),
    });
    let words: Vec<_> = words.collect();
    assert_eq!(words, [(10, 0..1), (11, 1..2), (12, 2..3), (13, 3..7)]);
}
