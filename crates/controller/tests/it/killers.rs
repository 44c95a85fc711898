//! killers: what no other test would notice if it broke, found by planting bugs (ST4, H1, H3, H7,
//! H8, L3, C1, RS1, K3, N9).

use std::time::Duration;

use controller::{Config, Effect, Event, Limits, RestartConfig, Times};
use mesh_core::{
    AgentId, Answer, Incarnation, Interest, Order, Progress, Stall, StalledHandler, Status,
    StatusKind, Strategy,
};

use crate::support::{
    LAN, Ranks, answer, ask, ask_kill, ask_stop, at, beat, change, changed, crash, crashed, ended,
    exit, kinds, new, nth_report, of_life, opened, pass, query_failed, report, running, secs,
    start, statuses, stop, subscribe, tell, wait, waited,
};

const ONE_FOR_ALL: RestartConfig =
    RestartConfig { strategy: Strategy::OneForAll, ..RestartConfig::on_failure(9) };

/// L3, N9: with times that leave the judgement to the poll alone.
#[test]
fn a_poll_is_judged_after_its_time_by_who_was_heard_since() {
    let times = Times { suspect: secs(5), unreachable: secs(6), ..LAN.times };
    let mut mesh = running(3, 3, Config { times, ..LAN });
    let sent = mesh.check_due().expect("ranks live");
    _ = mesh.step(sent, beat(1, 1));
    _ = mesh.step(sent, Event::Tick);
    _ = mesh.step(sent, report(2, [2], Status::Running));
    _ = mesh.step(sent + times.poll_deadline / 2, Event::Tick);
    assert_eq!(kinds(&mesh), [StatusKind::Running; 3], "they have time to answer");
    _ = mesh.step(sent + times.poll_deadline, Event::Tick);
    assert_eq!(statuses(&mesh), [Status::Suspect, Status::Running, Status::Running]);
}

/// H3: also if nobody has asked for a stop here, but the agent says that the rank is stopping.
#[test]
fn what_its_agent_says_to_be_stopping_does_not_run_again() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    let news = vec![change([0], Status::Stopping)];
    let stopping = nth_report(0, [0], (0, 2), Status::Stopping);
    assert_eq!(mesh.step(at(1), stopping), [tell(1, changed(news))]);
    for (generation, status) in (3..).zip([Status::Running, Status::Initializing]) {
        assert_eq!(mesh.step(at(1), nth_report(0, [0], (0, generation), status)), []);
        assert_eq!(statuses(&mesh), [Status::Stopping, Status::Running]);
    }
}

/// N9, RS1: our own pause is not taken from the grace of a round.
#[test]
fn a_pause_of_ours_does_not_use_up_the_grace_of_a_round() {
    let mut mesh = running(2, 1, Config { restart: ONE_FOR_ALL, ..LAN });
    _ = mesh.step(at(1), crashed([0]));
    let promised = mesh.next_deadline().expect("a rank lives");
    let resumed = promised + secs(60);
    let effects = mesh.step(resumed, Event::Tick);
    assert!(!effects.contains(&ask_kill(0, [1])), "{effects:?}");
    let left = ONE_FOR_ALL.grace - promised.since(at(1));
    let kill = (resumed + left, ask_kill(0, [1]));
    assert_eq!(pass(&mut mesh, (resumed, resumed + secs(9)), &[0]), [kill]);
}

/// N9, K3: nor from the time in which adopted ranks may turn up.
#[test]
fn a_pause_of_ours_does_not_shorten_an_adoption() {
    let mut mesh = new(1, 1, LAN);
    _ = mesh.step(at(0), Event::Adopted);
    _ = mesh.step(at(0), nth_report(0, [0], (0, 0), Status::NotExist));
    let promised = mesh.next_deadline().expect("a rank may live");
    let resumed = promised + secs(60);
    _ = mesh.step(resumed, Event::Tick);
    let left = LAN.times.lease - promised.since(at(0)) - Duration::from_millis(1);
    assert_eq!(pass(&mut mesh, (resumed, resumed + left), &[0]), []);
    assert_eq!(kinds(&mesh), [StatusKind::NotExist]);
    let out = pass(&mut mesh, (resumed + left, resumed + left + LAN.times.check), &[0]);
    assert_eq!(out.last().map(|(_, effect)| effect), Some(&Effect::Finish), "it was lost");
}

