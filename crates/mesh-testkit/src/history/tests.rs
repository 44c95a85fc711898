//! Tests of the checker: one that cannot fail is worthless.

use mesh_core::{Cause, MeshId, MeshLabel};

use super::*;

const OBSERVERS: [&str; 2] = ["owner", "watcher"];

fn at(millis: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_millis(millis))
}

fn killed() -> Reason {
    Reason::Signal { signal: 9, core: false }
}

fn fault(id: u64, rank: usize, kind: FaultKind) -> Fault {
    let (rank, incarnation) = (Rank::new(rank), Incarnation::FIRST);
    Fault { id, rank, incarnation, kind, at: at(100) }
}

fn seen(observer: &str, rank: usize, status: Status, millis: u64) -> Observation {
    let (rank, incarnation) = (Rank::new(rank), Incarnation::FIRST);
    Observation { observer: observer.to_owned(), rank, incarnation, status, at: at(millis) }
}

fn failed(reason: Reason) -> Status {
    Status::failed(Cause::new(reason))
}

/// Rank 0 is killed, rank 1 exits with 3, rank 2 is suspended and goes on; both see both ends.
fn clean() -> History {
    let exit = Reason::Exit { code: 3 };
    let faults = vec![
        fault(1, 0, FaultKind::Ends(End::Failed(killed()))),
        fault(2, 1, FaultKind::Ends(End::Failed(exit.clone()))),
        fault(3, 2, FaultKind::Suspends),
        fault(4, 2, FaultKind::Continues),
    ];
    let mut observations = Vec::new();
    for (observer, delay) in OBSERVERS.into_iter().zip([10, 20]) {
        observations.push(seen(observer, 0, failed(killed()), 100 + delay));
        observations.push(seen(observer, 1, failed(exit.clone()), 101 + delay));
        observations.push(seen(observer, 2, Status::Suspect, 101 + delay));
    }
    History { faults, observers: OBSERVERS.map(str::to_owned).to_vec(), observations }
}

fn only(lost: usize, duplicate: usize, spurious: usize, wrong_cause: usize) -> [usize; 4] {
    [lost, duplicate, spurious, wrong_cause]
}

fn found(verdict: &Verdict) -> [usize; 4] {
    assert_eq!(verdict.is_clean(), counts(verdict) == [0; 4]);
    counts(verdict)
}

fn counts(verdict: &Verdict) -> [usize; 4] {
    [verdict.lost.len(), verdict.duplicate.len(), verdict.spurious.len(), verdict.wrong_cause.len()]
}

#[test]
fn a_clean_run_is_clean_and_its_latencies_are_known() {
    let verdict = clean().judge();
    assert_eq!(found(&verdict), only(0, 0, 0, 0), "{verdict:?}");
    let millis = |millis: [u64; 2]| millis.map(Duration::from_millis).to_vec();
    let expected = BTreeMap::from([("exit", millis([11, 21])), ("signal", millis([10, 20]))]);
    assert_eq!(verdict.latencies, expected);
    assert_eq!(verdict.percentile("signal", 50), Some(Duration::from_millis(10)));
    assert_eq!(verdict.percentile("signal", 99), Some(Duration::from_millis(20)));
    assert_eq!(verdict.percentile("panic", 99), None);
}

#[test]
fn an_end_that_one_observer_did_not_see_is_lost() {
    let mut history = clean();
    let removed = history.observations.remove(3);
    assert_eq!((removed.observer.as_str(), removed.rank), ("watcher", Rank::new(0)));
    let verdict = history.judge();
    assert_eq!(verdict.lost, [(1, "watcher".to_owned())]);
    assert_eq!(found(&verdict), only(1, 0, 0, 0));
}

#[test]
fn an_observer_that_saw_nothing_lost_everything() {
    let mut history = clean();
    history.observers.push("late".to_owned());
    let lost = history.judge().lost;
    assert_eq!(lost, [(1, "late".to_owned()), (2, "late".to_owned())]);
}

