//! failures: what an error or a panic comes to, and who is told.

use std::time::Duration;

use mesh_core::{End, Reason};
use mesh_runtime::{ActorRef, CallError, Proc, Stop};

use crate::script::{
    Behaviour, Fail, Log, Panic, Reaction, Script, Scripted, Spawn, one, proc, say, script,
};

/// E1
#[tokio::test]
async fn an_error_ends_the_actor_and_the_caller_is_told_why() {
    let (proc, actor, log) = one("a");
    let answer = actor.call(&proc, Fail("no disk")).await;
    let Err(CallError::Failed { cause, .. }) = &answer else { panic!("{answer:?}") };
    assert_eq!(cause.reason, Reason::Error { message: "no disk".to_owned() });
    let End::Failed(cause) = actor.ended().await else { panic!("it failed") };
    assert!(cause.alive.is_some(), "how long it lived is known");
    let lines =
        ["a starts", "a stops", "a is dropped", "root is told: actor a failed: error: no disk"];
    assert_eq!(log.lines(), lines);
}

/// E1: the place of a panic is told; the state that it left is not trusted.
#[tokio::test]
async fn a_panic_ends_the_actor_without_cleaning_up() {
    let (proc, actor, log) = one("a");
    let answer = actor.call(&proc, Panic("index out of bounds")).await;
    let Err(CallError::Failed { cause, .. }) = &answer else { panic!("{answer:?}") };
    let Reason::Panic { message, location: Some(location) } = &cause.reason else {
        panic!("{cause}")
    };
    assert_eq!(message, "index out of bounds");
    assert!(location.contains("script.rs:"), "{location}");
    assert!(matches!(actor.ended().await, End::Failed(_)));
    let lines = log.lines();
    assert_eq!(lines[..2], ["a starts", "a is dropped"]);
    assert!(lines[2].starts_with("root is told: actor a failed: panicked at"), "{lines:?}");
}

#[tokio::test]
async fn a_failing_start_is_told_and_what_was_sent_comes_back() {
    for (start, words) in
        [(Behaviour::Fails, "error: start fails"), (Behaviour::Panics, "start panics")]
    {
        let log = Log::default();
        let proc = proc(&log);
        let actor = proc.spawn_named::<Scripted>("a", Script { start, ..script("a", &log) });
        let answer = actor.call(&proc, say("hello")).await;
        let Err(CallError::NotTaken { end: End::Failed(cause), .. }) = &answer else {
            panic!("{answer:?}")
        };
        assert!(cause.to_string().ends_with(words), "{cause}");
        actor.ended().await;
        assert_eq!(log.lines().len(), 1, "only the root is told: {:?}", log.lines());
    }
}

#[tokio::test]
async fn an_error_in_cleaning_up_is_a_failure() {
    for stop in [Behaviour::Fails, Behaviour::Panics] {
        let log = Log::default();
        let proc = proc(&log);
        let actor = proc.spawn::<Scripted>(Script { stop, ..script("a", &log) });
        actor.stop(Stop::Now);
        let End::Failed(cause) = actor.ended().await else { panic!("it failed") };
        assert!(cause.to_string().contains("stop "), "{cause}");
    }
}

/// E1: the parent is told, and may handle it.
#[tokio::test]
async fn a_parent_that_handles_the_failure_goes_on() {
    let (proc, parent, child, log) = family(Reaction::Handles).await;
    child.cast(&proc, Fail("oops")).await.unwrap();
    child.ended().await;
    assert_eq!(parent.call(&proc, say("still here")).await, Ok(6));
    assert!(log.lines().contains(&"p is told: actor c failed: error: oops".to_owned()));
}

/// E2: what nobody handles goes up; nearest first, the root cause last.
#[tokio::test]
async fn what_nobody_handles_ends_every_parent_up_to_the_root() {
    let (proc, parent, child, log) = family(Reaction::Escalates).await;
    let sibling = parent.call(&proc, Spawn(script("s", &log))).await.unwrap();
    let grandchild = child.call(&proc, Spawn(script("g", &log))).await.unwrap();
    grandchild.cast(&proc, Fail("oops")).await.unwrap();
    let End::Failed(cause) = parent.ended().await else { panic!("it failed") };
    assert_eq!(
        cause.to_string(),
        "the failure of its child c was not handled, \
         caused by actor c: the failure of its child g was not handled, \
         caused by actor g: error: oops"
    );
    assert_eq!(sibling.ended().await, End::Stopped, "its other children are stopped");
    let told: Vec<String> =
        log.lines().into_iter().filter(|line| line.starts_with("root is told")).collect();
    assert_eq!(told, [format!("root is told: actor p failed: {cause}")], "once");
}

