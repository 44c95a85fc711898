//! agents: which life of an agent may speak, and what is done about ranks that should be dead
//! (H1, H2, H4, K1, ST3, ST4).

use std::time::Duration;

use controller::{Config, Effect, Event, RestartConfig};
use mesh_core::{
    BeatSeq, Cause, Incarnation, Interest, News, Order, Reason, Stall, Status, StatusKind, Trouble,
};

use crate::support::{
    LAN, Mesh, ask, ask_kill, at, at_ms, beat, change, changed, crash, crashed, is_routine, kill,
    kinds, lost, nth_report, of_incarnation, of_life, opened, pass, renew, report, running, secs,
    start, statuses, stop, subscribe, tell, tell_owner, unechoed,
};

fn restarting() -> Config {
    let restart =
        RestartConfig { backoff_min: Duration::from_nanos(9), ..RestartConfig::on_failure(9) };
    Config { restart, ..LAN }
}

/// H1: what an older life of an agent says is ignored wholly: it does not even end a doubt.
#[test]
fn an_older_life_of_an_agent_is_ignored_wholly() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(0), of_life(5, beat(0, 1)));
    _ = pass(&mut mesh, (at(0), at(3)), &[1]);
    assert_eq!(kinds(&mesh), [StatusKind::Suspect, StatusKind::Running]);
    for event in [beat(0, 9), nth_report(0, [0], (0, 9), crash()), crashed([0])] {
        assert_eq!(mesh.step(at(3), of_life(4, event)), []);
    }
    assert_eq!(kinds(&mesh), [StatusKind::Suspect, StatusKind::Running]);
}

/// K1: the beats of a life are its own: an echo names the life, and counts from its first beat.
#[test]
fn a_renewal_echoes_the_beats_of_the_life_that_speaks() {
    let mut mesh = running(1, 1, LAN);
    assert_eq!(mesh.step(at(1), beat(0, 900)), [renew(0, 900)]);
    let echo = |life, echoed| {
        let (life, echoed) = (Incarnation::new(life), BeatSeq::new(echoed));
        ask(0, Order::Renew { echoed: mesh_core::Echo { life, beat: echoed } })
    };
    assert_eq!(mesh.step(at(1), of_life(2, beat(0, 3))), [echo(2, 3)]);
    assert_eq!(mesh.step(at(1), of_life(1, beat(0, 901))), [], "that life is over");
    assert_eq!(mesh.step(at(1), of_life(2, beat(0, 2))), [echo(2, 3)]);
}

/// N6, H5: everybody is told that an agent was started again, once.
#[test]
fn an_agent_that_was_started_again_is_told() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    let trouble = Trouble::AgentRestarted { agent: 1, life: Incarnation::new(4) };
    let effects = mesh.step(at(1), of_life(4, beat(1, 0)));
    assert_eq!(effects[..1], [tell(1, News::Trouble(trouble))]);
    assert_eq!(mesh.step(at(1), of_life(4, beat(1, 1))).len(), 1, "an echo");
    assert_eq!(kinds(&mesh), [StatusKind::Running; 2], "no rank is judged by that");
}

