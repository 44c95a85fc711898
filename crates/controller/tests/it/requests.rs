//! requests: what a controller is asked and answers, and what it refuses (L7, L8, N5, H5).

use std::time::Duration;

use controller::{Config, Controller, Effect, Event, Limits, RestartConfig, Spec, Subscription};
use mesh_core::{
    Interest, MeshRequest, News, Refusal, Reply, RestartError, Snapshot, Status, Strategy,
    SubscriberId,
};
use mesh_shape::{RankSet, Region, extent};

use crate::support::{
    LAN, Mesh, Plain, WATCHER, answer, ask_stop, asked, at, change, changed, crash, crashed, ended,
    kinds, new, nth_report, refusal, reply, running, secs, snapshot, spec, start, stop, subscribe,
    subscribe_to, tell, tell_owner,
};

const DELAY: Duration = Duration::from_nanos(9);

fn update(ask: u64, mesh: &Mesh, restart: RestartConfig) -> Event<Status> {
    asked(ask, MeshRequest::CreateOrUpdate { region: mesh.spec().region.clone(), restart })
}

fn updated(ask: u64, is_changed: bool) -> Effect {
    reply(ask, Reply::Updated { is_changed })
}

/// L8: the same spec is no change.
#[test]
fn the_same_spec_again_changes_nothing() {
    let mut mesh = running(4, 2, LAN);
    let before = mesh.state();
    assert_eq!(mesh.step(at(1), update(1, &mesh, LAN.restart)), [updated(1, false)]);
    assert_eq!(mesh.state(), before);
}

/// L8: a mesh keeps its ranks for life.
#[test]
fn another_region_is_refused() {
    let mut mesh = running(4, 2, LAN);
    let has = mesh.spec().region.clone();
    let others = [
        Region::all(extent!(hosts = 2, procs = 3).expect("it is small")),
        Region::all(extent!(procs = 4).expect("it is small")),
        has.parse_slice("hosts=1").expect("it is a slice of it"),
    ];
    for asked_for in others {
        let request =
            MeshRequest::CreateOrUpdate { region: asked_for.clone().into(), restart: LAN.restart };
        let why = Refusal::OtherRegion { has: has.clone(), asked: asked_for.into() };
        assert_eq!(mesh.step(at(1), asked(1, request)), [refusal(1, why)]);
    }
    assert_eq!(mesh.spec().region, has);
}

/// L8
#[test]
fn rules_of_restarting_that_cannot_hold_are_refused() {
    let mut mesh = running(2, 1, LAN);
    let rules = RestartConfig { backoff_min: Duration::ZERO, ..LAN.restart };
    let why = Refusal::Restart(RestartError::NoBackoff);
    assert_eq!(mesh.step(at(1), update(1, &mesh, rules)), [refusal(1, why)]);
    assert_eq!(mesh.spec().config.restart, LAN.restart, "nothing has changed");
}

/// L8, RS1: rules of restarting may change while the mesh lives.
#[test]
fn new_rules_of_restarting_take_effect() {
    let mut mesh = running(3, 1, LAN);
    let rules = RestartConfig { backoff_min: DELAY, ..RestartConfig::on_failure(9) };
    assert_eq!(mesh.step(at(1), update(1, &mesh, rules)), [updated(1, true)]);
    assert_eq!(mesh.spec().config.restart, rules);
    assert_eq!(mesh.step(at(1), update(2, &mesh, rules)), [updated(2, false)]);
    _ = mesh.step(at(1), crashed([0]));
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [start(0, [0], 1)]);
    _ = mesh.step(at(1), update(3, &mesh, RestartConfig::NEVER));
    let news = vec![change([1], crash())];
    assert_eq!(mesh.step(at_late(), crashed([1])), [tell_owner(&mesh, news)], "never again");
}

const fn at_late() -> mesh_core::Timestamp {
    mesh_core::Timestamp::from_start(Duration::from_millis(1_500))
}

fn one_for_all() -> RestartConfig {
    let strategy = Strategy::OneForAll;
    RestartConfig { strategy, backoff_min: DELAY, ..RestartConfig::on_failure(9) }
}

