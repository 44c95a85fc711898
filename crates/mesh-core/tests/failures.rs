//! failures: how a failure reads (N8). Whoever changes these texts changes what people see.

use std::time::Duration;

use mesh_core::{
    Cause, Change, Epoch, Escalation, Failures, Incarnation, Link, MeshEvent, MeshId, MeshLabel,
    NameError, News, Part, Reason, Snapshot, Status, Trouble, Withdrawal,
};
use mesh_shape::{Rank, RankSet, Region, extent};
use serde::Deserialize;
use serde::de::value::{self, MapDeserializer};

fn failures(changes: Vec<Change>) -> Failures {
    Failures {
        mesh: MeshLabel::new(MeshId::from_random(1), "trainers", "proc"),
        region: Region::all(extent!(hosts = 2, procs = 4).expect("it is an extent")).into(),
        reporter: Epoch::new(3),
        changes,
        waited: Duration::ZERO,
        withdrawn: Vec::new(),
        escalation: None,
    }
}

fn change<const N: usize>(ranks: [usize; N], incarnation: u64, status: Status) -> Change {
    Change {
        ranks: RankSet::from_ranks(ranks.map(Rank::new)),
        incarnation: Incarnation::new(incarnation),
        status,
        restart_in: None,
        age: Duration::ZERO,
    }
}

/// N8
#[test]
fn a_failure_names_rank_coordinates_cause_lifetime_and_last_words() {
    let cause = Cause::new(Reason::Exit { code: 3 })
        .with_alive(Duration::from_millis(61_540))
        .with_stderr(vec!["loading weights".to_owned(), "no such file".to_owned()]);
    let text = failures(vec![change([5], 0, Status::failed(cause))]).to_string();
    assert_eq!(
        text,
        "\
rank 5 (hosts=1,procs=1) of proc mesh trainers, incarnation 0: failed: exit code 3, after 61.5 s
  its last lines on standard error:
  | loading weights
  | no such file
reported by its controller, epoch 3"
    );
}

/// N8, RS1
#[test]
fn a_restart_is_announced() {
    let mut failed =
        change([0], 2, Status::failed(Cause::new(Reason::Signal { signal: 9, core: false })));
    failed.restart_in = Some(Duration::from_millis(1_600));
    assert_eq!(
        failures(vec![failed]).to_string(),
        "\
rank 0 (hosts=0,procs=0) of proc mesh trainers, incarnation 2: \
failed: signal 9 (SIGKILL); it will be started again in 1.6 s
reported by its controller, epoch 3"
    );
}

/// N8, H6, RS3: every rank of a step, a timeout with its late explanation, and the escalation.
#[test]
fn an_escalation_names_all_that_failed() {
    let oom = std::sync::Arc::new(Cause::new(Reason::OutOfMemory));
    let timeout = Status::Timeout { after: Duration::from_millis(12_100), cause: Some(oom) };
    let panic = Reason::Panic {
        message: "index out of bounds".to_owned(),
        location: Some("src/main.rs:7:5".to_owned()),
    };
    let mut failures = failures(vec![
        change([1, 2], 0, Status::failed(Cause::new(panic))),
        change([7], 1, timeout),
    ]);
    failures.escalation = Some(Escalation {
        reason: mesh_core::EscalationReason::Intensity,
        failed: RankSet::from_ranks([0, 1, 2, 7].map(Rank::new)),
        starting: RankSet::from_ranks([Rank::new(0)]),
        max_restarts: 3,
        period: Some(Duration::from_secs(10)),
    });
    assert_eq!(
        failures.to_string(),
        "\
rank 1 (hosts=0,procs=1) of proc mesh trainers, incarnation 0: \
failed: panicked at src/main.rs:7:5: index out of bounds
rank 2 (hosts=0,procs=2) of proc mesh trainers, incarnation 0: \
failed: panicked at src/main.rs:7:5: index out of bounds
rank 7 (hosts=1,procs=3) of proc mesh trainers, incarnation 1: \
timed out: its agent was silent for 12.1 s; later found: killed by the kernel: out of memory
proc mesh trainers needed more than 3 restarts within 10 s: no more are granted; \
failed ranks: 0..3,7, of which start again: 0
reported by its controller, epoch 3"
    );
}

