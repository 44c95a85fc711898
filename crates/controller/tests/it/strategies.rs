//! strategies: ranks that start again together, `one_for_all` and `rest_for_one` (RS1 to RS3, N4, L6).

use std::time::Duration;

use controller::{Config, Effect, Event, RestartConfig, RestartPolicy};
use mesh_core::{
    Change, Escalation, EscalationReason, Incarnation, Interest, News, Order, Status, StatusKind,
    Strategy, Timestamp,
};

use crate::support::{
    LAN, Mesh, Ranks, answer, ask, ask_kill, ask_stop, at, at_ms, beat, change, changed, crash,
    crashed, ended, escalate, exit, is_routine, nth_report, of_incarnation, pass, query_failed,
    running, secs, start, statuses, stop, subscribe, subscribe_to, tell, tell_owner, unechoed,
};

/// So short that a tenth of it is nothing: the delay is exact.
const DELAY: Duration = Duration::from_nanos(9);

fn together(strategy: Strategy, max_restarts: u32) -> Config {
    let restart =
        RestartConfig { strategy, backoff_min: DELAY, ..RestartConfig::on_failure(max_restarts) };
    Config { restart, ..LAN }
}

fn one_for_all(max_restarts: u32) -> Config {
    together(Strategy::OneForAll, max_restarts)
}

fn rest_for_one(max_restarts: u32) -> Config {
    together(Strategy::RestForOne, max_restarts)
}

fn restarting(delay: Duration, change: Change) -> Change {
    Change { restart_in: Some(delay), ..change }
}

/// Agent 0 has the ranks 0 and 1, agent 1 the ranks 2 and 3.
fn ended_of(agent: usize, ranks: [usize; 2]) -> Event<Status> {
    nth_report(agent, ranks, (0, 2), Status::Stopped)
}

/// RS1: one fails, the others are stopped, and all start again as the next life.
#[test]
fn one_for_all_stops_the_others_and_starts_all_together() {
    let mut mesh = running(4, 2, one_for_all(3));
    _ = mesh.step(at(0), subscribe(Interest::All));
    let news = vec![restarting(DELAY, change([1], crash()))];
    let stopping = vec![change([0, 2, 3], Status::Stopping)];
    assert_eq!(
        mesh.step(at(1), crashed([1])),
        [
            tell(1, changed(news.clone())),
            tell_owner(&mesh, news),
            tell(2, changed(stopping)),
            ask_stop(0, [0]),
            ask_stop(1, [2, 3]),
        ]
    );
    let (second, third) = (at_ms(1_100), at_ms(1_200));
    let news = vec![restarting(Duration::ZERO, change([0], Status::Stopped))];
    assert_eq!(mesh.step(second, ended([0])), [tell(3, changed(news))], "it is late already");
    assert_eq!(mesh.step(second, Event::Tick), [], "two live on");
    let news = vec![restarting(Duration::ZERO, change([2, 3], Status::Stopped))];
    assert_eq!(mesh.step(third, ended_of(1, [2, 3])), [tell(4, changed(news))]);
    let again = vec![of_incarnation(1, change(0..4, Status::Initializing))];
    assert_eq!(mesh.next_deadline(), Some(at(1) + DELAY), "now");
    assert_eq!(
        mesh.step(third, Event::Tick),
        [tell(5, changed(again)), start(0, 0..2, 1), start(1, 2..4, 1)]
    );
    assert_eq!(mesh.step(third, Event::Tick), [], "once");
}

/// RS1: nothing starts before the delay is over, also if all have ended.
#[test]
fn a_round_waits_for_its_delay() {
    let restart = RestartConfig { backoff_min: secs(10), ..one_for_all(3).restart };
    let mut mesh = running(2, 1, Config { restart, ..LAN });
    let effects = mesh.step(at(1), crashed([0]));
    let [Effect::TellOwner(failures), stopped] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(stopped, &ask_stop(0, [1]));
    let delay = failures.changes[0].restart_in.expect("it will start again");
    assert!(delay >= secs(9) && delay <= secs(10), "{delay:?}");
    _ = mesh.step(at(1), ended([1]));
    let out = pass(&mut mesh, (at(1), at(20)), &[0]);
    assert_eq!(out, [(at(1) + delay, start(0, [0, 1], 1))]);
}