/// L8, RS1: what was granted stays so: a round goes on as one under rules that know no rounds.
#[test]
fn a_round_goes_on_under_other_rules() {
    let mut mesh = running(3, 1, Config { restart: one_for_all(), ..LAN });
    _ = mesh.step(at(1), crashed([0]));
    let rules = RestartConfig { strategy: Strategy::OneForOne, ..one_for_all() };
    _ = mesh.step(at(1), update(1, &mesh, rules));
    let mut news = change([1], crash());
    news.restart_in = Some(DELAY);
    assert_eq!(mesh.step(at(1), crashed([1])), [tell_owner(&mesh, vec![news])]);
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [], "rank 2 lives on");
    _ = mesh.step(at_late(), ended([2]));
    assert_eq!(mesh.step(at_late(), Event::Tick), [start(0, 0..3, 1)], "all together, once");
    assert_eq!(mesh.step(at_late(), Event::Tick), []);
}

/// L8, RS1: and a rank that is to start alone starts with the others if a round takes it in.
#[test]
fn a_rank_that_was_to_start_alone_is_taken_into_a_round() {
    let alone = RestartConfig { strategy: Strategy::OneForOne, ..one_for_all() };
    let mut mesh = running(3, 1, Config { restart: alone, ..LAN });
    _ = mesh.step(at(1), crashed([0]));
    _ = mesh.step(at(1), update(1, &mesh, one_for_all()));
    let effects = mesh.step(at(1), crashed([1]));
    assert_eq!(effects.last(), Some(&ask_stop(0, [2])));
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [], "rank 2 lives on");
    _ = mesh.step(at_late(), ended([2]));
    assert_eq!(mesh.step(at_late(), Event::Tick), [start(0, 0..3, 1)], "all together, once");
}

/// L7, L8: at every moment of the life of a mesh.
#[test]
fn the_state_is_answered_from_the_first_moment_to_the_last() {
    let mut mesh = new(2, 1, LAN);
    let mut seen = Vec::new();
    for event in [Event::Opened, stop(1, secs(9)), ended([0, 1])] {
        let get = asked(2, MeshRequest::GetState);
        assert_eq!(mesh.step(at(1), get), [answer(2, mesh.state())]);
        seen.push(kinds(&mesh)[0]);
        _ = mesh.step(at(1), event);
    }
    assert_eq!(mesh.step(at(2), asked(2, MeshRequest::GetState)), [answer(2, mesh.state())]);
    assert_eq!(seen.len(), 3);
}

/// N5, L8
#[test]
fn the_number_of_subscribers_is_exact() {
    let mut mesh = running(2, 1, LAN);
    let count = |mesh: &mut Mesh| mesh.step(at(1), asked(1, MeshRequest::GetSubscriberCount));
    assert_eq!(count(&mut mesh), [reply(1, Reply::Subscribers(0))]);
    for (id, n) in [(1, 1), (2, 2), (2, 2), (3, 3)] {
        _ = mesh.step(at(1), subscriber(id));
        assert_eq!(count(&mut mesh), [reply(1, Reply::Subscribers(n))]);
    }
    _ = mesh.step(at(1), Event::Unsubscribed(SubscriberId::new(2)));
    _ = mesh.step(at(1), Event::Unsubscribed(SubscriberId::new(2)));
    assert_eq!(count(&mut mesh), [reply(1, Reply::Subscribers(2))]);
}

fn subscriber(id: u64) -> Event<Status> {
    let interest = Interest::Terminal;
    Event::Subscribed(Subscription {
        id: SubscriberId::new(id),
        interest,
        region: None,
        again: false,
    })
}

