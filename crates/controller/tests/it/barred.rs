//! barred: ranks that can have no other life, since there is nowhere to begin one, or nothing to be started (RS1, RS3).

use std::time::Duration;

use controller::{Config, Controlled, Controller, Effect, Event, RestartConfig, RestartPolicy};
use mesh_core::{
    Cause, Escalation, EscalationReason, Failures, Incarnation, Interest, LaunchProblem, News,
    Progress, Reason, Reply, Status, Strategy, Withdrawal,
};
use mesh_shape::Rank;

use crate::support::{
    LAN, Ranks, ask_stop, at, change, changed, crash, crashed, ended, escalate, exit, lost,
    nth_report, report, running, spec, start, subscribe, tell, tell_owner, wait,
};

/// So short that a tenth of it is nothing: the delay is exact.
const DELAY: Duration = Duration::from_nanos(9);

/// Ranks that are lost with their place, or stop with it, which is not there any more.
#[derive(Clone, Debug)]
struct Tenant;

impl Controlled for Tenant {
    type Report = Status;
    const KIND: &'static str = "plain";

    fn status(&self, report: &Status) -> Status {
        report.clone()
    }

    fn bar(&self, report: &Status) -> Option<Status> {
        match report {
            Status::Stopping | Status::Stopped => Some(Status::Stopped),
            report => (*report == lost()).then(lost),
        }
    }
}

fn rules(strategy: Strategy, policy: RestartPolicy) -> Config {
    let restart =
        RestartConfig { strategy, policy, backoff_min: DELAY, ..RestartConfig::on_failure(9) };
    Config { restart, ..LAN }
}

/// Three ranks of one agent that run.
fn tenants(config: Config) -> Controller<Tenant> {
    let mut mesh = Controller::new(spec(3, 1, config), Tenant).expect("the spec holds together");
    _ = mesh.step(at(0), Event::Opened);
    assert_eq!(mesh.step(at(0), report(0, 0..3, Status::Running)), []);
    mesh
}

fn lost_with_its_place(rank: usize) -> Event<Status> {
    nth_report(0, [rank], (0, 2), lost())
}

fn withdrawn(ranks: impl Ranks) -> Withdrawal {
    Withdrawal { ranks: ranks.set(), incarnation: Incarnation::FIRST, why: lost() }
}

/// The owner is told that these do not start after all.
fn withdraw(mesh: &Controller<Tenant>, ranks: impl Ranks) -> Effect {
    let Effect::TellOwner(failures) = tell_owner(mesh, vec![]) else { panic!("it is told") };
    Effect::TellOwner(Failures { withdrawn: vec![withdrawn(ranks)], ..failures })
}

fn cannot_start(failed: impl Ranks) -> Escalation {
    Escalation {
        reason: EscalationReason::CannotStart,
        failed: failed.set(),
        starting: [].set(),
        max_restarts: 9,
        period: None,
    }
}

/// RS3: whoever starts together with a rank that cannot is not mended by restarts. That is told at once, and once; no
/// round begins.
#[test]
fn who_has_nowhere_to_begin_keeps_the_rest_from_it() {
    for strategy in [Strategy::RestForOne, Strategy::OneForAll] {
        let mut mesh = tenants(rules(strategy, RestartPolicy::Transient));
        let told = escalate(&mesh, vec![change([1], lost())], Some(cannot_start([1])));
        assert_eq!(mesh.step(at(1), lost_with_its_place(1)), [told], "{strategy:?}: nobody stops");
        for rank in [2, 0] {
            let told = tell_owner(&mesh, vec![change([rank], crash())]);
            assert_eq!(mesh.step(at(2), crashed([rank]))[..1], [told], "{strategy:?}: no more");
        }
    }
}

/// RS3: nor is a rank of which nothing is there to be started.
#[test]
fn what_is_not_there_to_be_started_keeps_the_rest_from_it() {
    let problem = LaunchProblem::NotFound;
    let missing = Cause::new(Reason::Launch { program: "it".to_owned(), problem });
    let missing = Status::failed(missing);
    let mut mesh = running(3, 1, rules(Strategy::RestForOne, RestartPolicy::Transient));
    let told = escalate(&mesh, vec![change([1], missing.clone())], Some(cannot_start([1])));
    assert_eq!(mesh.step(at(1), nth_report(0, [1], (0, 2), missing)), [told]);
}