/// RS1: each begins the life after its own.
#[test]
fn ranks_of_a_round_begin_the_life_after_their_own() {
    let mut mesh = running(3, 1, rest_for_one(9));
    _ = mesh.step(at(1), crashed([2]));
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [start(0, [2], 1)]);
    let orders = mesh.step(at_ms(1_100), nth_report(0, [0], (0, 2), crash()));
    let stops = [ask_stop(0, [1]), stop_of(0, [2], 1)];
    assert_eq!(orders[1..], stops);
    _ = mesh.step(at_ms(1_200), nth_report(0, [1], (0, 2), Status::Stopped));
    _ = mesh.step(at_ms(1_200), nth_report(0, [2], (1, 1), Status::Stopped));
    let due = mesh.next_deadline().expect("they start again");
    assert_eq!(mesh.step(due, Event::Tick), [start(0, [0, 1], 1), start(0, [2], 2)]);
}

fn stop_of<const N: usize>(agent: usize, ranks: [usize; N], incarnation: u64) -> Effect {
    let incarnation = Incarnation::new(incarnation);
    ask(agent, Order::Stop { ranks: ranks.set(), incarnation })
}

/// RS1: that rank and all of higher rank; the lower ones are left alone.
#[test]
fn rest_for_one_starts_the_higher_ranks_again() {
    let mut mesh = running(4, 2, rest_for_one(3));
    let news = vec![restarting(DELAY, change([1], crash()))];
    assert_eq!(
        mesh.step(at(1), crashed([1])),
        [tell_owner(&mesh, news), ask_stop(1, [2, 3])],
        "rank 0 is left alone"
    );
    _ = mesh.step(at(1), ended_of(1, [2, 3]));
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [start(0, [1], 1), start(1, [2, 3], 1)]);
    assert_eq!(statuses(&mesh)[0], Status::Running);
}

/// RS1: whoever had ended well before begins again with the others.
#[test]
fn a_rank_that_had_ended_well_begins_again_with_the_others() {
    let mut mesh = running(3, 1, one_for_all(3));
    assert_eq!(mesh.step(at(1), ended([2])), [], "no abnormal end");
    _ = mesh.step(at(1), crashed([0]));
    _ = mesh.step(at(1), ended([1]));
    assert_eq!(unechoed(mesh.step(at(1) + DELAY, Event::Tick)), [start(0, 0..3, 1)]);
}

/// RS1: who does not end within the grace is killed, and only they.
#[test]
fn what_is_left_of_a_round_after_the_grace_is_killed() {
    let mut mesh = running(3, 1, one_for_all(3));
    _ = mesh.step(at(1), crashed([0]));
    _ = mesh.step(at(2), ended([1]));
    let kill = (at(1) + LAN.restart.grace, ask_kill(0, [2]));
    assert_eq!(pass(&mut mesh, (at(2), at(20)), &[0]), [kill]);
    _ = mesh.step(at(20), nth_report(0, [2], (0, 2), Status::Stopped));
    assert_eq!(unechoed(mesh.step(at(20), Event::Tick)), [start(0, 0..3, 1)]);
}

/// RS1, N1: a failure inside the round is told once, marked, and costs no further restart.
#[test]
fn a_failure_inside_a_round_is_told_once_and_costs_nothing() {
    let mut mesh = running(3, 1, one_for_all(1));
    _ = mesh.step(at(1), crashed([0]));
    let news = vec![restarting(Duration::ZERO, change([1], exit(2)))];
    let failed = nth_report(0, [1], (0, 2), exit(2));
    assert_eq!(mesh.step(at(2), failed.clone()), [tell_owner(&mesh, news)]);
    assert_eq!(mesh.step(at(2), failed), []);
    _ = mesh.step(at(2), ended([2]));
    assert_eq!(unechoed(mesh.step(at(2), Event::Tick)), [start(0, 0..3, 1)], "no escalation");
}

