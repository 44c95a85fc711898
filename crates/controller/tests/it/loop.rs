//! loop: when a controller checks, what a check is, and when it ends (L1 to L7, K1).

use std::collections::BTreeSet;
use std::time::Duration;

use controller::{
    Config, ConfigError, Controller, Effect, Event, RestartConfig, Spec, SpecError, Times,
};
use mesh_core::{
    BeatSeq, Echo, Incarnation, Interest, MeshId, MeshLabel, MeshPhase, MeshRequest, NameError,
    News, Order, Status, StatusKind, Timestamp,
};
use mesh_shape::{Extent, Rank, RankSet, Region};

use crate::support::{
    LAN, Mesh, Plain, Ranks, answer, ask, ask_stop, asked, at, beat, change, changed, crash,
    crashed, ended, kinds, new, nth_report, of_life, query_failed, renew, report, running, secs,
    spec, start, statuses, stop, subscribe, tell, tell_owner, unechoed,
};

/// L1
#[test]
fn opening_starts_every_rank_and_schedules_the_first_check() {
    let mut mesh = new(5, 2, LAN);
    assert_eq!(mesh.next_deadline(), None, "nothing is due before it is opened");
    assert_eq!(mesh.step(at(3), Event::Opened), [start(0, 0..3, 0), start(1, 3..5, 0)]);
    let first = mesh.check_due().expect("ranks live").since(at(3));
    assert!(first <= LAN.times.check && first >= LAN.times.check * 9 / 10, "{first:?}");
    assert_eq!(mesh.step(at(3), Event::Opened), [], "once");
}

/// L2, L3: while a poll is in flight everything else goes on, and no second poll starts.
#[test]
fn a_check_blocks_nothing() {
    let mut mesh = running(2, 2, LAN);
    let due = mesh.check_due().expect("ranks live");
    for agent in 0..2 {
        _ = mesh.step(due, beat(agent, 1));
    }
    assert_eq!(mesh.step(due, Event::Tick), [ask(0, Order::Poll), ask(1, Order::Poll)]);
    assert_eq!(mesh.step(due, Event::Tick), [], "it has been sent");
    assert_eq!(mesh.step(due, subscribe(Interest::Terminal)).len(), 1);
    let failed = vec![change([0], crash())];
    assert_eq!(
        mesh.step(due, crashed([0])),
        [tell(1, changed(failed.clone())), tell_owner(&mesh, failed)]
    );
    let state = asked(5, MeshRequest::GetState);
    assert_eq!(mesh.step(due, state), [answer(5, mesh.state())]);
    assert_eq!(
        mesh.step(due, stop(1, secs(1))),
        [tell(2, News::Stopping { reason: None }), ask_stop(1, [1])]
    );
}

/// K1: an order to start echoes what was heard last of the life of the agent that speaks, as a renewal
/// does; it may be long on its way, and the lease of what it starts is counted from that beat.
#[test]
fn an_order_to_start_echoes_the_newest_beat() {
    let restart =
        RestartConfig { backoff_min: Duration::from_nanos(9), ..RestartConfig::on_failure(9) };
    let mut mesh = new(2, 1, Config { restart, ..LAN });
    let start_echoing = |life: u64, echoed: Option<(u64, u64)>| {
        let echoed = echoed
            .map(|(life, beat)| Echo { life: Incarnation::new(life), beat: BeatSeq::new(beat) });
        let (ranks, incarnation) = ([0].set(), Incarnation::new(life));
        ask(0, Order::Start { ranks, incarnation, echoed })
    };
    assert_eq!(mesh.step(at(0), Event::Opened), [start(0, [0, 1], 0)], "nothing was heard");
    for number in [7, 5] {
        _ = mesh.step(at(1), beat(0, number));
    }
    _ = mesh.step(at(1), crashed([0]));
    assert_eq!(mesh.step(at(2), Event::Tick)[..1], [start_echoing(1, Some((0, 7)))]);
    _ = mesh.step(at(2), of_life(1, nth_report(0, [0], (1, 0), crash())));
    let starts = mesh.step(at(3), Event::Tick);
    assert_eq!(starts[..1], [start_echoing(2, None)], "of its new life no beat was heard");
}

