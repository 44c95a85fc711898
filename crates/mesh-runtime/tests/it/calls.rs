//! calls: deadlines, late answers, and callers that go away.

use std::time::Duration;

use mesh_core::Message;
use mesh_runtime::{CallError, Context, Failure, Handler, Stop};
use tokio::time::Instant;

use crate::script::{Deferred, Later, Scripted, WaitFor, gate, one, say};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_deadline() {
    let (proc, actor, _log) = one("a");
    let begun = Instant::now();
    let answer = actor.call(&proc, WaitFor(gate())).within(3 * SECOND).await;
    let over = CallError::Deadline { actor: "a".to_owned(), within: 3 * SECOND };
    assert_eq!((answer, begun.elapsed().as_secs()), (Err(over), 3));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_says_nothing_waits_as_long_as_its_process_says() {
    let (proc, actor, _log) = one("a");
    let begun = Instant::now();
    assert!(actor.call(&proc, WaitFor(gate())).await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_while_there_is_no_room() {
    let (proc, actor, _log) = one("a");
    actor.cast(&proc, WaitFor(gate())).await.unwrap();
    tokio::time::sleep(SECOND).await;
    while actor.try_cast(&proc, say("data")).is_ok() {}
    let answer = actor.call(&proc, say("no room")).within(2 * SECOND).await;
    assert_eq!(answer, Err(CallError::Deadline { actor: "a".to_owned(), within: 2 * SECOND }));
}

/// Of calls with different deadlines each ends with its own, whoever came first.
#[tokio::test(start_paused = true)]
async fn many_deadlines_are_each_kept() {
    let (proc, actor, _log) = one("a");
    actor.cast(&proc, WaitFor(gate())).await.unwrap();
    let begun = Instant::now();
    let calls = [9, 1, 5, 3, 7, 2].map(|seconds| {
        let later = |reply| Later { after: SECOND, answer: None, reply };
        let call = actor.call_with(&proc, later).within(seconds * SECOND);
        async move {
            assert!(matches!(call.await, Err(CallError::Deadline { .. })));
            (seconds, begun.elapsed().as_secs())
        }
    });
    let [a, b, c, d, e, f] = calls;
    let (a, b, c, d, e, f) = tokio::join!(a, b, c, d, e, f);
    assert_eq!([a, b, c, d, e, f].map(|(asked, took)| u64::from(asked) == took), [true; 6]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_after_the_handler_has_returned() {
    let (proc, actor, _log) = one("a");
    let begun = Instant::now();
    let later = |reply| Later { after: 2 * SECOND, answer: Some(7), reply };
    assert_eq!(actor.call_with(&proc, later).await, Ok(7));
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert!(actor.call(&proc, say("not blocked")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reply_is_told_at_once() {
    let (proc, actor, _log) = one("a");
    let begun = Instant::now();
    let later = |reply| Later { after: SECOND, answer: None, reply };
    let answer = actor.call_with(&proc, later).await;
    assert_eq!(answer, Err(CallError::Unanswered { actor: "a".to_owned() }));
    assert_eq!(begun.elapsed().as_secs(), 1);
}

/// What nobody waits for any more is not done.
#[tokio::test(start_paused = true)]
async fn a_call_whose_caller_has_gone_is_not_handled() {
    let (proc, actor, log) = one("a");
    let gate = gate();
    actor.cast(&proc, WaitFor(gate.clone())).await.unwrap();
    let call = actor.call(&proc, say("given up")).within(SECOND);
    assert!(call.await.is_err());
    gate.add_permits(1);
    actor.call(&proc, say("after")).await.unwrap();
    assert_eq!(log.lines(), ["a starts", "a waits", "a hears after"]);
}

#[tokio::test]
async fn a_call_of_an_actor_that_has_ended_is_refused_at_once() {
    let (proc, actor, _log) = one("a");
    actor.stop(Stop::Now);
    let end = actor.ended().await;
    let answer = actor.call(&proc, say("hello")).await;
    assert_eq!(answer, Err(CallError::NotTaken { actor: "a".to_owned(), end }));
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_leave_the_answer_to_work_beside_it() {
    let (proc, actor, _log) = one("a");
    let begun = Instant::now();
    let call = actor.call(&proc, Deferred { after: 2 * SECOND, panics: false });
    let (answer, meanwhile) = tokio::join!(call, actor.call(&proc, say("not blocked")));
    assert_eq!((answer, begun.elapsed().as_secs()), (Ok(8), 2));
    assert!(meanwhile.is_ok());
}

/// R1: a reply that goes down with a panic is told with it, wherever that was.
#[tokio::test(start_paused = true)]
async fn a_panic_with_a_reply_in_hand_is_told_to_the_caller() {
    let (proc, actor, _log) = one("a");
    let answer = actor.call(&proc, Deferred { after: SECOND, panics: true }).await;
    let Err(CallError::Failed { cause, .. }) = &answer else { panic!("{answer:?}") };
    assert!(cause.to_string().ends_with("no answer"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn work_for_an_answer_learns_that_nobody_waits_for_it() {
    let (proc, actor, log) = one("a");
    let call = actor.call(&proc, Deferred { after: 9 * SECOND, panics: false }).within(SECOND);
    assert!(call.await.is_err());
    tokio::time::sleep(SECOND).await;
    assert_eq!(log.lines(), ["a starts", "abandoned"]);
}

/// Waits for a permit, in the handler.
struct Patience<const SAFE: bool>(std::sync::Arc<tokio::sync::Semaphore>);

impl<const SAFE: bool> Message for Patience<SAFE> {
    const NAME: &'static str = if SAFE { "test.Safe" } else { "test.Unsafe" };
    type Reply = ();
}

impl<const SAFE: bool> Handler<Patience<SAFE>> for Scripted {
    const IS_CANCEL_SAFE: bool = SAFE;

    async fn handle(
        &mut self,
        Patience(gate): Patience<SAFE>,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        gate.acquire().await?.forget();
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_cancel_safe_ends_with_its_caller_and_another_goes_on() {
    let (proc, actor, log) = one("a");
    let gate = gate();
    let safe = actor.call(&proc, Patience::<true>(gate.clone())).within(SECOND);
    assert!(safe.await.is_err());
    actor.call(&proc, say("after the safe one")).await.unwrap();
    let not = actor.call(&proc, Patience::<false>(gate.clone())).within(SECOND);
    assert!(not.await.is_err());
    let next = actor.call(&proc, say("after the other")).within(SECOND);
    assert!(next.await.is_err(), "it is still in its handler");
    gate.add_permits(1);
    actor.call(&proc, say("then")).await.unwrap();
    let heard = ["a starts", "a hears after the safe one", "a hears then"];
    assert_eq!(log.lines(), heard, "nor is a call handled whose caller went before its turn");
}
