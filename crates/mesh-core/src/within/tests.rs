//! ST3 over every pair of what a rank says and what its place is.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::ids::MeshId;
use crate::status::{StalledHandler, StatusKind};

/// One of each kind, and of each kind of stall, by the word for it in [`TABLE`].
fn each(tag: &str) -> [(&'static str, Status); 12] {
    let handler =
        StalledHandler { actor: tag.to_owned(), message: "M".to_owned(), age: Duration::ZERO };
    let reason = Reason::Error { message: tag.to_owned() };
    [
        ("run", Status::Running),
        ("hand", Status::Stalled(Stall::Handler(Arc::new(handler)))),
        ("init", Status::Initializing),
        ("core", Status::Stalled(Stall::DumpingCore)),
        ("susp", Status::Suspect),
        ("unre", Status::Unreachable),
        ("froz", Status::Stalled(Stall::Suspended { signal: 19 })),
        ("none", Status::NotExist),
        ("stng", Status::Stopping),
        ("stop", Status::Stopped),
        ("fail", Status::failed(Cause::new(reason))),
        ("time", Status::Timeout { after: Duration::from_secs(30), cause: None }),
    ]
}

/// What the rank is, typed out: rows are what it says, columns what its place is, both in the order
/// of [`each`].
const TABLE: [[&str; 12]; 12] = [
    ["=", "hand", "init", "core", "susp", "unre", "froz", "none", "stng", "stop", "FAIL", "time"],
    ["=", "=", "init", "core", "susp", "unre", "froz", "none", "stng", "stop", "FAIL", "time"],
    ["=", "=", "=", "core", "susp", "unre", "froz", "none", "stng", "stop", "FAIL", "time"],
    ["=", "=", "=", "=", "susp", "unre", "froz", "none", "stng", "stop", "FAIL", "time"],
    ["=", "=", "=", "=", "=", "unre", "froz", "none", "stng", "stop", "FAIL", "time"],
    ["=", "=", "=", "=", "=", "=", "froz", "none", "stng", "stop", "FAIL", "time"],
    ["=", "=", "=", "=", "=", "=", "=", "none", "stng", "stop", "FAIL", "time"],
    ["=", "=", "=", "=", "=", "=", "=", "=", "stng", "stop", "FAIL", "time"],
    ["=", "=", "=", "=", "=", "=", "=", "=", "=", "stop", "FAIL", "time"],
    ["=", "=", "=", "=", "=", "=", "=", "=", "=", "=", "=", "="],
    ["=", "=", "=", "=", "=", "=", "=", "=", "=", "=", "=", "="],
    ["=", "=", "=", "=", "=", "=", "=", "=", "=", "=", "=", "="],
];

fn procs() -> MeshLabel {
    MeshLabel::new(MeshId::from_random(1), "words", "proc")
}

fn place(status: &Status) -> Place {
    Place::new(status, &procs(), Rank::new(3))
}

/// Every pair, by what the rank says and what its place is.
fn pairs() -> impl Iterator<Item = (Status, Status)> {
    each("rank").into_iter().flat_map(|(_, child)| {
        each("place").into_iter().map(move |(_, parent)| (child.clone(), parent))
    })
}

/// ST3
#[test]
fn every_pair_is_as_the_table_says() {
    let reason = Reason::Error { message: "place".to_owned() };
    let root = Link::rank(procs(), Rank::new(3), reason);
    let inherited = Status::failed(Cause::new(Reason::Inherited).with_chain(vec![root]));
    for ((said, child), row) in each("rank").into_iter().zip(TABLE) {
        for ((is, parent), word) in each("place").into_iter().zip(row) {
            let expected = match word {
                "=" => &child,
                "FAIL" => &inherited,
                word => {
                    assert_eq!(word, is, "{said} in {is}");
                    &parent
                }
            };
            assert_eq!(&child.clone().within(&place(&parent)), expected, "{said} in {is}");
        }
    }
}

/// The table of the module is the one of this test.
#[test]
fn the_documented_table_is_the_tested_one() {
    let lines = include_str!("../within.rs").lines().filter_map(|line| line.strip_prefix("//! "));
    let rows: Vec<&str> = lines
        .skip_while(|line| *line != "```text")
        .skip(2)
        .take_while(|line| *line != "```")
        .collect();
    assert_eq!(rows.len(), TABLE.len());
    for (line, row) in rows.into_iter().zip(TABLE) {
        let words: Vec<&str> = line[14..].split_whitespace().collect();
        assert_eq!(words, row, "{line}");
    }
}

#[test]
fn every_kind_of_status_is_in_the_table() {
    let kinds: Vec<StatusKind> = each("").iter().map(|(_, status)| status.kind()).collect();
    assert!(StatusKind::ALL.iter().all(|kind| kinds.contains(kind)));
}

/// ST3
#[test]
fn a_rank_is_never_healthier_than_it_says_nor_than_its_place() {
    for (child, parent) in pairs() {
        let is = child.clone().within(&place(&parent));
        assert!(is.health() <= child.health(), "{child} in {parent} is {is}");
        assert!(is.health() <= parent.health(), "{child} in {parent} is {is}");
        assert!(!parent.is_terminal() || is.is_terminal(), "{child} in {parent} is {is}");
    }
}

/// H2
#[test]
fn an_end_stands_whatever_its_place_is() {
    for (child, parent) in pairs().filter(|(child, _)| child.is_terminal()) {
        assert_eq!(child.clone().within(&place(&parent)), child, "in {parent}");
    }
}

/// H3
#[test]
fn stopping_is_left_only_for_an_end() {
    for (_, parent) in each("place") {
        let is = Status::Stopping.within(&place(&parent));
        assert!(is == Status::Stopping || is.is_terminal(), "in {parent} it is {is}");
    }
}

#[test]
fn what_is_applied_twice_is_applied_once() {
    for (child, parent) in pairs() {
        let once = child.within(&place(&parent));
        assert_eq!(once.clone().within(&place(&parent)), once, "in {parent}");
    }
}

#[test]
fn a_healthier_place_or_word_never_makes_a_rank_less_healthy() {
    for (child, parent) in pairs() {
        let is = child.clone().within(&place(&parent)).health();
        for (_, other) in each("other") {
            if other.health() >= parent.health() {
                let better = child.clone().within(&place(&other));
                assert!(better.health() >= is, "{child} in {other}, not in {parent}");
            }
            if other.health() >= child.health() {
                let better = other.clone().within(&place(&parent));
                assert!(better.health() >= is, "{other}, not {child}, in {parent}");
            }
        }
    }
}

/// ST4: whoever was asked to end has stopped if the owner of its place closes what that ran on, however deep it lives.
#[test]
fn who_is_stopping_has_stopped_where_its_place_was_closed() {
    let closed = Status::failed(Cause::new(Reason::Closed));
    for (word, said) in each("rank") {
        let is = said.clone().within(&place(&closed));
        let deeper = said.clone().within(&place(&Status::Running.within(&place(&closed))));
        if word == "stng" {
            assert_eq!((is, deeper), (Status::Stopped, Status::Stopped));
        } else if said.is_terminal() {
            assert_eq!((&is, &deeper), (&said, &said));
        } else {
            assert!(is.is_failure() && deeper.is_failure(), "{word}: {is}, {deeper}");
        }
    }
    for (child, parent) in pairs() {
        let (inner, outer) =
            (child.clone().within(&place(&parent)), parent.within(&place(&closed)));
        let (inside, outside) = (inner.within(&place(&closed)), child.within(&place(&outer)));
        assert_eq!(inside.kind(), outside.kind());
    }
}

/// It does not matter whether one asks from the inside or from the outside first.
#[test]
fn places_in_places_have_one_meaning() {
    for (child, proc) in pairs() {
        for (_, host) in each("host") {
            let outer = place(&host);
            let inward = child.clone().within(&place(&proc.clone().within(&outer)));
            let outward = child.clone().within(&place(&proc)).within(&outer);
            assert_eq!(inward.kind(), outward.kind(), "{child} in {proc} in {host}");
            assert_eq!(inward.health(), outward.health(), "{child} in {proc} in {host}");
        }
    }
}

/// ST2: nearest first, the root cause last.
#[test]
fn the_chain_leads_from_the_actor_over_its_process_to_the_host() {
    let hosts = MeshLabel::new(MeshId::from_random(2), "rack", "host");
    let host = Status::failed(Cause::new(Reason::Exit { code: 7 }).with_stderr(vec!["x".into()]));
    let proc = Status::Running.within(&Place::new(&host, &hosts, Rank::new(0)));
    let actor = Status::Running.within(&place(&proc));
    assert_eq!(
        actor.to_string(),
        "failed: ended with what it lived in, \
         caused by rank 3 of proc mesh words: ended with what it lived in, \
         caused by rank 0 of host mesh rack: exit code 7"
    );
    assert_eq!(actor.cause().map(|cause| cause.stderr.len()), Some(0));
}

/// H4: only lease arithmetic gives a timeout, and a late report of the place explains it.
#[test]
fn a_timeout_is_handed_on_with_its_silence_and_its_late_explanation() {
    let after = Duration::from_secs(30);
    let killed = Cause::new(Reason::Signal { signal: 9, core: false });
    let explained = Status::Timeout { after, cause: Some(killed.into()) };
    assert_eq!(
        Status::Running.within(&place(&explained)).to_string(),
        "timed out: its agent was silent for 30.0 s; later found: ended with what it lived in, \
         caused by rank 3 of proc mesh words: signal 9 (SIGKILL)"
    );
}

/// H4
#[test]
fn a_suspension_explains_a_silence_and_not_the_other_way_round() {
    let suspended = Status::Stalled(Stall::Suspended { signal: 19 });
    for silent in [Status::Suspect, Status::Unreachable] {
        assert_eq!(suspended.clone().within(&place(&silent)), suspended);
        assert_eq!(silent.within(&place(&suspended)), suspended);
    }
}

/// H8
#[test]
fn living_places_of_one_status_are_equal_whichever_rank_they_are() {
    for (_, status) in each("place").into_iter().filter(|(_, status)| !status.is_failure()) {
        let other = Place::new(&status, &procs(), Rank::new(4));
        assert_eq!(place(&status), other, "{status}");
    }
}

/// ST3: whatever is silent in it, a place is as busy as one whose handler hangs.
#[test]
fn a_silent_place_is_a_busy_one() {
    use crate::status::Silence;

    for what in [Silence::Runtime, Silence::Control, Silence::Watchdog, Silence::Triggered] {
        let silent = Status::Stalled(Stall::silent(what, Duration::from_secs(2)));
        assert_eq!(silent.health(), Health::Busy, "{silent}");
        assert_eq!(Status::Running.within(&place(&silent)), silent);
        assert_eq!(Status::Initializing.within(&place(&silent)), Status::Initializing);
    }
}