/// E2: a failing handler chains its own error to the cause.
#[tokio::test]
async fn a_failing_handler_of_a_failure_chains_its_own_error() {
    let (proc, parent, child, _log) = family(Reaction::Fails).await;
    child.cast(&proc, Fail("oops")).await.unwrap();
    let End::Failed(cause) = parent.ended().await else { panic!("it failed") };
    assert_eq!(cause.to_string(), "error: cannot mend it, caused by actor c: error: oops");
}

/// E2: a crash during a stop keeps its cause.
#[tokio::test]
async fn a_child_that_fails_while_its_parent_stops_fails_it_too() {
    let (proc, parent, log) = one("p");
    let child = Script { stop: Behaviour::Fails, ..script("c", &log) };
    parent.call(&proc, Spawn(child)).await.unwrap();
    parent.stop(Stop::Now);
    let End::Failed(cause) = parent.ended().await else { panic!("it failed") };
    let words = "the failure of its child c was not handled, caused by actor c: error: stop fails";
    assert_eq!(cause.to_string(), words);
}

#[tokio::test]
async fn a_failure_beside_the_actor_is_its_own() {
    for is_panic in [false, true] {
        let (proc, actor, _log) = one("a");
        actor
            .call(
                &proc,
                crate::work::attach(async move {
                    assert!(!is_panic, "beside it");
                    Err(mesh_runtime::Failure::new("beside it"))
                }),
            )
            .await
            .unwrap();
        let End::Failed(cause) = actor.ended().await else { panic!("it failed") };
        assert!(cause.to_string().ends_with("beside it"), "{cause}");
    }
}

/// E2: a failure that waits behind a busy handler is not swallowed by a stop that comes first.
#[tokio::test(start_paused = true)]
async fn a_failure_that_the_parent_was_not_told_of_before_its_stop_fails_it() {
    let (proc, parent, child, log) = family(Reaction::Handles).await;
    let gate = crate::script::gate();
    parent.cast(&proc, crate::script::WaitFor(gate.clone())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    child.cast(&proc, Fail("oops")).await.unwrap();
    child.ended().await;
    parent.stop(Stop::Now);
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.add_permits(1);
    let End::Failed(cause) = parent.ended().await else { panic!("it failed") };
    assert!(cause.to_string().ends_with("caused by actor c: error: oops"), "{cause}");
    assert!(log.lines().iter().any(|line| line.starts_with("root is told")));
}

/// The failures of many children at once are each told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failed_child_is_told_once() {
    let log = Log::default();
    let proc = proc(&log);
    let parent = Script { on_failure: Reaction::Handles, ..script("p", &log) };
    let parent = proc.spawn_named::<Scripted>("p", parent);
    let mut children = Vec::new();
    for _ in 0..200 {
        children.push(parent.call(&proc, Spawn(script("c", &log))).await.unwrap());
    }
    for child in &children {
        child.cast(&proc, Fail("oops")).await.unwrap();
    }
    for child in &children {
        child.ended().await;
    }
    // Whatever was told before this is handled before it.
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    let told = || log.lines().iter().filter(|line| line.starts_with("p is told")).count();
    while told() < 200 && tokio::time::Instant::now() < until {
        parent.call(&proc, say("?")).await.unwrap();
    }
    parent.stop(Stop::Now);
    assert_eq!((parent.ended().await, told()), (End::Stopped, 200));
}

async fn family(on_failure: Reaction) -> (Proc, ActorRef<Scripted>, ActorRef<Scripted>, Log) {
    let log = Log::default();
    let proc = proc(&log);
    let parent = Script { on_failure, ..script("p", &log) };
    let parent = proc.spawn_named::<Scripted>("p", parent);
    let child = parent.call(&proc, Spawn(script("c", &log))).await.expect("it has just started");
    (proc, parent, child, log)
}