/// H1: the first life that is heard of is no news, whatever its number.
#[test]
fn the_first_life_of_an_agent_is_no_news() {
    let mut mesh = opened(1, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    assert_eq!(mesh.step(at(0), of_life(7, report(0, [0], Status::Running))), []);
}

/// ST4, H1: it counts from 0 again, and what it does not know is lost.
#[test]
fn what_a_new_life_of_an_agent_does_not_know_is_lost() {
    let mut mesh = running(3, 1, LAN);
    _ = mesh.step(at(0), nth_report(0, 0..3, (0, 40), Status::Running));
    let unknown = of_life(1, nth_report(0, [1, 2], (0, 0), Status::NotExist));
    let news = vec![change([1, 2], lost())];
    assert_eq!(mesh.step(at(1), unknown.clone()), [tell_owner(&mesh, news)]);
    assert_eq!(mesh.step(at(1), unknown), [], "once");
    let known = of_life(1, nth_report(0, [0], (0, 0), Status::Stalled(Stall::DumpingCore)));
    assert_eq!(mesh.step(at(1), known), []);
    assert_eq!(kinds(&mesh)[0], StatusKind::Stalled, "its count begins anew");
}

/// ST4: also ranks that were started again: who knows nothing cannot know which life it has lost.
#[test]
fn a_later_life_of_a_rank_is_lost_as_well() {
    let mut mesh = running(2, 1, restarting());
    _ = mesh.step(at(0), crashed([0]));
    _ = mesh.step(at(1), Event::Tick);
    _ = mesh.step(at(1), nth_report(0, [0], (1, 1), Status::Running));
    let unknown = of_life(1, nth_report(0, [0], (0, 0), Status::NotExist));
    let effects = mesh.step(at(1), unknown.clone());
    let [Effect::TellOwner(failures)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(failures.changes[0].status, lost());
    assert_eq!(failures.changes[0].incarnation, Incarnation::new(1));
    _ = mesh.step(at_ms(1_500), Event::Tick);
    assert_eq!(mesh.step(at_ms(1_500), unknown), [], "not the life that begins now");
    _ = mesh.step(at_ms(1_500), of_life(1, nth_report(0, [0], (2, 0), Status::Running)));
    let late = of_life(1, nth_report(0, [0], (0, 0), Status::NotExist));
    assert_eq!(mesh.step(at_ms(1_500), late), [], "nor the one that it then has told of");
    assert_eq!(kinds(&mesh)[0], StatusKind::Running);
}

/// ST4, H1: without a new life of the agent such a word is an old one.
#[test]
fn an_agent_that_was_not_started_again_loses_no_later_life_by_an_old_word() {
    let mut mesh = running(2, 1, restarting());
    _ = mesh.step(at(0), crashed([0]));
    _ = mesh.step(at(1), Event::Tick);
    _ = mesh.step(at(1), nth_report(0, [0], (1, 0), Status::Running));
    assert_eq!(mesh.step(at(1), nth_report(0, [0], (0, 0), Status::NotExist)), []);
    assert_eq!(kinds(&mesh)[0], StatusKind::Running);
}

/// ST4: a rank that it was to start, and does not know, it is told to start again.
#[test]
fn a_new_life_of_an_agent_is_told_again_what_to_start() {
    let mut mesh = opened(2, 1, LAN);
    _ = mesh.step(at(0), of_life(0, report(0, [0], Status::Running)));
    _ = mesh.step(at(1), of_life(1, nth_report(0, [1], (0, 0), Status::NotExist)));
    let out = pass_as(&mut mesh, 1, (at(1), at(4)));
    assert_eq!(out, [start(0, [1], 0)]);
}

/// L2: an order to start that was lost shows in what the agent reports of the life before.
#[test]
fn a_lost_order_to_start_a_later_life_is_repeated() {
    let mut mesh = running(2, 1, restarting());
    _ = mesh.step(at(0), crashed([0]));
    assert_eq!(mesh.step(at(1), Event::Tick), [start(0, [0], 1)]);
    // It has not got that order: its next answer to a poll is about the life before.
    _ = mesh.step(at(1), nth_report(0, [0], (0, 2), crash()));
    assert_eq!(pass_as(&mut mesh, 0, (at(1), at(4))), [start(0, [0], 1)]);
    assert_eq!(pass_as(&mut mesh, 0, (at(4), at(9))), [], "once for each such word");
}

fn pass_as(
    mesh: &mut Mesh,
    life: u64,
    (from, until): (mesh_core::Timestamp, mesh_core::Timestamp),
) -> Vec<Effect> {
    let (mut now, mut out) = (from, Vec::new());
    while now < until {
        now = now + Duration::from_millis(500);
        out.extend(mesh.step(now, of_life(life, beat(0, now.since_start().as_secs()))));
        out.extend(mesh.step(now, Event::Tick));
    }
    out.retain(|effect| !is_routine(effect));
    unechoed(out)
}

/// H2: a rank that lives although its life is over is killed, as often as it says so.
#[test]
fn a_report_of_a_life_that_is_over_is_answered_with_a_kill() {
    let mut mesh = running(3, 1, restarting());
    _ = mesh.step(at(0), crashed([0]));
    let zombie = nth_report(0, [0], (0, 3), Status::Running);
    assert_eq!(mesh.step(at(0), zombie.clone()), [ask_kill(0, [0])], "it had ended");
    _ = mesh.step(at(1), Event::Tick);
    for _ in 0..2 {
        assert_eq!(mesh.step(at(1), zombie.clone()), [ask_kill(0, [0])], "it was replaced");
    }
    assert_eq!(mesh.step(at(1), nth_report(0, [0], (0, 0), Status::Running)), [ask_kill(0, [0])]);
    let ended = nth_report(0, [0], (0, 4), Status::Stopped);
    assert_eq!(mesh.step(at(1), ended), [], "at last");
    assert_eq!(mesh.step(at(1), nth_report(0, [0], (0, 0), Status::NotExist)), []);
    assert_eq!(kinds(&mesh)[0], StatusKind::Initializing, "the new life is not touched");
}

/// H2: each with the life that it says it has.
#[test]
fn a_kill_names_the_life_that_is_over() {
    let mut mesh = running(3, 1, LAN);
    _ = mesh.step(at(0), nth_report(0, 0..3, (5, 0), Status::Running));
    assert_eq!(
        mesh.step(at(1), nth_report(0, [1, 2], (3, 9), Status::Running)),
        [kill(0, [1, 2], 3)]
    );
    _ = mesh.step(at(1), nth_report(0, [0], (5, 1), crash()));
    assert_eq!(mesh.step(at(1), nth_report(0, [0], (5, 1), Status::Running)), [kill(0, [0], 5)]);
}

/// H1, H2: what was said before the end, and arrives after it, is nobody who lives on.
#[test]
fn an_older_generation_of_an_ended_life_is_not_killed() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), nth_report(0, [0], (0, 7), Status::Stopped));
    assert_eq!(mesh.step(at(1), nth_report(0, [0], (0, 6), Status::Running)), []);
}

