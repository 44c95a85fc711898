//! Which ends are followed by another life, after what delay, and when it is too much.

use mesh_core::Cause;

use super::*;

/// One in which every rank may begin again where it was.
fn step(now: Timestamp, config: &RestartConfig) -> Step<'_> {
    static NONE: RankSet = RankSet::new();
    Step { now, config, barred: &NONE, interrupted: &NONE }
}

#[test]
fn delays_double_up_to_their_bound_and_shrink_by_a_tenth_at_most() {
    let config =
        RestartConfig { backoff_max: Duration::from_secs(1), ..RestartConfig::on_failure(9) };
    let mut random = SplitMix(7);
    for (attempt, full) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (40, 1_000)] {
        let full = Duration::from_millis(full);
        let delay = backoff(&config, attempt, &mut random);
        assert!(delay <= full && delay >= full * 9 / 10, "attempt {attempt}: {delay:?}");
    }
}

#[test]
fn what_is_not_there_is_not_started_again_and_what_may_pass_is() {
    let config = RestartConfig::on_failure(9);
    let mut restarts = Restarts::new(1, 0);
    let mut decide = |problem| {
        let reason = Reason::Launch { program: "it".to_owned(), problem };
        let change = Change {
            ranks: RankSet::from(0..1),
            incarnation: Incarnation::FIRST,
            status: Status::failed(Cause::new(reason)),
            restart_in: None,
            age: Duration::ZERO,
        };
        restarts.decide(step(Timestamp::START, &config), vec![change], |_| true)[0]
            .restart_in
            .is_some()
    };
    assert!(!decide(LaunchProblem::NotFound));
    assert!(!decide(LaunchProblem::NotExecutable));
    assert!(decide(LaunchProblem::Os { errno: 11, message: "try again".to_owned() }));
}

/// RS3: no restart is spent where nothing can begin.
#[test]
fn who_has_nowhere_to_begin_takes_no_restart_from_another() {
    let config = RestartConfig::on_failure(1);
    let mut restarts = Restarts::new(2, 0);
    let barred = RankSet::from(0..1);
    let change = Change {
        ranks: RankSet::from(0..2),
        incarnation: Incarnation::FIRST,
        status: Status::failed(Cause::new(Reason::Inherited)),
        restart_in: None,
        age: Duration::ZERO,
    };
    let decided = restarts.decide(
        Step { barred: &barred, ..step(Timestamp::START, &config) },
        vec![change],
        |_| true,
    );
    let decided: Vec<_> = decided.iter().map(|it| (&it.ranks, it.restart_in.is_some())).collect();
    assert_eq!(decided, [(&RankSet::from(0..1), false), (&RankSet::from(1..2), true)]);
    assert_eq!(restarts.take_escalation(&config, <(RankSet, RankSet)>::default), None);
}

/// H8: each is the next of a set, and none is put between others.
#[test]
fn restarts_that_are_due_together_come_in_rank_order() {
    const N_RANKS: usize = 100;
    let config = RestartConfig::on_failure(u32::MAX);
    let mut restarts = Restarts::new(100, 7);
    let change = Change {
        ranks: RankSet::from(0..N_RANKS),
        incarnation: Incarnation::FIRST,
        status: Status::failed(Cause::new(Reason::Exit { code: 1 })),
        restart_in: None,
        age: Duration::ZERO,
    };
    _ = restarts.decide(step(Timestamp::START, &config), vec![change], |_| true);
    let due = restarts.due(Timestamp::START + config.backoff_max);
    let expected = (0..N_RANKS).map(|rank| (Rank::new(rank), Incarnation::FIRST.next()));
    assert_eq!(due, expected.collect::<Vec<_>>());
}

/// RS3
#[test]
fn restarts_outside_the_period_are_forgotten() {
    let config =
        RestartConfig { period: Some(Duration::from_secs(10)), ..RestartConfig::on_failure(1) };
    let mut restarts = Restarts::new(1, 0);
    let at = |seconds| Timestamp::from_start(Duration::from_secs(seconds));
    let mut fail = |seconds| {
        let change = Change {
            ranks: RankSet::from(0..1),
            incarnation: Incarnation::FIRST,
            status: Status::failed(Cause::new(Reason::Exit { code: 1 })),
            restart_in: None,
            age: Duration::ZERO,
        };
        let decided = restarts.decide(step(at(seconds), &config), vec![change], |_| true);
        (
            decided[0].restart_in.is_some(),
            restarts.take_escalation(&config, <(RankSet, RankSet)>::default).is_some(),
        )
    };
    assert_eq!(fail(0), (true, false));
    assert_eq!(fail(11), (true, false));
    assert_eq!(fail(12), (false, true));
    assert_eq!(fail(40), (false, false), "once");
}

#[test]
fn a_rank_that_has_lived_long_begins_with_the_first_delay_again() {
    let config =
        RestartConfig { backoff_max: Duration::from_secs(1), ..RestartConfig::on_failure(9) };
    let mut restarts = Restarts::new(1, 0);
    let mut delay = |millis| {
        let now = Timestamp::from_start(Duration::from_millis(millis));
        restarts.grant((now, &config), (Rank::new(0), false))
    };
    let near = |delay: Option<Duration>, full: u64| {
        let full = Duration::from_millis(full);
        delay.is_some_and(|delay| delay <= full && delay >= full * 9 / 10)
    };
    assert!(near(delay(0), 100));
    assert!(near(delay(500), 200));
    assert!(near(delay(3_000), 100), "it had lived for more than two seconds");
}
