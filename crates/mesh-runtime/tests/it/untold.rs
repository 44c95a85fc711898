//! untold: failures of children that come when their parent does something else, and are told all the same.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{End, Reason, Strategy};
use mesh_runtime::{ActorRef, Child, Proc, Stop};

use crate::restarts::{Supervise, next_life, parent, spec};
use crate::script::{
    Behaviour, Fail, Log, Reaction, Script, Scripted, Spawn, WaitFor, gate, proc, say, script,
};

/// How it ends, within a minute.
async fn end(actor: &ActorRef<Scripted>) -> End {
    let minute = Duration::from_secs(60);
    tokio::time::timeout(minute, actor.ended()).await.expect("it has ended by then")
}

async fn supervise(
    proc: &Proc,
    parent: &ActorRef<Scripted>,
    script: Script,
    is_permanent: bool,
) -> Child<Scripted> {
    let spec = spec(script);
    let spec = if is_permanent { spec.permanent() } else { spec };
    let child = parent.call(proc, Supervise(spec)).await.expect("it lives");
    // It has been created when it answers.
    child.current().call(proc, say("hello")).await.expect("it lives");
    child
}

/// Waits for a line.
async fn line(log: &Log, line: &str) {
    while !log.lines().iter().any(|it| it == line) {
        tokio::task::yield_now().await;
    }
}

fn hangs(name: &'static str, log: &Log) -> Script {
    Script { stop: Behaviour::Hangs, ..script(name, log) }
}

/// RS1: while younger ones are started again.
#[tokio::test(start_paused = true)]
async fn a_permanent_child_that_ends_during_a_restart_of_others_is_started_again() {
    let (proc, parent, log) = parent(Strategy::RestForOne);
    let mut a = supervise(&proc, &parent, script("a", &log), true).await;
    let b = supervise(&proc, &parent, script("b", &log), false).await;
    let _c = supervise(&proc, &parent, hangs("c", &log), false).await;
    b.current().cast(&proc, Fail("oops")).await.unwrap();
    line(&log, "c stops").await;
    a.current().stop(Stop::Now);
    assert_eq!(end(&a.current()).await, End::Stopped);
    let next = next_life(&mut a).await.expect("it is started again");
    assert!(next.call(&proc, say("again")).await.is_ok());
}

/// E2: a restart mends no failure of a child that it cannot start again.
#[tokio::test(start_paused = true)]
async fn a_failure_that_a_restart_does_not_mend_is_told() {
    let (proc, parent, log) = parent(Strategy::OneForAll);
    let a = supervise(&proc, &parent, script("a", &log), false).await;
    let once = parent.call(&proc, Spawn(script("once", &log))).await.unwrap();
    let gate = gate();
    parent.cast(&proc, WaitFor(Arc::clone(&gate))).await.unwrap();
    for child in [&a.current(), &once] {
        child.cast(&proc, Fail("oops")).await.expect("it lives");
        child.ended().await;
    }
    gate.add_permits(1);
    let End::Failed(cause) = end(&parent).await else { panic!("it failed") };
    assert_eq!(cause.chain.last().unwrap().to_string(), "actor once: error: oops");
}

/// E2: the same while others end for the restart.
#[tokio::test(start_paused = true)]
async fn a_child_that_fails_before_it_ends_for_a_restart_is_told() {
    let (proc, parent, log) = parent(Strategy::OneForAll);
    let once = parent.call(&proc, Spawn(script("once", &log))).await.unwrap();
    let a = supervise(&proc, &parent, script("a", &log), false).await;
    let _c = supervise(&proc, &parent, hangs("c", &log), false).await;
    a.current().cast(&proc, Fail("oops")).await.unwrap();
    line(&log, "c stops").await;
    once.cast(&proc, Fail("oops")).await.unwrap();
    let End::Failed(cause) = end(&parent).await else { panic!("it failed") };
    assert_eq!(cause.chain.last().unwrap().to_string(), "actor once: error: oops");
}

/// A parent that does so, and its child that has failed.
async fn failed_child(on_failure: Reaction) -> (Proc, ActorRef<Scripted>, Log) {
    let log = Log::default();
    let proc = proc(&log);
    let parent = proc.spawn_named::<Scripted>("p", Script { on_failure, ..script("p", &log) });
    let child = parent.call(&proc, Spawn(script("c", &log))).await.expect("it lives");
    child.cast(&proc, Fail("oops")).await.expect("it lives");
    (proc, parent, log)
}

/// E2: a handler that panics fails too, and chains its own error to the cause.
#[tokio::test(start_paused = true)]
async fn a_parent_that_panics_at_the_failure_of_a_child_tells_both() {
    let (_proc, parent, _log) = failed_child(Reaction::Panics).await;
    let End::Failed(cause) = end(&parent).await else { panic!("it failed") };
    assert!(matches!(cause.reason, Reason::Panic { .. }), "{cause}");
    let root = cause.chain.last().map(ToString::to_string);
    assert_eq!(root.as_deref(), Some("actor c: error: oops"));
}

/// E2: it was not handled.
#[tokio::test(start_paused = true)]
async fn a_parent_that_is_killed_as_it_handles_a_failure_passes_it_on() {
    let (_proc, parent, log) = failed_child(Reaction::Hangs).await;
    line(&log, "p is told: actor c failed: error: oops").await;
    parent.stop(Stop::Kill);
    let End::Failed(cause) = end(&parent).await else { panic!("{:?}", log.lines()) };
    assert_eq!(cause.chain.last().unwrap().to_string(), "actor c: error: oops");
    let told = log.lines().iter().filter(|line| line.starts_with("root is told")).count();
    assert_eq!(told, 1, "once");
}