/// RS1: also if it is not the life that was stopped.
#[test]
fn a_life_that_turns_up_in_a_round_ends_with_it() {
    let mut mesh = running(2, 1, Config { restart: ONE_FOR_ALL, ..LAN });
    _ = mesh.step(at(1), crashed([0]));
    let stop = Order::Stop { ranks: [0].set(), incarnation: Incarnation::new(1) };
    let begun = nth_report(0, [0], (1, 0), Status::Running);
    assert_eq!(mesh.step(at(1), begun), [ask(0, stop)], "somebody else has begun it");
    _ = mesh.step(at(1), nth_report(0, [0], (1, 1), Status::Stopped));
    _ = mesh.step(at(1), ended([1]));
    let out = pass(&mut mesh, (at(1), at(2)), &[0]);
    let orders: Vec<Effect> = out.into_iter().map(|(_, effect)| effect).collect();
    assert_eq!(orders, [start(0, [1], 1), start(0, [0], 2)], "each the life after its own");
}

/// ST4, H1: who was started again has forgotten only what it has not told of since.
#[test]
fn what_a_new_life_of_an_agent_has_told_of_is_not_lost_by_an_old_word() {
    let restart = RestartConfig::on_failure(9);
    let mut mesh = running(2, 1, Config { restart, ..LAN });
    _ = mesh.step(at(0), crashed([0]));
    _ = mesh.step(at(1), Event::Tick);
    _ = mesh.step(at(1), nth_report(0, [0], (1, 1), Status::Running));
    _ = mesh.step(at(1), of_life(1, nth_report(0, [0], (1, 0), Status::Running)));
    let old = of_life(1, nth_report(0, [0], (0, 0), Status::NotExist));
    assert_eq!(mesh.step(at(1), old), []);
    assert_eq!(statuses(&mesh), [Status::Running, Status::Running]);
}

/// C1, L8: the limit of those that wait is no reason not to stop.
#[test]
fn a_mesh_can_be_stopped_while_as_many_wait_as_may() {
    let limits = Limits { asks: 1, ..Limits::LARGE };
    let mut mesh = running(1, 1, Config { limits, ..LAN });
    assert_eq!(mesh.step(at(1), wait(1, [0], (Progress::Ended, secs(30)))), []);
    assert_eq!(mesh.step(at(1), stop(2, secs(1))), [ask_stop(0, [0])]);
    let effects = mesh.step(at(1), ended([0]));
    assert_eq!(effects, [waited(1, [], &mesh), answer(2, mesh.state()), Effect::Finish]);
}

/// H8: however they became alike, and whatever happened in between.
#[test]
fn ranks_that_have_become_alike_are_one_run_again() {
    let mut mesh = running(40, 1, LAN);
    _ = mesh.step(at(1), crashed([0]));
    _ = mesh.step(at(1), crashed([32]));
    for (rank, code) in (10..30).zip(2..) {
        _ = mesh.step(at(1), nth_report(0, [rank], (0, 2), exit(code)));
    }
    let before = mesh.n_runs();
    assert_eq!(before, 25, "two crashes and twenty of their own, with three runs around them");
    _ = mesh.step(at(1), crashed([1]));
    assert_eq!(mesh.n_runs(), before, "like its left neighbour, long ago");
    _ = mesh.step(at(1), crashed([31]));
    assert_eq!(mesh.n_runs(), before, "like its right neighbour, long ago");
    _ = mesh.step(at(1), crashed([33]));
    _ = mesh.step(at(1), crashed([30]));
    assert_eq!(mesh.n_runs(), before - 1, "like its neighbours, just now");
    assert!(statuses(&mesh)[30..34].iter().all(|status| *status == crash()));
}

/// H7, H8: what is kept once for many ranks is nobody else's.
#[test]
fn every_rank_is_what_it_said_last_however_often_all_change() {
    const CHANGING: usize = 6;
    let mut mesh = running(CHANGING + 1, 1, LAN);
    // The last one does not change.
    let mut expected = vec![Status::Running; CHANGING + 1];
    for generation in 2..300 {
        let turn = usize::try_from(generation).expect("it is small");
        let first = turn * 5 % CHANGING;
        let ranks = first..(first + 1 + turn / 7 % 3).min(CHANGING);
        let status = if turn % 9 == 0 { Status::Running } else { busy_for(generation) };
        expected[ranks.clone()].fill(status.clone());
        _ = mesh.step(at(1), nth_report(0, ranks, (0, generation), status));
        assert_eq!(statuses(&mesh), expected, "after report {generation}");
    }
}

