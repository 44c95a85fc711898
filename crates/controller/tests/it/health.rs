//! health: what a report changes, and what it never changes (ST3, ST4, H1 to H9).

use std::time::Duration;

use controller::{Effect, Event};
use mesh_core::{
    Incarnation, Interest, MeshPhase, News, Order, RankState, Snapshot, Status, StatusKind,
    Timestamp, Trouble, Update,
};
use mesh_shape::{Overlay, Rank};

use crate::support::{
    LAN, WATCHER, aged, answer, ask, ask_kill, at, beat, change, changed, crash, crashed, exit,
    heartbeat, kinds, lost, new, nth_report, opened, pass, query_failed, renew, report, reports,
    running, secs, snapshot, start, statuses, stop, subscribe, tell, tell_owner,
};

/// ST3
#[test]
fn a_rank_is_never_shown_as_healthier_than_the_contact_to_its_agent() {
    let mut mesh = running(2, 2, LAN);
    _ = pass(&mut mesh, (at(0), at(4)), &[1]);
    assert_eq!(statuses(&mesh), [Status::Unreachable, Status::Running]);
}

/// ST4
#[test]
fn a_running_rank_that_its_agent_does_not_know_has_failed_as_lost() {
    let mut mesh = running(2, 1, LAN);
    let news = vec![change([1], lost())];
    assert_eq!(
        mesh.step(at(1), nth_report(0, [1], (0, 2), Status::NotExist)),
        [tell_owner(&mesh, news)]
    );
}

/// ST4
#[test]
fn a_question_that_overtakes_the_start_fails_nothing() {
    let mut mesh = opened(2, 1, LAN);
    let unknown = nth_report(0, [0, 1], (0, 0), Status::NotExist);
    assert_eq!(mesh.step(at(0), unknown), []);
    assert_eq!(kinds(&mesh), [StatusKind::Initializing; 2]);
}

/// ST4: a life that nobody has begun does not exist, which says nothing of the one that is running.
#[test]
fn an_unknown_life_says_nothing_of_the_known_one() {
    let mut mesh = running(1, 1, LAN);
    assert_eq!(mesh.step(at(1), nth_report(0, [0], (4, 0), Status::NotExist)), []);
    assert_eq!(statuses(&mesh), [Status::Running]);
}

/// H1
#[test]
fn a_report_of_a_lower_generation_changes_nothing() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(1), nth_report(0, [0], (0, 5), Status::Running));
    let before = mesh.state();
    assert_eq!(mesh.step(at(2), nth_report(0, [0], (0, 4), crash())), []);
    assert_eq!(mesh.state(), before);
}

/// H1
#[test]
fn a_report_of_a_lower_incarnation_changes_nothing() {
    let mut mesh = opened(1, 1, LAN);
    _ = mesh.step(at(1), nth_report(0, [0], (2, 0), Status::Running));
    let before = mesh.state();
    assert_eq!(mesh.step(at(2), nth_report(0, [0], (1, 99), crash())), []);
    assert_eq!(mesh.state(), before);
}

/// H1
#[test]
fn an_equal_pair_replaces_the_stored_status() {
    let mut mesh = running(1, 1, LAN);
    let news = vec![change([0], crash())];
    let effects = mesh.step(at(1), report(0, [0], crash()));
    assert_eq!(
        effects,
        [tell_owner(&mesh, news), Effect::Finish],
        "the pair (0, 1) was that of the report of running"
    );
}

/// H1
#[test]
fn the_same_status_again_is_no_change() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    assert_eq!(mesh.step(at(1), report(0, [0, 1], Status::Running)), [], "equal pair");
    assert_eq!(mesh.step(at(1), nth_report(0, [0, 1], (0, 9), Status::Running)), [], "higher");
}

/// H2: and what says that it lives is killed.
#[test]
fn an_end_is_final_for_its_life_whatever_comes_later() {
    for end in [Status::Stopped, crash()] {
        let mut mesh = running(2, 1, LAN);
        _ = mesh.step(at(1), nth_report(0, [0], (0, 2), end.clone()));
        _ = mesh.step(at(1), subscribe(Interest::All));
        for later in [Status::Running, Status::NotExist, Status::Stopped, exit(9), Status::Stopping]
        {
            let mut mesh = mesh.clone();
            let is_alive = matches!(later, Status::Running | Status::Stopping);
            for generation in [2, 3, 1] {
                let again = nth_report(0, [0], (0, generation), later.clone());
                let is_news = is_alive && generation > 1;
                let kill: Vec<_> = is_news.then(|| ask_kill(0, [0])).into_iter().collect();
                assert_eq!(mesh.step(at(2), again), kill, "{end}, then {later}");
                assert_eq!(statuses(&mesh), [end.clone(), Status::Running], "{end}, then {later}");
            }
        }
    }
}

