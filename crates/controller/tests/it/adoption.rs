//! adoption: a mesh that another controller has started, and one that another takes over (K3, N9).

use std::time::Duration;

use controller::{Config, Effect, Event, RestartConfig};
use mesh_core::{
    Epoch, Incarnation, Interest, MeshRequest, News, Order, Refusal, Reply, Status, StatusKind,
    Trouble,
};

use crate::support::{
    LAN, Mesh, Ranks, WATCHER, answer, ask, asked, at, at_ms, beat, change, changed, crash,
    crashed, kill, kill_all, kinds, lost, new, nth_report, of_incarnation, of_life, opened, pass,
    query_failed, refusal, refused, reply, running, secs, snapshot, start, statuses, stop,
    subscribe, tell, tell_owner, unechoed, wait,
};

const LEASE: Duration = LAN.times.lease;

fn adopted(size: usize, n_agents: usize, config: Config) -> Mesh {
    let mut mesh = new(size, n_agents, config);
    let polls: Vec<Effect> = (0..n_agents).map(|agent| ask(agent, Order::Poll)).collect();
    assert_eq!(mesh.step(at(0), Event::Adopted), polls, "all are asked, nothing is started");
    mesh
}

/// K3
#[test]
fn an_adopted_mesh_is_asked_and_not_started() {
    let mut mesh = adopted(4, 2, LAN);
    assert_eq!(kinds(&mesh), [StatusKind::NotExist; 4]);
    assert!(mesh.check_due().is_some_and(|due| due <= at(0) + LAN.times.check), "L1");
    assert_eq!(mesh.step(at(0), Event::Adopted), [], "once");
    assert_eq!(mesh.step(at(0), Event::Opened), [], "it is open");
}

/// K3: also the other way round.
#[test]
fn a_mesh_that_is_open_is_not_adopted() {
    let mut mesh = opened(1, 1, LAN);
    assert_eq!(mesh.step(at(0), Event::Adopted), []);
    assert_eq!(kinds(&mesh), [StatusKind::Initializing]);
}