/// L2: what an agent could not be asked, it is asked again with the next check, once.
#[test]
fn an_order_that_did_not_arrive_is_given_again_with_the_next_check() {
    let polls = [ask(0, Order::Poll), ask(1, Order::Poll)];
    let mut mesh = new(5, 2, LAN);
    _ = mesh.step(at(0), Event::Opened);
    assert_eq!(mesh.step(at(0), query_failed(1)), []);
    let due = check_after_beats(&mut mesh, 1);
    let asked = unechoed(mesh.step(due, Event::Tick));
    assert_eq!(asked, [&[start(1, 3..5, 0)], &polls[..]].concat());

    _ = mesh.step(due, report(0, 0..3, Status::Running));
    _ = mesh.step(due, report(1, 3..5, Status::Running));
    _ = mesh.step(due, query_failed(0));
    let due = check_after_beats(&mut mesh, 2);
    assert_eq!(mesh.step(due, Event::Tick), polls, "nothing is wanted of ranks that run");

    _ = mesh.step(due, stop(1, secs(60)));
    _ = mesh.step(due, query_failed(0));
    let due = check_after_beats(&mut mesh, 3);
    assert_eq!(mesh.step(due, Event::Tick), [&[ask_stop(0, 0..3)], &polls[..]].concat());
}

/// The moment of the next check, at which both agents have just been heard.
fn check_after_beats(mesh: &mut Mesh, seq: u64) -> Timestamp {
    let due = mesh.check_due().expect("ranks live");
    for agent in 0..2 {
        _ = mesh.step(due, beat(agent, seq));
    }
    due
}

/// L2: also where the times leave no room between the end of a poll and the next check.
#[test]
fn a_poll_has_had_its_time_before_the_next_is_sent() {
    let times = Times { poll_deadline: LAN.times.check, ..LAN.times };
    for seed in 0..50 {
        let mut spec = spec(1, 1, Config { times, ..LAN });
        spec.seed = seed;
        let mut mesh = Controller::new(spec, Plain).expect("the times are allowed");
        _ = mesh.step(at(0), Event::Opened);
        let due = mesh.check_due().expect("a rank lives");
        assert!(due.since(at(0)) >= times.poll_deadline, "seed {seed}: {due:?}");
    }
}

/// L3
#[test]
fn a_poll_doubts_only_those_that_were_not_heard_since() {
    let times = Times { suspect: secs(5), unreachable: secs(5), ..LAN.times };
    let mut mesh = running(3, 3, Config { times, ..LAN });
    let sent = mesh.check_due().expect("ranks live");
    _ = mesh.step(sent, beat(1, 1));
    _ = mesh.step(sent, Event::Tick);
    _ = mesh.step(sent, report(2, [2], Status::Running));
    _ = mesh.step(sent + times.poll_deadline, Event::Tick);
    assert_eq!(statuses(&mesh), [Status::Suspect, Status::Running, Status::Running]);
    _ = mesh.step(sent + times.poll_deadline, report(0, [0], Status::Running));
    assert_eq!(kinds(&mesh), [StatusKind::Running; 3], "a late answer still counts");
}

/// L4: the deadline of a late check stays what it was, so that the shell can tell how late it is.
#[test]
fn a_check_that_is_late_is_made_once() {
    let mut mesh = running(1, 1, LAN);
    let due = mesh.check_due().expect("a rank lives");
    let late = due + LAN.times.check * 4;
    _ = mesh.step(late, beat(0, 1));
    assert_eq!(mesh.check_due(), Some(due));
    assert_eq!(mesh.step(late, Event::Tick), [ask(0, Order::Poll)]);
    let next = mesh.check_due().expect("a rank lives").since(late);
    assert!(next >= LAN.times.check * 9 / 10 && next <= LAN.times.check, "{next:?}");
}

/// L5
#[test]
fn checks_of_different_controllers_are_spread() {
    let due: BTreeSet<Duration> = (0..100)
        .map(|seed| {
            let mut spec = spec(1, 1, LAN);
            spec.seed = seed;
            let mut mesh = Controller::new(spec, Plain).expect("the spec holds together");
            _ = mesh.step(at(0), Event::Opened);
            mesh.check_due().expect("a rank lives").since_start()
        })
        .collect();
    assert!(due.len() > 90, "{} different times", due.len());
    let width = due.last().zip(due.first()).map(|(last, first)| *last - *first);
    assert!(width > Some(LAN.times.check / 20), "{width:?}");
}

/// L6
#[test]
fn monitoring_ends_with_the_last_rank_and_not_before() {
    let mut mesh = running(3, 1, LAN);
    assert_eq!(mesh.step(at(1), ended([0, 1])), []);
    assert!(mesh.next_deadline().is_some(), "one rank lives");
    let news = vec![change([2], crash())];
    assert_eq!(mesh.step(at(2), crashed([2])), [tell_owner(&mesh, news), Effect::Finish]);
    assert_eq!((mesh.next_deadline(), mesh.check_due()), (None, None));
}

