//! K1 and K2, case by case and against a model that remembers everything.

use std::time::Duration;

use mesh_core::{BeatSeq, Epoch, Timestamp};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{BEATS_PER_TERM, Lease, RefusedEpoch};

const TERM: Duration = Duration::from_secs(10);
const EPOCH: Epoch = Epoch::new(1);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(seconds))
}

fn beat(number: u64) -> BeatSeq {
    BeatSeq::new(number)
}

fn armed() -> Lease {
    Lease::armed(at(0), TERM, EPOCH)
}

/// K2. No beat was ever sent, no renewal ever came: it still runs out, and says so once.
#[test]
fn a_lease_that_is_never_renewed_culls_once() {
    let mut lease = armed();
    assert_eq!(lease.ends_at(), Some(at(10)));
    let told: Vec<bool> = [9, 10, 11].map(|now| lease.expire(at(now))).into();
    assert_eq!(told, [false, true, false]);
    assert_eq!((lease.ends_at(), lease.is_culled()), (None, true));
}

/// K1. The end is counted from the sending of the echoed beat: this is the echo rule.
#[test]
fn a_renewal_that_was_long_on_its_way_does_not_extend() {
    let mut lease = armed();
    lease.beat_sent(at(1), beat(0));
    for second in 2..=9 {
        lease.beat_sent(at(second), beat(second));
    }
    assert_eq!(lease.renewed(at(9), EPOCH, beat(0)), Ok(()));
    assert_eq!(lease.ends_at(), Some(at(11)), "one term after beat 0, though it is 9 by now");
}

/// K1, K2. After the cull an order to start counts for the beat that it echoes, and an order that echoes
/// nothing, or what is a term old, starts nothing.
#[test]
fn an_order_lets_a_lease_run_again_from_the_beat_that_it_echoes() {
    let mut lease = armed();
    (1..=9).for_each(|second| lease.beat_sent(at(second), beat(second)));
    assert!(lease.expire(at(10)));
    (10..=16).for_each(|second| lease.beat_sent(at(second), beat(second)));
    for echoed in [None, Some(beat(6)), Some(beat(99))] {
        assert_eq!(lease.admit(at(16), EPOCH, echoed), Ok(false), "{echoed:?}");
        assert!(lease.is_culled(), "{echoed:?}");
    }
    assert_eq!(lease.renewed(at(16), EPOCH, beat(14)), Ok(()));
    assert!(lease.is_culled(), "a renewal starts nothing");
    assert_eq!(lease.admit(at(16), EPOCH, Some(beat(12))), Ok(true));
    assert_eq!(lease.ends_at(), Some(at(22)), "one term after beat 12, though it is 16 by now");
    assert_eq!([21, 22, 23].map(|second| lease.expire(at(second))), [false, true, false]);
}

/// K1, K2. Before the cull it is a renewal; a lease that has run out, and was not asked yet, starts
/// nothing.
#[test]
fn an_order_to_start_is_a_renewal() {
    let mut lease = armed();
    lease.beat_sent(at(3), beat(3));
    assert_eq!(lease.admit(at(4), EPOCH, None), Ok(true), "it runs");
    assert_eq!(lease.admit(at(4), EPOCH, Some(beat(3))), Ok(true));
    assert_eq!(lease.ends_at(), Some(at(13)));
    assert_eq!(lease.admit(at(13), EPOCH, None), Ok(false));
    assert!(lease.expire(at(13)), "and it is still to be said");
}

/// K3. A controller that was replaced starts nothing, and its echo counts for nothing.
#[test]
fn an_order_of_a_lower_epoch_is_refused() {
    let mut lease = armed();
    lease.beat_sent(at(3), beat(3));
    assert_eq!(lease.admit(at(4), Epoch::new(2), None), Ok(true));
    let refused = RefusedEpoch { refused: EPOCH, obeyed: Epoch::new(2) };
    assert_eq!(lease.admit(at(4), EPOCH, Some(beat(3))), Err(refused));
    assert_eq!(lease.ends_at(), Some(at(10)));
}

/// K1. Renewals that were queued before a pause of the network count for what they echo.
#[test]
fn many_queued_renewals_count_no_more_than_the_newest_echo() {
    let mut lease = armed();
    for second in 1..=9 {
        lease.beat_sent(at(second), beat(second));
    }
    for echoed in [3, 2, 1, 3, 2] {
        assert_eq!(lease.renewed(at(9), EPOCH, beat(echoed)), Ok(()));
        assert_eq!(lease.ends_at(), Some(at(13)), "after the echo of {echoed}");
    }
}