#[test]
fn an_end_that_is_seen_twice_is_a_duplicate() {
    let mut history = clean();
    let again = seen("owner", 1, failed(Reason::Exit { code: 3 }), 400);
    history.observations.push(again.clone());
    let verdict = history.judge();
    assert_eq!(verdict.duplicate, [again]);
    assert_eq!(found(&verdict), only(0, 1, 0, 0));
}

#[test]
fn an_end_without_a_fault_is_spurious() {
    for status in [failed(killed()), Status::Stopped] {
        let mut history = clean();
        let invented = seen("watcher", 2, status, 400);
        history.observations.push(invented.clone());
        let verdict = history.judge();
        assert_eq!(verdict.spurious, [invented]);
        assert_eq!(found(&verdict), only(0, 0, 1, 0));
    }
}

#[test]
fn an_end_of_another_life_is_spurious_and_the_right_one_is_lost() {
    let mut history = clean();
    history.observations[0].incarnation = Incarnation::new(1);
    assert_eq!(found(&history.judge()), only(1, 0, 1, 0));
}

#[test]
fn an_end_before_its_fault_is_spurious() {
    let mut history = clean();
    history.observations[0].at = at(99);
    assert_eq!(found(&history.judge()), only(1, 0, 1, 0));
}

#[test]
fn another_signal_or_code_is_a_wrong_cause() {
    for wrong in [
        failed(Reason::Signal { signal: 15, core: false }),
        failed(Reason::Signal { signal: 9, core: true }),
        failed(Reason::Exit { code: 137 }),
        failed(Reason::OutOfMemory),
        Status::Stopped,
        Status::Timeout { after: Duration::ZERO, cause: None },
    ] {
        let mut history = clean();
        history.observations[0].status = wrong.clone();
        let verdict = history.judge();
        assert_eq!(found(&verdict), only(0, 0, 0, 1), "{wrong}");
        assert_eq!(verdict.wrong_cause[0].0, 1);
    }
}

#[test]
fn a_timeout_is_one_with_or_without_its_explanation() {
    let cause = Some(std::sync::Arc::new(Cause::new(killed())));
    for cause in [None, cause] {
        let mut history = clean();
        history.faults[0].kind = FaultKind::Ends(End::Timeout);
        let status = Status::Timeout { after: Duration::from_secs(12), cause };
        for observation in &mut history.observations {
            if observation.rank == Rank::new(0) {
                observation.status = status.clone();
            }
        }
        assert_eq!(found(&history.judge()), only(0, 0, 0, 0));
    }
}

/// ST3: by name of the rank that it lived in, and with the reason of that.
#[test]
fn what_ended_with_its_home_is_told_with_the_end_of_its_home() {
    let home =
        |rank| Link::rank(MeshLabel::new(MeshId::from_random(1), "a", "proc"), rank, killed());
    let told = |chain| Status::failed(Cause::new(Reason::Inherited).with_chain(chain));
    let wrong = |status: Status| {
        let mut history = clean();
        let within = End::Within { home: Rank::new(0), reason: killed() };
        history.faults[0].kind = FaultKind::Ends(within);
        for observation in history.observations.iter_mut().filter(|it| it.rank == Rank::new(0)) {
            observation.status = status.clone();
        }
        found(&history.judge())
    };
    assert_eq!(wrong(told(vec![home(Rank::new(0))])), only(0, 0, 0, 0));
    let exit = Link { reason: Reason::Exit { code: 9 }, ..home(Rank::new(0)) };
    for other in [vec![], vec![home(Rank::new(1))], vec![exit], vec![home(Rank::new(0)); 2]] {
        assert_eq!(wrong(told(other)), only(0, 0, 0, 2));
    }
    assert_eq!(wrong(failed(killed())), only(0, 0, 0, 2));
}

#[test]
fn of_two_faults_on_one_life_the_earlier_ends_it() {
    let mut history = clean();
    let mut late = fault(9, 0, FaultKind::Ends(End::Stopped));
    late.at = at(105);
    history.faults.insert(0, late);
    assert_eq!(found(&history.judge()), only(0, 0, 0, 0));
}