/// K3: reported ranks are taken over with the life that they are in, whatever it is.
#[test]
fn reported_ranks_are_taken_over_with_their_life() {
    let mut mesh = adopted(3, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    let news = vec![of_incarnation(4, change([0, 1], Status::Running))];
    let effects = mesh.step(at(1), nth_report(0, [0, 1], (4, 17), Status::Running));
    assert_eq!(effects, [tell(1, changed(news))]);
    let lives: Vec<u64> =
        mesh.state().ranks.iter().map(|state| state.incarnation.number()).collect();
    assert_eq!(lives, [4, 4, 0]);
}

/// K3, N1: what ended before is told to the owner once: no event is lost.
#[test]
fn an_end_before_the_adoption_is_told_once() {
    let mut mesh = adopted(3, 1, LAN);
    let news = vec![of_incarnation(2, change([1], crash()))];
    let failed = nth_report(0, [1], (2, 9), crash());
    assert_eq!(mesh.step(at(1), failed.clone()), [tell_owner(&mesh, news)]);
    assert_eq!(mesh.step(at(1), failed), []);
    assert_eq!(mesh.step(at(1), nth_report(0, [0], (1, 3), Status::Stopped)), [], "a clean one");
}

/// K3, N9: what no agent knows is lost, but not before every lease would have run out.
#[test]
fn what_nobody_reports_is_lost_after_one_lease() {
    let mut mesh = adopted(3, 1, LAN);
    _ = mesh.step(at(0), nth_report(0, [0], (0, 5), Status::Running));
    _ = mesh.step(at(0), nth_report(0, [1, 2], (0, 0), Status::NotExist));
    assert_eq!(pass_polled(&mut mesh, (at(0), at(9))), []);
    let out = pass_polled(&mut mesh, (at(9), at(20)));
    let [(told, Effect::TellOwner(failures))] = &out[..] else { panic!("{out:?}") };
    assert_eq!(failures.changes, [change([1, 2], lost())]);
    assert!(*told >= at(0) + LEASE && *told <= at(0) + LEASE + LAN.times.check, "{told:?}");
}

/// Lets time pass; the agent beats, and answers that it does not know the ranks 1 and 2.
fn pass_polled(
    mesh: &mut Mesh,
    (from, until): (mesh_core::Timestamp, mesh_core::Timestamp),
) -> Vec<(mesh_core::Timestamp, Effect)> {
    let (mut now, mut out) = (from, Vec::new());
    while now < until {
        let next = (now + secs(1)).min(until);
        out.extend(pass(mesh, (now, next), &[0]));
        let unknown = nth_report(0, [1, 2], (0, 0), Status::NotExist);
        out.extend(mesh.step(next, unknown).into_iter().map(|effect| (next, effect)));
        now = next;
    }
    out
}

/// K3, RS1: restarts go on behind the lives that were found.
#[test]
fn restarts_of_an_adopted_mesh_go_on_with_the_next_life() {
    let restart =
        RestartConfig { backoff_min: Duration::from_nanos(9), ..RestartConfig::on_failure(13) };
    let mut mesh = adopted(2, 1, Config { restart, ..LAN });
    _ = mesh.step(at(0), nth_report(0, [0, 1], (6, 2), Status::Running));
    _ = mesh.step(at(1), nth_report(0, [1], (6, 3), crash()));
    assert_eq!(mesh.step(at(2), Event::Tick)[..1], [start(0, [1], 7)]);
}

/// K3, N9 (rule 9 of the design): nothing is declared dead for one lease after the adoption.
#[test]
fn nothing_is_declared_dead_for_one_lease() {
    let mut mesh = adopted(4, 2, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    let end = at_ms(9_999);
    assert_eq!(pass(&mut mesh, (at(0), end), &[]), [], "nobody was heard at all");
    assert!(statuses(&mesh).iter().all(|status| !status.is_terminal()));
}

/// K3, N9: an agent that is silent for a while does not lose its ranks to the end of that lease.
#[test]
fn ranks_of_an_agent_that_comes_back_late_are_found() {
    let mut mesh = adopted(2, 2, LAN);
    _ = mesh.step(at(0), nth_report(0, [0], (0, 3), Status::Running));
    assert_eq!(pass(&mut mesh, (at(0), at_ms(9_900)), &[0]), []);
    // It beats again, and its answer to a poll is on its way.
    assert_eq!(mesh.step(at_ms(9_900), beat(1, 1)).len(), 1);
    assert_eq!(pass(&mut mesh, (at_ms(9_900), at(11)), &[0, 1]), [], "no rank is given up");
    assert_eq!(mesh.step(at(11), nth_report(1, [1], (0, 3), Status::Running)), []);
    assert_eq!(kinds(&mesh), [StatusKind::Running; 2]);
}

/// K3, L6: and if it then does not know them they are lost, so that the mesh can end.
#[test]
fn ranks_that_an_agent_does_not_know_are_lost_also_if_it_comes_back_late() {
    let mut mesh = adopted(2, 2, LAN);
    _ = mesh.step(at(0), nth_report(0, [0], (0, 3), Status::Running));
    assert_eq!(pass(&mut mesh, (at(0), at(11)), &[0]), []);
    let unknown = nth_report(1, [1], (0, 0), Status::NotExist);
    let mut told = mesh.step(at(11), unknown.clone());
    told.extend(pass(&mut mesh, (at(11), at(14)), &[0, 1]).into_iter().map(|(_, effect)| effect));
    told.extend(mesh.step(at(14), unknown));
    let [Effect::TellOwner(failures)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(failures.changes[0].status, lost());
    assert_eq!(failures.changes[0].ranks, [1].into_iter().map(mesh_shape::Rank::new).collect());
}

/// K3: an agent that is never heard is given up like any other.
#[test]
fn ranks_of_an_agent_that_never_answers_time_out() {
    let mut mesh = adopted(2, 2, LAN);
    _ = mesh.step(at(0), nth_report(0, [0], (0, 3), Status::Running));
    let out = pass(&mut mesh, (at(0), at(30)), &[0]);
    let gone = at(0) + LAN.times.timeout;
    let timeout = Status::Timeout { after: LAN.times.timeout, cause: None };
    assert_eq!(out, [(gone, tell_owner(&mesh, vec![change([1], timeout)]))]);
}

/// C1, K3: a stop that comes before the agents have said what lives still ends what lives.
#[test]
fn a_stop_right_after_the_adoption_ends_what_is_found() {
    let mut mesh = adopted(2, 1, LAN);
    let effects = mesh.step(at(1), stop(1, secs(1)));
    assert!(!effects.contains(&Effect::Finish), "nobody knows what lives: {effects:?}");
    let mut out = mesh.step(at(1), nth_report(0, [0, 1], (5, 3), Status::Running));
    out.extend(pass(&mut mesh, (at(1), at(3)), &[0]).into_iter().map(|(_, effect)| effect));
    assert!(out.contains(&kill(0, [0, 1], 5)), "{out:?}");
    let effects = mesh.step(at(3), nth_report(0, [0, 1], (5, 4), Status::Stopped));
    assert_eq!(effects, [answer(1, mesh.state()), Effect::Finish]);
    assert_eq!(kinds(&mesh), [StatusKind::Stopped; 2]);
}

/// C1, K3: and what is not there has stopped.
#[test]
fn a_stop_right_after_the_adoption_ends_also_if_nothing_is_found() {
    let mut mesh = adopted(2, 1, LAN);
    _ = mesh.step(at(1), stop(1, secs(1)));
    _ = mesh.step(at(1), nth_report(0, [0, 1], (0, 0), Status::NotExist));
    let (mut now, mut out) = (at(1), Vec::new());
    while now < at(20) {
        let next = now + secs(1);
        out.extend(pass(&mut mesh, (now, next), &[0]).into_iter().map(|(_, effect)| effect));
        out.extend(mesh.step(next, nth_report(0, [0, 1], (0, 0), Status::NotExist)));
        now = next;
    }
    assert_eq!(out, [answer(1, mesh.state()), Effect::Finish]);
    assert_eq!(kinds(&mesh), [StatusKind::Stopped; 2]);
}

/// K3: a controller that was replaced lets go: everybody is told once, and nothing is ordered.
#[test]
fn a_higher_epoch_makes_the_controller_let_go() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    _ = mesh.step(at(0), wait(1, [0], (mesh_core::Progress::Ended, secs(9))));
    _ = mesh.step(at(0), stop(2, secs(60)));
    let by = Epoch::new(4);
    assert_eq!(
        mesh.step(at(1), refused(1, 4)),
        [
            tell(3, News::Trouble(Trouble::Replaced { by })),
            refusal(1, Refusal::Replaced { by }),
            refusal(2, Refusal::Replaced { by }),
            Effect::Finish,
        ]
    );
    assert_eq!((mesh.next_deadline(), mesh.check_due()), (None, None));
}

/// N7, K3: whoever lagged as the controller was replaced is told what it has missed, and the last word.
#[test]
fn a_subscriber_that_lagged_over_the_replacement_loses_no_end() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    _ = mesh.step(at(1), crashed([0]));
    _ = mesh.step(at(1), refused(0, 4));
    let trouble = News::Trouble(Trouble::Replaced { by: Epoch::new(4) });
    let told = mesh.step(at(1), Event::Lagged(WATCHER));
    let failed = vec![change([0], crash())];
    let missed = mesh_core::Snapshot { failed, lagged: true, ..snapshot() };
    assert_eq!(told, [tell(2, News::Snapshot(missed)), tell(3, trouble)]);
    assert_eq!(mesh.step(at(1), Event::Unsubscribed(WATCHER)), []);
    assert_eq!(mesh.n_subscribers(), 0);
}

/// N10: who has subscribed is told, once, and nothing comes after it.
#[test]
fn a_mesh_that_its_owner_lets_go_of_is_over_for_all_who_have_subscribed() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(1), subscribe(Interest::Terminal));
    let trouble = News::Trouble(Trouble::Abandoned);
    assert_eq!(mesh.step(at(2), Event::Abandoned), [tell(1, trouble.clone())]);
    let before = mesh.state();
    for event in [Event::Abandoned, Event::Tick, beat(0, 1), crashed([0]), refused(0, 9)] {
        assert_eq!(mesh.step(at(99), event.clone()), [], "{event:?}");
    }
    assert_eq!((mesh.state(), mesh.next_deadline()), (before, None));
    let told = mesh.step(at(99), Event::Lagged(WATCHER));
    assert_eq!(told.last(), Some(&tell(2, trouble)), "again to who may have lost it");
    let mut new = new(1, 1, LAN);
    assert_eq!(new.step(at(0), Event::Abandoned), [], "it had not begun");
}