/// K1. An echo of a beat that was never sent, or of one that is forgotten, says nothing.
#[test]
fn an_unknown_or_future_echo_changes_nothing() {
    let mut lease = armed();
    let before = lease.clone();
    assert_eq!(lease.renewed(at(1), EPOCH, beat(0)), Ok(()));
    assert_eq!(lease, before, "no beat was sent");
    lease.beat_sent(at(2), beat(5));
    let before = lease.clone();
    assert_eq!(lease.renewed(at(3), EPOCH, beat(6)), Ok(()));
    assert_eq!(lease.renewed(at(3), EPOCH, beat(4)), Ok(()));
    assert_eq!(lease, before);
}

/// K1. A number that was used already cannot make an old beat young.
#[test]
fn a_beat_sent_again_keeps_its_first_moment() {
    let mut lease = armed();
    lease.beat_sent(at(1), beat(1));
    lease.beat_sent(at(8), beat(1));
    lease.beat_sent(at(8), beat(0));
    assert_eq!(lease.renewed(at(9), EPOCH, beat(1)), Ok(()));
    assert_eq!(lease.ends_at(), Some(at(11)));
}

/// K3. A lower epoch is refused and changes nothing; a higher one is adopted without a cull.
#[test]
fn a_lower_epoch_is_refused_and_a_higher_one_adopts() {
    let mut lease = armed();
    lease.beat_sent(at(5), beat(1));
    let before = lease.clone();
    assert_eq!(
        lease.renewed(at(6), Epoch::FIRST, beat(1)),
        Err(RefusedEpoch { refused: Epoch::FIRST, obeyed: EPOCH })
    );
    assert_eq!(lease, before);
    assert_eq!(lease.renewed(at(6), EPOCH.next(), beat(1)), Ok(()));
    assert_eq!((lease.epoch(), lease.ends_at()), (EPOCH.next(), Some(at(15))));
    assert!(lease.renewed(at(7), EPOCH, beat(1)).is_err(), "the first controller is over");
}

/// K2. What has been culled is not revived, by any renewal, pause or resume.
#[test]
fn nothing_revives_a_lease_that_culled() {
    let mut lease = armed();
    lease.beat_sent(at(9), beat(1));
    assert!(lease.expire(at(10)));
    assert_eq!(lease.renewed(at(10), EPOCH.next(), beat(1)), Ok(()));
    lease.beat_sent(at(11), beat(2));
    assert_eq!(lease.renewed(at(11), EPOCH.next(), beat(2)), Ok(()));
    lease.pause(at(11));
    lease.resume(at(12));
    assert_eq!((lease.ends_at(), lease.expire(at(99))), (None, false));
}

/// K1. What the controller has heard does not depend on when the agent reads of it.
#[test]
fn a_renewal_read_late_counts_as_long_as_nothing_was_culled() {
    let mut lease = armed();
    lease.beat_sent(at(9), beat(1));
    assert_eq!(lease.renewed(at(12), EPOCH, beat(1)), Ok(()));
    assert!(!lease.expire(at(12)));
    assert!(lease.expire(at(19)));
}

#[test]
fn a_pause_keeps_the_time_that_was_left() {
    let mut lease = armed();
    lease.pause(at(4));
    lease.pause(at(5));
    assert_eq!((lease.ends_at(), lease.expire(at(1_000))), (None, false));
    lease.resume(at(1_000));
    lease.resume(at(1_003));
    assert_eq!(lease.ends_at(), Some(at(1_006)));
    assert!(lease.expire(at(1_006)));
}

/// K1. A renewal that arrives during a pause gives what it would have given at its start.
#[test]
fn a_renewal_during_a_pause_extends_by_the_echoed_beat() {
    let mut lease = armed();
    lease.beat_sent(at(2), beat(1));
    lease.pause(at(4));
    assert_eq!(lease.renewed(at(50), EPOCH, beat(1)), Ok(()));
    lease.resume(at(100));
    assert_eq!(lease.ends_at(), Some(at(108)), "two of ten seconds had gone at the pause");
}

/// K1. The end never moves backwards: a beat of before a pause does not take back what was left.
#[test]
fn an_old_echo_after_a_pause_does_not_shorten() {
    let mut lease = armed();
    lease.beat_sent(at(2), beat(1));
    lease.pause(at(4));
    lease.resume(at(100));
    assert_eq!(lease.renewed(at(101), EPOCH, beat(1)), Ok(()));
    assert_eq!((lease.ends_at(), lease.expire(at(101))), (Some(at(106)), false));
}

