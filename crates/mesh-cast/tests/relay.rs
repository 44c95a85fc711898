//! relay: order, duplicates, adoption and bounds of one node.

use std::sync::Arc;

use mesh_cast::relay::{Effect, Event};
use mesh_cast::{
    Answer, CastId, Expect, FanOut, Kind, Leg, LegId, Limits, Member, Members, Outcome, Plan,
    Progress, Relay, Sender, Settled, Settlement, StreamId, Unreached,
};
use mesh_core::{ActorId, Incarnation, MeshId, ProcId};
use mesh_shape::Overlay;

type Node = Relay<usize, u64, u8>;
type Effects = Vec<Effect<usize, u64, u8>>;

const CASTER: usize = 99;

/// The stream of a caster of the first process.
fn stream(index: u64) -> StreamId {
    stream_of(1, index)
}

fn stream_of(proc: u128, index: u64) -> StreamId {
    let caster = ActorId { proc: ProcId::from_random(proc), life: Incarnation::FIRST, index };
    StreamId { caster, mesh: MeshId::from_random(1) }
}

/// Seven nodes with one rank each, in one host, in a tree of two.
fn plan() -> Arc<Plan<usize>> {
    let member = |node: usize| Member { node, host: 0, ranks: (node..node + 1).into() };
    let members = Members::new(1, (0..7).map(member).collect()).expect("nodes differ");
    Arc::new(Plan::new(Arc::new(members), FanOut::new(2).expect("at least two")))
}

fn settled(through: u64, waiting: &[u64]) -> Settled {
    Settled { through, waiting: waiting.into() }
}

/// The leg of that number for `range`, after the cast before it.
fn leg(number: u64, range: std::ops::Range<usize>) -> Leg<u64> {
    Leg {
        cast: CastId { stream: stream(0), number },
        id: LegId { sender: Sender::Caster, number: 100 + number },
        kind: Kind::Cast,
        table: 1,
        region: None,
        expects: Overlay::from_range(range.clone(), Expect::After(number - 1)),
        range,
        settled: settled(0, &[]),
        payload: Some(number),
    }
}

/// The first leg of a stream to the last node.
fn first_of(stream: StreamId) -> Leg<u64> {
    let leg = leg(1, 6..7);
    Leg { cast: CastId { stream, ..leg.cast }, ..leg }
}

/// Word for the last node of what is settled, or that it is the last.
fn word(stream: StreamId, through: u64, is_last: bool) -> Event<usize, u64, u8> {
    let settled = settled(through, &[]);
    let settlement = Settlement { stream, table: 1, range: 6..7, settled, is_last };
    Event::Settled { settlement, plan: plan() }
}

fn incoming(leg: Leg<u64>) -> Event<usize, u64, u8> {
    Event::Incoming { from: CASTER, leg, plan: plan() }
}

fn node(me: usize) -> Node {
    Relay::new(me, Limits::default())
}

fn delivered(effects: &Effects) -> Vec<u64> {
    let delivered = effects.iter().filter_map(|effect| match effect {
        Effect::Deliver { payload, .. } => Some(*payload),
        Effect::Forward { .. }
        | Effect::Answer { .. }
        | Effect::Merge { .. }
        | Effect::PassOn { .. } => None,
    });
    delivered.collect()
}

fn forwards(effects: &Effects) -> Vec<(usize, std::ops::Range<usize>)> {
    let legs = effects.iter().filter_map(|effect| match effect {
        Effect::Forward { to, leg } => Some((*to, leg.range.clone())),
        Effect::Deliver { .. }
        | Effect::Answer { .. }
        | Effect::Merge { .. }
        | Effect::PassOn { .. } => None,
    });
    legs.collect()
}

fn answers(effects: &Effects) -> Vec<(usize, Progress)> {
    let answers = effects.iter().filter_map(|effect| match effect {
        Effect::Answer { to, answer } => Some((*to, answer.progress)),
        Effect::Deliver { .. }
        | Effect::Forward { .. }
        | Effect::Merge { .. }
        | Effect::PassOn { .. } => None,
    });
    answers.collect()
}

fn taken(number: u64, rank: usize) -> Event<usize, u64, u8> {
    let cast = CastId { stream: stream(0), number };
    Event::Said { cast, outcomes: Overlay::from_range(rank..rank + 1, Outcome::Taken) }
}