/// K3: whatever comes afterwards changes nothing; what is asked is refused, or answered as it was.
#[test]
fn a_controller_that_was_replaced_does_nothing_any_more() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(1), refused(0, 9));
    let before = mesh.state();
    let region = mesh.spec().region.clone();
    let silent = [
        Event::Opened,
        Event::Adopted,
        Event::Tick,
        beat(0, 1),
        of_life(3, beat(0, 1)),
        query_failed(0),
        crashed([0]),
        nth_report(0, [0], (7, 0), Status::Running),
        refused(0, 10),
        refused(1, 9),
        Event::Lagged(WATCHER),
        Event::Unsubscribed(WATCHER),
        Event::Withdrawn(controller::AskId::new(1)),
    ];
    for event in silent {
        assert_eq!(mesh.step(at(99), event.clone()), [], "{event:?}");
    }
    assert_eq!(mesh.state(), before);
    let by = Epoch::new(9);
    let restart = RestartConfig::NEVER;
    for request in [
        MeshRequest::Stop { grace: secs(1), reason: None },
        MeshRequest::CreateOrUpdate { region, restart },
        MeshRequest::WaitRankStatus {
            ranks: mesh_shape::RankSet::new(),
            until: mesh_core::Progress::Running,
            within: secs(1),
        },
    ] {
        assert_eq!(mesh.step(at(99), asked(1, request)), [refusal(1, Refusal::Replaced { by })]);
    }
    assert_eq!(mesh.step(at(99), asked(1, MeshRequest::GetState)), [answer(1, before)]);
    let count = asked(1, MeshRequest::GetSubscriberCount);
    assert_eq!(mesh.step(at(99), count), [reply(1, Reply::Subscribers(0))]);
    let why = Refusal::Replaced { by };
    let effects = mesh.step(at(99), subscribe(Interest::All));
    assert_eq!(effects, [Effect::Refuse { to: WATCHER, why }]);
}