#[test]
fn memory_is_bounded_however_fast_the_beats_are() {
    let mut lease = armed();
    for number in 0..100_000 {
        lease.beat_sent(Timestamp::from_start(Duration::from_micros(number * 500)), beat(number));
        assert!(lease.beats.len() <= Lease::BEATS_MAX);
    }
    let newest = Timestamp::from_start(Duration::from_micros(99_999 * 500));
    assert_eq!(lease.renewed(newest, EPOCH, beat(99_999)), Ok(()));
    let short = (newest + TERM).since(lease.ends_at().expect("it is running"));
    assert!(short <= TERM / BEATS_PER_TERM, "short by {short:?}");
}

/// One thing that happens to a lease.
#[derive(Clone, Debug)]
enum Op {
    Wait {
        millis: u64,
    },
    Beat,
    /// A renewal by this epoch, echoing the beat so many before the next one.
    Renew {
        epoch: u64,
        behind: u64,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0_u64..3_000).prop_map(|millis| Op::Wait { millis }),
        Just(Op::Beat),
        (0_u64..4, 0_u64..40).prop_map(|(epoch, behind)| Op::Renew { epoch, behind }),
    ];
    vec(op, 0..200)
}

proptest! {
    /// K1. Against a model that forgets nothing: the end is one term after the newest echoed beat
    /// (or after the arming), never later, and earlier by no more than the stated part of the term.
    #[test]
    fn the_end_is_one_term_after_the_newest_echoed_beat(ops in ops()) {
        let mut lease = armed();
        let (mut now, mut sent, mut obeyed) = (at(0), Vec::new(), EPOCH);
        let mut counted_from = at(0);
        for op in ops {
            let before = lease.ends_at().expect("it is never asked to expire");
            match op {
                Op::Wait { millis } => now = now + Duration::from_millis(millis),
                Op::Beat => {
                    lease.beat_sent(now, beat(sent.len() as u64));
                    sent.push(now);
                }
                Op::Renew { epoch, behind } => {
                    let echoed = (sent.len() as u64).saturating_sub(behind);
                    let answer = lease.renewed(now, Epoch::new(epoch), beat(echoed));
                    prop_assert_eq!(answer.is_ok(), Epoch::new(epoch) >= obeyed);
                    if answer.is_ok() {
                        obeyed = Epoch::new(epoch);
                        let heard = sent.get(usize::try_from(echoed).expect("a small number"));
                        counted_from = counted_from.max(heard.copied().unwrap_or_default());
                    }
                }
            }
            let ends_at = lease.ends_at().expect("it is never asked to expire");
            prop_assert!(ends_at >= before, "it moved backwards");
            prop_assert!(ends_at <= counted_from + TERM, "it outlives what was echoed");
            // An echo of a beat over a term old may be forgotten: its end has passed already.
            let useful = counted_from + TERM > now;
            let slack = TERM / BEATS_PER_TERM;
            prop_assert!(!useful || ends_at + slack >= counted_from + TERM, "it forgot an echo");
        }
    }

    /// K2. Whatever happens before and after, it culls exactly once, and not before its end.
    #[test]
    fn it_culls_exactly_once(ops in ops(), pauses in vec(any::<bool>(), 200)) {
        let (mut lease, mut now, mut n_beats, mut culls) = (armed(), at(0), 0, 0);
        for (op, paused) in ops.into_iter().zip(pauses) {
            match op {
                Op::Wait { millis } if paused => {
                    lease.pause(now);
                    now = now + Duration::from_millis(millis);
                    culls += usize::from(lease.expire(now));
                    lease.resume(now);
                }
                Op::Wait { millis } => now = now + Duration::from_millis(millis),
                Op::Beat => {
                    lease.beat_sent(now, beat(n_beats));
                    n_beats += 1;
                }
                Op::Renew { epoch, behind } => {
                    let echoed = beat(n_beats.saturating_sub(behind));
                    let refused = lease.renewed(now, Epoch::new(epoch), echoed).is_err();
                    prop_assert!(!refused || Epoch::new(epoch) < lease.epoch());
                }
            }
            let due = lease.ends_at().is_some_and(|ends_at| ends_at <= now);
            let culled = lease.expire(now);
            prop_assert_eq!(culled, due);
            culls += usize::from(culled);
        }
        culls += usize::from(lease.expire(now + TERM + TERM));
        prop_assert_eq!(culls, 1);
    }
}