/// H2: the same order of reports in any order gives the same end.
#[test]
fn no_order_of_reports_changes_the_end() {
    let reports = |order: [u64; 3]| {
        let mut mesh = running(2, 1, LAN);
        for generation in order {
            let status = if generation == 4 { crash() } else { Status::Running };
            _ = mesh.step(at(1), nth_report(0, [0], (0, generation), status));
        }
        statuses(&mesh)
    };
    for order in [[2, 3, 4], [2, 4, 3], [3, 2, 4], [3, 4, 2], [4, 2, 3], [4, 3, 2]] {
        assert_eq!(reports(order), [crash(), Status::Running], "{order:?}");
    }
}

/// H2, N1: a new life has an end of its own, also if it is the same end.
#[test]
fn the_end_of_each_life_is_told() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), crashed([0]));
    let mut second = change([0], crash());
    second.incarnation = Incarnation::new(1);
    let effects = mesh.step(at(2), nth_report(0, [0], (1, 0), crash()));
    assert_eq!(effects, [tell_owner(&mesh, vec![second])]);
}

/// H2: reports may come before the controller is opened, for example from ranks that run already.
#[test]
fn what_was_known_before_opening_is_not_started_over() {
    let mut mesh = new(3, 1, LAN);
    let news = vec![change([1], crash())];
    assert_eq!(mesh.step(at(0), crashed([1])), [tell_owner(&mesh, news)]);
    let effects = mesh.step(at(1), Event::Opened);
    assert_eq!(effects, [start(0, [0, 2], 0)]);
    let expected = [StatusKind::Initializing, StatusKind::Failed, StatusKind::Initializing];
    assert_eq!(kinds(&mesh), expected);
}

/// H3
#[test]
fn stopping_is_left_only_for_an_end() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(1), stop(1, secs(5)));
    _ = mesh.step(at(1), subscribe(Interest::All));
    for (generation, status) in (2..).zip([Status::Running, Status::Initializing, Status::Stopping])
    {
        assert_eq!(mesh.step(at(2), nth_report(0, [0], (0, generation), status)), []);
        assert_eq!(statuses(&mesh), [Status::Stopping]);
    }
    let later_life = nth_report(0, [0], (1, 0), Status::Running);
    assert_eq!(mesh.step(at(2), later_life), [], "it will be killed with the others");
    assert_eq!(statuses(&mesh), [Status::Stopping]);
}

/// H3
#[test]
fn a_crash_during_a_stop_keeps_its_cause() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), stop(1, secs(5)));
    let news = vec![change([0], exit(42))];
    let effects = mesh.step(at(2), nth_report(0, [0], (0, 2), exit(42)));
    assert_eq!(effects, [tell_owner(&mesh, news)]);
    assert_eq!(statuses(&mesh), [exit(42), Status::Stopping]);
}

/// H5
#[test]
fn a_failed_query_is_told_and_marks_no_rank() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    let before = mesh.state();
    let trouble = News::Trouble(Trouble::QueryFailed { agent: 0 });
    assert_eq!(mesh.step(at(1), query_failed(0)), [tell(1, trouble)]);
    assert_eq!(mesh.state(), before);
}

/// H6
#[test]
fn all_failures_of_one_step_are_told_together_each_with_its_cause() {
    let mut mesh = running(5, 1, LAN);
    let fates =
        [(0, crash()), (1, exit(2)), (2, Status::Running), (3, exit(2)), (4, Status::Stopped)];
    let updates: Overlay<Update<Status>> =
        fates.into_iter().map(|(rank, status)| (Rank::new(rank), update(status))).collect();
    let news = vec![change([0], crash()), change([1, 3], exit(2))];
    assert_eq!(mesh.step(at(1), reports(0, updates)), [tell_owner(&mesh, news)]);
}

fn update(report: Status) -> Update<Status> {
    let (incarnation, generation) = (Incarnation::FIRST, mesh_core::Generation::new(2));
    Update { incarnation, generation, age: Duration::ZERO, report }
}