/// R2
#[test]
fn a_cast_is_held_back_until_the_one_before_it_has_come() {
    let mut node = node(6);
    assert_eq!(delivered(&node.step(incoming(leg(2, 6..7)))), []);
    assert_eq!(delivered(&node.step(incoming(leg(3, 6..7)))), []);
    assert_eq!(delivered(&node.step(incoming(leg(1, 6..7)))), [1, 2, 3]);
}

/// R2
#[test]
fn a_cast_that_comes_twice_is_delivered_once_and_answered_twice() {
    let mut node = node(6);
    assert_eq!(delivered(&node.step(incoming(leg(1, 6..7)))), [1]);
    assert_eq!(answers(&node.step(taken(1, 6))), [(CASTER, Progress::Done)]);
    let again = Event::Incoming { from: 3, leg: leg(1, 6..7), plan: plan() };
    let effects = node.step(again);
    let Some(Effect::Answer { to: 3, answer }) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(answer.outcomes, Overlay::from_range(6..7, Outcome::Taken));
    assert_eq!(effects.len(), 1);
}

/// R2: a node that has followed another one since the table that something was cast by is named as gone, since the one
/// before it may have taken that, and does not get it; what is cast by its own table it does.
#[test]
fn what_was_cast_to_the_life_before_is_not_taken_again() {
    let member = |node: usize| Member { node, host: 0, ranks: (node..node + 1).into() };
    let members = Members::new(3, (0..7).map(member).collect()).expect("nodes differ");
    let members = members.with_successors(Overlay::from_range(1..3, 3));
    let plan = Plan::new(Arc::new(members), FanOut::new(2).expect("at least two"));
    let spread = |table: u64| {
        let leg = Leg { table, ..leg(1, 0..4) };
        let mut node = node(0);
        let incoming = Event::Incoming { from: CASTER, leg, plan: Arc::new(plan.clone()) };
        let sent = forwards(&node.step(incoming));
        let mut unreached = Overlay::new();
        for effect in node.step(Event::Flush) {
            if let Effect::Answer { answer, .. } = effect {
                unreached.merge(answer.unreached);
            }
        }
        (sent, unreached)
    };
    let gone = Overlay::from_range(1..3, Unreached::Gone);
    assert_eq!(spread(2), (vec![(3, 3..4)], gone));
    assert_eq!(spread(3), (vec![(1, 1..2), (2, 2..4)], Overlay::new()));
}

/// R2
#[test]
fn what_the_caster_has_given_up_is_not_waited_for_and_not_delivered() {
    let mut node = node(6);
    assert_eq!(delivered(&node.step(incoming(leg(2, 6..7)))), []);
    // The caster has given up 1 and 2 here, and casts 3.
    let from = Leg { expects: Overlay::from_range(6..7, Expect::From(2)), ..leg(3, 6..7) };
    let effects = node.step(incoming(from));
    assert_eq!(delivered(&effects), [3]);
    assert_eq!(answers(&effects), [(CASTER, Progress::Done)]);
    assert_eq!(delivered(&node.step(incoming(leg(1, 6..7)))), []);
}

#[test]
fn word_of_what_is_settled_ends_the_waiting_too() {
    let mut node = node(6);
    assert_eq!(delivered(&node.step(incoming(leg(3, 6..7)))), []);
    let effects = node.step(word(stream(0), 2, false));
    assert_eq!(delivered(&effects), [3]);
}

/// R2
#[test]
fn a_node_passes_its_range_on_and_adopts_the_children_of_a_lost_child() {
    let mut node = node(0);
    let effects = node.step(incoming(leg(1, 0..7)));
    assert_eq!(forwards(&effects), [(1, 1..4), (4, 4..7)]);
    let effects = node.step(Event::Lost { node: 4, why: Unreached::Lost });
    assert_eq!(forwards(&effects), [(5, 5..6), (6, 6..7)]);
    // The caster is told whom to try again.
    let effects = node.step(Event::Flush);
    let Some(Effect::Answer { answer, .. }) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(answer.unreached, Overlay::from_range(4..5, Unreached::Lost));
}

#[test]
fn a_child_that_has_no_room_is_adopted_from() {
    let mut node = node(0);
    let effects = node.step(incoming(leg(1, 0..7)));
    let Some(Effect::Forward { leg: sent, .. }) = effects.first() else { panic!("{effects:?}") };
    let refused = Answer {
        cast: sent.cast,
        leg: sent.id,
        progress: Progress::Refused,
        outcomes: Overlay::new(),
        unreached: Overlay::new(),
        merged: None,
    };
    let effects = node.step(Event::Answered(1, refused));
    assert_eq!(forwards(&effects), [(2, 2..3), (3, 3..4)]);
}