/// A status that no other moment has.
fn busy_for(seconds: u64) -> Status {
    let (actor, message) = ("words".to_owned(), "COUNT".to_owned());
    Status::Stalled(Stall::Handler(StalledHandler { actor, message, age: secs(seconds) }.into()))
}

/// C1, K3: a life that nobody knew of when the stop was asked for has its grace, too.
#[test]
fn a_life_that_turns_up_in_a_stop_is_told_to_end() {
    let mut mesh = new(2, 1, LAN);
    _ = mesh.step(at(0), Event::Adopted);
    _ = mesh.step(at(1), stop(1, secs(5)));
    let effects = mesh.step(at(2), report(0, [0], Status::Running));
    assert_eq!(effects, [ask_stop(0, [0])]);
    assert_eq!(mesh.step(at(2), report(0, [0], Status::Running)), [], "once");
}

/// N9, ST4: an order to start that was lost is no failure of a rank that never began; it has stopped.
#[test]
fn a_life_that_never_began_has_not_failed_in_a_stop() {
    let mut mesh = opened(2, 2, LAN);
    _ = mesh.step(at(0), report(0, [0], Status::Running));
    _ = mesh.step(at(0), query_failed(1));
    _ = mesh.step(at(1), stop(1, secs(1)));
    let unknown = || nth_report(1, [1], (0, 0), Status::NotExist);
    assert_eq!(mesh.step(at(1), unknown()), [], "the order may be on its way");
    assert_eq!(kinds(&mesh)[1], StatusKind::Stopping);
    _ = mesh.step(at(1), ended([0]));
    _ = pass(&mut mesh, (at(1), at(13)), &[0, 1]);
    let effects = mesh.step(at(13), unknown());
    assert_eq!(effects, [Effect::Finish], "one lease after it was killed");
    assert_eq!(kinds(&mesh)[1], StatusKind::Stopped);
}

/// H2: also by the first words of a new life of its agent.
#[test]
fn who_lives_after_its_end_is_killed_by_whatever_life_of_its_agent_it_is_told() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(0), nth_report(1, [1], (0, 7), Status::Running));
    _ = pass(&mut mesh, (at(0), at(13)), &[0]);
    assert_eq!(kinds(&mesh)[1], StatusKind::Timeout);
    let back = of_life(1, nth_report(1, [1], (0, 0), Status::Running));
    assert_eq!(mesh.step(at(13), back), [ask_kill(1, [1])]);
}

/// H4, L3: an agent that is known to be gone is not waited for; its ranks are not judged by it.
#[test]
fn an_agent_that_is_gone_makes_its_ranks_unreachable_at_once() {
    let mut mesh = running(2, 2, LAN);
    let gone = |life| {
        Event::Answered(Answer::Lost { agent: AgentId::new(1), life: Incarnation::new(life) })
    };
    assert_eq!(mesh.step(at(1), gone(0)), []);
    assert_eq!(kinds(&mesh), [StatusKind::Running, StatusKind::Unreachable]);
    _ = mesh.step(at(2), of_life(1, beat(1, 0)));
    assert_eq!(kinds(&mesh), [StatusKind::Running; 2]);
    _ = mesh.step(at(2), gone(0));
    assert_eq!(kinds(&mesh), [StatusKind::Running; 2], "that life is over anyway");
}

/// H4: no times are so long that adding to them goes wrong.
#[test]
fn who_never_times_out_is_held_back_without_harm() {
    let times = Times { timeout: Duration::MAX, ..LAN.times };
    let mut mesh = running(4, 4, Config { times, ..LAN });
    _ = pass(&mut mesh, (at(0), at(99)), &[]);
    assert_eq!(kinds(&mesh), [StatusKind::Unreachable; 4]);
}

/// RS3: nobody is stopped for a round that cannot begin.
#[test]
fn a_lost_agent_of_higher_ranks_prevents_a_round_of_the_rest() {
    let restart = RestartConfig { strategy: Strategy::RestForOne, ..ONE_FOR_ALL };
    let mut mesh = running(3, 3, Config { restart, ..LAN });
    _ = pass(&mut mesh, (at(0), at(13)), &[0, 1]);
    let effects = mesh.step(at(13), crashed([0]));
    assert_eq!(effects.len(), 1, "the owner is told: {effects:?}");
    assert_eq!(kinds(&mesh)[1], StatusKind::Running);
}
