//! notifications: who is told what, how often and with which number (N1 to N9).

use std::time::Duration;

use controller::{Config, Effect, Event, Subscription};
use mesh_core::{
    Cause, Incarnation, Interest, News, Order, Reason, RestartConfig, Snapshot, Status,
    SubscriberId,
};
use mesh_shape::RankSet;

use crate::support::{
    LAN, WATCHER, aged, ask, at, beat, change, changed, crash, crashed, ended, exit, heartbeat,
    is_routine, nth_report, pass, query_failed, renew, running, secs, snapshot, statuses,
    subscribe, subscribe_to, tell, tell_owner, tell_to,
};

/// N1
#[test]
fn the_owner_gets_each_failed_life_exactly_once() {
    let mut mesh = running(4, 1, LAN);
    let news = vec![change([1, 2], crash())];
    assert_eq!(mesh.step(at(9), crashed([1, 2])), [tell_owner(&mesh, news)]);
    assert_eq!(mesh.step(at(9), crashed([2])), [], "the same life, by another path");
    assert_eq!(mesh.step(at(10), nth_report(0, [1, 2], (0, 9), crash())), []);
}

/// N1
#[test]
fn the_owner_gets_nothing_for_a_clean_end() {
    let mut mesh = running(2, 1, LAN);
    assert_eq!(mesh.step(at(1), ended([0])), []);
    assert_eq!(mesh.step(at(1), ended([1])), [Effect::Finish]);
}

/// N2
#[test]
fn a_subscriber_gets_each_end_once_clean_ones_too() {
    let mut mesh = running(4, 1, LAN);
    assert_eq!(
        mesh.step(at(0), subscribe(Interest::Terminal)),
        [tell(0, News::Snapshot(snapshot()))]
    );
    let news = vec![change([0], Status::Stopped)];
    assert_eq!(mesh.step(at(1), ended([0])), [tell(1, changed(news))]);
    assert_eq!(mesh.step(at(1), ended([0])), []);
    let news = vec![change([1], crash())];
    assert_eq!(
        mesh.step(at(2), crashed([0, 1])),
        [tell(2, changed(news.clone())), tell_owner(&mesh, news)]
    );
}

/// N2
#[test]
fn only_who_wants_all_hears_of_what_is_no_end() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    let all = SubscriberId::new(8);
    let wants_all = Subscription { id: all, interest: Interest::All, region: None, again: false };
    let alive = vec![change([0, 1], Status::Running)];
    assert_eq!(
        mesh.step(at(0), Event::Subscribed(wants_all)),
        [tell_to(all, 0, News::Snapshot(Snapshot { alive, ..snapshot() }))]
    );
    let stalled = Status::Stalled(mesh_core::Stall::DumpingCore);
    let news = vec![change([1], stalled.clone())];
    assert_eq!(
        mesh.step(at(1), nth_report(0, [1], (0, 2), stalled)),
        [tell_to(all, 1, changed(news))]
    );
}

/// N3
#[test]
fn heartbeats_go_on_after_the_first_failure() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    _ = mesh.step(at(0), crashed([0]));
    let mut heard_at = at(0);
    for seq in 2..12 {
        let due = mesh.check_due().expect("a rank lives");
        assert!(due.since(heard_at) <= LAN.times.check, "{due:?} after {heard_at:?}");
        _ = mesh.step(due, beat(0, seq));
        assert_eq!(mesh.step(due, Event::Tick), [tell(seq, heartbeat()), ask(0, Order::Poll)]);
        heard_at = due;
    }
}

/// N4
#[test]
fn closed_is_the_last_word() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    let news = vec![change([0], crash())];
    assert_eq!(
        mesh.step(at(1), crashed([0])),
        [
            tell(1, changed(news.clone())),
            tell_owner(&mesh, news),
            tell(2, News::Closed),
            Effect::Finish,
        ]
    );
    let later_life = nth_report(0, [0], (1, 0), Status::Running);
    for event in [Event::Tick, query_failed(0), beat(0, 1), later_life, crashed([0]), Event::Opened]
    {
        assert_eq!(mesh.step(at(9), event.clone()), [], "{event:?}");
    }
    assert_eq!(statuses(&mesh), [crash()]);
}

/// N4, N5: who comes after the end hears of it, and that it was the end.
#[test]
fn a_late_subscriber_gets_the_end_and_closed() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(1), crashed([0]));
    _ = mesh.step(at(2), ended([1]));
    let ends = Snapshot {
        failed: vec![aged(secs(2), change([0], crash()))],
        stopped: vec![change([1], Status::Stopped)],
        ..snapshot()
    };
    assert_eq!(
        mesh.step(at(3), subscribe(Interest::Terminal)),
        [tell(0, News::Snapshot(ends)), tell(1, News::Closed)]
    );
}

