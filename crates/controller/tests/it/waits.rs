//! waits: who waits for ranks to be so far is answered once, and in time (L7, L8, ST1).

use std::time::Duration;

use controller::{AskId, Config, Effect, Event, Limits, RestartConfig, RestartPolicy};
use mesh_core::{Interest, MeshRequest, Progress, Refusal, Status};
use mesh_shape::Rank;

use crate::support::{
    LAN, asked, at, beat, crash, crashed, ended, is_routine, new, nth_report, opened, pass,
    refusal, report, running, secs, start, stop, subscribe, wait, waited,
};

const RUNNING: (Progress, Duration) = (Progress::Running, secs(30));
const ENDED: (Progress, Duration) = (Progress::Ended, secs(30));

/// L7
#[test]
fn a_wait_is_answered_at_once_if_all_are_so_far() {
    let mut mesh = running(3, 1, LAN);
    assert_eq!(mesh.step(at(1), wait(1, [0, 2], RUNNING)), [waited(1, [], &mesh)]);
    assert_eq!(mesh.step(at(1), wait(2, [], ENDED)), [waited(2, [], &mesh)], "of no rank");
    assert_eq!(
        mesh.step(at(1), wait(3, [0], (Progress::Ended, Duration::ZERO))),
        [waited(3, [0], &mesh)]
    );
}

/// L7: an end is as far as a rank gets, so nobody waits for what cannot come any more.
#[test]
fn a_wait_for_what_has_ended_is_over_at_once() {
    let mut mesh = opened(2, 1, LAN);
    _ = mesh.step(at(1), crashed([0]));
    assert_eq!(mesh.step(at(1), wait(1, [0], RUNNING)), [waited(1, [], &mesh)]);
}

/// L7
#[test]
fn a_wait_is_answered_when_the_last_rank_is_so_far() {
    let mut mesh = opened(3, 1, LAN);
    assert_eq!(mesh.step(at(1), wait(1, [0, 1], RUNNING)), []);
    assert_eq!(mesh.step(at(1), report(0, [0, 2], Status::Running)), []);
    let effects = mesh.step(at(1), report(0, [1], Status::Running));
    assert_eq!(effects, [waited(1, [], &mesh)]);
    assert_eq!(mesh.step(at(40), beat(0, 1)).len(), 1, "answered once: an echo, no more");
}

/// L7: a life that was reported before it was ordered leaves its order behind. When that comes due
/// together with the order of another life, that life is waited for all the same.
#[test]
fn an_order_that_came_too_late_hides_no_life_that_begins() {
    let restart =
        RestartConfig { policy: RestartPolicy::Permanent, ..RestartConfig::on_failure(2) };
    let mut mesh = running(1, 1, Config { restart, ..LAN });
    _ = mesh.step(at(1), ended([0]));
    assert_eq!(mesh.step(at(1), wait(1, [0], RUNNING)), []);
    _ = mesh.step(at(1), nth_report(0, [0], (1, 0), Status::Stopped));
    let mut effects = mesh.step(at(2), Event::Tick);
    effects.retain(|effect| !is_routine(effect));
    assert_eq!(effects, [start(0, [0], 2)]);
    let effects = mesh.step(at(2), nth_report(0, [0], (2, 0), Status::Running));
    assert_eq!(effects, [waited(1, [], &mesh)]);
}

/// L7
#[test]
fn a_wait_ends_with_its_time_and_names_who_is_missing() {
    let mut mesh = running(3, 1, LAN);
    _ = mesh.step(at(0), wait(1, 0..3, (Progress::Ended, secs(5))));
    _ = mesh.step(at(1), ended([1]));
    let out = pass(&mut mesh, (at(1), at(20)), &[0]);
    assert_eq!(out, [(at(5), waited(1, [0, 2], &mesh))]);
}

/// ST1: what is not known is not so far, whatever it was before.
#[test]
fn a_wait_is_not_satisfied_by_what_is_unknown() {
    let mut mesh = running(2, 2, LAN);
    _ = pass(&mut mesh, (at(0), at(3)), &[1]);
    let reached = [Progress::Initializing, Progress::Running, Progress::Stopping, Progress::Ended];
    for (ask, until) in (1..).zip(reached) {
        assert_eq!(mesh.step(at(3), wait(ask, [0], (until, secs(30)))), [], "{until:?}");
    }
    let effects = mesh.step(at(3), report(0, [0], Status::Running));
    assert_eq!(effects, [waited(1, [], &mesh), waited(2, [], &mesh)], "what it was all the time");

    let mut mesh = new(1, 1, LAN);
    assert_eq!(mesh.step(at(0), wait(1, [0], (Progress::Initializing, secs(30)))), []);
}