/// RS3: a round counts once, however many ranks it has; one more is too much.
#[test]
fn a_round_counts_once_against_the_intensity() {
    let mut mesh = running(3, 1, one_for_all(1));
    _ = mesh.step(at(1), crashed([0, 1]));
    _ = mesh.step(at(1), ended([2]));
    assert_eq!(unechoed(mesh.step(at(1) + DELAY, Event::Tick)), [start(0, 0..3, 1)]);
    let news = vec![of_incarnation(1, change([1], crash()))];
    let escalation = Some(Escalation {
        reason: EscalationReason::Intensity,
        failed: [1].set(),
        starting: [].set(),
        max_restarts: 1,
        period: None,
    });
    let effects = mesh.step(at_ms(1_500), nth_report(0, [1], (1, 1), crash()));
    assert_eq!(effects, [escalate(&mesh, news, escalation)], "and nobody is stopped");
}

/// RS1, RS3: a failure of a lower rank outside of the round extends it, and counts.
#[test]
fn a_failure_outside_of_a_round_extends_it() {
    let mut mesh = running(4, 1, rest_for_one(2));
    assert_eq!(mesh.step(at(1), crashed([2]))[1..], [ask_stop(0, [3])]);
    let kill_at = at(1) + LAN.restart.grace;
    assert_eq!(pass(&mut mesh, (at(1), kill_at), &[0]), [(kill_at, ask_kill(0, [3]))]);
    let delay = Duration::from_nanos(9);
    let news = vec![restarting(delay, change([1], crash()))];
    let effects = mesh.step(kill_at, crashed([1]));
    assert_eq!(effects, [tell_owner(&mesh, news)], "rank 3 is stopping already");
    _ = mesh.step(kill_at, ended([3]));
    let starts = unechoed(mesh.step(kill_at + delay, Event::Tick));
    assert_eq!(starts, [start(0, 1..4, 1)], "all together");

    let third = kill_at + Duration::from_millis(50);
    let news = vec![change([0], crash())];
    let escalation = Some(Escalation {
        reason: EscalationReason::Intensity,
        failed: [0].set(),
        starting: [].set(),
        max_restarts: 2,
        period: None,
    });
    assert_eq!(mesh.step(third, crashed([0])), [escalate(&mesh, news, escalation)]);
}

/// RS1, H2: only the ends of its own ranks bring a round nearer to its beginning.
#[test]
fn a_clean_end_outside_of_a_round_does_not_begin_it() {
    let mut mesh = running(4, 1, rest_for_one(2));
    _ = mesh.step(at(1), crashed([2]));
    _ = mesh.step(at(1), ended([0]));
    let kill_at = at(1) + LAN.restart.grace;
    let killed = pass(&mut mesh, (at(1), kill_at), &[0]);
    assert_eq!(killed, [(kill_at, ask_kill(0, [3]))], "rank 3 lives, and nothing begins");
}

/// RS1: those that join a round that has killed already have a grace of their own.
#[test]
fn who_joins_a_round_late_has_a_grace_of_its_own() {
    let mut mesh = running(4, 1, rest_for_one(9));
    _ = mesh.step(at(1), crashed([2]));
    _ = pass(&mut mesh, (at(1), at(7)), &[0]);
    let effects = mesh.step(at(7), crashed([0]));
    assert_eq!(effects[1..], [ask_stop(0, [1])]);
    let kill = (at(7) + LAN.restart.grace, ask_kill(0, [1, 3]));
    assert_eq!(pass(&mut mesh, (at(7), at(20)), &[0]), [kill]);
}

