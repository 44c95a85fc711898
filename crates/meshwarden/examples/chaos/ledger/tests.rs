//! Tests of the ledger: what it waits for, and what it finds.

use std::time::Duration;

use meshwarden::mesh_core::{Cause, Silence};
use meshwarden::mesh_shape::RankSet;

use super::*;
use crate::kind::{Core, Freezer};

const RANK: Rank = Rank::new(1);
const OTHER: Rank = Rank::new(0);
const FIRST: Incarnation = Incarnation::FIRST;
const SECOND: Incarnation = Incarnation::new(1);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_millis(millis))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn change(incarnation: Incarnation, status: Status) -> Change {
    let (ranks, restart_in) = (RankSet::from_iter([RANK]), None);
    Change { ranks, incarnation, status, restart_in, age: Duration::ZERO }
}

fn failed(reason: Reason) -> Change {
    change(FIRST, Status::failed(Cause::new(reason)))
}

fn killed() -> Change {
    failed(Reason::Signal { signal: 9, core: false })
}

/// Two ranks that have begun, and a round that has.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(2);
    for rank in [OTHER, RANK] {
        ledger.on_ready(rank, FIRST);
    }
    ledger.begin_round();
    ledger
}

fn inject(ledger: &mut Ledger, deed: Deed) -> Option<(u64, Incarnation)> {
    ledger.injected(at(10), RANK, (deed, false))
}

fn n_wrong(ledger: &Ledger, observer: Observer) -> [usize; 4] {
    let Verdict { lost, duplicate, spurious, wrong_cause, .. } = ledger.verdict(observer);
    [lost.len(), duplicate.len(), spurious.len(), wrong_cause.len()]
}

fn n_wrong_of_all(ledger: &Ledger) -> [[usize; 4]; 3] {
    Observer::EVERY.map(|observer| n_wrong(ledger, observer))
}

/// Tells everybody, a millisecond apart.
fn tell_all(ledger: &mut Ledger, from: u64, change: &Change) {
    for (observer, after) in Observer::EVERY.into_iter().zip(0..) {
        ledger.on_change(observer, at(from + after), change);
    }
}

#[test]
fn a_kill_is_settled_when_all_were_told_and_the_next_life_runs() {
    let mut ledger = ledger();
    assert_eq!(inject(&mut ledger, Deed::Kill), Some((0, FIRST)));
    for observer in Observer::EVERY {
        assert!(!ledger.is_settled(), "before the {}", observer.label());
        ledger.on_change(observer, at(12), &killed());
    }
    assert!(!ledger.is_settled());
    ledger.on_change(Observer::All, at(30), &change(SECOND, Status::Running));
    assert!(!ledger.is_settled());
    ledger.on_ready(RANK, SECOND);
    assert!(ledger.is_settled());
    ledger.ended(0, at(11));
    for observer in Observer::EVERY {
        assert_eq!((n_wrong(&ledger, observer), ledger.n_for(observer)), ([0; 4], 1));
        assert_eq!(ledger.latencies(observer, Kind::Kill, false), [millis(2)]);
        assert_eq!(ledger.latencies_of_news(observer, Kind::Kill, false), [millis(1)]);
        assert_eq!(ledger.latencies(observer, Kind::Kill, true), []);
        assert_eq!(ledger.latencies(observer, Kind::Exit, false), []);
    }
}

/// A life that ends by itself is found spurious, and does not end the run.
#[test]
fn a_rank_that_lost_a_life_more_runs_again() {
    let mut ledger = ledger();
    _ = inject(&mut ledger, Deed::Kill);
    tell_all(&mut ledger, 12, &killed());
    let orphaned = Status::failed(Cause::new(Reason::Orphaned));
    tell_all(&mut ledger, 20, &change(SECOND, orphaned));
    assert!(!ledger.is_settled());
    let third = SECOND.next();
    ledger.on_change(Observer::All, at(30), &change(third, Status::Running));
    ledger.on_ready(RANK, third);
    assert!(ledger.is_settled());
    assert_eq!(n_wrong_of_all(&ledger), [[0, 0, 1, 0]; 3]);
}