/// N5
#[test]
fn a_snapshot_holds_every_end_and_its_cause() {
    let mut mesh = running(6, 1, LAN);
    _ = mesh.step(at(1), crashed([1]));
    _ = mesh.step(at(1), nth_report(0, [2], (0, 2), exit(2)));
    _ = mesh.step(at(1), ended([3, 5]));
    let ends = Snapshot {
        failed: [change([1], crash()), change([2], exit(2))].map(|it| aged(secs(3), it)).into(),
        stopped: vec![change([3, 5], Status::Stopped)],
        ..snapshot()
    };
    let all = Snapshot { alive: vec![change([0, 4], Status::Running)], ..ends.clone() };
    for (interest, expected) in [(Interest::Terminal, ends), (Interest::All, all)] {
        let mut mesh = mesh.clone();
        let effects = mesh.step(at(4), subscribe(interest));
        assert_eq!(effects, [tell(0, News::Snapshot(expected))]);
    }
}

/// N5
#[test]
fn subscribing_twice_counts_once_and_an_unknown_one_never() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    assert_eq!(mesh.step(at(0), subscribe(Interest::Terminal)), []);
    assert_eq!(mesh.n_subscribers(), 1);
    assert_eq!(mesh.step(at(0), Event::Unsubscribed(SubscriberId::new(99))), []);
    assert_eq!(mesh.n_subscribers(), 1);
    assert_eq!(mesh.step(at(0), Event::Unsubscribed(WATCHER)), []);
    assert_eq!(mesh.step(at(0), Event::Unsubscribed(WATCHER)), []);
    assert_eq!(mesh.n_subscribers(), 0);
    assert_eq!(mesh.step(at(0), query_failed(0)), [], "it is told nothing more");
}

/// H5, N6: hosts=2,procs=4; the view is procs 3 and 1 of host 1, in this order.
#[test]
fn a_region_hears_of_its_own_ranks_in_its_own_numbers() {
    let mut mesh = running(8, 2, LAN);
    let alive = vec![change([0, 1], Status::Running)];
    assert_eq!(
        mesh.step(at(0), subscribe_to("hosts=1,procs=::-2", &mesh)),
        [tell(0, News::Snapshot(Snapshot { alive, ..snapshot() }))]
    );
    let elsewhere = vec![change([1], crash())];
    assert_eq!(mesh.step(at(1), crashed([1])), [tell_owner(&mesh, elsewhere)]);
    let effects = mesh.step(at(2), nth_report(1, [4, 5], (0, 2), crash()));
    let seen = vec![change([1], crash())];
    let told = vec![change([4, 5], crash())];
    assert_eq!(effects, [tell(1, changed(seen)), tell_owner(&mesh, told)]);
}

/// N6: a slice is unhealthy only if a failed rank is in it; what is no rank's is for everybody.
#[test]
fn a_region_is_told_of_what_concerns_the_whole_mesh() {
    let mut mesh = running(2, 2, LAN);
    _ = mesh.step(at(1), crashed([0]));
    let alive = vec![change([0], Status::Running)];
    assert_eq!(
        mesh.step(at(1), subscribe_to("hosts=1", &mesh)),
        [tell(0, News::Snapshot(Snapshot { alive, ..snapshot() }))]
    );
    let trouble = News::Trouble(mesh_core::Trouble::QueryFailed { agent: 0 });
    assert_eq!(mesh.step(at(1), query_failed(0)), [tell(1, trouble)]);
}