/// H7
#[test]
fn one_failure_ends_neither_checks_nor_renewals_nor_reports() {
    let mut mesh = running(3, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    _ = mesh.step(at(1), crashed([0]));
    assert_eq!(mesh.step(at(1), beat(0, 4)), [renew(0, 4)]);
    let due = mesh.check_due().expect("two ranks live");
    assert_eq!(mesh.step(due, Event::Tick), [tell(2, heartbeat()), ask(0, Order::Poll)]);
    let news = vec![change([1], crash())];
    assert_eq!(
        mesh.step(at(3), crashed([1])),
        [tell(3, changed(news.clone())), tell_owner(&mesh, news)]
    );
}

/// H8
#[test]
fn a_million_healthy_ranks_are_one_run() {
    let mut mesh = running(1_000_000, 1, LAN);
    assert_eq!(mesh.n_runs(), 1);
    _ = mesh.step(at(1), nth_report(0, 0..1_000_000, (0, 2), Status::Running));
    assert_eq!(mesh.n_runs(), 1);
    _ = mesh.step(at(1), nth_report(0, [500_000], (0, 3), crash()));
    assert_eq!(mesh.n_runs(), 3);
    assert_eq!(mesh.counts()[StatusKind::Running as usize], 999_999);
}

/// H8: a silent agent of many ranks is one change, and its return is one.
#[test]
fn the_silence_of_an_agent_costs_a_run() {
    let mut mesh = running(1_000_000, 4, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    let suspect = vec![change(0..250_000, Status::Suspect)];
    assert_eq!(pass(&mut mesh, (at(0), at(3)), &[1, 2, 3]), [(at(2), tell(1, changed(suspect)))]);
    assert_eq!(mesh.n_runs(), 2);
}

/// H9
#[test]
fn the_empty_mesh_is_stopped_and_closed_at_once() {
    let mut mesh = new(0, 0, LAN);
    assert_eq!(mesh.step(at(0), subscribe(Interest::All)), [tell(0, News::Snapshot(snapshot()))]);
    assert_eq!(mesh.step(at(0), Event::Opened), [tell(1, News::Closed), Effect::Finish]);
    assert_eq!(mesh.state().phase, MeshPhase::Stopped);
    assert_eq!(mesh.next_deadline(), None);
    assert_eq!(mesh.step(at(1), stop(1, secs(1))), [answer(1, mesh.state())]);
}

/// H9: agents without ranks are legal as well.
#[test]
fn no_event_troubles_the_empty_mesh() {
    let events = [
        Event::Tick,
        beat(0, 1),
        query_failed(0),
        report(0, 0..3, crash()),
        Event::Lagged(WATCHER),
        Event::Unsubscribed(WATCHER),
        stop(1, Duration::ZERO),
        Event::Tick,
    ];
    for n_agents in [0, 2] {
        let mut mesh = new(0, n_agents, LAN);
        for (seconds, event) in (0..).zip(events.clone()) {
            _ = mesh.step(at(seconds), event.clone());
            _ = mesh.step(at(seconds), Event::Opened);
            assert!(mesh.state().ranks.is_empty(), "{event:?}");
        }
    }
}

#[test]
fn an_agent_answers_for_its_own_ranks_only() {
    let mut mesh = running(4, 2, LAN);
    let before = mesh.state();
    assert_eq!(mesh.step(at(1), nth_report(1, [0, 1], (0, 5), crash())), []);
    assert_eq!(mesh.step(at(1), nth_report(0, [4, 9], (0, 5), crash())), []);
    assert_eq!(mesh.step(at(1), nth_report(2, [0, 1], (0, 5), crash())), [], "no such agent");
    assert_eq!(mesh.state(), before);
}

#[test]
fn an_unknown_agent_is_no_news() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    assert_eq!(mesh.step(at(1), query_failed(5)), []);
    assert_eq!(mesh.step(at(1), beat(5, 1)), []);
}

/// N8: evidence is told with its age, which is all that clocks can agree on; an agent that was started
/// before its controller may have seen it before the controller's clock began.
#[test]
fn evidence_is_as_old_as_the_agent_says() {
    let mut mesh = running(1, 1, LAN);
    let seen = Update { age: secs(2), ..update(crash()) };
    let effects = mesh.step(at(9), reports(0, Overlay::from_rank(Rank::new(0), seen)));
    let news = vec![aged(secs(2), change([0], crash()))];
    assert_eq!(effects, [tell_owner(&mesh, news), Effect::Finish]);
}

/// A clock that steps back is not believed.
#[test]
fn time_never_goes_backwards() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(5), beat(0, 1));
    let effects = mesh.step(at(1), crashed([0]));
    assert_eq!(effects, [tell_owner(&mesh, vec![change([0], crash())])]);
    let ends = Snapshot { failed: vec![aged(secs(1), change([0], crash()))], ..snapshot() };
    let told = mesh.step(at(6), subscribe(Interest::Terminal));
    assert_eq!(told, [tell(0, News::Snapshot(ends))], "it was seen at 5, and not at 1");
}

/// L7
#[test]
fn the_state_names_every_rank_and_its_life() {
    let mut mesh = running(3, 1, LAN);
    _ = mesh.step(at(1), nth_report(0, [1], (6, 0), Status::Running));
    let lives: Vec<(u64, Status)> = mesh
        .state()
        .ranks
        .iter()
        .map(|RankState { incarnation, status }| (incarnation.number(), status.clone()))
        .collect();
    assert_eq!(lives, [(0, Status::Running), (6, Status::Running), (0, Status::Running)]);
    assert!(mesh.next_deadline() > Some(Timestamp::START));
}
