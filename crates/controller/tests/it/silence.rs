//! silence: what it means, what ends it, and when it is our own (H4, L3, N9; rules 1, 4 and 6).

use std::time::Duration;

use controller::{Effect, Event};
use mesh_core::{Interest, News, Stall, StalledHandler, Status, StatusKind, Timestamp, Trouble};

use crate::support::{
    LAN, ask_kill, at, at_ms, beat, change, changed, crash, exit, is_routine, kinds, nth_report,
    pass, report, running, secs, statuses, subscribe, tell, tell_owner,
};

const TIMEOUT: Duration = LAN.times.timeout;

fn timeout() -> Status {
    Status::Timeout { after: TIMEOUT, cause: None }
}

/// H4: at T/5, 7T/20 and 1.01 T + 2 s after the agent was heard last.
#[test]
fn silence_means_more_and_more() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    let told = |seq, millis, status| {
        let now = at_ms(millis);
        (now, tell(seq, changed(vec![change([0], status)])))
    };
    let out = pass(&mut mesh, (at(0), at_ms(12_099)), &[1]);
    // Heartbeats at the checks have the numbers between.
    assert_eq!(out, [told(1, 2_000, Status::Suspect), told(3, 3_500, Status::Unreachable)]);
    let out = pass(&mut mesh, (at_ms(12_099), at_ms(12_100)), &[1]);
    let owner = tell_owner(&mesh, vec![change([0], timeout())]);
    assert_eq!(out, [told(8, 12_100, timeout()), (at_ms(12_100), owner)]);
}

/// H4
#[test]
fn any_answer_ends_a_doubt_without_a_failure() {
    for until in [2_500, 4_000, 12_000] {
        for answer in [beat(0, 1), report(0, [0], Status::Running)] {
            let mut mesh = running(2, 2, LAN);
            _ = pass(&mut mesh, (at(0), at_ms(until)), &[1]);
            assert_ne!(kinds(&mesh), [StatusKind::Running; 2]);
            _ = mesh.step(at_ms(until), subscribe(Interest::All));
            let effects = mesh.step(at_ms(until), answer.clone());
            let news = vec![change([0], Status::Running)];
            let told = effects.into_iter().filter(|effect| !is_routine(effect));
            assert_eq!(told.collect::<Vec<_>>(), [tell(1, changed(news))], "{answer:?}");
            assert_eq!(kinds(&mesh), [StatusKind::Running; 2]);
        }
    }
}

/// H4: what was doubted is what it was before, also if it had been stalled.
#[test]
fn a_doubt_forgets_nothing() {
    let mut mesh = running(2, 2, LAN);
    let (actor, message) = ("words".to_owned(), "COUNT".to_owned());
    let handler = StalledHandler { actor, message, age: secs(3) };
    let stalled = Status::Stalled(Stall::Handler(handler.into()));
    _ = mesh.step(at(0), nth_report(0, [0], (0, 2), stalled.clone()));
    _ = pass(&mut mesh, (at(0), at(3)), &[1]);
    assert_eq!(statuses(&mesh), [Status::Suspect, Status::Running]);
    _ = mesh.step(at(3), beat(0, 1));
    assert_eq!(statuses(&mesh), [stalled, Status::Running]);
}

/// H4
#[test]
fn a_suspension_holds_back_every_doubt() {
    let mut mesh = running(2, 2, LAN);
    let suspended = Status::Stalled(Stall::Suspended { signal: 19 });
    _ = mesh.step(at(0), nth_report(0, [0], (0, 2), suspended.clone()));
    _ = mesh.step(at(0), subscribe(Interest::All));
    assert_eq!(pass(&mut mesh, (at(0), at(60)), &[1]), []);
    assert_eq!(statuses(&mesh), [suspended, Status::Running]);
    let news = vec![change([0], Status::Running)];
    let effects = mesh.step(at(60), nth_report(0, [0], (0, 3), Status::Running));
    let told = effects.into_iter().find(|effect| !is_routine(effect));
    assert!(matches!(&told, Some(Effect::Tell { event, .. }) if event.news == changed(news)));
}