#[test]
fn a_fault_that_nobody_or_not_everybody_is_told_of_is_lost() {
    let mut ledger = ledger();
    _ = inject(&mut ledger, Deed::Kill);
    assert_eq!(n_wrong_of_all(&ledger), [[1, 0, 0, 0]; 3]);
    ledger.on_change(Observer::Owner, at(12), &killed());
    assert_eq!(n_wrong_of_all(&ledger), [[0; 4], [1, 0, 0, 0], [1, 0, 0, 0]]);
}

/// N1, N2
#[test]
fn an_end_that_is_told_again_is_a_duplicate() {
    let mut ledger = ledger();
    _ = inject(&mut ledger, Deed::Kill);
    tell_all(&mut ledger, 12, &killed());
    assert_eq!(n_wrong_of_all(&ledger), [[0; 4]; 3]);
    ledger.on_change(Observer::Terminal, at(20), &killed());
    assert_eq!(n_wrong_of_all(&ledger), [[0; 4], [0, 1, 0, 0], [0; 4]]);
}

/// N9
#[test]
fn an_end_that_nothing_has_caused_is_spurious() {
    let mut ledger = ledger();
    ledger.on_change(Observer::Owner, at(5), &killed());
    assert_eq!(n_wrong_of_all(&ledger), [[0, 0, 1, 0], [0; 4], [0; 4]]);
    _ = inject(&mut ledger, Deed::Suspend);
    ledger.continued(at(20), RANK, Kind::Continue);
    ledger.on_change(Observer::Terminal, at(30), &killed());
    assert_eq!(n_wrong(&ledger, Observer::Terminal), [0, 0, 1, 0], "what suspends ends nothing");
}

/// ST2
#[test]
fn another_end_than_the_fault_makes_is_a_wrong_cause() {
    for (deed, dumps, told) in [
        (Deed::Exit(7), false, Reason::Exit { code: 8 }),
        (Deed::Kill, false, Reason::OutOfMemory),
        (Deed::OutOfMemory, false, Reason::Signal { signal: 9, core: false }),
        (Deed::Segv(Core::Allowed), true, Reason::Signal { signal: 11, core: false }),
        (Deed::Segv(Core::Forbidden), false, Reason::Signal { signal: 11, core: true }),
        (Deed::Kill, false, Reason::LostByAgent),
    ] {
        let mut ledger = ledger();
        _ = ledger.injected(at(10), RANK, (deed, dumps));
        tell_all(&mut ledger, 12, &failed(told));
        assert_eq!(n_wrong_of_all(&ledger), [[0, 0, 0, 1]; 3], "{deed:?}");
    }
}

/// N1
#[test]
fn the_owner_is_told_nothing_of_a_clean_exit() {
    let mut ledger = ledger();
    _ = inject(&mut ledger, Deed::Exit(0));
    for observer in [Observer::Terminal, Observer::All] {
        ledger.on_change(observer, at(11), &change(FIRST, Status::Stopped));
    }
    assert_eq!(n_wrong_of_all(&ledger), [[0; 4]; 3]);
    assert_eq!(ledger.n_for(Observer::Owner), 0);
    ledger.on_change(Observer::Owner, at(12), &change(FIRST, Status::Stopped));
    assert_eq!(n_wrong(&ledger, Observer::Owner), [0, 0, 1, 0]);
}

#[test]
fn a_rank_that_is_held_up_is_awaited_until_it_runs_again() {
    let silent = Stall::silent(Silence::Control, Duration::from_secs(1));
    let cases = [
        (Deed::Suspend, Kind::Continue, Stall::Suspended { signal: 19 }),
        (Deed::Freeze(Freezer::Two), Kind::Thaw, silent),
    ];
    for (deed, relief, stall) in cases {
        let mut ledger = ledger();
        for start in [10, 100] {
            ledger.begin_round();
            _ = ledger.injected(at(start), RANK, (deed, false));
            assert!(!ledger.is_seen_held(RANK));
            let held = change(FIRST, Status::Stalled(stall.clone()));
            ledger.on_change(Observer::All, at(start + 1), &held);
            assert!(ledger.is_seen_held(RANK) && !ledger.is_seen_held(OTHER));
            assert!(!ledger.is_settled());
            ledger.continued(at(start + 2), RANK, relief);
            assert!(!ledger.is_settled());
            ledger.on_change(Observer::All, at(start + 5), &change(FIRST, Status::Running));
            assert!(ledger.is_settled());
        }
        assert_eq!(ledger.latencies(Observer::All, deed.kind(), false), [millis(1); 2]);
        assert_eq!(ledger.latencies(Observer::All, relief, false), [millis(3); 2]);
        assert_eq!(n_wrong_of_all(&ledger), [[0; 4]; 3]);
        assert_eq!((ledger.n_survived(), ledger.oddities()), (4, vec![]));
    }
}