#[test]
fn what_a_lost_parent_has_asked_for_is_dropped_and_what_was_delivered_is_not_forgotten() {
    let mut node = node(0);
    drop(node.step(incoming(leg(1, 0..7))));
    // It may have asked by another session than the one that is lost, and then it waits.
    let lost = node.step(Event::Lost { node: CASTER, why: Unreached::Lost });
    assert_eq!(answers(&lost), [(CASTER, Progress::Dropped)]);
    assert_eq!(forwards(&node.step(Event::Lost { node: 4, why: Unreached::Gone })), []);
    let again = Event::Incoming { from: 50, leg: leg(1, 0..1), plan: plan() };
    assert_eq!(delivered(&node.step(again)), []);
}

/// A child that has lost another session than that of the leg: the leg is asked of others.
#[test]
fn a_leg_that_a_child_has_dropped_goes_to_others() {
    let mut node = node(0);
    let legs = node.step(incoming(leg(1, 0..7)));
    let number = legs.iter().find_map(|effect| match effect {
        Effect::Forward { to: 4, leg } => Some(leg.id),
        Effect::Forward { .. }
        | Effect::Deliver { .. }
        | Effect::Answer { .. }
        | Effect::Merge { .. }
        | Effect::PassOn { .. } => None,
    });
    let answer = Answer {
        cast: leg(1, 0..7).cast,
        leg: number.expect("node 4 has half of it"),
        progress: Progress::Dropped,
        outcomes: Overlay::new(),
        unreached: Overlay::new(),
        merged: None,
    };
    let effects = node.step(Event::Answered(4, answer));
    assert_eq!(forwards(&effects), [(5, 5..6), (6, 6..7)]);
}

#[test]
fn a_leg_for_another_node_is_passed_on_to_it() {
    let effects = node(3).step(incoming(leg(1, 6..7)));
    assert_eq!((delivered(&effects), forwards(&effects)), (vec![], vec![(6, 6..7)]));
}

#[test]
fn replies_are_kept_until_the_caster_has_them_and_no_longer() {
    let mut node = node(6);
    let call = Leg { kind: Kind::Call, ..leg(1, 6..7) };
    let cast = call.cast;
    drop(node.step(incoming(call)));
    drop(node.step(taken(1, 6)));
    let reply = Overlay::from_range(6..7, Outcome::Replied(7));
    assert_eq!(node.step(Event::Said { cast, outcomes: reply.clone() }).len(), 1);
    // Still waited for, so kept; asked for again without the message, so told again.
    let again = Leg { kind: Kind::Call, payload: None, settled: settled(1, &[1]), ..leg(1, 6..7) };
    let effects = node.step(incoming(again));
    let Some(Effect::Answer { answer, .. }) = effects.first() else { panic!("{effects:?}") };
    assert_eq!((node.n_casts(), &answer.outcomes), (1, &reply));
    let next = Leg { settled: settled(1, &[]), ..leg(2, 6..7) };
    drop(node.step(incoming(next)));
    assert_eq!(node.n_casts(), 1);
}

#[test]
fn a_node_that_is_asked_for_what_it_never_had_says_so() {
    let effects = node(6).step(incoming(Leg { payload: None, ..leg(1, 6..7) }));
    let Some(Effect::Answer { answer, .. }) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(answer.unreached, Overlay::from_range(6..7, Unreached::Lost));
}

#[test]
fn late_replies_pass_one_by_one_and_equal_ones_are_one_run() {
    let mut node = node(4);
    let call = |leg: Leg<u64>| Leg { kind: Kind::Call, ..leg };
    let effects = node.step(incoming(call(leg(1, 4..7))));
    let sent: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Forward { to, leg } => Some((*to, leg.clone())),
            Effect::Deliver { .. }
            | Effect::Answer { .. }
            | Effect::Merge { .. }
            | Effect::PassOn { .. } => None,
        })
        .collect();
    let mut told = Vec::new();
    for (to, leg) in &sent {
        let answer = Answer {
            cast: leg.cast,
            leg: leg.id,
            progress: Progress::Done,
            outcomes: Overlay::from_range(leg.range.clone(), Outcome::Replied(7)),
            unreached: Overlay::new(),
            merged: None,
        };
        assert_eq!(node.step(Event::Answered(*to, answer)), []);
        if told.is_empty() {
            told.extend(node.step(Event::Flush));
            assert!(!node.has_news());
        }
    }
    let cast = sent[0].1.cast;
    let outcomes = Overlay::from_range(4..5, Outcome::Replied(7));
    told.extend(node.step(Event::Said { cast, outcomes }));
    let runs: Vec<_> = told
        .iter()
        .filter_map(|effect| match effect {
            Effect::Answer { answer, .. } => {
                Some((answer.progress, answer.outcomes.ranks().to_string()))
            }
            Effect::Deliver { .. }
            | Effect::Forward { .. }
            | Effect::Merge { .. }
            | Effect::PassOn { .. } => None,
        })
        .collect();
    assert_eq!(runs, [(Progress::Open, "4..6".to_owned()), (Progress::Done, "4,6".to_owned())]);
}