/// H7, RS3, N1: where each starts alone, where none does, and where it ended well, it is an end as any other.
#[test]
fn who_has_nowhere_to_begin_keeps_nobody_from_it_who_starts_alone() {
    let mut mesh = tenants(rules(Strategy::OneForOne, RestartPolicy::Transient));
    let told = tell_owner(&mesh, vec![change([1], lost())]);
    assert_eq!(mesh.step(at(1), lost_with_its_place(1)), [told]);
    _ = mesh.step(at(1), crashed([2]));
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [start(0, [2], 1)]);

    let mut mesh = tenants(rules(Strategy::RestForOne, RestartPolicy::Temporary));
    let told = tell_owner(&mesh, vec![change([1], lost())]);
    assert_eq!(mesh.step(at(1), lost_with_its_place(1)), [told]);

    let mut mesh = tenants(rules(Strategy::RestForOne, RestartPolicy::Permanent));
    assert_eq!(mesh.step(at(1), ended([1])), [], "its place was stopped as asked");
}

/// RS1, RS3: a member of a round that is lost with its place is promised nothing, and the round is given up.
#[test]
fn a_member_that_has_nowhere_to_begin_ends_the_round() {
    let mut mesh = tenants(rules(Strategy::RestForOne, RestartPolicy::Transient));
    let effects = mesh.step(at(1), crashed([1]));
    assert_eq!(effects[1..], [ask_stop(0, [2])]);
    let told = tell_owner(&mesh, vec![change([2], lost())]);
    assert_eq!(mesh.step(at(1), lost_with_its_place(2)), [told], "for good");
    let told = escalate(&mesh, vec![], Some(cannot_start([1, 2])));
    assert_eq!(mesh.step(at(1), Event::Tick), [told], "nobody is started");
    let told = tell_owner(&mesh, vec![change([0], exit(2))]);
    assert_eq!(mesh.step(at(2), nth_report(0, [0], (0, 2), exit(2)))[..1], [told]);
}

/// RS1, RS3, N2: nor is one promised anything that stops well together with its place.
#[test]
fn a_member_that_stops_with_its_place_ends_the_round() {
    for strategy in [Strategy::RestForOne, Strategy::OneForAll] {
        let mut mesh = tenants(rules(strategy, RestartPolicy::Transient));
        _ = mesh.step(at(1), crashed([0]));
        _ = mesh.step(at(1), nth_report(0, [2], (0, 2), exit(2)));
        _ = mesh.step(at(1), subscribe(Interest::Terminal));
        let told = tell(1, changed(vec![change([1], Status::Stopped)]));
        assert_eq!(mesh.step(at(1), ended([1])), [told], "{strategy:?}: for good");
        let escalation = cannot_start([0, 2]);
        let effects = mesh.step(at(1) + DELAY, Event::Tick);
        let told = [
            tell(2, News::Escalated(escalation.clone())),
            escalate(&mesh, vec![], Some(escalation)),
        ];
        assert_eq!(effects[..2], told, "{strategy:?}: nobody is started");
    }
}

/// RS1, RS3: a member whose place is gone after it has ended was promised a start that it cannot have.
#[test]
fn a_member_whose_place_follows_it_ends_the_round() {
    let mut mesh = tenants(rules(Strategy::RestForOne, RestartPolicy::Transient));
    _ = mesh.step(at(1), crashed([1]));
    _ = mesh.step(at(1), nth_report(0, [2], (0, 2), exit(2)));
    assert_eq!(mesh.step(at(1), nth_report(0, [2], (0, 3), lost())), [], "it ended before");
    let told = escalate(&mesh, vec![], Some(cannot_start([1, 2])));
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [told], "nobody is started");
}

/// RS3: where one that can have no other life is needed, because it has ended before or is about to, no round begins.
#[test]
fn no_round_begins_with_who_has_nowhere_to_begin() {
    for status in [Status::Stopped, Status::Stopping] {
        let mut mesh = tenants(rules(Strategy::RestForOne, RestartPolicy::Transient));
        assert_eq!(mesh.step(at(1), nth_report(0, [1], (0, 2), status)), [], "no loss by itself");
        _ = mesh.step(at(2), nth_report(0, [2], (0, 2), exit(2)));
        assert_eq!(mesh.step(at(2) + DELAY, Event::Tick), [start(0, [2], 1)], "none of it");
        let told = escalate(&mesh, vec![change([0], crash())], Some(cannot_start([0])));
        assert_eq!(mesh.step(at(3), crashed([0])), [told], "nobody stops");
    }
}