/// H2, H4
#[test]
fn a_late_failure_explains_a_timeout_and_is_no_second_end() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    _ = pass(&mut mesh, (at(0), at(13)), &[1]);
    assert_eq!(mesh.step(at(13), nth_report(0, [0], (0, 2), crash())), []);
    let Status::Failed(cause) = crash() else { unreachable!("a crash is a failure") };
    let explained = Status::Timeout { after: TIMEOUT, cause: Some(cause) };
    assert_eq!(statuses(&mesh), [explained.clone(), Status::Running]);
    assert_eq!(mesh.step(at(13), nth_report(0, [0], (0, 3), exit(9))), []);
    assert_eq!(statuses(&mesh), [explained, Status::Running], "the first word counts");
}

/// H2, H4: also after the mesh was closed.
#[test]
fn a_timeout_is_explained_also_after_the_end() {
    let mut mesh = running(1, 1, LAN);
    let out = pass(&mut mesh, (at(0), at(13)), &[]);
    assert_eq!(out.last(), Some(&(at_ms(12_100), Effect::Finish)));
    assert_eq!(mesh.step(at(13), nth_report(0, [0], (0, 2), crash())), []);
    assert!(statuses(&mesh)[0].cause().is_some());
    assert_eq!(mesh.next_deadline(), None);
}

/// H2: a dead life stays dead even if it speaks again.
#[test]
fn a_rank_that_timed_out_stays_dead() {
    let mut mesh = running(2, 2, LAN);
    _ = pass(&mut mesh, (at(0), at(13)), &[1]);
    let back = nth_report(0, [0], (0, 2), Status::Running);
    assert_eq!(mesh.step(at(13), back), [ask_kill(0, [0])], "its place may be taken");
    assert_eq!(statuses(&mesh), [timeout(), Status::Running]);
}

/// Rule 6: after our own pause nobody is judged by it; what was queued is read first.
#[test]
fn nobody_is_blamed_for_our_own_pause() {
    for pause in [3, 11, 60, 3_600] {
        let mut mesh = running(4, 4, LAN);
        _ = mesh.step(at(0), subscribe(Interest::All));
        let out = pass(&mut mesh, (at(0), at(2)), &[0, 1, 2, 3]);
        assert_eq!(out, []);
        let awake = at(2 + pause);
        let effects = mesh.step(awake, Event::Tick);
        assert!(effects.iter().all(is_routine), "after {pause} s: {effects:?}");
        assert_eq!(kinds(&mesh), [StatusKind::Running; 4]);
        assert_eq!(pass(&mut mesh, (awake, awake + secs(9)), &[0, 1, 2, 3]), []);
    }
}

/// Rule 6: when the tick comes, what was said during the pause may still be unread; and the pause may
/// have begun when the deadline was still far.
#[test]
fn whoever_was_heard_has_the_whole_time_to_be_heard_again_after_our_pause() {
    let mut mesh = running(2, 2, LAN);
    let awake = mesh.next_deadline().expect("ranks live") + secs(60);
    _ = mesh.step(awake, Event::Tick);
    let due = awake + LAN.times.suspect;
    _ = mesh.step(due.before(Duration::from_millis(1)), Event::Tick);
    assert_eq!(kinds(&mesh), [StatusKind::Running; 2]);
    _ = mesh.step(due, beat(1, 1));
    _ = mesh.step(due, Event::Tick);
    assert_eq!(kinds(&mesh), [StatusKind::Suspect, StatusKind::Running]);
}

/// Rule 6: silence that was seen before the pause can have begun counts; and a heartbeat's time is left in
/// any case to read what was said meanwhile.
#[test]
fn whoever_was_silent_before_our_pause_has_the_rest_of_its_time() {
    for (seen_ms, left_ms) in [(0, 2_000), (1_000, 1_000), (1_300, 700), (1_500, 500), (1_900, 500)]
    {
        let mut mesh = running(2, 2, LAN);
        _ = mesh.step(at_ms(seen_ms), beat(1, 1));
        let awake = mesh.next_deadline().expect("ranks live") + secs(60);
        let due = awake + Duration::from_millis(left_ms);
        _ = mesh.step(awake, Event::Tick);
        _ = mesh.step(due.before(Duration::from_millis(1)), beat(1, 2));
        _ = mesh.step(due.before(Duration::from_millis(1)), Event::Tick);
        assert_eq!(kinds(&mesh), [StatusKind::Running; 2], "seen at {seen_ms} ms");
        _ = mesh.step(due, Event::Tick);
        let doubted = [StatusKind::Suspect, StatusKind::Running];
        assert_eq!(kinds(&mesh), doubted, "seen at {seen_ms} ms");
    }
}