/// K3: only a higher epoch takes over.
#[test]
fn a_lower_or_equal_epoch_changes_nothing() {
    for epoch in [0, 2, 3] {
        let mut mesh = running(2, 2, LAN);
        _ = mesh.step(at(0), subscribe(Interest::All));
        assert_eq!(mesh.step(at(1), refused(0, epoch)), [], "{epoch}");
        assert_eq!(mesh.step(at(1), beat(0, 1)).len(), 1, "the lease is renewed");
    }
}

/// K3: also before it was opened, and not after it was closed.
#[test]
fn a_controller_is_replaced_from_its_first_moment_to_its_last() {
    let mut mesh = new(1, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    let trouble = News::Trouble(Trouble::Replaced { by: Epoch::new(8) });
    assert_eq!(mesh.step(at(0), refused(0, 8)), [tell(1, trouble), Effect::Finish]);
    assert_eq!(mesh.step(at(0), Event::Opened), [], "it starts nothing");

    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(1), nth_report(0, [0], (0, 2), Status::Stopped));
    assert_eq!(mesh.step(at(2), refused(0, 8)), [], "it is over");
    let effects = mesh.step(at(2), subscribe(Interest::Terminal));
    assert_eq!(effects.len(), 2, "{effects:?}");
    assert!(snapshot().alive.is_empty());
}

