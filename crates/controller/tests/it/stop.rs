//! stop: everybody is told, ranks are asked and then killed, and nobody waits for ever (C1, C3).

use std::time::Duration;

use controller::{Effect, Event};
use mesh_core::{Interest, MeshRequest, News, Snapshot, Stall, Status, StatusKind, Trouble};

use crate::support::{
    LAN, Mesh, answer, ask_kill, ask_stop, asked, at, change, changed, crashed, ended, kill,
    kill_all, kinds, new, nth_report, pass, report, resist, running, secs, snapshot, statuses,
    stop, subscribe, tell, tell_owner,
};

/// C1
#[test]
fn subscribers_are_told_before_any_rank_is_touched() {
    let mut mesh = running(4, 2, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    let stopping = vec![change(0..4, Status::Stopping)];
    assert_eq!(
        mesh.step(at(1), stop(1, secs(5))),
        [
            tell(1, News::Stopping { reason: None }),
            tell(2, changed(stopping)),
            ask_stop(0, 0..2),
            ask_stop(1, 2..4),
        ]
    );
}

/// C1, N5: why a mesh is stopped is told to who watches it, and to who comes later; of two stops the first says it.
#[test]
fn subscribers_are_told_why() {
    let mut unwatched = running(2, 1, LAN);
    let mut mesh = unwatched.clone();
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    let because = |ask, reason: &str| {
        let (grace, reason) = (secs(5), Some(reason.into()));
        asked(ask, MeshRequest::Stop { grace, reason })
    };
    let reason = Some("the job is done".into());
    let effects = mesh.step(at(1), because(1, "the job is done"));
    assert_eq!(effects, [tell(1, News::Stopping { reason: reason.clone() }), ask_stop(0, 0..2)]);
    assert_eq!(mesh.step(at(1), because(2, "somebody else asks")), []);
    _ = unwatched.step(at(1), because(1, "the job is done"));
    _ = unwatched.step(at(1), because(2, "somebody else asks"));
    let told = unwatched.step(at(1), subscribe(Interest::Terminal));
    let now = Snapshot { is_stopping: true, stop_reason: reason, ..snapshot() };
    assert_eq!(told, [tell(0, News::Snapshot(now))]);
}

/// C1
#[test]
fn a_stop_is_answered_with_every_status_when_the_last_rank_has_ended() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), stop(1, secs(5)));
    assert_eq!(mesh.step(at(2), ended([0])), []);
    let effects = mesh.step(at(3), ended([1]));
    assert_eq!(effects, [answer(1, mesh.state()), Effect::Finish]);
    assert_eq!(kinds(&mesh), [StatusKind::Stopped; 2]);
}

/// C1: ranks that do not end are killed when their grace is over, and only they.
#[test]
fn what_is_left_after_the_grace_is_killed_once() {
    let mut mesh = running(3, 1, LAN);
    _ = mesh.step(at(1), stop(1, secs(5)));
    _ = mesh.step(at(2), ended([1]));
    let kill = (at(6), ask_kill(0, [0, 2]));
    assert_eq!(pass(&mut mesh, (at(2), at(15)), &[0]), [kill]);
}

/// C1: our own pause is not taken from anybody's grace.
#[test]
fn a_pause_of_ours_does_not_use_up_the_grace() {
    let mut mesh = running(1, 1, LAN);
    let due = mesh.next_deadline().expect("a rank lives");
    _ = mesh.step(due, stop(1, secs(5)));
    let promised = mesh.next_deadline().expect("a stop is under way");
    let resumed = promised + secs(60);
    let effects = mesh.step(resumed, Event::Tick);
    assert!(!effects.contains(&ask_kill(0, [0])), "{effects:?}");
    let left = secs(5) - promised.since(due);
    let kill = (resumed + left, ask_kill(0, [0]));
    assert_eq!(pass(&mut mesh, (resumed, resumed + secs(9)), &[0]), [kill]);
}

/// C1: a stop is answered even if the ranks cannot be killed.
#[test]
fn nobody_waits_for_ever_for_a_rank_that_does_not_end() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(1), stop(1, secs(5)));
    let out = pass(&mut mesh, (at(1), at(40)), &[0]);
    let given_up = (at(6) + LAN.times.lease, answer(1, mesh.state()));
    assert_eq!(out, [(at(6), ask_kill(0, [0])), given_up]);
    assert_eq!(statuses(&mesh), [Status::Stopping], "it is still watched");
    assert_eq!(mesh.step(at(40), stop(2, secs(5))), [answer(2, mesh.state())]);
    assert_eq!(mesh.step(at(41), ended([0])), [Effect::Finish]);
}