/// L3, rule 6: the answer to a poll, too, may be unread when we wake.
#[test]
fn a_poll_is_not_judged_as_we_wake() {
    let mut config = LAN;
    config.times.poll_deadline = secs(1);
    let mut mesh = running(2, 2, config);
    let check = mesh.check_due().expect("ranks live");
    for agent in [0, 1] {
        _ = mesh.step(check.before(Duration::from_millis(10)), beat(agent, 1));
    }
    _ = mesh.step(check, Event::Tick);
    let answered = check + secs(1);
    _ = mesh.step(answered.before(Duration::from_millis(5)), beat(1, 2));
    assert_eq!(mesh.next_deadline(), Some(answered));
    let awake = answered + secs(60);
    _ = mesh.step(awake, Event::Tick);
    assert_eq!(kinds(&mesh), [StatusKind::Running; 2]);
    _ = mesh.step(awake + Duration::from_millis(1), beat(0, 2));
    assert_eq!(kinds(&mesh), [StatusKind::Running; 2]);
}

/// Rule 6: or a controller that is late each time would never doubt anybody.
#[test]
fn it_is_given_the_whole_time_once_until_it_is_heard() {
    let mut mesh = running(1, 1, LAN);
    let awake = mesh.next_deadline().expect("a rank lives") + secs(60);
    _ = mesh.step(awake, Event::Tick);
    assert_eq!(mesh.next_deadline(), Some(awake + LAN.times.suspect));
    let again = awake + LAN.times.suspect + secs(60);
    _ = mesh.step(again, Event::Tick);
    assert_eq!(kinds(&mesh), [StatusKind::Suspect]);
    _ = mesh.step(again, beat(0, 1));
    let awake = mesh.next_deadline().expect("a rank lives") + secs(60);
    _ = mesh.step(awake, Event::Tick);
    assert_eq!(kinds(&mesh), [StatusKind::Running], "it was heard since");
}

/// Rule 6: an agent that stays silent after our pause is found out.
#[test]
fn a_pause_saves_nobody_for_ever() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    _ = pass(&mut mesh, (at(0), at(1)), &[0, 1]);
    _ = mesh.step(at(100), beat(1, 1));
    let out = pass(&mut mesh, (at(100), at(114)), &[1]);
    let ends: Vec<Timestamp> = out.iter().map(|(now, _)| *now).collect();
    assert_eq!(ends.len(), 2, "told to the subscriber and to the owner: {out:?}");
    assert!(ends[0] > at(109) && ends[0] < at(113), "{ends:?}");
}

/// Rule 6: each moment is forgiven once, however many events are handled before the tick.
#[test]
fn events_that_come_before_a_late_tick_do_not_forgive_again() {
    let mut mesh = running(2, 2, LAN);
    let due = mesh.next_deadline().expect("ranks live");
    for event in 0..300 {
        let now = due + Duration::from_millis(600 + event * 10);
        _ = mesh.step(now, beat(1, event));
    }
    // Agent 0 was silent for 3.4 s after the pause of 0.6 s.
    _ = mesh.step(due + secs(4), Event::Tick);
    assert_eq!(kinds(&mesh), [StatusKind::Suspect, StatusKind::Running]);
}

/// Rule 6: short delays are nobody's pause, and judge as always.
#[test]
fn a_little_late_is_not_a_pause() {
    let mut mesh = running(2, 2, LAN);
    let due = mesh.next_deadline().expect("ranks live");
    let late = due + LAN.times.heartbeat;
    _ = mesh.step(late, beat(1, 1));
    _ = mesh.step(late, Event::Tick);
    assert_eq!(kinds(&mesh), [StatusKind::Suspect, StatusKind::Running]);
}