/// N8, RS1: for the owner, and for a subscriber.
#[test]
fn a_restart_that_is_not_to_be_says_why() {
    let mesh = MeshLabel::new(MeshId::from_random(2), "homes", "proc");
    let killed = Link::rank(mesh, Rank::new(1), Reason::Signal { signal: 9, core: false });
    let why = Status::failed(Cause::new(Reason::Inherited).with_chain(vec![killed]));
    let ranks = RankSet::from_ranks([Rank::new(5), Rank::new(6)]);
    let withdrawal = Withdrawal { ranks, incarnation: Incarnation::new(2), why };
    let told = "is not started again after all: failed: ended with what it lived in, \
                caused by rank 1 of proc mesh homes: signal 9 (SIGKILL)";
    let failures = Failures { withdrawn: vec![withdrawal.clone()], ..failures(Vec::new()) };
    let line = |rank, point| {
        format!("rank {rank} ({point}) of proc mesh trainers, incarnation 2: it {told}\n")
    };
    let lines = [line(5, "hosts=1,procs=1"), line(6, "hosts=1,procs=2")].concat();
    assert_eq!(failures.to_string(), format!("{lines}reported by its controller, epoch 3"));
    let each = failures.each_withdrawn().map(|(rank, it)| (rank.index(), it.incarnation.number()));
    assert_eq!(each.collect::<Vec<_>>(), [(5, 2), (6, 2)]);
    assert!(failures.is_empty(), "nobody has failed just now");
    let told = told.replacen("is", "are", 1);
    assert_eq!(
        event(News::Withdrawn([withdrawal].into())),
        format!("proc mesh trainers: ranks 5..7, incarnation 2, {told}")
    );
}

/// N8: what caused what, nearest first.
#[test]
fn a_chain_of_causes_is_told_down_to_its_root() {
    let mesh = MeshLabel::new(MeshId::from_random(2), "hosts", "host");
    let mut cause = Cause::new(Reason::LostByAgent);
    cause.chain = vec![
        Link::rank(mesh.clone(), Rank::new(1), Reason::Orphaned),
        Link::rank(mesh, Rank::new(0), Reason::OutOfMemory),
    ];
    assert_eq!(
        failures(vec![change([3], 0, Status::failed(cause))]).to_string(),
        "\
rank 3 (hosts=0,procs=3) of proc mesh trainers, incarnation 0: \
failed: lost: its agent cannot say how it ended, \
caused by rank 1 of host mesh hosts: orphaned: killed by its agent when its lease ran out, \
caused by rank 0 of host mesh hosts: killed by the kernel: out of memory
reported by its controller, epoch 3"
    );
}

fn event(news: News) -> String {
    let mesh = MeshLabel::new(MeshId::from_random(1), "trainers", "proc");
    let (reporter, waited) = (Epoch::new(3), Duration::ZERO);
    MeshEvent { mesh, reporter, seq: 7, waited, part: Part::WHOLE, news }.to_string()
}