/// C1: nor for a lease, if it is known that none of those that are left ends.
#[test]
fn nobody_waits_for_ranks_that_are_known_to_resist() {
    let mut mesh = running(3, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    // It was killed before, for a reason of its agent.
    let trouble = || News::Trouble(Trouble::Unkillable { ranks: 1, why: "state D".to_owned() });
    assert_eq!(mesh.step(at(1), resist([2], 0)), [tell(1, trouble())]);
    assert_eq!(mesh.step(at(1), resist([2], 0)), [], "that is known");
    assert_eq!(mesh.step(at(1), resist([2], 7)), [], "that is another life");
    _ = mesh.step(at(1), stop(1, secs(5)));
    let told = pass(&mut mesh, (at(1), at(7)), &[0]);
    assert!(told.contains(&(at(6), ask_kill(0, 0..3))), "{told:?}");
    let effects = mesh.step(at(7), ended([1]));
    assert!(matches!(effects[..], [Effect::Tell { .. }]), "rank 0 may still end: {effects:?}");
    let effects = mesh.step(at(8), resist([0], 0));
    assert_eq!(effects.last(), Some(&answer(1, mesh.state())));
    use Status::{Stopped, Stopping};
    assert_eq!(statuses(&mesh), [Stopping, Stopped, Stopping]);
    let effects = mesh.step(at(9), ended([0, 2]));
    assert_eq!(effects.last(), Some(&Effect::Finish), "they are still watched");
}

/// C1: the life that resisted is over, and of the next one nothing is known.
#[test]
fn a_life_that_resisted_says_nothing_of_the_next() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(1), resist([0], 0));
    _ = mesh.step(at(2), nth_report(0, [0], (1, 1), Status::Running));
    _ = mesh.step(at(2), stop(1, secs(1)));
    assert_eq!(pass(&mut mesh, (at(2), at(9)), &[0]), [(at(3), kill(0, [0], 1))]);
}

/// C1
#[test]
fn a_second_stop_does_nothing_and_gets_the_same_answer() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    _ = mesh.step(at(1), stop(1, secs(5)));
    assert_eq!(mesh.step(at(2), stop(2, secs(50))), []);
    let news = vec![change([0], Status::Stopped)];
    let effects = mesh.step(at(3), ended([0]));
    assert_eq!(
        effects,
        [
            tell(2, changed(news)),
            tell(3, News::Closed),
            answer(1, mesh.state()),
            answer(2, mesh.state()),
            Effect::Finish,
        ]
    );
    assert_eq!(mesh.step(at(9), stop(3, secs(5))), [answer(3, mesh.state())]);
}

/// C1: the grace that was asked for first is kept, to the letter.
#[test]
fn a_second_stop_changes_no_grace() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(1), stop(1, secs(5)));
    for (ask, grace) in [(2, Duration::ZERO), (3, secs(3)), (4, Duration::MAX)] {
        assert_eq!(mesh.step(at(1), stop(ask, grace)), []);
    }
    assert_eq!(pass(&mut mesh, (at(1), at(9)), &[0]), [(at(6), ask_kill(0, [0]))]);
}

/// C1: whoever does not want to wait for the grace says so.
#[test]
fn a_kill_ends_the_grace_of_a_stop() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), stop(1, Duration::MAX));
    assert_eq!(mesh.step(at(2), kill_all(2)), []);
    assert_eq!(mesh.next_deadline(), Some(at(2)));
    assert_eq!(mesh.step(at(2), Event::Tick), [ask_kill(0, [0, 1])]);
    assert_eq!(mesh.step(at(3), kill_all(3)), [], "once");
    assert_eq!(pass(&mut mesh, (at(3), at(4)), &[0]), []);
    let effects = mesh.step(at(4), ended([0, 1]));
    let state = mesh.state();
    let answers = [1, 2, 3].map(|ask| answer(ask, state.clone()));
    assert_eq!(effects, [&answers[..], &[Effect::Finish]].concat());
    assert_eq!(mesh.step(at(9), kill_all(4)), [answer(4, mesh.state())]);
}

/// C1: a kill of a mesh that is not being stopped is a stop without grace.
#[test]
fn a_kill_stops_a_mesh_without_grace() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    assert_eq!(
        mesh.step(at(1), kill_all(1)),
        [tell(1, News::Stopping { reason: None }), ask_stop(0, [0, 1])]
    );
    assert_eq!(mesh.step(at(1), Event::Tick), [ask_kill(0, [0, 1])]);
}