/// RS3: a member that times out can be started by nobody: the round is given up, which is told once.
#[test]
fn a_member_that_times_out_ends_the_round_and_escalates() {
    let mut mesh = running(2, 2, one_for_all(9));
    _ = mesh.step(at(1), crashed([0]));
    let out = pass(&mut mesh, (at(1), at(30)), &[0]);
    let gone = at(0) + LAN.times.timeout;
    let timeout = Status::Timeout { after: LAN.times.timeout, cause: None };
    let news = vec![change([1], timeout)];
    let escalation = Some(Escalation {
        reason: EscalationReason::CannotStart,
        failed: [0, 1].set(),
        starting: [].set(),
        max_restarts: 9,
        period: None,
    });
    assert_eq!(
        out,
        [
            (at(1) + LAN.restart.grace, ask_kill(1, [1])),
            (gone, escalate(&mesh, news, escalation)),
            (gone, Effect::Finish),
        ],
        "nobody is started"
    );
}

/// RS3: so it is where the lower ranks go on, whose timeouts are no reason to escalate by themselves.
#[test]
fn a_round_of_the_rest_that_is_given_up_escalates() {
    let mut mesh = running(3, 3, rest_for_one(9));
    _ = mesh.step(at(1), nth_report(1, [1], (0, 2), crash()));
    let out = pass(&mut mesh, (at(1), at(30)), &[0, 1]);
    let gone = at(0) + LAN.times.timeout;
    let timeout = Status::Timeout { after: LAN.times.timeout, cause: None };
    let escalation = Some(Escalation {
        reason: EscalationReason::CannotStart,
        failed: [1, 2].set(),
        starting: [].set(),
        max_restarts: 9,
        period: None,
    });
    let kill = (at(1) + LAN.restart.grace, ask_kill(2, [2]));
    let told = (gone, escalate(&mesh, vec![change([2], timeout)], escalation));
    assert_eq!(out, [kill, told], "rank 0 goes on");
}

/// RS3: what was promised before an escalation is kept, or it is told that it cannot be.
#[test]
fn a_round_that_is_given_up_after_an_escalation_is_told() {
    let restart =
        RestartConfig { backoff_min: secs(20), backoff_max: secs(20), ..rest_for_one(1).restart };
    let mut mesh = running(3, 3, Config { restart, ..LAN });
    _ = mesh.step(at(1), nth_report(2, [2], (0, 2), crash()));
    let of = |reason, starting: &[usize]| Escalation {
        reason,
        failed: [0, 2].set(),
        starting: starting.iter().copied().map(mesh_shape::Rank::new).collect(),
        max_restarts: 1,
        period: None,
    };
    let promised = of(EscalationReason::Intensity, &[2]);
    let news = vec![change([0], crash())];
    let told = escalate(&mesh, news, Some(promised));
    assert_eq!(mesh.step(at(2), crashed([0])), [told]);
    let gone = at(1) + LAN.times.timeout;
    let broken = escalate(&mesh, vec![], Some(of(EscalationReason::CannotStart, &[])));
    assert_eq!(pass(&mut mesh, (at(2), at(30)), &[0, 1]), [(gone, broken)]);
}

/// RS1, RS3: who has ended well for a round was promised a start as well, which is kept, or told to be off.
#[test]
fn who_stopped_for_a_round_is_named_among_those_that_start() {
    let restart =
        RestartConfig { backoff_min: secs(20), backoff_max: secs(20), ..rest_for_one(1).restart };
    let mut mesh = running(3, 3, Config { restart, ..LAN });
    let of = |reason, starting: &[usize]| Escalation {
        reason,
        failed: [0, 1].set(),
        starting: starting.iter().copied().map(mesh_shape::Rank::new).collect(),
        max_restarts: 1,
        period: None,
    };
    _ = mesh.step(at(1), nth_report(1, [1], (0, 2), crash()));
    _ = mesh.step(at(1), nth_report(2, [2], (0, 2), Status::Stopped));
    let promised = of(EscalationReason::Intensity, &[1, 2]);
    let told = escalate(&mesh, vec![change([0], crash())], Some(promised));
    assert_eq!(mesh.step(at(2), crashed([0])), [told]);
    let gone = at(1) + LAN.times.timeout;
    let broken = escalate(&mesh, vec![], Some(of(EscalationReason::CannotStart, &[])));
    let ended = [(gone, broken), (gone, Effect::Finish)];
    assert_eq!(pass(&mut mesh, (at(2), at(30)), &[0, 1]), ended);
}