/// N7, L8: memory is bounded: who comes too many is refused, and may come again.
#[test]
fn subscribers_beyond_the_limit_are_refused() {
    let limits = Limits { subscribers: 2, ..Limits::LARGE };
    let mut mesh = running(2, 1, Config { limits, ..LAN });
    assert_eq!(mesh.step(at(1), subscriber(1)).len(), 1);
    assert_eq!(mesh.step(at(1), subscriber(2)).len(), 1);
    let (to, why) = (SubscriberId::new(3), Refusal::TooMany { limit: 2 });
    assert_eq!(mesh.step(at(1), subscriber(3)), [Effect::Refuse { to, why }]);
    assert_eq!(mesh.step(at(1), subscriber(1)), [], "it is one already");
    assert_eq!(mesh.n_subscribers(), 2);
    _ = mesh.step(at(1), Event::Unsubscribed(SubscriberId::new(1)));
    assert_eq!(mesh.step(at(1), subscriber(3)).len(), 1);
    assert_eq!(mesh.n_subscribers(), 2);
}

/// H5, N6: what is a view of something else names no rank of this mesh.
#[test]
fn a_region_of_another_base_is_refused() {
    let mut mesh = running(4, 2, LAN);
    let other = Region::all(extent!(hosts = 4, procs = 2).expect("it is small"));
    let has = mesh.spec().region.base().clone();
    let subscription = Subscription {
        id: WATCHER,
        interest: Interest::All,
        region: Some(other.clone().into()),
        again: false,
    };
    let why = Refusal::OtherBase { has: has.into(), asked: other.base().clone().into() };
    assert_eq!(
        mesh.step(at(1), Event::Subscribed(subscription)),
        [Effect::Refuse { to: WATCHER, why }]
    );
    assert_eq!(mesh.n_subscribers(), 0);
}

/// A mesh that is hosts 1 and 3 of four, procs 2, 1 and 0 of three: its rank 0 is the base's rank 5.
fn sliced() -> Mesh {
    let base = Region::all(extent!(hosts = 4, procs = 3).expect("it is small"));
    let region = base.parse_slice("hosts=1::2,procs=::-1").expect("it is a slice of it");
    let agents = vec![RankSet::from(0..3), RankSet::from(3..6)];
    let spec = Spec { region: region.into(), agents: agents.into(), ..spec(6, 2, LAN) };
    let mut mesh = Controller::new(spec, Plain).expect("the spec holds together");
    _ = mesh.step(at(0), Event::Opened);
    _ = mesh.step(at(0), nth_report(0, 0..3, (0, 1), Status::Running));
    _ = mesh.step(at(0), nth_report(1, 3..6, (0, 1), Status::Running));
    mesh
}

/// H5, N6: a mesh may be a slice itself: a subscriber's region is compared by what both are views of,
/// and it is told the ranks of its own view.
#[test]
fn a_sliced_mesh_tells_each_view_its_own_ranks() {
    let mut mesh = sliced();
    // Of the mesh: hosts 3 of the base, procs 2 and 1: its view ranks 3 and 4.
    let alive = vec![change([0, 1], Status::Running)];
    assert_eq!(
        mesh.step(at(0), subscribe_to("hosts=1,procs=:2", &mesh)),
        [tell(0, News::Snapshot(Snapshot { alive, ..snapshot() }))]
    );
    let elsewhere = vec![change([0], crash())];
    assert_eq!(mesh.step(at(1), crashed([0])), [tell_owner(&mesh, elsewhere)]);
    let effects = mesh.step(at(1), nth_report(1, [4, 5], (0, 2), crash()));
    let seen = vec![change([1], crash())];
    let told = vec![change([4, 5], crash())];
    assert_eq!(effects, [tell(1, changed(seen)), tell_owner(&mesh, told)]);
}

/// H5, N6: also a view that was made beside the mesh, and meets it in part.
#[test]
fn a_view_of_the_same_base_hears_of_the_ranks_that_both_have() {
    let mut mesh = sliced();
    let base = Region::all(mesh.spec().region.base().clone());
    let region = Some(base.parse_slice("hosts=0:2").expect("it is a slice of it").into());
    let alive = vec![change(3..6, Status::Running)];
    assert_eq!(
        mesh.step(
            at(0),
            Event::Subscribed(Subscription {
                id: WATCHER,
                interest: Interest::All,
                region,
                again: false
            })
        ),
        [tell(0, News::Snapshot(Snapshot { alive, ..snapshot() }))]
    );
    // Rank 0 of the mesh is rank 5 of the base, which is rank 5 of the view.
    let effects = mesh.step(at(1), crashed([0]));
    assert_eq!(effects[0], tell(1, changed(vec![change([5], crash())])));
    let effects = mesh.step(at(1), nth_report(1, [3], (0, 2), crash()));
    assert_eq!(effects.len(), 1, "host 3 is not in the view: {effects:?}");
}