/// C1, H9
#[test]
fn a_mesh_that_was_never_opened_stops_at_once() {
    let mut mesh = new(2, 1, LAN);
    let effects = mesh.step(at(1), stop(1, secs(5)));
    assert_eq!(effects, [answer(1, mesh.state()), Effect::Finish]);
    assert_eq!(kinds(&mesh), [StatusKind::Stopped; 2]);
    assert_eq!(mesh.step(at(2), Event::Opened), [], "it is over");
}

/// C1: ranks may run before the controller is opened; a stop then watches them to their end.
#[test]
fn a_stop_before_opening_watches_what_runs_already() {
    let mut mesh = new(1, 1, LAN);
    _ = mesh.step(at(0), report(0, [0], Status::Running));
    assert_eq!(mesh.step(at(1), stop(1, secs(1))), [ask_stop(0, [0])]);
    let now = at(1) + LAN.times.timeout;
    let timeout = Status::Timeout { after: LAN.times.timeout, cause: None };
    let out = pass(&mut mesh, (at(1), at(20)), &[]);
    assert_eq!(out[0], (at(2), ask_kill(0, [0])));
    assert_eq!(out[2], (now, tell_owner(&mesh, vec![change([0], timeout)])));
    assert_eq!(out[3..], [(now, Effect::Finish)]);
}

/// C3
#[test]
fn dead_ranks_are_neither_asked_nor_killed_nor_changed() {
    let mut mesh = running(3, 1, LAN);
    _ = mesh.step(at(1), crashed([1]));
    assert_eq!(mesh.step(at(2), stop(1, secs(1))), [ask_stop(0, [0, 2])]);
    assert_eq!(kinds(&mesh), [StatusKind::Stopping, StatusKind::Failed, StatusKind::Stopping]);
    assert_eq!(pass(&mut mesh, (at(2), at(4)), &[0]), [(at(3), ask_kill(0, [0, 2]))]);
    assert_eq!(mesh.step(at(4), ended([0, 2])), [answer(1, mesh.state()), Effect::Finish]);
}

/// C3: the ranks of a lost agent time out, also during a stop.
#[test]
fn a_stop_ends_although_an_agent_is_lost() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(0), stop(1, secs(1)));
    _ = mesh.step(at(0), ended([0]));
    let out = pass(&mut mesh, (at(0), at(20)), &[0]);
    let after = LAN.times.timeout;
    let timeout = Status::Timeout { after, cause: None };
    let gone = at(0) + after;
    assert_eq!(
        out,
        [
            (at(1), ask_kill(1, [1])),
            (at(11), answer(1, state_with(&mesh, 1, Status::Stopping))),
            (gone, tell_owner(&mesh, vec![change([1], timeout)])),
            (gone, Effect::Finish),
        ]
    );
}

/// C3, H4: a suspension holds a timeout back, but not for ever once the mesh is stopped.
#[test]
fn a_stop_ends_although_a_suspended_rank_was_lost_with_its_agent() {
    let mut mesh = running(2, 2, LAN);
    let suspended = Status::Stalled(Stall::Suspended { signal: 19 });
    _ = mesh.step(at(0), nth_report(1, [1], (0, 2), suspended.clone()));
    assert_eq!(pass(&mut mesh, (at(0), at(30)), &[0]), []);
    assert_eq!(statuses(&mesh), [Status::Running, suspended]);
    _ = mesh.step(at(30), stop(1, secs(1)));
    let timeout = Status::Timeout { after: secs(31), cause: None };
    let news = vec![change([1], timeout)];
    assert_eq!(
        pass(&mut mesh, (at(30), at(31)), &[0]),
        [(at(31), ask_kill(0, [0])), (at(31), tell_owner(&mesh, news))]
    );
    let effects = mesh.step(at(32), nth_report(0, [0], (0, 2), Status::Stopped));
    assert_eq!(effects, [answer(1, mesh.state()), Effect::Finish]);
}

/// The state of the mesh, with another status for one rank.
fn state_with(mesh: &Mesh, rank: usize, status: Status) -> mesh_core::MeshState {
    let mut state = mesh.state();
    let incarnation = mesh_core::Incarnation::FIRST;
    state
        .ranks
        .set(mesh_shape::Rank::new(rank), mesh_core::RankState { incarnation, status })
        .expect("the mesh has this rank");
    state.phase = mesh_core::MeshPhase::Stopping;
    state
}