/// N2, N3, N5, C1: what a subscriber is told reads as what the owner is told, without the last words.
#[test]
fn an_event_names_the_mesh_and_each_change() {
    let cause = Cause::new(Reason::Exit { code: 3 })
        .with_alive(Duration::from_millis(61_540))
        .with_stderr(vec!["no such file".to_owned()]);
    let mut failed = change([5], 0, Status::failed(cause));
    failed.restart_in = Some(Duration::from_millis(1_600));
    let (runs, stopped) = (change([0, 1, 2], 0, Status::Running), change([3], 1, Status::Stopped));
    assert_eq!(
        event(News::Changed([failed.clone(), stopped.clone()].into())),
        "\
proc mesh trainers: \
rank 5, incarnation 0: failed: exit code 3, after 61.5 s; it will be started again in 1.6 s
  rank 3, incarnation 1: stopped"
    );
    let mut snapshot = Snapshot {
        period: Duration::from_secs(1),
        failed: vec![failed],
        stopped: vec![stopped],
        alive: vec![runs],
        is_stopping: true,
        stop_reason: Some("it is enough".into()),
        lagged: true,
    };
    assert_eq!(
        event(News::Snapshot(snapshot.clone())),
        "\
proc mesh trainers: some was missed; now it is
  rank 5, incarnation 0: failed: exit code 3, after 61.5 s; it will be started again in 1.6 s
  rank 3, incarnation 1: stopped
  ranks 0..3, incarnation 0: running
  it is being stopped: it is enough"
    );
    snapshot = Snapshot { failed: Vec::new(), stopped: Vec::new(), alive: Vec::new(), ..snapshot };
    snapshot = Snapshot { is_stopping: false, lagged: false, ..snapshot };
    let rest = [
        (News::Snapshot(snapshot), "so far: nothing has ended"),
        (News::Heartbeat { period: Duration::from_secs(1) }, "nothing new, as is said every 1s"),
        (News::Trouble(Trouble::QueryFailed { agent: 4 }), "agent 4 could not be asked"),
        (News::Stopping { reason: None }, "it is being stopped"),
        (News::Closed, "every rank has ended"),
    ];
    for (news, told) in rest {
        assert_eq!(event(news), format!("proc mesh trainers: {told}"));
    }
}

/// N2: what a program says makes no line of its own.
#[test]
fn a_change_is_one_line_whatever_an_actor_says() {
    let message = "assertion failed\n  left: 1\n  rank 3, incarnation 1: stopped".to_owned();
    let cause = Cause::new(Reason::Panic { message, location: None });
    let link = Link::actor("a\u{1b}[2J", Reason::Error { message: "one\r\ntwo".to_owned() });
    let child = Link::actor("b", Reason::Child { actor: "c\nd".to_owned() });
    let failed = Status::failed(cause.with_chain(vec![link, child]));
    assert_eq!(
        event(News::Changed([change([5], 0, failed)].into())),
        r"proc mesh trainers: rank 5, incarnation 0: failed: panicked: assertion failed\n  left: 1\n  rank 3, incarnation 1: stopped, caused by actor a\u{1b}[2J: error: one\r\ntwo, caused by actor b: the failure of its child c\nd was not handled"
    );
}

/// N8: nor does a label that comes from elsewhere.
#[test]
fn a_label_that_is_decoded_has_a_name_and_a_kind_of_one_line() {
    let decode = |name: &str, kind: &str| {
        let parts =
            [("id", "00000000-0000-4000-8000-000000000001"), ("name", name), ("kind", kind)];
        let parts = MapDeserializer::<_, value::Error>::new(parts.into_iter());
        MeshLabel::deserialize(parts).map_err(|error| error.to_string())
    };
    let label = MeshLabel::new(MeshId::from_random(1), "trainers", "proc");
    assert_eq!(decode("trainers", "proc"), Ok(label));
    let long = "x".repeat(MeshLabel::NAME_MAX + 1);
    let refused = [
        ("", "proc", NameError::Empty),
        ("a\nrank 3 failed", "proc", NameError::Control('\n')),
        ("trainers", "", NameError::Kind),
        ("trainers", "proc\u{1b}[2J", NameError::Kind),
        ("trainers", long.as_str(), NameError::Kind),
    ];
    for (name, kind, why) in refused {
        assert_eq!(decode(name, kind), Err(why.to_string()));
    }
}

/// N8: a name makes no lines of its own in a report, and fits into one.
#[test]
fn a_mesh_has_a_name_of_one_line() {
    let check = |name: &str| MeshLabel::new(MeshId::from_random(1), name, "proc").check();
    let (max, chars) = (MeshLabel::NAME_MAX, MeshLabel::NAME_MAX + 1);
    assert_eq!(check(&"ü".repeat(max)), Ok(()));
    assert_eq!(check(""), Err(NameError::Empty));
    assert_eq!(check(&"ü".repeat(chars)), Err(NameError::TooLong { chars, max }));
    assert_eq!(check("a\u{1b}[2J"), Err(NameError::Control('\u{1b}')));
}