/// L7: also before the ranks exist, and before the mesh is opened.
#[test]
fn a_wait_may_come_before_the_mesh_is_opened() {
    let mut mesh = new(2, 1, LAN);
    assert_eq!(mesh.step(at(0), wait(1, [0], RUNNING)), []);
    assert_eq!(mesh.step(at(0), wait(2, [1], (Progress::Running, secs(1)))), []);
    assert_eq!(mesh.next_deadline(), Some(at(1)), "its time runs");
    assert_eq!(mesh.step(at(0), Event::Opened), [start(0, [0, 1], 0)]);
    assert_eq!(pass(&mut mesh, (at(0), at(1)), &[0]), [(at(1), waited(2, [1], &mesh))]);
    assert_eq!(mesh.step(at(1), report(0, [0], Status::Running)), [waited(1, [], &mesh)]);
}

/// L7: also of a mesh that is never opened.
#[test]
fn a_wait_ends_in_time_also_before_the_mesh_is_opened() {
    let mut mesh = new(1, 1, LAN);
    _ = mesh.step(at(0), wait(1, [0], (Progress::Running, secs(1))));
    assert_eq!(mesh.step(at(1), Event::Tick), [waited(1, [0], &mesh)]);
    assert_eq!(mesh.next_deadline(), None);
}

/// L7, L6: everything has ended when the mesh is closed, so no wait is left, and none waits.
#[test]
fn a_closed_mesh_answers_at_once() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), wait(1, [0, 1], ENDED));
    let effects = mesh.step(at(2), ended([0, 1]));
    assert_eq!(effects, [waited(1, [], &mesh), Effect::Finish]);
    assert_eq!(mesh.step(at(3), wait(2, [0, 1], ENDED)), [waited(2, [], &mesh)]);
    assert_eq!(mesh.next_deadline(), None);
}

/// L7, RS2: a rank that has once been so far counts, also if it begins again meanwhile.
#[test]
fn a_wait_remembers_who_has_been_so_far() {
    let restart =
        RestartConfig { backoff_min: Duration::from_nanos(9), ..RestartConfig::on_failure(9) };
    let mut mesh = opened(2, 1, Config { restart, ..LAN });
    _ = mesh.step(at(0), wait(1, [0, 1], RUNNING));
    _ = mesh.step(at(0), report(0, [0], Status::Running));
    _ = mesh.step(at(1), crashed([0]));
    let effects = mesh.step(at(1), wait(3, [0], RUNNING));
    assert_eq!(effects, [], "its end is not how far it gets");
    assert_eq!(mesh.step(at_ms_after_one(), Event::Tick), [start(0, [0], 1)]);
    let effects = mesh.step(at_ms_after_one(), report(0, [1], Status::Running));
    assert_eq!(effects, [waited(1, [], &mesh)]);
    let effects = mesh.step(at_ms_after_one(), wait(2, [0], RUNNING));
    assert_eq!(effects, [], "the next life is not so far");
    let effects = mesh.step(at_ms_after_one(), nth_report(0, [0], (1, 1), Status::Running));
    assert_eq!(effects, [waited(2, [], &mesh), waited(3, [], &mesh)]);
}

/// L7, RS3: what was to begin again, and is not, has come as far as it gets.
#[test]
fn a_wait_ends_with_a_restart_that_is_cancelled() {
    let restart = RestartConfig { backoff_min: secs(9), ..RestartConfig::on_failure(9) };
    let mut mesh = running(2, 1, Config { restart, ..LAN });
    _ = mesh.step(at(1), crashed([0]));
    assert_eq!(mesh.step(at(1), wait(1, [0], RUNNING)), []);
    let effects = mesh.step(at(2), stop(2, secs(9)));
    assert!(effects.contains(&waited(1, [], &mesh)), "{effects:?}");
}

const fn at_ms_after_one() -> mesh_core::Timestamp {
    mesh_core::Timestamp::from_start(Duration::from_millis(1_010))
}

/// L7: a rank that is told to stop because of another has come so far, too.
#[test]
fn a_wait_sees_ranks_that_a_round_stops() {
    let restart =
        RestartConfig { strategy: mesh_core::Strategy::OneForAll, ..RestartConfig::on_failure(9) };
    let mut mesh = running(2, 1, Config { restart, ..LAN });
    _ = mesh.step(at(1), wait(1, [1], (Progress::Stopping, secs(9))));
    let effects = mesh.step(at(1), crashed([0]));
    assert_eq!(effects.last(), Some(&waited(1, [], &mesh)));
}