/// RS1, K3: a rank that turns up while all others end, to start again with it, ends with them.
#[test]
fn a_rank_that_turns_up_in_a_round_ends_with_the_others() {
    let restart = RestartConfig {
        strategy: mesh_core::Strategy::OneForAll,
        backoff_min: Duration::from_nanos(9),
        ..RestartConfig::on_failure(9)
    };
    let mut mesh = adopted(2, 2, Config { restart, ..LAN });
    _ = mesh.step(at(0), nth_report(0, [0], (0, 1), crash()));
    let out = pass(&mut mesh, (at(0), at(8)), &[0, 1]);
    assert_eq!(out, [], "the round waits for rank 1, of which nothing is known");
    let found = nth_report(1, [1], (3, 1), Status::Running);
    let order = Order::Stop { ranks: [1].set(), incarnation: Incarnation::new(3) };
    assert_eq!(mesh.step(at(8), found), [ask(1, order)]);
    let killed = (at(8) + LAN.restart.grace, kill(1, [1], 3));
    assert_eq!(pass(&mut mesh, (at(8), at(14)), &[0, 1]), [killed]);
    _ = mesh.step(at(14), nth_report(1, [1], (3, 2), Status::Stopped));
    let starts = unechoed(mesh.step(at(14), Event::Tick));
    assert_eq!(starts, [start(0, [0], 1), start(1, [1], 4)]);
}

/// K3, H2: which life a rank was in that everybody has forgotten, nobody knows: its next one is above all
/// that were reported, so that no life is begun twice.
#[test]
fn a_forgotten_rank_begins_above_every_life_that_was_reported() {
    let restart =
        RestartConfig { backoff_min: Duration::from_nanos(9), ..RestartConfig::on_failure(99) };
    let mut mesh = adopted(3, 1, Config { restart, ..LAN });
    _ = mesh.step(at(0), nth_report(0, [0], (7, 1), Status::Running));
    let mut told = pass_polled(&mut mesh, (at(0), at(9)));
    told.extend(pass(&mut mesh, (at(9), at(11)), &[0]));
    let starts = told.iter().filter(|(_, effect)| matches!(effect, Effect::Ask(_)));
    let starts: Vec<Effect> = starts.map(|(_, effect)| effect.clone()).collect();
    assert_eq!(starts, [start(0, [1, 2], 8)], "{told:?}");
}

/// K3, RS3: restarts that the controller before has made are counted, as far as lives tell of them.
#[test]
fn restarts_of_the_controller_before_count() {
    let escalates = |strategy, max_restarts| {
        let restart = RestartConfig { strategy, ..RestartConfig::on_failure(max_restarts) };
        let mut mesh = adopted(2, 1, Config { restart, ..LAN });
        _ = mesh.step(at(0), nth_report(0, [0], (3, 1), Status::Running));
        _ = mesh.step(at(0), nth_report(0, [1], (2, 1), Status::Running));
        _ = pass(&mut mesh, (at(0), at(11)), &[0]);
        let effects = mesh.step(at(11), nth_report(0, [0], (3, 2), crash()));
        let [Effect::TellOwner(failures), ..] = &effects[..] else { panic!("{effects:?}") };
        failures.escalation.is_some()
    };
    use mesh_core::Strategy::{OneForAll, OneForOne};
    assert!(escalates(OneForOne, 5), "five were made, three of rank 0 and two of rank 1");
    assert!(!escalates(OneForOne, 6));
    assert!(escalates(OneForAll, 3), "a round counts once");
    assert!(!escalates(OneForAll, 4));
}