/// L7
#[test]
fn the_phase_is_that_of_the_least_advanced() {
    let mut mesh = new(2, 1, LAN);
    let mut phases = vec![mesh.state().phase];
    for event in [
        Event::Opened,
        report(0, [0], Status::Running),
        report(0, [1], Status::Running),
        stop(1, secs(9)),
        ended([0]),
        ended([1]),
    ] {
        _ = mesh.step(at(1), event);
        phases.push(mesh.state().phase);
    }
    let expected = [
        MeshPhase::Initializing,
        MeshPhase::Initializing,
        MeshPhase::Initializing,
        MeshPhase::Running,
        MeshPhase::Stopping,
        MeshPhase::Stopping,
        MeshPhase::Stopped,
    ];
    assert_eq!(phases, expected);
}

/// L7
#[test]
fn a_mesh_with_a_failed_rank_has_failed() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), crashed([1]));
    let state = mesh.state();
    assert_eq!(state.phase, MeshPhase::Failed);
    assert_eq!(kinds(&mesh), [StatusKind::Running, StatusKind::Failed]);
}

/// K1: the newest beat that was heard, even if an older one comes later.
#[test]
fn a_beat_is_answered_with_the_newest_that_was_heard() {
    let mut mesh = running(2, 2, LAN);
    assert_eq!(mesh.step(at(1), beat(1, 7)), [renew(1, 7)]);
    assert_eq!(mesh.step(at(1), beat(1, 5)), [renew(1, 7)]);
    assert_eq!(mesh.step(at(1), beat(0, 1)), [renew(0, 1)]);
}

/// K1: without a beat there is nothing to echo.
#[test]
fn a_report_renews_nothing() {
    let mut mesh = running(1, 1, LAN);
    assert_eq!(mesh.step(at(1), report(0, [0], Status::Running)), []);
}

/// A tick before its time does nothing and delays nothing.
#[test]
fn an_early_tick_changes_nothing() {
    let mut mesh = running(2, 1, LAN);
    let due = mesh.next_deadline();
    for _ in 0..3 {
        assert_eq!(mesh.step(at(1), Event::Tick), []);
        assert_eq!(mesh.next_deadline(), due);
    }
}

#[test]
fn agents_that_do_not_fit_the_mesh_are_refused() {
    let refused = |agents: [std::ops::Range<usize>; 2]| {
        let mut spec = spec(4, 2, LAN);
        spec.agents = agents.into_iter().map(RankSet::from).collect();
        Controller::new(spec, Plain).map(|_| ()).expect_err("they do not fit")
    };
    assert_eq!(refused([0..2, 3..4]), SpecError::Nobody { rank: Rank::new(2) });
    assert_eq!(refused([0..3, 2..4]), SpecError::Twice { rank: Rank::new(2) });
    assert_eq!(refused([0..2, 2..5]), SpecError::Outside { rank: Rank::new(4) });
}

/// A rank is four bytes in the health of a mesh.
#[test]
fn a_mesh_of_more_ranks_than_can_be_numbered_is_refused() {
    let refused = |size: usize| {
        let extent = Extent::new(vec![("ranks", size)]).expect("a usize holds it");
        let (region, agents) = (Region::all(extent).into(), [RankSet::from(0..size)].into());
        Controller::new(Spec { region, agents, ..spec(1, 1, LAN) }, Plain).map(|_| ())
    };
    let limit = u32::MAX as usize;
    assert_eq!(refused(limit), Ok(()));
    assert_eq!(refused(limit + 1), Err(SpecError::TooLarge { size: limit + 1, limit }));
}

/// N8: what a mesh is called is in every report of it.
#[test]
fn a_mesh_that_cannot_be_called_so_is_refused() {
    let mesh = MeshLabel::new(MeshId::from_random(1), "m\nrank 0 has failed", "plain");
    let refused = Controller::new(Spec { mesh, ..spec(1, 1, LAN) }, Plain).map(|_| ());
    assert_eq!(refused, Err(SpecError::Name(NameError::Control('\n'))));
}

#[test]
fn times_that_cannot_hold_are_refused() {
    let times = Times { check: Duration::ZERO, ..LAN.times };
    let refused = Controller::new(spec(1, 1, Config { times, ..LAN }), Plain).map(|_| ());
    let why = refused.as_ref().err().map(ToString::to_string);
    assert_eq!(why.as_deref(), Some("check must be more than zero"));
    assert_eq!(refused, Err(SpecError::Config(ConfigError::Zero { name: "check" })));
}
