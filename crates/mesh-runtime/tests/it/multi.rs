//! multi: calls of many actors at once, whatever becomes of each of them.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{End, Reason};
use mesh_runtime::{ActorRef, CallError, Proc, Stop, multi_call};
use tokio::time::Instant;

use crate::script::{Deferred, Fail, Log, Scripted, WaitFor, gate, proc, say, script};

const SECOND: Duration = Duration::from_secs(1);

/// So many actors, whose names are all the same.
fn many(n: usize) -> (Proc, Vec<ActorRef<Scripted>>, Log) {
    let log = Log::default();
    let proc = proc(&log);
    let actors = (0..n).map(|_| proc.spawn::<Scripted>(script("a", &log))).collect();
    (proc, actors, log)
}

#[tokio::test(start_paused = true)]
async fn each_answer_is_in_the_place_of_its_call() {
    let (proc, actors, log) = many(100);
    // The later ones answer first, and some actors are called twice.
    let calls = actors.iter().chain(&actors[..10]).zip(0..110_u64);
    let calls = calls.map(|(actor, n)| {
        let after = Duration::from_millis(1_000 - n);
        (actor, Deferred { after, panics: n % 10 == 3 })
    });
    let answers = multi_call(&proc, calls).await;
    assert_eq!(answers.len(), 110);
    for (n, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(8) => assert_ne!(n % 10, 3),
            Err(CallError::Failed { cause, .. }) => {
                assert_eq!(n % 10, 3);
                assert!(matches!(cause.reason, Reason::Panic { .. }), "{cause}");
            }
            // Its work ended with the actor, which the panic of another call has failed.
            Err(error) => assert!(!(10..100).contains(&n), "{n}: {error}"),
            Ok(other) => panic!("{n}: {other}"),
        }
    }
    drop(log);
}

/// R1: what is known of some is no secret while others are waited for, and all is told in the end.
#[tokio::test(start_paused = true)]
async fn the_deadline_is_for_those_that_are_missing() {
    let (proc, actors, _log) = many(4);
    let gate = gate();
    let begun = Instant::now();
    actors[1].stop(Stop::Now);
    actors[1].ended().await;
    actors[2].cast(&proc, Fail("oops")).await.unwrap();
    actors[3].cast(&proc, WaitFor(Arc::clone(&gate))).await.unwrap();
    let answers = multi_call(&proc, actors.iter().map(|actor| (actor, say("hello"))));
    let answers = answers.within(3 * SECOND).await;
    assert_eq!(begun.elapsed(), 3 * SECOND);
    assert!(answers[0].is_ok());
    let stopped = CallError::NotTaken { actor: "scripted".to_owned(), end: End::Stopped };
    assert_eq!(answers[1], Err(stopped));
    assert!(
        matches!(&answers[2], Err(CallError::NotTaken { end: End::Failed(_), .. })),
        "{answers:?}"
    );
    let over = CallError::Deadline { actor: "scripted".to_owned(), within: 3 * SECOND };
    assert_eq!(answers[3], Err(over));
}

#[tokio::test]
async fn nobody_is_called_and_that_is_answered() {
    let (proc, _, _log) = many(0);
    let calls: [(&ActorRef<Scripted>, crate::script::Say); 0] = [];
    assert_eq!(multi_call(&proc, calls).await, []);
}

/// Mailboxes have room for four: the others wait for it, each for its own.
#[tokio::test(start_paused = true)]
async fn calls_wait_for_room_and_hold_up_no_other() {
    let (proc, actors, log) = many(2);
    let gate = gate();
    actors[0].cast(&proc, WaitFor(Arc::clone(&gate))).await.unwrap();
    let calls = (0..10).flat_map(|n| actors.iter().map(move |actor| (actor, say(&n.to_string()))));
    let calls = multi_call(&proc, calls).within(5 * SECOND);
    let opened = async {
        tokio::time::sleep(SECOND).await;
        let n_heard = log.lines().iter().filter(|line| line.contains("hears")).count();
        assert_eq!(n_heard, 10, "the other actor has heard all of its own");
        gate.add_permits(1);
    };
    let (answers, ()) = tokio::join!(calls, opened);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let heard: Vec<String> =
        log.lines().into_iter().filter(|line| line.contains("hears")).skip(10).collect();
    let all: Vec<String> = (0..10).map(|n| format!("a hears {n}")).collect();
    assert_eq!(heard, all, "in order");
}

/// Also for those that have not found room by then.
#[tokio::test(start_paused = true)]
async fn calls_that_find_no_room_have_the_deadline_too() {
    let (proc, actors, _log) = many(1);
    actors[0].cast(&proc, WaitFor(gate())).await.unwrap();
    let calls = (0..10).map(|n| (&actors[0], say(&n.to_string())));
    let answers = multi_call(&proc, calls).within(3 * SECOND).await;
    let over = CallError::Deadline { actor: "scripted".to_owned(), within: 3 * SECOND };
    assert_eq!(answers, vec![Err(over); 10]);
}

/// As of a single call: what nobody waits for is not begun, and who answers learns of it.
#[tokio::test(start_paused = true)]
async fn given_up_they_are_not_handled() {
    let (proc, actors, log) = many(2);
    let gate = gate();
    actors[0].cast(&proc, WaitFor(Arc::clone(&gate))).await.unwrap();
    let calls = actors.iter().map(|actor| (actor, Deferred { after: 60 * SECOND, panics: false }));
    let calls = tokio::time::timeout(SECOND, multi_call(&proc, calls)).await;
    assert!(calls.is_err());
    gate.add_permits(1);
    actors[0].call(&proc, say("next")).await.unwrap();
    tokio::time::sleep(SECOND).await;
    let abandoned = log.lines().iter().filter(|line| *line == "abandoned").count();
    assert_eq!(abandoned, 1, "only the second was begun, and has learned of it");
}