/// N5, N7: what was lost is in the snapshot, and the numbers go on behind it.
#[test]
fn a_subscriber_that_lagged_gets_all_that_is() {
    let mut mesh = running(3, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    _ = mesh.step(at(1), crashed([0]));
    _ = mesh.step(at(1), ended([1]));
    let ends = Snapshot {
        failed: vec![aged(secs(1), change([0], crash()))],
        stopped: vec![change([1], Status::Stopped)],
        lagged: true,
        ..snapshot()
    };
    assert_eq!(mesh.step(at(2), Event::Lagged(WATCHER)), [tell(2, News::Snapshot(ends))]);
    let news = vec![change([2], Status::Stopped)];
    assert_eq!(
        mesh.step(at(3), ended([2])),
        [tell(3, changed(news)), tell(4, News::Closed), Effect::Finish]
    );
}

/// N7: whoever has lagged sees by its life that a rank has ended meanwhile, also if it wants ends only; a
/// new subscriber has missed nothing.
#[test]
fn a_subscriber_that_lagged_sees_which_ranks_began_again() {
    let restart = RestartConfig::on_failure(3);
    let mut mesh = running(2, 1, Config { restart, ..LAN });
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    _ = mesh.step(at(1), crashed([0]));
    _ = pass(&mut mesh, (at(1), at(2)), &[0]);
    _ = mesh.step(at(2), nth_report(0, [0], (1, 0), Status::Running));
    let mut alive_in = |event| -> Vec<(RankSet, u64)> {
        match &mesh.step(at(2), event)[..] {
            [Effect::Tell { event, .. }] => match &event.news {
                News::Snapshot(Snapshot { failed, stopped, alive, .. }) => {
                    assert_eq!((failed.len(), stopped.len()), (0, 0));
                    alive.iter().map(|it| (it.ranks.clone(), it.incarnation.number())).collect()
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(alive_in(Event::Lagged(WATCHER)), [(RankSet::from(0..1), 1)]);
    let new = |id, again| {
        let (id, interest) = (SubscriberId::new(id), Interest::Terminal);
        Event::Subscribed(Subscription { id, interest, region: None, again })
    };
    assert_eq!(alive_in(new(98, true)), [(RankSet::from(0..1), 1)], "it lost its subscription");
    assert_eq!(alive_in(new(99, false)), []);
}

/// N2, N7: whoever has lagged is told once more of an end that it knows, and of what was no rank's state nothing.
#[test]
fn a_subscriber_that_lagged_is_told_what_ranks_are_and_not_what_was_said() {
    let mut mesh = running(2, 1, Config { restart: RestartConfig::on_failure(0), ..LAN });
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    let told = mesh.step(at(1), crashed([0]));
    assert!(
        matches!(&told[0], Effect::Tell { event, .. } if matches!(event.news, News::Changed(_)))
    );
    assert!(
        matches!(&told[1], Effect::Tell { event, .. } if matches!(event.news, News::Escalated(_)))
    );
    let failed = vec![aged(secs(1), change([0], crash()))];
    let ends = Snapshot { failed, lagged: true, ..snapshot() };
    assert_eq!(mesh.step(at(2), Event::Lagged(WATCHER)), [tell(2, News::Snapshot(ends))]);
}

/// N4, N7: closed may be among what was lost.
#[test]
fn a_subscriber_that_lagged_over_the_end_is_told_closed_again() {
    let mut mesh = running(1, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    _ = mesh.step(at(1), ended([0]));
    let stopped = vec![change([0], Status::Stopped)];
    let ends = Snapshot { stopped, lagged: true, ..snapshot() };
    assert_eq!(
        mesh.step(at(2), Event::Lagged(WATCHER)),
        [tell(2, News::Snapshot(ends)), tell(3, News::Closed)]
    );
    assert_eq!(mesh.step(at(2), Event::Lagged(SubscriberId::new(99))), [], "unknown");
}

/// N8: the text itself is tested beside `Failures`; here, that a controller fills it in.
#[test]
fn a_failure_reads_as_a_report() {
    let mut mesh = running(8, 2, LAN);
    let cause = Cause::new(Reason::Signal { signal: 11, core: true })
        .with_alive(Duration::from_millis(61_500))
        .with_stderr(vec!["loading".to_owned(), "oops".to_owned()]);
    let failed = nth_report(1, [5], (0, 2), Status::failed(cause));
    let [Effect::TellOwner(failures)] = &mesh.step(at(1), failed)[..] else {
        panic!("the owner is told, and nobody else");
    };
    assert_eq!(
        failures.to_string(),
        "rank 5 (hosts=1,procs=1) of plain mesh words, incarnation 0: \
         failed: signal 11 (SIGSEGV), core dumped, after 61.5 s\n  \
         its last lines on standard error:\n  \
         | loading\n  \
         | oops\n\
         reported by its controller, epoch 3"
    );
}

/// N9: neither a lost question, nor a slow answer, nor an agent that only repeats itself.
#[test]
fn nothing_but_evidence_fails_a_rank() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::Terminal));
    for seconds in 1..60 {
        let beat = mesh.step(at(seconds), beat(0, 1));
        assert_eq!(beat, [renew(0, 1)]);
        let effects = mesh.step(at(seconds), query_failed(0));
        assert_eq!(effects.len(), 1, "the subscriber is told, the owner is not");
        let effects = mesh.step(at(seconds), Event::Tick);
        assert!(effects.iter().all(is_routine), "{effects:?}");
    }
    assert_eq!(statuses(&mesh), [Status::Running, Status::Running]);
}

/// N2, RS1: each life of a rank has its own end.
#[test]
fn a_later_life_is_told_as_such() {
    let mut mesh = running(2, 1, LAN);
    _ = mesh.step(at(0), subscribe(Interest::All));
    _ = mesh.step(at(1), crashed([0]));
    let mut again = change([0], Status::Running);
    again.incarnation = Incarnation::new(1);
    assert_eq!(
        mesh.step(at(2), nth_report(0, [0], (1, 0), Status::Running)),
        [tell(2, changed(vec![again]))]
    );
}