/// R1: who waits with a call for those below it says now and then that it is there; one that has nobody below need
/// not.
#[test]
fn a_forwarder_that_waits_for_a_long_call_is_not_taken_for_suspended() {
    let call = |leg: Leg<u64>| Leg { kind: Kind::Call, ..leg };
    let mut forwarder = node(4);
    let effects = forwarder.step(incoming(call(leg(1, 4..7))));
    for effect in effects {
        let Effect::Forward { to, leg } = effect else { continue };
        let arrived = Overlay::from_range(leg.range.clone(), Outcome::Arrived);
        let (cast, leg, unreached) = (leg.cast, leg.id, Overlay::new());
        let progress = Progress::Delivered;
        let answer = Answer { cast, leg, progress, outcomes: arrived, unreached, merged: None };
        drop(forwarder.step(Event::Answered(to, answer)));
    }
    assert_eq!(answers(&forwarder.step(Event::Flush)), [(CASTER, Progress::Delivered)]);
    // The same who was asked to reach one that its parent cannot.
    let mut helper = node(2);
    drop(helper.step(incoming(call(leg(1, 6..7)))));
    assert_eq!(answers(&helper.step(Event::Tick)), [(CASTER, Progress::Open)]);
    let mut leaf = node(6);
    drop(leaf.step(incoming(call(leg(1, 6..7)))));
    assert_eq!(answers(&leaf.step(Event::Flush)), [(CASTER, Progress::Delivered)]);
    let mut n_quiet = 0;
    for _ in 0..100 {
        let said = answers(&forwarder.step(Event::Tick));
        assert!(said.iter().all(|it| *it == (CASTER, Progress::Delivered)), "{said:?}");
        n_quiet = if said.is_empty() { n_quiet + 1 } else { 0 };
        // It is taken for suspended after six, and something may be late.
        assert!(n_quiet < 3, "it says nothing");
        assert_eq!(answers(&leaf.step(Event::Tick)), []);
    }
}

/// R2: a leg that comes after its caster has ended is not taken for a new one.
#[test]
fn a_caster_that_has_ended_gets_nothing_delivered_any_more_until_it_is_forgotten() {
    let mut node = node(6);
    drop(node.step(incoming(leg(1, 6..7))));
    drop(node.step(incoming(leg(3, 6..7))));
    // A parent may wait all the same.
    let farewell = node.step(word(stream(0), 3, true));
    assert_eq!(answers(&farewell), [(CASTER, Progress::Done); 2]);
    assert_eq!((node.n_casts(), node.n_streams(), node.has_duties()), (0, 0, false));
    for _ in 0..3 {
        let effects = node.step(incoming(leg(1, 6..7)));
        let done = vec![(CASTER, Progress::Done)];
        assert_eq!((delivered(&effects), answers(&effects)), (vec![], done));
        assert_eq!(node.step(Event::Aged), []);
    }
    assert_eq!(delivered(&node.step(incoming(leg(1, 6..7)))), [1]);
}

/// R2: what one caster of a process has left is not delivered behind what the next one casts.
#[test]
fn the_next_caster_of_a_process_is_the_end_of_the_one_before_it() {
    let mut node = node(6);
    drop(node.step(incoming(leg(1, 6..7))));
    drop(node.step(incoming(leg(3, 6..7))));
    let effects = node.step(incoming(first_of(stream(1))));
    assert_eq!(delivered(&effects), [1]);
    assert_eq!(answers(&effects), [(CASTER, Progress::Done); 2]);
    let effects = node.step(incoming(leg(2, 6..7)));
    assert_eq!((delivered(&effects), answers(&effects)), (vec![], vec![(CASTER, Progress::Done)]));
    // Nor does its farewell end the one that came after it.
    assert_eq!(node.step(word(stream(0), 3, true)), []);
    assert_eq!((node.n_casts(), node.n_streams()), (1, 1));
}