/// L7: so does one that ends while the mesh is stopped.
#[test]
fn a_wait_for_a_stop_is_answered_when_it_is_asked_for() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(1), wait(1, [0], (Progress::Stopping, secs(9))));
    let effects = mesh.step(at(1), stop(2, secs(1)));
    assert!(effects.contains(&waited(1, [], &mesh)), "{effects:?}");
}

/// L8
#[test]
fn a_wait_for_a_rank_that_is_not_there_is_refused() {
    let mut mesh = running(3, 1, LAN);
    let why = Refusal::NoSuchRank { rank: Rank::new(7), size: 3 };
    assert_eq!(mesh.step(at(1), wait(1, [0, 3, 7], RUNNING)), [refusal(1, why)]);
    assert_eq!(mesh.next_deadline(), running(3, 1, LAN).next_deadline(), "nothing is waited for");
}

/// L8: no more may wait than the limit says, of waits and stops together.
#[test]
fn waits_are_bounded() {
    let limits = Limits { asks: 2, ..Limits::LARGE };
    let mut mesh = running(1, 1, Config { limits, ..LAN });
    assert_eq!(mesh.step(at(1), wait(1, [0], ENDED)), []);
    assert_eq!(mesh.step(at(1), wait(2, [0], ENDED)), []);
    let full = || Refusal::TooMany { limit: 2 };
    assert_eq!(mesh.step(at(1), wait(3, [0], ENDED)), [refusal(3, full())]);
    assert_eq!(mesh.step(at(1), wait(4, [0], RUNNING)), [waited(4, [], &mesh)], "no need to wait");
    assert_eq!(mesh.step(at(1), Event::Withdrawn(AskId::new(2))), []);
    assert_eq!(mesh.step(at(1), stop(5, secs(9))).len(), 1, "the first stop is never refused");
    assert_eq!(mesh.step(at(1), stop(6, secs(9))), [refusal(6, full())]);
    assert_eq!(mesh.step(at(1), Event::Withdrawn(AskId::new(5))), []);
    assert_eq!(mesh.step(at(1), stop(7, secs(9))), []);
}

/// L7: a question that waits is asked once, however often its number comes.
#[test]
fn the_number_of_a_question_that_waits_is_not_taken_again() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), wait(1, [0], ENDED));
    assert_eq!(mesh.step(at(1), wait(1, [1], RUNNING)), []);
    assert_eq!(mesh.step(at(1), asked(1, MeshRequest::GetState)), []);
    _ = mesh.step(at(1), stop(2, secs(9)));
    assert_eq!(mesh.step(at(1), asked(2, MeshRequest::GetState)), []);
    let effects = mesh.step(at(2), ended([0]));
    assert_eq!(effects, [waited(1, [], &mesh)], "the first question");
}

/// L7
#[test]
fn who_has_gone_is_not_answered() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(1), subscribe(Interest::Terminal));
    _ = mesh.step(at(1), wait(1, [0], ENDED));
    assert_eq!(mesh.step(at(1), Event::Withdrawn(AskId::new(1))), []);
    assert_eq!(mesh.step(at(1), Event::Withdrawn(AskId::new(9))), [], "unknown");
    let effects = mesh.step(at(2), crashed([0]));
    assert!(!effects.contains(&waited(1, [], &mesh)), "{effects:?}");

    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(1), stop(1, secs(1)));
    assert_eq!(mesh.step(at(1), Event::Withdrawn(AskId::new(1))), []);
    assert_eq!(pass(&mut mesh, (at(1), at(3)), &[0]).len(), 1, "the stop goes on");
    assert_eq!(mesh.step(at(3), ended([0])), [Effect::Finish]);
}

/// L7, N3: waiting keeps nobody from hearing that the controller lives.
#[test]
fn a_wait_is_no_heartbeat_and_stops_none() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(0), wait(1, [0], (Progress::Ended, secs(60))));
    let due = mesh.check_due().expect("a rank lives");
    _ = mesh.step(due, beat(0, 1));
    let effects = mesh.step(due, Event::Tick);
    assert!(effects.iter().all(is_routine) && effects.len() == 1, "{effects:?}");
    assert_eq!(mesh.step(at(3), nth_report(0, [0], (0, 3), crash())).len(), 3);
}
