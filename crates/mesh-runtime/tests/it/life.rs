//! life: how actors begin, serve and end.

use std::time::Duration;

use mesh_core::{End, Message};
use mesh_runtime::{Actor, CallError, Context, Failure, Handler, Proc, Stop};

use crate::script::{Behaviour, Log, Scripted, Spawn, WaitFor, gate, one, proc, say, script};

#[tokio::test]
async fn an_actor_starts_serves_and_stops() {
    let (proc, actor, log) = one("a");
    actor.cast(&proc, say("one")).await.unwrap();
    assert_eq!(actor.call(&proc, say("two")).await, Ok(3));
    actor.stop(Stop::Now);
    assert_eq!(actor.ended().await, End::Stopped);
    let lines = ["a starts", "a hears one", "a hears two", "a stops", "a is dropped"];
    assert_eq!(log.lines(), lines);
    assert_eq!(proc.n_roots(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_handles_what_was_accepted_and_takes_no_more() {
    let (proc, actor, log) = one("a");
    let gate = gate();
    actor.cast(&proc, WaitFor(gate.clone())).await.unwrap();
    actor.cast(&proc, say("accepted")).await.unwrap();
    actor.stop(Stop::Drain);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(actor.cast(&proc, say("late")).await.unwrap_err().message, say("late"));
    gate.add_permits(1);
    assert_eq!(actor.ended().await, End::Stopped);
    let lines = ["a starts", "a waits", "a hears accepted", "a stops", "a is dropped"];
    assert_eq!(log.lines(), lines);
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_the_running_handler_end_and_gives_the_rest_back() {
    let (proc, actor, log) = one("a");
    let gate = gate();
    actor.cast(&proc, WaitFor(gate.clone())).await.unwrap();
    let call = actor.call(&proc, say("never handled"));
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        actor.stop(Stop::Now);
        gate.add_permits(1);
    };
    let (answer, ()) = tokio::join!(call, stop);
    assert_eq!(answer, Err(CallError::NotTaken { actor: "a".to_owned(), end: End::Stopped }));
    assert_eq!(actor.ended().await, End::Stopped);
    assert_eq!(log.lines(), ["a starts", "a waits", "a stops", "a is dropped"]);
}

#[tokio::test(start_paused = true)]
async fn a_kill_cuts_a_handler_off_where_it_awaits() {
    let (proc, actor, log) = one("a");
    let call = actor.call(&proc, WaitFor(gate()));
    let kill = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        actor.stop(Stop::Kill);
    };
    let (answer, ()) = tokio::join!(call, kill);
    assert_eq!(answer, Err(CallError::Killed { actor: "a".to_owned() }));
    assert_eq!(actor.ended().await, End::Killed);
    assert_eq!(log.lines(), ["a starts", "a waits", "a is dropped"], "nothing is cleaned up");
}

#[tokio::test(start_paused = true)]
async fn the_strictest_stop_counts() {
    let (proc, actor, _log) = one("a");
    actor.cast(&proc, WaitFor(gate())).await.unwrap();
    actor.stop(Stop::Kill);
    actor.stop(Stop::Drain);
    assert_eq!(actor.ended().await, End::Killed);
}

/// The parent cleans up after its children have ended, the youngest first.
#[tokio::test]
async fn children_stop_first_the_youngest_before_the_others() {
    let (proc, parent, log) = one("p");
    for name in ["c1", "c2", "c3"] {
        parent.call(&proc, Spawn(script(name, &log))).await.unwrap();
    }
    parent.stop(Stop::Now);
    assert_eq!(parent.ended().await, End::Stopped);
    let ends: Vec<String> =
        log.lines().into_iter().filter(|line| line.ends_with("stops")).collect();
    assert_eq!(ends, ["c3 stops", "c2 stops", "c1 stops", "p stops"]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_stop_is_killed_after_its_grace() {
    let (proc, parent, log) = one("p");
    let child = Spawn(crate::script::Script { stop: Behaviour::Hangs, ..script("c", &log) });
    let child = parent.call(&proc, child).await.unwrap();
    let begun = tokio::time::Instant::now();
    parent.stop(Stop::Now);
    assert_eq!((child.ended().await, parent.ended().await), (End::Killed, End::Stopped));
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_killed_parent_ends_after_its_children() {
    let (proc, parent, log) = one("p");
    let child = parent.call(&proc, Spawn(script("c", &log))).await.unwrap();
    let grandchild = child.call(&proc, Spawn(script("g", &log))).await.unwrap();
    child.cast(&proc, WaitFor(gate())).await.unwrap();
    parent.cast(&proc, WaitFor(gate())).await.unwrap();
    parent.stop(Stop::Kill);
    assert_eq!(parent.ended().await, End::Killed);
    assert_eq!((child.ended().await, grandchild.ended().await), (End::Killed, End::Killed));
    let lines = log.lines();
    assert_eq!(lines.iter().filter(|line| line.ends_with("is dropped")).count(), 3, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_kill_gets_through_to_an_actor_that_starts_or_cleans_up() {
    let log = Log::default();
    let proc = proc(&log);
    let starting = crate::script::Script { start: Behaviour::Hangs, ..script("s", &log) };
    let starting = proc.spawn::<Scripted>(starting);
    let stopping = crate::script::Script { stop: Behaviour::Hangs, ..script("c", &log) };
    let stopping = proc.spawn::<Scripted>(stopping);
    stopping.stop(Stop::Now);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(log.lines(), ["c starts", "c stops"]);
    starting.stop(Stop::Kill);
    stopping.stop(Stop::Kill);
    assert_eq!((starting.ended().await, stopping.ended().await), (End::Killed, End::Killed));
}

/// A kill reaches all children, also when the youngest had been killed before, by its grace.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_kill_after_a_grace_reaches_the_other_children() {
    let log = Log::default();
    let proc = proc(&log);
    let parent = proc.spawn_named::<Scripted>("p", script("p", &log));
    let old = parent.call(&proc, Spawn(script("old", &log))).await.unwrap();
    old.cast(&proc, WaitFor(gate())).await.unwrap();
    parent.call(&proc, SpawnDeaf).await.unwrap();
    // The youngest is killed after its grace of 20 ms, and does not notice for half a second.
    parent.stop(Stop::Now);
    tokio::time::sleep(Duration::from_millis(150)).await;
    parent.stop(Stop::Kill);
    let ended = tokio::time::timeout(Duration::from_secs(20), parent.ended()).await;
    assert_eq!((ended, old.ended().await), (Ok(End::Killed), End::Killed));
}

/// Blocks its thread, so that it notices nothing.
struct Deaf;

impl Actor for Deaf {
    const NAME: &'static str = "deaf";
    const GRACE: Duration = Duration::from_millis(20);
    type Params = ();

    async fn start(_: (), _: &mut Context<Self>) -> Result<Self, Failure> {
        std::thread::sleep(Duration::from_millis(600));
        Ok(Self)
    }
}

struct SpawnDeaf;

impl Message for SpawnDeaf {
    const NAME: &'static str = "life.SpawnDeaf";
    type Reply = ();
}

impl Handler<SpawnDeaf> for Scripted {
    async fn handle(&mut self, _: SpawnDeaf, cx: &mut Context<Self>) -> Result<(), Failure> {
        cx.spawn::<Deaf>(());
        Ok(())
    }
}

/// C2: whoever runs the tasks goes away.
#[test]
fn an_actor_that_is_dropped_with_its_runtime_ends_as_lost() {
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (actor, call) = runtime.block_on(async {
        let proc = proc(&log);
        let actor = proc.spawn_named::<Scripted>("a", script("a", &log));
        actor.call(&proc, Spawn(script("c", &log))).await.unwrap();
        actor.cast(&proc, WaitFor(gate())).await.unwrap();
        tokio::task::yield_now().await;
        let mut call = Box::pin(actor.call(&proc, say("waits")));
        let is_sent =
            std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_pending()));
        assert!(is_sent.await);
        (actor, call)
    });
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (answer, end) = other.block_on(async { (call.await, actor.ended().await) });
    assert_eq!(answer, Err(CallError::NotTaken { actor: "a".to_owned(), end: End::Lost }));
    assert_eq!(end, End::Lost);
    let dropped = log.lines().into_iter().filter(|line| line.ends_with("is dropped")).count();
    assert_eq!(dropped, 2, "{:?}", log.lines());
}

#[tokio::test(start_paused = true)]
async fn a_process_ends_all_of_its_actors() {
    let log = Log::default();
    let proc = proc(&log);
    let actors = ["a", "b"].map(|name| proc.spawn_named::<Scripted>(name, script(name, &log)));
    actors[0].cast(&proc, WaitFor(gate())).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(proc.stop(Duration::from_secs(2)).await, Ok(()));
    let [a, b] = [actors[0].ended().await, actors[1].ended().await];
    assert_eq!((a, b), (End::Killed, End::Stopped), "a handler hung, so it was killed");
    assert_eq!(proc.n_roots(), 0);
}

#[test]
fn without_a_runtime_there_is_no_process() {
    let error = Proc::local().expect_err("no runtime is entered").to_string();
    assert!(error.starts_with("no tokio runtime is entered here"), "{error}");
}

/// A chain of parents as deep as anybody builds ends without a stack for each.
#[tokio::test]
async fn a_deep_chain_of_children_ends() {
    let (proc, root, log) = one("root");
    let mut deepest = root.clone();
    for _ in 0..1_000 {
        deepest = deepest.call(&proc, Spawn(script("c", &log))).await.unwrap();
    }
    root.stop(Stop::Now);
    assert_eq!((root.ended().await, deepest.ended().await), (End::Stopped, End::Stopped));
}