/// N9: a process that casts now and then, each time by another caster, takes one place.
#[test]
fn however_often_a_process_casts_anew_nobody_is_refused() {
    let limits = Limits { streams: 1, ..Limits::default() };
    let mut node: Node = Relay::new(6, limits);
    for index in 0..100 {
        let effects = node.step(incoming(first_of(stream(index))));
        assert_eq!(delivered(&effects), [1], "{index}");
        if index % 2 == 0 {
            drop(node.step(word(stream(index), 1, true)));
        }
    }
}

/// R2, N9: where there is no room for one more, the one goes that has ended, or is owed nothing and was heard of longest
/// ago; but none of which a leg may still be on its way.
#[test]
fn at_its_limit_a_relay_forgets_whom_it_owes_nothing_before_it_refuses() {
    let limits = Limits { streams: 4, ..Limits::default() };
    let mut node: Node = Relay::new(6, limits);
    for proc in 1..=4 {
        assert_eq!(delivered(&node.step(incoming(first_of(stream_of(proc, 0))))), [1]);
    }
    for proc in [2, 1] {
        assert!(!node.step(word(stream_of(proc, 0), 1, false)).is_empty(), "it was not taken");
    }
    drop(node.step(word(stream_of(3, 0), 1, true)));
    let refused = (CASTER, Progress::Refused);
    for n_refused in 0..2 {
        let effects = node.step(incoming(first_of(stream_of(5, 0))));
        assert_eq!(answers(&effects), [refused], "all were heard of {n_refused} ages ago");
        assert_eq!(node.step(Event::Aged), []);
    }
    assert_eq!((node.take_n_refused(), node.take_n_refused()), (2, 0));
    // One makes room after the other: 3 has said farewell, 2 was heard of before 1, and 4 is owed an answer.
    for (new, known) in [(5, vec![1, 2, 4]), (6, vec![1, 4]), (7, vec![4])] {
        assert_eq!(delivered(&node.step(incoming(first_of(stream_of(new, 0))))), [1], "{new}");
        let is_known = |proc: &u128| {
            let effects = node.clone().step(incoming(first_of(stream_of(*proc, 0))));
            // Of one that is known a cast that it has had is not delivered again.
            delivered(&effects).is_empty() && !answers(&effects).contains(&refused)
        };
        assert_eq!((1..=4).filter(is_known).collect::<Vec<_>>(), known, "{new}");
    }
    let effects = node.step(incoming(first_of(stream_of(8, 0))));
    assert_eq!(answers(&effects), [refused], "all are owed something");
}

#[test]
fn what_is_outside_the_limits_is_refused_and_changes_nothing() {
    let limits = Limits { window: 4, open: 1, streams: 1, legs: 1, ..Limits::default() };
    let mut node: Node = Relay::new(0, limits);
    let is_refused = |effects: Effects| answers(&effects) == [(CASTER, Progress::Refused)];
    assert!(is_refused(node.step(incoming(leg(5, 0..7)))), "a cast ahead of the window");
    assert!(is_refused(node.step(incoming(leg(1, 0..8)))), "a range that the mesh has not");
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let empty = leg(1, 4..2);
    assert!(is_refused(node.step(incoming(empty))), "an empty range");
    let waiting: Vec<u64> = (1..17).collect();
    let calls = Leg { settled: settled(16, &waiting), ..leg(17, 0..7) };
    assert!(is_refused(node.step(incoming(calls))), "more than may be open");
    assert_eq!(node.n_streams(), 0);
    assert_eq!(delivered(&node.step(incoming(leg(1, 0..7)))), [1]);
    let mut other = leg(1, 0..7);
    other.cast.stream = stream_of(2, 0);
    assert!(is_refused(node.step(incoming(other))), "one more stream");
    let mut again = leg(1, 0..7);
    again.id.number += 1;
    assert!(is_refused(node.step(incoming(again))), "one more leg");
}

#[test]
fn words_about_casts_that_are_not_there_change_nothing() {
    let mut node = node(6);
    let cast = CastId { stream: stream(0), number: 1 };
    let why = Unreached::Gone;
    assert_eq!(node.step(taken(1, 6)), []);
    assert_eq!(node.step(Event::LegFailed { cast, leg: 1, why }), []);
    assert_eq!(node.step(Event::Lost { node: 3, why }), []);
    assert_eq!(node.step(Event::Flush), []);
    assert_eq!(delivered(&node.step(incoming(leg(1, 6..7)))), [1]);
    let repeated = incoming(leg(1, 6..7));
    assert_eq!(node.step(repeated), []);
}