#[test]
fn what_holds_a_rank_up_and_is_not_seen_is_lost() {
    let mut ledger = ledger();
    _ = inject(&mut ledger, Deed::Suspend);
    assert_eq!(n_wrong(&ledger, Observer::All), [1, 0, 0, 0]);
    let suspended = Status::Stalled(Stall::Suspended { signal: 19 });
    ledger.on_change(Observer::All, at(11), &change(FIRST, suspended));
    assert_eq!(n_wrong(&ledger, Observer::All), [0; 4]);
    ledger.continued(at(12), RANK, Kind::Continue);
    assert_eq!(n_wrong(&ledger, Observer::All), [1, 0, 0, 0], "it never ran again");
}

#[test]
fn who_asked_for_ends_only_is_told_of_nothing_else() {
    let mut ledger = ledger();
    ledger.on_change(Observer::Terminal, at(12), &change(FIRST, Status::Running));
    assert_eq!(ledger.oddities().len(), 1);
}

#[test]
fn every_subscriber_is_told_once_of_each_guard_that_replaces_another() {
    let mut ledger = ledger();
    ledger.begin_guard();
    assert_eq!(ledger.guard_killed(at(10), RANK), Some((0, FIRST)));
    tell_all(&mut ledger, 12, &failed(Reason::LostByAgent));
    assert_eq!(n_wrong_of_all(&ledger), [[0; 4]; 3]);
    assert_eq!(ledger.oddities().len(), 2, "nobody was told of a new one");
    for observer in [Observer::Terminal, Observer::All] {
        ledger.on_revived(observer, 0, SECOND);
    }
    assert_eq!(ledger.oddities(), [""; 0]);
    ledger.on_revived(Observer::All, 0, SECOND);
    assert_eq!(ledger.oddities().len(), 1, "one was told twice");
    assert_eq!(ledger.n_of(Kind::GuardKill, false), 1);
}

#[test]
fn figures_with_and_without_hogs_are_kept_apart() {
    let mut ledger = ledger();
    for (is_hogged, took) in [(false, 1), (true, 20)] {
        ledger.begin_phase(is_hogged);
        ledger.on_floor(&Sample { took: vec![(Kind::Kill, millis(took))], dumped: false });
    }
    _ = inject(&mut ledger, Deed::Kill);
    tell_all(&mut ledger, 50, &killed());
    assert_eq!(ledger.floor(Kind::Kill, false), [millis(1)]);
    assert_eq!(ledger.floor(Kind::Kill, true), [millis(20)]);
    assert_eq!((ledger.n_of(Kind::Kill, false), ledger.n_of(Kind::Kill, true)), (0, 1));
    assert_eq!(ledger.latencies(Observer::Owner, Kind::Kill, true), [millis(40)]);
}

/// D7
#[test]
fn a_handler_that_hangs_is_seen_by_the_names_of_its_actor_and_its_message() {
    let mut ledger = ledger();
    assert!(ledger.fault(at(10), RANK, (Kind::Wait, FaultKind::Suspends)).is_some());
    let mut is_seen = |actor: &str, message: &str| {
        let (actor, message) = (actor.to_owned(), message.to_owned());
        let handler = StalledHandler { actor, message, age: millis(500) };
        let status = Status::Stalled(Stall::Handler(handler.into()));
        ledger.on_change(Observer::All, at(12), &change(FIRST, status));
        ledger.is_seen_held(RANK)
    };
    assert!(!is_seen("chaos[0]", Wait::NAME) && !is_seen("chaos[1]", Block::NAME));
    assert!(is_seen("chaos[1]", Wait::NAME));
}