/// K3, RS3: they are counted as soon as they are heard of, before it is known what is lost.
#[test]
fn restarts_of_the_controller_before_count_from_the_first_moment() {
    let escalates = |strategy, max_restarts| {
        let restart = RestartConfig { strategy, ..RestartConfig::on_failure(max_restarts) };
        let mut mesh = adopted(2, 1, Config { restart, ..LAN });
        _ = mesh.step(at(0), nth_report(0, [1], (2, 1), Status::Running));
        // Also those of the life whose end is the first that is heard of it.
        let effects = mesh.step(at(1), nth_report(0, [0], (3, 2), crash()));
        let [Effect::TellOwner(failures), ..] = &effects[..] else { panic!("{effects:?}") };
        failures.escalation.is_some()
    };
    use mesh_core::Strategy::{OneForAll, OneForOne};
    assert!(escalates(OneForOne, 5), "three of rank 0 and two of rank 1");
    assert!(!escalates(OneForOne, 6));
    assert!(escalates(OneForAll, 3));
    assert!(!escalates(OneForAll, 4));
}

/// K3, RS3: neither a life that is assumed of a forgotten rank, nor one that begins here, is one of the
/// controller before, however long the agents of others say nothing.
#[test]
fn restarts_of_an_adopted_mesh_count_once() {
    let escalates = |max_restarts| {
        let restart = RestartConfig {
            backoff_min: Duration::from_nanos(9),
            ..RestartConfig::on_failure(max_restarts)
        };
        let mut mesh = adopted(4, 2, Config { restart, ..LAN });
        _ = mesh.step(at(0), nth_report(0, [0], (7, 1), Status::Running));
        _ = mesh.step(at(0), nth_report(0, [1], (0, 0), Status::NotExist));
        // The other agent beats and says nothing of its ranks, so that they are asked for again.
        let out = pass(&mut mesh, (at(0), at(11)), &[0, 1]);
        assert!(out.iter().any(|(_, effect)| *effect == start(0, [1], 8)), "{out:?}");
        _ = mesh.step(at(11), nth_report(0, [1], (8, 1), Status::Running));
        _ = pass(&mut mesh, (at(11), at(14)), &[0, 1]);
        let effects = mesh.step(at(14), nth_report(0, [0], (7, 2), crash()));
        let [Effect::TellOwner(failures), ..] = &effects[..] else { panic!("{effects:?}") };
        failures.escalation.is_some()
    };
    assert!(escalates(8), "seven of the controller before, and one here");
    assert!(!escalates(9));
}

/// RS3, K3: a rank that is given up while the others of its round wait for it is one of them: it
/// costs no further restart, and stops nobody who has just begun.
#[test]
fn a_rank_that_is_lost_in_a_round_costs_no_second_one() {
    let restart = RestartConfig {
        strategy: mesh_core::Strategy::OneForAll,
        backoff_min: Duration::from_nanos(9),
        ..RestartConfig::on_failure(1)
    };
    let mut mesh = adopted(3, 1, Config { restart, ..LAN });
    let mut told = mesh.step(at(0), nth_report(0, [0], (0, 1), crash()));
    assert_eq!(pass_polled(&mut mesh, (at(0), at(9))), []);
    let before = pass(&mut mesh, (at(9), at(10)), &[0]);
    told.extend(before.into_iter().map(|(_, effect)| effect));
    told.extend(unechoed(mesh.step(at(10), Event::Tick)));
    let owner = |effect: &Effect| match effect {
        Effect::TellOwner(failures) => Some((failures.len(), failures.escalation.is_some())),
        _ => None,
    };
    assert_eq!(told.iter().filter_map(owner).collect::<Vec<_>>(), [(1, false), (2, false)]);
    assert_eq!(told.last(), Some(&start(0, 0..3, 1)), "{told:?}");
}

/// C1, K3: a rank that turns up after the ranks were killed is killed at once.
#[test]
fn a_rank_that_turns_up_after_the_kill_is_killed() {
    let mut mesh = adopted(2, 1, LAN);
    _ = mesh.step(at(1), kill_all(1));
    _ = mesh.step(at(1), Event::Tick);
    let found = nth_report(0, [0, 1], (4, 3), Status::Running);
    assert_eq!(mesh.step(at(2), found), [kill(0, [0, 1], 4)]);
}
