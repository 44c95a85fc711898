//! Who has a turn when, without anybody to send to.

use std::future::{pending, ready};
use std::time::Duration;

use futures_util::FutureExt;
use mesh_core::{Incarnation, ProcId};
use tokio::time::{advance, sleep, timeout};

use super::*;

/// What a program sends to an actor with this number.
fn to(index: u64) -> Pair {
    let (proc, life) = (ProcId::from_random(1), Incarnation::FIRST);
    (None, Some(ActorId { proc, life, index }))
}

/// When none of the tests is still there.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn is_first(place: &mut Place) -> bool {
    place.first().now_or_never().is_some()
}

/// R2
#[tokio::test(start_paused = true)]
async fn each_has_its_turn_when_those_before_it_are_gone() {
    let lines = Arc::<Lines>::default();
    assert!(lines.turn(to(1)).is_none());
    let [mut first, mut second] = [(); 2].map(|()| lines.stand(to(1), later()));
    let mut call = lines.turn(to(1)).expect("casts wait");
    let mut third = lines.stand(to(1), later());
    assert_eq!([&mut first, &mut second, &mut third].map(is_first), [true, false, false]);
    drop(second);
    assert!((&mut call).now_or_never().is_none());
    drop(first);
    assert!((&mut call).now_or_never().is_some());
    assert!(is_first(&mut third));
    drop(third);
    assert!(!lines.has(to(1)));
}

#[test]
fn what_is_done_at_once_stands_in_no_line() {
    let lines = Arc::<Lines>::default();
    let done = lines.cast((to(1), later()), ready(7)).now_or_never().expect("it waits for nobody");
    assert_eq!(done.ok(), Some(7));
    assert!(lines.to(None).is_empty());
}

/// R2, H7
#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_at_once_holds_up_what_is_for_the_same_actor_and_nothing_else() {
    let lines = Arc::<Lines>::default();
    let cast =
        |pair| lines.cast((pair, later()), pending::<()>()).now_or_never().expect("it is begun");
    let waits = cast(to(2)).expect_err("it is not done");
    assert_eq!(lines.to(None), to(2).1.into_iter().collect::<Vec<_>>());
    let behind = lines.cast((to(2), later()), ready(())).now_or_never().expect("it stands in line");
    let mut behind = behind.expect_err("it waits for its turn");
    assert!((&mut behind).now_or_never().is_none());
    assert!(
        lines.cast((to(1), later()), ready(())).now_or_never().is_some_and(|done| done.is_ok())
    );
    drop(waits);
    assert!((&mut behind).now_or_never().is_some());
}

/// R1: a cast that nobody polls any more holds up others until its deadline, and no longer.
#[tokio::test(start_paused = true)]
async fn a_place_that_is_kept_is_given_up_with_its_deadline() {
    let lines = Arc::<Lines>::default();
    let kept = lines.cast((to(1), later()), pending::<()>()).await.expect_err("it is not done");
    let mut call = lines.turn(to(1)).expect("a cast waits");
    assert!((&mut call).now_or_never().is_none());
    advance(Duration::from_secs(61)).await;
    assert!((&mut call).now_or_never().is_some());
    assert!(!lines.has(to(1)) && lines.to(None).is_empty());
    assert!(kept.now_or_never().is_none(), "whoever polls it gives it up");
}

/// R1: whoever waits behind a cast that nobody polls any more waits until the deadline of that, and not until its own.
#[tokio::test(start_paused = true)]
async fn a_cast_that_nobody_polls_is_waited_for_until_its_deadline() {
    let lines = Arc::<Lines>::default();
    let (within, begun) = (Duration::from_millis(100), Instant::now());
    let kept = lines.cast((to(1), begun + within), pending::<()>()).await;
    let cast = lines.cast((to(1), later()), ready(7)).await.expect_err("it waits for its turn");
    let call = lines.turn(to(1)).expect("casts wait");
    let cast = timeout(within * 2, cast).await;
    assert_eq!((cast, begun.elapsed()), (Ok(7), within));
    let call = timeout(within, call).await;
    assert_eq!((call, begun.elapsed()), (Ok(()), within));
    drop(kept);
}

/// R1: nor does one that was given up hide who is next.
#[tokio::test(start_paused = true)]
async fn who_is_next_has_a_turn_also_behind_one_that_was_given_up() {
    let lines = Arc::<Lines>::default();
    let within = Duration::from_millis(100);
    let first = lines.stand(to(1), later());
    let given_up = lines.stand(to(1), Instant::now() + within);
    let next = lines.cast((to(1), later()), ready(7)).await.expect_err("it waits for its turn");
    let next = tokio::spawn(next);
    sleep(within * 2).await;
    drop(first);
    assert!(matches!(timeout(within, next).await, Ok(Ok(7))), "nobody is before it");
    drop(given_up);
}

/// R1: of a call that is given up nothing is left, however long the casts before it wait.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_leaves_nothing() {
    let lines = Arc::<Lines>::default();
    let kept = lines.stand(to(1), later());
    let others = lines.turn(to(1)).expect("a cast waits");
    let mut others = tokio::spawn(others);
    for _ in 0..100 {
        let call = lines.turn(to(1)).expect("a cast waits");
        let given_up = tokio::spawn(timeout(Duration::from_millis(10), call));
        assert!(given_up.await.is_ok_and(|call| call.is_err()));
    }
    assert_eq!(lines.lock().lines[&to(1)].calls.len(), 1, "one waits");
    assert!((&mut others).now_or_never().is_none());
    drop(kept);
    assert!(timeout(Duration::from_millis(10), others).await.is_ok(), "it is woken");
}

/// R1: the same where that one was not the first when it was waited for.
#[tokio::test(start_paused = true)]
async fn whoever_may_be_the_last_before_it_is_waited_for_until_its_deadline() {
    let lines = Arc::<Lines>::default();
    let (within, begun) = (Duration::from_millis(100), Instant::now());
    let first = lines.stand(to(1), later());
    let left = lines.cast((to(1), begun + within), pending::<()>()).await;
    let next = lines.cast((to(1), later()), ready(7)).await.expect_err("it waits for its turn");
    let next = tokio::spawn(next);
    sleep(within / 2).await;
    drop(first);
    assert!(matches!(timeout(within, next).await, Ok(Ok(7))));
    assert_eq!(begun.elapsed(), within);
    drop(left);
}