/// H5: the owner is told in the ranks of the mesh, with the coordinates that they have in it.
#[test]
fn the_owner_of_a_sliced_mesh_is_told_its_own_ranks() {
    let mut mesh = sliced();
    let effects = mesh.step(at(1), nth_report(1, [4], (0, 2), crash()));
    let [Effect::TellOwner(failures)] = &effects[..] else { panic!("{effects:?}") };
    let named: Vec<_> = failures.each().map(|(rank, _)| failures.point(rank)).collect();
    assert_eq!(named, ["hosts=1,procs=1"]);
    assert_eq!(failures.region, mesh.spec().region);
}

/// N5, RS1: a snapshot says of each end whether it will be followed by another life, and when.
#[test]
fn a_snapshot_says_what_will_start_again() {
    let alone = RestartConfig {
        strategy: Strategy::OneForOne,
        backoff_min: secs(20),
        ..RestartConfig::on_failure(1)
    };
    let mut mesh = running(4, 1, Config { restart: alone, ..LAN });
    let effects = mesh.step(at(1), crashed([1]));
    let [Effect::TellOwner(failures)] = &effects[..] else { panic!("{effects:?}") };
    let delay = failures.changes[0].restart_in.expect("one is allowed");
    _ = mesh.step(at_late(), nth_report(0, [2], (0, 2), crash()));
    let waits = delay - Duration::from_millis(500);
    let (since, now) = (at_late().since(at(1)), Duration::ZERO);
    let failed = [(1, since, Some(waits)), (2, now, None)].map(|(rank, age, restart_in)| {
        mesh_core::Change { restart_in, age, ..change([rank], crash()) }
    });
    let expected = Snapshot { failed: failed.to_vec(), ..snapshot() };
    let told = mesh.step(at_late(), subscribe(Interest::Terminal));
    assert_eq!(told, [tell(0, News::Snapshot(expected))], "with the true age of each evidence");
}

/// N5, RS1, C1: of a round: all its ranks start again together.
#[test]
fn a_snapshot_knows_the_round_and_a_stop() {
    let mut mesh = running(3, 1, Config { restart: one_for_all(), ..LAN });
    _ = mesh.step(at(1), crashed([0]));
    _ = mesh.step(at(1), ended([1]));
    let again = |change| mesh_core::Change { restart_in: Some(DELAY), ..change };
    let expected = Snapshot {
        failed: vec![again(change([0], crash()))],
        stopped: vec![again(change([1], Status::Stopped))],
        alive: vec![change([2], Status::Stopping)],
        ..snapshot()
    };
    let told = mesh.clone().step(at(1), subscribe(Interest::All));
    assert_eq!(told, [tell(0, News::Snapshot(expected))]);

    _ = mesh.step(at(1), stop(1, secs(9)));
    let effects = mesh.step(at(1), subscribe(Interest::Terminal));
    let ends = Snapshot {
        failed: vec![change([0], crash())],
        stopped: vec![change([1], Status::Stopped)],
        is_stopping: true,
        stop_reason: None,
        ..snapshot()
    };
    assert_eq!(effects, [tell(0, News::Snapshot(ends))], "nothing starts again");
}

/// N5, RS1: each rank is told with the life that ended.
#[test]
fn a_snapshot_names_the_life_that_stopped() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), nth_report(0, [0], (3, 1), Status::Stopped));
    let effects = mesh.step(at(1), subscribe(Interest::Terminal));
    let stopped = vec![crate::support::of_incarnation(3, change([0], Status::Stopped))];
    assert_eq!(effects, [tell(0, News::Snapshot(Snapshot { stopped, ..snapshot() }))]);
}