/// RS1, N2: who had ended well before, and begins again with the others, is told of before that which is the reason; its
/// end is not told again. Who subscribes to others hears nothing of it.
#[test]
fn who_had_ended_before_is_told_to_begin_again_with_the_others() {
    let mut mesh = running(3, 3, one_for_all(3));
    let others = subscribe_to("hosts=0", &mesh);
    _ = mesh.step(at(1), nth_report(1, [1], (0, 2), Status::Stopped));
    let mut apart = mesh.clone();
    _ = mesh.step(at(1), subscribe(Interest::Terminal));
    let effects = mesh.step(at(2), nth_report(2, [2], (0, 2), crash()));
    let recalled = News::Recalled { ranks: [1].set(), restart_in: DELAY };
    let failed = changed(vec![restarting(DELAY, change([2], crash()))]);
    assert_eq!(effects[..2], [tell(1, recalled), tell(2, failed)]);
    let effects = mesh.step(at(3), ended([0]));
    assert_eq!(
        effects[..1],
        [tell(3, changed(vec![restarting(Duration::ZERO, change([0], Status::Stopped))]))]
    );
    assert!(!format!("{effects:?}").contains("Recalled"), "once");

    _ = apart.step(at(1), others);
    let effects = apart.step(at(2), nth_report(2, [2], (0, 2), crash()));
    assert!(!format!("{effects:?}").contains("Recalled"), "{effects:?}");
}

/// RS3, N6, H5: a subscriber of a slice hears of its own ranks, as it counts them; and that of a mesh in which none of its
/// ranks is concerned.
#[test]
fn an_escalation_names_the_ranks_of_a_slice_as_the_slice_counts_them() {
    let restart =
        RestartConfig { backoff_min: secs(20), backoff_max: secs(20), ..rest_for_one(1).restart };
    let slices: [(_, &[usize], &[usize]); 3] =
        [("hosts=1:", &[0], &[0, 1]), ("hosts=2", &[], &[0]), ("hosts=0", &[0], &[])];
    for (slice, failed, starting) in slices {
        let mut mesh = running(3, 3, Config { restart, ..LAN });
        let subscribe = subscribe_to(slice, &mesh);
        _ = mesh.step(at(0), subscribe);
        _ = mesh.step(at(1), nth_report(1, [1], (0, 2), crash()));
        _ = mesh.step(at(1), nth_report(2, [2], (0, 2), Status::Stopped));
        let effects = mesh.step(at(2), crashed([0]));
        let told = effects.iter().find_map(|effect| match effect {
            Effect::Tell { event, .. } => match &event.news {
                News::Escalated(escalation) => Some(escalation),
                _ => None,
            },
            _ => None,
        });
        let told = told.map(|it| (it.failed.clone(), it.starting.clone()));
        let ranks = |ranks: &[usize]| ranks.iter().copied().map(mesh_shape::Rank::new).collect();
        assert_eq!(told, Some((ranks(failed), ranks(starting))), "{slice}");
    }
}

