//! restarts: what starts again, when, and when it is too much (RS1 to RS3, N4, L6).

use std::time::Duration;

use controller::{Config, Effect, Event, RestartConfig, RestartPolicy};
use mesh_core::{
    Change, Escalation, EscalationReason, Incarnation, Interest, News, Order, Status, StatusKind,
};

use crate::support::{
    LAN, Ranks, answer, ask_stop, at, change, changed, crash, crashed, ended, escalate, kinds,
    nth_report, pass, running, secs, start, stop, subscribe, tell, tell_owner,
};

/// So short that a tenth of it is nothing: the delay is exact.
const DELAY: Duration = Duration::from_nanos(9);

fn at_most(max_restarts: u32) -> Config {
    let restart = RestartConfig { backoff_min: DELAY, ..RestartConfig::on_failure(max_restarts) };
    Config { restart, ..LAN }
}

fn restarting(change: Change) -> Change {
    Change { restart_in: Some(DELAY), ..change }
}

/// RS1
#[test]
fn a_failure_that_will_be_restarted_is_told_once_and_marked() {
    let mut mesh = running(2, 1, at_most(3));
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    let news = vec![restarting(change([0], crash()))];
    assert_eq!(
        mesh.step(at(1), crashed([0])),
        [tell(1, changed(news.clone())), tell_owner(&mesh, news)]
    );
    assert_eq!(mesh.step(at(1), crashed([0])), []);
    assert_eq!(mesh.next_deadline(), Some(at(1) + DELAY));
}

/// RS1
#[test]
fn the_restart_is_an_order_to_start_the_next_life() {
    let mut mesh = running(2, 1, at_most(3));
    _ = mesh.step(at(0), subscribe(Interest::All));
    _ = mesh.step(at(1), crashed([0]));
    let due = at(1) + DELAY;
    let mut again = change([0], Status::Initializing);
    again.incarnation = Incarnation::new(1);
    assert_eq!(mesh.step(due, Event::Tick), [tell(2, changed(vec![again])), start(0, [0], 1)]);
    assert_eq!(mesh.step(due, crashed([0])), [], "a late word of the life before");
    assert_eq!(mesh.step(due, Event::Tick), [], "once");
    assert_eq!(kinds(&mesh), [StatusKind::Initializing, StatusKind::Running]);
}

/// RS1: ranks that fail together are told together, and start together if they are due together.
#[test]
fn ranks_of_one_step_are_restarted_each() {
    let mut mesh = running(4, 2, at_most(9));
    let each = [0, 1].map(|rank| restarting(change([rank], crash())));
    assert_eq!(mesh.step(at(1), crashed([0, 1])), [tell_owner(&mesh, each.to_vec())]);
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [start(0, [0, 1], 1)]);
}

/// RS2, N4, L6
#[test]
fn a_mesh_is_not_closed_while_a_restart_is_due() {
    let mut mesh = running(1, 1, at_most(1));
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    let news = vec![restarting(change([0], crash()))];
    assert_eq!(
        mesh.step(at(1), crashed([0])),
        [tell(1, changed(news.clone())), tell_owner(&mesh, news)],
        "neither closed nor finished"
    );
    _ = mesh.step(at(1) + DELAY, Event::Tick);
    let effects = mesh.step(at(2), nth_report(0, [0], (1, 0), Status::Stopped));
    let mut ended = change([0], Status::Stopped);
    ended.incarnation = Incarnation::new(1);
    assert_eq!(effects, [tell(2, changed(vec![ended])), tell(3, News::Closed), Effect::Finish]);
}

/// RS3
#[test]
fn more_than_the_intensity_escalates_once_naming_all_that_failed() {
    let mut mesh = running(4, 1, at_most(1));
    _ = mesh.step(at(1), crashed([3]));
    let effects = mesh.step(at(1), crashed([0, 1]));
    let failed = [0, 1, 3].set();
    let escalation = Some(Escalation {
        reason: EscalationReason::Intensity,
        failed,
        starting: [3].set(),
        max_restarts: 1,
        period: None,
    });
    let news = vec![change([0, 1], crash())];
    assert_eq!(effects, [escalate(&mesh, news, escalation)]);
    let news = vec![change([2], crash())];
    assert_eq!(mesh.step(at(2), crashed([2])), [tell_owner(&mesh, news)], "once");
    assert_eq!(mesh.step(at(2), Event::Tick), [start(0, [3], 1)], "what was promised is kept");
}

/// RS3: part of the ranks of one step may be the last that are allowed.
#[test]
fn the_last_restarts_go_to_the_first_ranks() {
    let mut mesh = running(3, 1, at_most(2));
    let effects = mesh.step(at(1), crashed([0, 1, 2]));
    let escalation = Some(Escalation {
        reason: EscalationReason::Intensity,
        failed: [0, 1, 2].set(),
        starting: [0, 1].set(),
        max_restarts: 2,
        period: None,
    });
    let news = vec![
        restarting(change([0], crash())),
        restarting(change([1], crash())),
        change([2], crash()),
    ];
    assert_eq!(effects, [escalate(&mesh, news, escalation)]);
}