/// Rule 6: more than half, and at least three: then it is this side that is cut off.
#[test]
fn most_agents_silent_at_once_is_our_own_isolation() {
    let mut mesh = running(4, 4, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    let out = pass(&mut mesh, (at(0), at(22)), &[3]);
    let trouble = News::Trouble(Trouble::Isolated { silent: 3, agents: 4 });
    // One heartbeat has gone before.
    assert_eq!(out, [(at_ms(3_500), tell(2, trouble))]);
    let (bound, n_unreachable) = (TIMEOUT + LAN.times.lease, 3);
    assert_eq!(
        kinds(&mesh),
        [
            StatusKind::Unreachable,
            StatusKind::Unreachable,
            StatusKind::Unreachable,
            StatusKind::Running,
        ]
    );
    let out = pass(&mut mesh, (at(22), at(23)), &[3]);
    let [(told, _), (_, Effect::TellOwner(failures))] = &out[..] else { panic!("{out:?}") };
    assert_eq!(failures.len(), n_unreachable, "they are held back by one lease, and no longer");
    let lateness = told.since(at(0) + bound);
    assert!(*told >= at(0) + bound && lateness <= LAN.times.heartbeat, "{told:?}");
}

/// Rule 6: agents that were lost before are no peers any more, and none of them is heard or silent.
#[test]
fn agents_that_were_given_up_before_are_not_counted_as_heard() {
    let mut mesh = running(7, 7, LAN);
    assert_eq!(pass(&mut mesh, (at(0), at(13)), &[2, 3, 4, 5, 6]).len(), 1, "two hosts are lost");
    assert_eq!(pass(&mut mesh, (at(13), at(26)), &[4, 5, 6]).len(), 1, "and two more");
    _ = mesh.step(at(26), subscribe(Interest::Terminal));
    let out = pass(&mut mesh, (at(26), at(26) + TIMEOUT + secs(9)), &[]);
    let trouble = News::Trouble(Trouble::Isolated { silent: 3, agents: 3 });
    let [(now, told)] = &out[..] else { panic!("{out:?}") };
    assert!(matches!(told, Effect::Tell { event, .. } if event.news == trouble), "{told:?}");
    assert!(*now >= at_ms(29_000) && *now <= at_ms(29_500), "{now:?}");
    let lost = [StatusKind::Timeout; 4].into_iter().chain([StatusKind::Unreachable; 3]);
    assert_eq!(kinds(&mesh), lost.collect::<Vec<_>>());
}

/// Rule 6: said once, however the agents fall silent one after the other.
#[test]
fn isolation_is_said_once() {
    let mut mesh = running(6, 6, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    for (agent, millis) in [(1, 100), (2, 200), (3, 300), (4, 400)] {
        _ = mesh.step(at_ms(millis), beat(agent, 1));
    }
    let out = pass(&mut mesh, (at_ms(400), at(12)), &[5]);
    let trouble = News::Trouble(Trouble::Isolated { silent: 4, agents: 6 });
    assert_eq!(out, [(at_ms(3_800), tell(2, trouble))]);
}

/// Rule 6: two of three may be two lost hosts.
#[test]
fn few_agents_are_not_a_majority() {
    let mut mesh = running(3, 3, LAN);
    let out = pass(&mut mesh, (at(0), at(13)), &[2]);
    let failed = vec![change([0, 1], timeout())];
    assert_eq!(out, [(at_ms(12_100), tell_owner(&mesh, failed))]);
}

/// H4: after a loss, an agent that comes back is judged again.
#[test]
fn an_agent_that_came_back_can_be_lost_again() {
    let mut mesh = running(4, 2, LAN);
    _ = mesh
        .step(at(0), nth_report(0, [1], (0, 2), Status::Stalled(Stall::Suspended { signal: 19 })));
    _ = pass(&mut mesh, (at(0), at(20)), &[1]);
    let back = nth_report(0, [1], (0, 3), Status::Running);
    assert_eq!(mesh.step(at(20), back), []);
    assert_eq!(kinds(&mesh)[..2], [StatusKind::Timeout, StatusKind::Running]);
    let out = pass(&mut mesh, (at(20), at(40)), &[1]);
    let now = at(20) + TIMEOUT;
    assert_eq!(out, [(now, tell_owner(&mesh, vec![change([1], timeout())]))]);
}