/// H2, K1: also after the end of the mesh: no lease is renewed any more, and who still speaks is
/// killed.
#[test]
fn a_closed_mesh_kills_who_still_lives_and_renews_nothing() {
    let mut mesh = running(1, 1, LAN);
    _ = pass(&mut mesh, (at(0), at(13)), &[]);
    assert_eq!(kinds(&mesh), [StatusKind::Timeout]);
    let back = nth_report(0, [0], (0, 2), Status::Running);
    assert_eq!(mesh.step(at(14), back), [ask_kill(0, [0])]);
    assert_eq!(mesh.step(at(14), beat(0, 1)), []);
}

/// H2, H4: an agent may report a timeout itself, of the place that its ranks live in; one that names a
/// cause explains one that was known.
#[test]
fn a_late_timeout_with_a_cause_explains_one_without() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    _ = pass(&mut mesh, (at(0), at(13)), &[1]);
    let cause: std::sync::Arc<Cause> = Cause::new(Reason::Orphaned).into();
    let late = |after| Status::Timeout { after: secs(after), cause: Some(cause.clone()) };
    assert_eq!(mesh.step(at(13), nth_report(0, [0], (0, 2), late(3))), []);
    let after = LAN.times.timeout;
    let explained = Status::Timeout { after, cause: Some(cause.clone()) };
    assert_eq!(statuses(&mesh)[0], explained, "the silence is the controller's own");
    let other = Status::Timeout { after, cause: None };
    assert_eq!(mesh.step(at(13), nth_report(0, [0], (0, 3), other)), []);
    assert_eq!(statuses(&mesh)[0], explained);
}

/// H4, RS1: a place that timed out takes its ranks with it, and nobody starts them again.
#[test]
fn a_reported_timeout_is_a_failure_and_is_not_restarted() {
    let mut mesh = running(2, 1, restarting());
    let timeout = Status::Timeout { after: secs(9), cause: None };
    let news = vec![change([0], timeout.clone())];
    let effects = mesh.step(at(1), nth_report(0, [0], (0, 2), timeout));
    assert_eq!(effects, [tell_owner(&mesh, news)]);
    assert_eq!(mesh.step(at(2), Event::Tick).iter().filter(|e| !is_routine(e)).count(), 0);
}

/// ST3, H4: a place whose host is silent is reported as suspect; its own agent may be silent for
/// longer, and is then what shows.
#[test]
fn a_reported_suspicion_is_covered_by_the_silence_of_its_own_agent() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    let news = vec![change([0], Status::Suspect)];
    let effects = mesh.step(at(0), nth_report(0, [0], (0, 2), Status::Suspect));
    assert_eq!(effects, [tell(1, changed(news))]);
    _ = pass(&mut mesh, (at(0), at(4)), &[1]);
    assert_eq!(kinds(&mesh), [StatusKind::Unreachable, StatusKind::Running]);
    _ = mesh.step(at(4), beat(0, 1));
    assert_eq!(kinds(&mesh), [StatusKind::Suspect, StatusKind::Running], "as it was said");
    _ = mesh.step(at(4), nth_report(0, [0], (0, 3), Status::Running));
    assert_eq!(kinds(&mesh), [StatusKind::Running; 2], "left by any later answer");
}

