//! interrupted: ranks that end well with what they lived in, which begins again (RS1, RS3).

use std::time::Duration;

use controller::{Config, Controlled, Controller, Effect, Event, RestartConfig, RestartPolicy};
use mesh_core::{News, Reason, Status, Strategy};

use crate::support::{
    LAN, Ranks, ask_stop, at, change, changed, exit, nth_report, report, spec, start, subscribe,
    tell,
};

/// So short that a tenth of it is nothing: the delay is exact.
const DELAY: Duration = Duration::from_nanos(9);

/// Ranks that stop with their place, which begins again.
#[derive(Clone, Debug)]
struct Guest;

impl Controlled for Guest {
    type Report = Status;
    const KIND: &'static str = "plain";

    fn status(&self, report: &Status) -> Status {
        if is_closed(report) { Status::Stopped } else { report.clone() }
    }

    fn is_interrupted(&self, report: &Status) -> bool {
        is_closed(report)
    }
}

fn is_closed(report: &Status) -> bool {
    report.cause().is_some_and(|cause| cause.reason == Reason::Closed)
}

/// Three ranks of one agent that run.
fn guests(strategy: Strategy, policy: RestartPolicy) -> Controller<Guest> {
    let restart =
        RestartConfig { strategy, policy, backoff_min: DELAY, ..RestartConfig::on_failure(1) };
    let config = Config { restart, ..LAN };
    let mut mesh = Controller::new(spec(3, 1, config), Guest).expect("the spec holds together");
    _ = mesh.step(at(0), Event::Opened);
    assert_eq!(mesh.step(at(0), report(0, 0..3, Status::Running)), []);
    mesh
}

fn interrupted(ranks: impl Ranks, of: (u64, u64)) -> Event<Status> {
    let closed = Status::failed(mesh_core::Cause::new(Reason::Closed));
    nth_report(0, ranks, of, closed)
}

fn starts(effects: Vec<Effect>, expected: Effect) {
    assert!(effects.contains(&expected), "{effects:?}");
}

/// RS1, RS3: whoever is to begin again after a failure does also where his place does; he is told to have stopped, with the
/// promise, and it costs nothing: the restart of the place was counted.
#[test]
fn who_is_interrupted_begins_again_and_spends_nothing() {
    let mut mesh = guests(Strategy::OneForOne, RestartPolicy::Transient);
    _ = mesh.step(at(0), subscribe(mesh_core::Interest::Terminal));
    for life in 0..5 {
        let now = at(2 * life + 1);
        let effects = mesh.step(now, interrupted([0, 2], (life, 2)));
        if life == 0 {
            let stopped = |rank: usize| mesh_core::Change {
                restart_in: Some(DELAY),
                ..change([rank], Status::Stopped)
            };
            assert_eq!(effects, [tell(1, changed(vec![stopped(0), stopped(2)]))]);
        }
        starts(mesh.step(now + DELAY, Event::Tick), start(0, [0, 2], life + 1));
        _ = mesh.step(now + DELAY, nth_report(0, [0, 2], (life + 1, 1), Status::Running));
    }
    // The only one that is allowed is there still.
    _ = mesh.step(at(20), nth_report(0, [1], (0, 2), exit(1)));
    starts(mesh.step(at(20) + DELAY, Event::Tick), start(0, [1], 1));
}

/// RS1: those who begin together do so as after a failure: also one that has not begun yet, since its place has not.
#[test]
fn those_who_begin_together_do_so_where_some_are_interrupted() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let mut mesh = guests(strategy, RestartPolicy::Transient);
        _ = mesh.step(at(1), nth_report(0, [1], (0, 2), Status::Initializing));
        let effects = mesh.step(at(2), interrupted([0, 2], (0, 2)));
        starts(effects, ask_stop(0, [1]));
        _ = mesh.step(at(2), nth_report(0, [1], (0, 3), Status::Stopped));
        starts(mesh.step(at(2) + DELAY, Event::Tick), start(0, 0..3, 1));
    }
}

/// RS1: nor is anything started that is not to be, or that has ended of itself.
#[test]
fn who_is_never_started_again_is_not_for_that_either() {
    for (policy, event) in [
        (RestartPolicy::Temporary, interrupted(0..3, (0, 2))),
        (RestartPolicy::Transient, nth_report(0, 0..3, (0, 2), Status::Stopped)),
    ] {
        let mut mesh = guests(Strategy::OneForOne, policy);
        _ = mesh.step(at(0), subscribe(mesh_core::Interest::Terminal));
        let effects = mesh.step(at(1), event);
        let told = tell(1, changed(vec![change(0..3, Status::Stopped)]));
        assert_eq!(effects, [told, tell(2, News::Closed), Effect::Finish], "{policy:?}");
    }
}

/// RS3: where restarts cannot mend the mesh any more none is granted for that either.
#[test]
fn after_an_escalation_none_begins_again() {
    let mut mesh = guests(Strategy::OneForOne, RestartPolicy::Transient);
    for (now, life) in [(1, 0), (2, 1)] {
        _ = mesh.step(at(now), nth_report(0, [1], (life, 2), exit(1)));
        _ = mesh.step(at(now) + DELAY, Event::Tick);
        _ = mesh.step(at(now) + DELAY, nth_report(0, [1], (life + 1, 1), Status::Running));
    }
    assert_eq!(mesh.step(at(3), interrupted([0], (0, 2))), []);
    let effects = mesh.step(at(3) + DELAY, Event::Tick);
    assert!(!effects.contains(&start(0, [0], 1)), "{effects:?}");
}
