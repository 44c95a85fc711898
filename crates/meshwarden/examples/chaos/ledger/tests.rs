//! Tests of the ledger: what it waits for, and what it finds.

use meshwarden::mesh_core::{Cause, Reason};
use meshwarden::mesh_shape::RankSet;

use super::*;

const RANK: Rank = Rank::new(1);
const FIRST: Incarnation = Incarnation::FIRST;
const SECOND: Incarnation = Incarnation::new(1);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_millis(millis))
}

fn change(incarnation: Incarnation, status: Status) -> Change {
    let (ranks, restart_in) = (RankSet::from_iter([RANK]), None);
    Change { ranks, incarnation, status, restart_in, age: Duration::ZERO }
}

fn killed() -> Change {
    change(FIRST, Status::failed(Cause::new(Reason::Signal { signal: 9, core: false })))
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(2);
    for rank in [Rank::new(0), RANK] {
        ledger.on_ready(rank, FIRST);
    }
    ledger
}

fn n_wrong(ledger: &Ledger, observer: Observer) -> [usize; 4] {
    let Verdict { lost, duplicate, spurious, wrong_cause, .. } = ledger.verdict(observer);
    [lost.len(), duplicate.len(), spurious.len(), wrong_cause.len()]
}

#[test]
fn a_kill_is_settled_when_all_were_told_and_the_next_life_runs() {
    let mut ledger = ledger();
    ledger.begin_round();
    assert_eq!(ledger.injected(at(10), RANK, Deed::Kill), Some(FIRST));
    for observer in Observer::EVERY {
        assert!(!ledger.is_settled(RANK, Deed::Kill), "before the {}", observer.label());
        ledger.on_change(observer, at(12), &killed());
    }
    assert!(!ledger.is_settled(RANK, Deed::Kill));
    ledger.on_change(Observer::All, at(30), &change(SECOND, Status::Running));
    assert!(!ledger.is_settled(RANK, Deed::Kill));
    ledger.on_ready(RANK, SECOND);
    assert!(ledger.is_settled(RANK, Deed::Kill));
    for observer in Observer::EVERY {
        assert_eq!((n_wrong(&ledger, observer), ledger.n_for(observer)), ([0; 4], 1));
        assert_eq!(ledger.latencies(observer, Kind::Kill), [Duration::from_millis(2)]);
        assert_eq!(ledger.latencies(observer, Kind::Exit), []);
    }
}

/// N1
#[test]
fn the_owner_is_told_nothing_of_a_clean_exit() {
    let mut ledger = ledger();
    _ = ledger.injected(at(10), RANK, Deed::Exit(0));
    for observer in [Observer::Terminal, Observer::All] {
        ledger.on_change(observer, at(11), &change(FIRST, Status::Stopped));
    }
    assert_eq!(Observer::EVERY.map(|observer| n_wrong(&ledger, observer)), [[0; 4]; 3]);
    assert_eq!(ledger.n_for(Observer::Owner), 0);
    ledger.on_change(Observer::Owner, at(12), &change(FIRST, Status::Stopped));
    assert_eq!(n_wrong(&ledger, Observer::Owner), [0, 0, 1, 0]);
}

#[test]
fn a_suspended_rank_is_awaited_until_it_runs_again() {
    let mut ledger = ledger();
    let suspended = Status::Stalled(Stall::Suspended { signal: 19 });
    for start in [10, 100] {
        ledger.begin_round();
        _ = ledger.injected(at(start), RANK, Deed::Suspend);
        assert!(!ledger.is_seen_suspended(RANK));
        ledger.on_change(Observer::All, at(start + 1), &change(FIRST, suspended.clone()));
        assert!(ledger.is_seen_suspended(RANK) && !ledger.is_settled(RANK, Deed::Suspend));
        ledger.continued(at(start + 2), RANK);
        assert!(!ledger.is_settled(RANK, Deed::Suspend));
        ledger.on_change(Observer::All, at(start + 5), &change(FIRST, Status::Running));
        assert!(ledger.is_settled(RANK, Deed::Suspend));
    }
    assert_eq!(ledger.latencies(Observer::All, Kind::Suspend), [Duration::from_millis(1); 2]);
    assert_eq!(ledger.latencies(Observer::All, Kind::Continue), [Duration::from_millis(3); 2]);
    assert_eq!(Observer::EVERY.map(|observer| n_wrong(&ledger, observer)), [[0; 4]; 3]);
    assert!(ledger.oddities().is_empty());
}

#[test]
fn what_is_not_seen_is_lost_and_what_was_not_done_is_spurious() {
    let mut ledger = ledger();
    _ = ledger.injected(at(10), Rank::new(0), Deed::Suspend);
    assert_eq!(n_wrong(&ledger, Observer::All), [1, 0, 0, 0]);
    _ = ledger.injected(at(10), Rank::new(0), Deed::Terminate);
    assert_eq!(n_wrong(&ledger, Observer::Owner), [1, 0, 0, 0]);
    ledger.on_change(Observer::Terminal, at(11), &killed());
    assert_eq!(n_wrong(&ledger, Observer::Terminal), [1, 0, 1, 0]);
    ledger.on_change(Observer::Terminal, at(12), &change(FIRST, Status::Running));
    assert_eq!(ledger.oddities().len(), 1, "it asked for ends only");
}