/// RS1, N1, N2, L7: who waits to start alone, and whose place is gone meanwhile, does not. That is told at once, and once,
/// with the reason; whoever waits for its end has it; and no life that there never was is told of.
#[test]
fn a_promise_is_withdrawn_where_nothing_can_begin_any_more() {
    let mut mesh = tenants(rules(Strategy::OneForOne, RestartPolicy::Transient));
    _ = mesh.step(at(1), crashed([0, 1]));
    _ = mesh.step(at(1), subscribe(Interest::Terminal));
    let until = (Progress::Ended, Duration::from_secs(1));
    assert_eq!(mesh.step(at(1), wait(1, [1], until)), [], "it is to begin again");

    let effects = mesh.step(at(1), nth_report(0, [1], (0, 3), lost()));
    let told = [tell(1, News::Withdrawn([withdrawn([1])].into())), withdraw(&mesh, [1])];
    assert_eq!(effects[..2], told);
    let [Effect::Answer { reply: Reply::Waited { missing, .. }, .. }] = &effects[2..] else {
        panic!("whoever waits is answered: {effects:?}")
    };
    assert!(missing.is_empty(), "{missing}");
    assert_eq!(mesh.step(at(1), nth_report(0, [1], (0, 4), lost())), [], "once");
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [start(0, [0], 1)], "the other one does");
    let life = mesh.state().ranks.get(Rank::new(1)).map(|it| it.incarnation);
    assert_eq!(life, Some(Incarnation::FIRST));
}

/// RS1, E2: that of one who had failed the owner is told also where its place has ended well: the failure is not mended.
#[test]
fn a_promise_after_a_failure_is_withdrawn_whatever_the_reason() {
    let mut mesh = tenants(rules(Strategy::OneForOne, RestartPolicy::Permanent));
    _ = mesh.step(at(1), crashed([1]));
    let effects = mesh.step(at(1), nth_report(0, [1], (0, 3), Status::Stopped));
    let Effect::TellOwner(failures) = tell_owner(&mesh, vec![]) else { panic!("it is told") };
    let withdrawn = vec![Withdrawal { why: Status::Stopped, ..withdrawn([1]) }];
    assert_eq!(effects, [Effect::TellOwner(Failures { withdrawn, ..failures })]);
}

/// RS2, N4, L6: where nobody else lives or begins, the mesh has ended with that.
#[test]
fn a_mesh_has_ended_with_the_last_promise() {
    let mut mesh = tenants(rules(Strategy::OneForOne, RestartPolicy::Transient));
    _ = mesh.step(at(1), ended([0, 2]));
    _ = mesh.step(at(1), crashed([1]));
    _ = mesh.step(at(1), subscribe(Interest::Terminal));
    let told = [
        tell(1, News::Withdrawn([withdrawn([1])].into())),
        withdraw(&mesh, [1]),
        tell(2, News::Closed),
        Effect::Finish,
    ];
    assert_eq!(mesh.step(at(1), nth_report(0, [1], (0, 3), lost())), told);
}

/// RS1: what is said of a life that is over, or of a rank that waits for nothing, takes no promise back.
#[test]
fn no_promise_is_withdrawn_by_what_is_past() {
    let mut mesh = tenants(rules(Strategy::OneForOne, RestartPolicy::Transient));
    _ = mesh.step(at(1), crashed([1]));
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [start(0, [1], 1)]);
    _ = mesh.step(at(2), nth_report(0, [1], (1, 1), Status::Running));
    _ = mesh.step(at(2), nth_report(0, [1], (1, 2), exit(2)));
    assert_eq!(mesh.step(at(2), nth_report(0, [1], (0, 3), lost())), [], "that life is over");
    assert_eq!(mesh.step(at(2) + DELAY * 2, Event::Tick), [start(0, [1], 2)]);
}

/// RS1, RS3: that a round cannot begin is told at once, and not when it was to.
#[test]
fn a_round_that_cannot_begin_is_given_up_at_once() {
    let restart = RestartConfig {
        strategy: Strategy::RestForOne,
        backoff_min: Duration::from_secs(60),
        backoff_max: Duration::from_secs(60),
        ..RestartConfig::on_failure(9)
    };
    let mut mesh = tenants(Config { restart, ..LAN });
    _ = mesh.step(at(1), crashed([2]));
    assert_eq!(mesh.step(at(1), nth_report(0, [2], (0, 3), lost())), [], "it ended before");
    assert_eq!(mesh.next_deadline(), Some(at(1)));
    let told = escalate(&mesh, vec![], Some(cannot_start([2])));
    assert_eq!(mesh.step(at(1), Event::Tick), [told]);
}

/// RS3: the last word of an agent on the life that it is in counts.
#[test]
fn who_has_somewhere_to_begin_again_is_started() {
    let mut mesh = tenants(rules(Strategy::RestForOne, RestartPolicy::Transient));
    _ = mesh.step(at(1), nth_report(0, [2], (0, 3), Status::Stopping));
    _ = mesh.step(at(1), nth_report(0, [2], (0, 4), exit(2)));
    assert_eq!(mesh.step(at(1), nth_report(0, [2], (0, 3), Status::Stopping)), [], "it is late");
    assert_eq!(mesh.step(at(1) + DELAY, Event::Tick), [start(0, [2], 1)]);
}