/// E2, ST2: what caused what is handed on as it was said, root cause last.
#[test]
fn the_chain_of_causes_reaches_the_owner_as_it_was_said() {
    let mut mesh = running(2, 1, LAN);
    let link = |rank, reason| {
        mesh_core::Link::rank(crate::support::label(), mesh_shape::Rank::new(rank), reason)
    };
    let chain =
        vec![link(4, Reason::Inherited), link(1, Reason::Signal { signal: 9, core: false })];
    let cause =
        Cause::new(Reason::Inherited).with_chain(chain).with_stderr(vec!["oops".to_owned()]);
    let failed = Status::failed(cause);
    let news = vec![change([1], failed.clone())];
    let effects = mesh.step(at(1), nth_report(0, [1], (0, 2), failed));
    assert_eq!(effects, [tell_owner(&mesh, news)]);
    let [Effect::TellOwner(failures)] = &effects[..] else { panic!("{effects:?}") };
    let text = failures.to_string();
    let (nearest, root) = (text.find("rank 4"), text.find("signal 9"));
    assert!(nearest.is_some() && nearest < root, "the root cause is last: {text}");
}

/// H3, ST4: a new life of an agent that knows nothing of a rank which is stopping has lost it.
#[test]
fn a_rank_that_is_lost_while_it_stops_has_failed() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), stop(1, secs(9)));
    let unknown = of_life(1, nth_report(0, [0], (0, 0), Status::NotExist));
    let news = vec![of_incarnation(0, change([0], lost()))];
    assert_eq!(mesh.step(at(1), unknown), [tell_owner(&mesh, news)]);
}

/// C1, RS1: a life whose order to start was lost, and its repetition too, does not keep a stop waiting
/// for ever: nobody will report its end.
#[test]
fn a_life_that_never_began_ends_with_the_stop() {
    let mut mesh = running(1, 1, restarting());
    _ = mesh.step(at(0), crashed([0]));
    assert_eq!(mesh.step(at(1), Event::Tick), [start(0, [0], 1)]);
    let before = || nth_report(0, [0], (0, 2), crash());
    _ = mesh.step(at(1), stop(1, secs(1)));
    let killed = pass(&mut mesh, (at(1), at(3)), &[0]);
    assert_eq!(killed, [(at(2), kill(0, [0], 1))]);
    assert_eq!(mesh.step(at(3), before()), [], "the order may be on its way");
    _ = pass(&mut mesh, (at(3), at(12)), &[0]);
    assert_eq!(mesh.step(at(12), nth_report(0, [0], (0, 3), Status::Running)), [ask_kill(0, [0])]);
    assert_eq!(mesh.step(at(12), before()), [Effect::Finish], "answered when the time was over");
    assert_eq!(statuses(&mesh), [Status::Stopped]);
}

/// RS2: nor does it keep a round waiting.
#[test]
fn a_life_that_never_began_does_not_hold_up_a_round() {
    let rules = RestartConfig { strategy: mesh_core::Strategy::RestForOne, ..restarting().restart };
    let mut mesh = running(2, 1, Config { restart: rules, ..LAN });
    _ = mesh.step(at(0), nth_report(0, [1], (0, 2), crash()));
    assert_eq!(mesh.step(at(1), Event::Tick), [start(0, [1], 1)]);
    _ = mesh.step(at(1), crashed([0]));
    let before = || nth_report(0, [1], (0, 2), crash());
    let kill_at = at(1) + LAN.restart.grace;
    for now in [kill_at, kill_at + LAN.times.lease / 2] {
        _ = pass(&mut mesh, (at(1), now), &[0]);
        assert_eq!(mesh.step(now, before()), []);
        assert_eq!(kinds(&mesh), [StatusKind::Failed, StatusKind::Stopping]);
    }
    let overdue = kill_at + LAN.times.lease;
    _ = pass(&mut mesh, (kill_at + LAN.times.lease / 2, overdue), &[0]);
    assert_eq!(mesh.step(overdue, before()), []);
    let starts = unechoed(mesh.step(overdue, Event::Tick));
    assert!(starts.starts_with(&[start(0, [0], 1), start(0, [1], 2)]), "{starts:?}");
}