/// RS3
#[test]
fn no_order_of_crashes_breaks_the_bounds() {
    const ORDERS: [[usize; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for intensity in 0..4 {
        for order in ORDERS {
            let mut mesh = running(3, 1, at_most(intensity));
            let mut effects = Vec::new();
            for rank in order {
                effects.extend(mesh.step(at(1), crashed([rank])));
            }
            effects.extend(mesh.step(at(2), Event::Tick));
            let n_starts: usize = effects.iter().map(n_started).sum();
            let n_escalations = effects.iter().filter(|effect| escalates(effect)).count();
            let expected = (intensity.min(3) as usize, usize::from(intensity < 3));
            assert_eq!((n_starts, n_escalations), expected, "{order:?}: {effects:?}");
        }
    }
}

/// RS3: restarts that are longer ago than the period do not count.
#[test]
fn the_intensity_is_one_within_a_period() {
    let restart = RestartConfig { period: Some(secs(10)), ..at_most(1).restart };
    let mut mesh = running(3, 1, Config { restart, ..LAN });
    for (seconds, rank) in [(1, 0), (12, 1)] {
        let news = vec![restarting(change([rank], crash()))];
        assert_eq!(mesh.step(at(seconds), crashed([rank])), [tell_owner(&mesh, news)]);
    }
    let effects = mesh.step(at(13), crashed([2]));
    let failed = [0, 1, 2].set();
    let escalation = Some(Escalation {
        reason: EscalationReason::Intensity,
        failed,
        starting: [0, 1].set(),
        max_restarts: 1,
        period: Some(secs(10)),
    });
    assert_eq!(effects, [escalate(&mesh, vec![change([2], crash())], escalation)]);
}

/// RS1: which ends lead to a restart.
#[test]
fn the_policy_says_what_starts_again() {
    for (policy, end, is_restarted) in [
        (RestartPolicy::Temporary, crash(), false),
        (RestartPolicy::Transient, crash(), true),
        (RestartPolicy::Transient, Status::Stopped, false),
        (RestartPolicy::Permanent, crash(), true),
        (RestartPolicy::Permanent, Status::Stopped, true),
    ] {
        let restart = RestartConfig { policy, ..at_most(9).restart };
        let mut mesh = running(2, 1, Config { restart, ..LAN });
        _ = mesh.step(at(1), nth_report(0, [0], (0, 2), end.clone()));
        let n_starts: usize = mesh.step(at(2), Event::Tick).iter().map(n_started).sum();
        assert_eq!(n_starts, usize::from(is_restarted), "{policy:?}, {end}");
    }
}

/// RS3, N1: a clean end is no failure, but asking for too many restarts is told all the same.
#[test]
fn too_many_clean_ends_escalate_too() {
    let restart = RestartConfig { policy: RestartPolicy::Permanent, ..at_most(0).restart };
    let mut mesh = running(2, 1, Config { restart, ..LAN });
    let escalation = Some(Escalation {
        reason: EscalationReason::Intensity,
        failed: [].set(),
        starting: [].set(),
        max_restarts: 0,
        period: None,
    });
    assert_eq!(mesh.step(at(1), ended([0])), [escalate(&mesh, Vec::new(), escalation)]);
}

/// RS2, C1
#[test]
fn a_stop_cancels_what_was_to_start_again() {
    let mut mesh = running(2, 1, at_most(9));
    _ = mesh.step(at(1), crashed([0]));
    assert_eq!(mesh.step(at(1), stop(1, secs(5))), [ask_stop(0, [1])]);
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), []);
    let news = vec![change([1], crash())];
    assert_eq!(
        mesh.step(at(2), crashed([1])),
        [tell_owner(&mesh, news), answer(1, mesh.state()), Effect::Finish]
    );
}

/// RS1, H4: an agent that was given up can start nobody; the life that it should start has timed out,
/// so that the mesh can end.
#[test]
fn a_restart_on_a_lost_agent_times_out_at_once() {
    let restart =
        RestartConfig { backoff_min: secs(60), backoff_max: secs(60), ..at_most(9).restart };
    let mut mesh = running(1, 1, Config { restart, ..LAN });
    _ = mesh.step(at(0), crashed([0]));
    let mut out = pass(&mut mesh, (at(0), at(90)), &[]);
    assert_eq!(out.pop().map(|(_, effect)| effect), Some(Effect::Finish));
    let [(due, Effect::TellOwner(failures))] = &out[..] else { panic!("{out:?}") };
    let [told] = &failures.changes[..] else { panic!("{failures:?}") };
    let after = due.since(at(0));
    let expected = Change {
        incarnation: Incarnation::new(1),
        ..change([0], Status::Timeout { after, cause: None })
    };
    assert_eq!(told, &expected);
    assert!(after >= secs(54) && after <= secs(60), "{after:?}");
}

/// H1: a life that is known already is not begun again.
#[test]
fn a_life_that_is_reported_already_is_not_started_over() {
    let mut mesh = running(2, 1, at_most(9));
    _ = mesh.step(at(1), crashed([0]));
    _ = mesh.step(at(1), nth_report(0, [0], (1, 3), Status::Running));
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), []);
    assert_eq!(kinds(&mesh), [StatusKind::Running; 2]);
}

fn n_started(effect: &Effect) -> usize {
    match effect {
        Effect::Ask(request) => match &request.order {
            Order::Start { ranks, .. } => ranks.len(),
            Order::Stop { .. } | Order::Kill { .. } | Order::Poll | Order::Renew { .. } => 0,
        },
        Effect::Tell { .. }
        | Effect::Refuse { .. }
        | Effect::TellOwner(_)
        | Effect::Answer { .. }
        | Effect::Finish => 0,
    }
}

fn escalates(effect: &Effect) -> bool {
    matches!(effect, Effect::TellOwner(failures) if failures.escalation.is_some())
}