/// RS1, RS3, N1: what was told as an end is one, also if its agent comes back before the others have ended.
#[test]
fn a_member_that_timed_out_is_not_started_when_its_agent_comes_back() {
    let restart = RestartConfig { grace: secs(60), ..one_for_all(9).restart };
    let mut mesh = running(3, 3, Config { restart, ..LAN });
    _ = mesh.step(at(1), crashed([0]));
    let out = pass(&mut mesh, (at(1), at(14)), &[0, 2]);
    let gone = at(0) + LAN.times.timeout;
    let timeout = Status::Timeout { after: LAN.times.timeout, cause: None };
    assert_eq!(out, [(gone, tell_owner(&mesh, vec![change([1], timeout)]))], "for good");
    _ = mesh.step(at(14), beat(1, 1));
    _ = mesh.step(at(14), nth_report(2, [2], (0, 2), Status::Stopped));
    let escalation = Some(Escalation {
        reason: EscalationReason::CannotStart,
        failed: [0, 1].set(),
        starting: [].set(),
        max_restarts: 9,
        period: None,
    });
    let told = escalate(&mesh, vec![], escalation);
    assert_eq!(mesh.step(at(14), Event::Tick), [told, Effect::Finish], "nobody is started");
}

/// RS3: also if the delay of the round is not over when the last of its ranks is known to be gone.
#[test]
fn a_round_without_an_agent_is_given_up_at_once() {
    let restart = RestartConfig { backoff_min: secs(30), ..one_for_all(9).restart };
    let mut mesh = running(2, 2, Config { restart, ..LAN });
    _ = mesh.step(at(1), crashed([0]));
    let out = pass(&mut mesh, (at(1), at(30)), &[0]);
    let gone = at(0) + LAN.times.timeout;
    let told: Vec<Timestamp> = out.iter().map(|(now, _)| *now).collect();
    assert_eq!(told[1..], [gone, gone], "{out:?}");
    assert_eq!(out.last(), Some(&(gone, Effect::Finish)));
}

/// RS3: who is gone for good keeps all from starting together: that is told at once, and no round begins.
#[test]
fn a_rank_of_a_lost_agent_prevents_a_round() {
    let mut mesh = running(3, 3, one_for_all(9));
    let out = pass(&mut mesh, (at(0), at(13)), &[0, 1]);
    let gone = at(0) + LAN.times.timeout;
    let timeout = Status::Timeout { after: LAN.times.timeout, cause: None };
    let escalation = Some(Escalation {
        reason: EscalationReason::CannotStart,
        failed: [2].set(),
        starting: [].set(),
        max_restarts: 9,
        period: None,
    });
    assert_eq!(out, [(gone, escalate(&mesh, vec![change([2], timeout)], escalation))]);
    let news = vec![change([0], crash())];
    assert_eq!(mesh.step(at(13), crashed([0])), [tell_owner(&mesh, news)]);
}

/// RS3: a round of ranks whose agents are all there is made, whoever else was lost.
#[test]
fn a_lost_agent_of_lower_ranks_does_not_matter_to_the_rest() {
    let mut mesh = running(3, 3, rest_for_one(9));
    _ = pass(&mut mesh, (at(0), at(13)), &[1, 2]);
    let effects = mesh.step(at(13), nth_report(1, [1], (0, 2), crash()));
    assert_eq!(effects[1..], [ask_stop(2, [2])]);
}

/// RS2, C1: a stop cancels the round.
#[test]
fn a_stop_cancels_a_round() {
    let mut mesh = running(3, 1, one_for_all(9));
    _ = mesh.step(at(1), crashed([0]));
    assert_eq!(mesh.step(at(1), stop(1, secs(5))), [ask_stop(0, [1, 2])], "as often as one likes");
    _ = mesh.step(at(1), ended([1]));
    assert_eq!(mesh.step(at(2), Event::Tick), []);
    assert_eq!(mesh.step(at(2), ended([2])), [answer(1, mesh.state()), Effect::Finish]);
}

/// RS2, N4, L6: a mesh whose ranks have all ended is not closed while a round is due.
#[test]
fn a_mesh_is_not_closed_while_a_round_is_due() {
    let mut mesh = running(2, 1, one_for_all(1));
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    _ = mesh.step(at(1), crashed([0]));
    let news = vec![restarting(DELAY, change([1], Status::Stopped))];
    assert_eq!(mesh.step(at(1), ended([1])), [tell(2, changed(news))], "neither closed nor over");
    assert_eq!(mesh.counts()[StatusKind::Failed as usize], 1);
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [start(0, [0, 1], 1)]);
    let last = nth_report(0, [0, 1], (1, 0), Status::Stopped);
    let news = vec![of_incarnation(1, change([0, 1], Status::Stopped))];
    assert_eq!(
        mesh.step(at(2), last),
        [tell(3, changed(news)), tell(4, News::Closed), Effect::Finish]
    );
}

/// RS1, L2: an order that did not arrive is given again with the next check, also in a round.
#[test]
fn the_orders_of_a_round_are_repeated_where_they_did_not_arrive() {
    let mut mesh = running(3, 1, one_for_all(9));
    _ = mesh.step(at(1), crashed([0]));
    _ = mesh.step(at(1), query_failed(0));
    let out = orders(&mut mesh, (at(1), at(4)));
    assert_eq!(out, [ask_stop(0, [1, 2])], "the stop");
    let out = orders(&mut mesh, (at(4), at(6)));
    assert_eq!(out, [ask_kill(0, [1, 2])]);
    // It was not killed: its agent says so with the next poll.
    _ = mesh.step(at(6), nth_report(0, [1, 2], (0, 2), Status::Running));
    assert_eq!(orders(&mut mesh, (at(6), at(9))), [ask_kill(0, [1, 2])], "the kill");
    _ = mesh.step(at(9), nth_report(0, [1, 2], (0, 3), Status::Stopped));
    assert_eq!(unechoed(mesh.step(at(9), Event::Tick)), [start(0, 0..3, 1)]);
    // It knows only the lives before: the order to start was lost.
    _ = mesh.step(at(9), nth_report(0, [1, 2], (0, 3), Status::Stopped));
    assert_eq!(orders(&mut mesh, (at(9), at(12))), [start(0, 0..3, 1)], "the start");
}

/// The orders between two moments, while the agent beats.
fn orders(mesh: &mut Mesh, between: (Timestamp, Timestamp)) -> Vec<Effect> {
    let out = pass(mesh, between, &[0]);
    out.into_iter().map(|(_, effect)| effect).filter(|effect| !is_routine(effect)).collect()
}

/// RS1: a delay doubles from round to round, and begins again after a long life.
#[test]
fn the_delay_of_rounds_doubles_and_begins_again_after_a_long_life() {
    let restart =
        RestartConfig { backoff_min: secs(1), backoff_max: secs(4), ..one_for_all(9).restart };
    let mut mesh = running(1, 1, Config { restart, ..LAN });
    let mut now = at(0);
    let mut delays = Vec::new();
    for (life, lived) in (0..).zip([1, 1, 1, 1, 9]) {
        let ends_at = now + secs(lived);
        _ = pass(&mut mesh, (now, ends_at), &[0]);
        let effects = mesh.step(ends_at, nth_report(0, [0], (life, 2), crash()));
        let [Effect::TellOwner(failures)] = &effects[..] else { panic!("{effects:?}") };
        let delay = failures.changes[0].restart_in.expect("it is allowed");
        delays.push(delay.as_secs_f64().round());
        let begun = pass(&mut mesh, (ends_at, ends_at + secs(4)), &[0]);
        assert_eq!(begun, [(ends_at + delay, start(0, [0], life + 1))]);
        now = ends_at + secs(4);
    }
    assert_eq!(delays, [1.0, 2.0, 4.0, 4.0, 1.0]);
}

/// RS1: under a policy of restarting every end, a clean one restarts all as well.
#[test]
fn a_clean_end_restarts_all_if_the_policy_says_so() {
    let restart = RestartConfig { policy: RestartPolicy::Permanent, ..one_for_all(9).restart };
    let mut mesh = running(2, 1, Config { restart, ..LAN });
    assert_eq!(mesh.step(at(1), ended([0])), [ask_stop(0, [1])]);
}
