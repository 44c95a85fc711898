//! restarts: children that are started again, with whom and in which order, and when that is too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mesh_core::{End, Message, Strategy};
use mesh_runtime::{
    Actor, ActorRef, Child, ChildSpec, Context, Failure, Handler, Intensity, Proc, Stop,
};

use crate::script::{
    Behaviour, Fail, Log, Reaction, Script, Scripted, Spawn, WaitFor, gate, proc, say, script,
};

/// Spawns a child that can be started again.
pub(crate) struct Supervise(pub(crate) ChildSpec<Scripted>);

/// Asks how many children live.
struct CountChildren;

/// From now on it decides so when a child fails.
pub(crate) struct React(pub(crate) Reaction);

impl Message for Supervise {
    const NAME: &'static str = "test.Supervise";
    type Reply = Child<Scripted>;
}

impl Message for CountChildren {
    const NAME: &'static str = "test.CountChildren";
    type Reply = usize;
}

impl Message for React {
    const NAME: &'static str = "test.React";
    type Reply = ();
}

impl Handler<Supervise> for Scripted {
    async fn handle(
        &mut self,
        Supervise(spec): Supervise,
        cx: &mut Context<Self>,
    ) -> Result<Child<Self>, Failure> {
        Ok(cx.supervise(spec))
    }
}

impl Handler<CountChildren> for Scripted {
    async fn handle(&mut self, _: CountChildren, cx: &mut Context<Self>) -> Result<usize, Failure> {
        Ok(cx.n_children())
    }
}

impl Handler<React> for Scripted {
    async fn handle(&mut self, React(how): React, _: &mut Context<Self>) -> Result<(), Failure> {
        self.react(how);
        Ok(())
    }
}

pub(crate) fn spec(script: Script) -> ChildSpec<Scripted> {
    let name = script.name;
    ChildSpec::new(move || script.clone()).named(name)
}

/// A parent that restarts by this strategy, and its log.
pub(crate) fn parent(strategy: Strategy) -> (Proc, ActorRef<Scripted>, Log) {
    let log = Log::default();
    let proc = proc(&log);
    let on_failure = Reaction::Restarts(strategy);
    let parent = proc.spawn_named::<Scripted>("p", Script { on_failure, ..script("p", &log) });
    (proc, parent, log)
}

/// The same with three children.
async fn family(strategy: Strategy) -> (Proc, ActorRef<Scripted>, [Child<Scripted>; 3], Log) {
    let (proc, parent, log) = parent(strategy);
    let mut children = Vec::new();
    for name in ["a", "b", "c"] {
        let child =
            parent.call(&proc, Supervise(spec(script(name, &log)))).await.expect("it lives");
        // It has been created when it answers.
        child.current().call(&proc, say("hello")).await.expect("it lives");
        children.push(child);
    }
    (proc, parent, children.try_into().expect("three"), log)
}

/// What happened since there were so many lines, but for what was said.
fn since(log: &Log, n: usize) -> Vec<String> {
    let lines = log.lines().split_off(n);
    lines.into_iter().filter(|line| !line.contains("hears") && !line.contains("dropped")).collect()
}

/// What [`Child::restarted`] says, within a minute.
pub(crate) async fn next_life(child: &mut Child<Scripted>) -> Option<ActorRef<Scripted>> {
    let minute = Duration::from_secs(60);
    tokio::time::timeout(minute, child.restarted()).await.expect("it is known by then")
}

/// Has a child fail, and waits for its next life to have started.
async fn restart(proc: &Proc, child: &mut Child<Scripted>) -> ActorRef<Scripted> {
    child.current().cast(proc, Fail("oops")).await.expect("it lives");
    let next = next_life(child).await.expect("it is started again");
    next.call(proc, say("again")).await.expect("it lives");
    next
}

#[tokio::test(start_paused = true)]
async fn one_for_one_starts_that_child_and_no_other() {
    let (proc, parent, [a, mut b, c], log) = family(Strategy::OneForOne).await;
    let (first, n) = (b.current(), log.lines().len());
    let second = restart(&proc, &mut b).await;
    assert_ne!(first.id(), second.id(), "each life is an actor of its own");
    assert!(matches!(first.ended().await, End::Failed(_)), "what it came to stays known");
    assert_eq!(second.name().as_str(), "b");
    assert_eq!(since(&log, n), ["b stops", "p is told: actor b failed: error: oops", "b starts"]);
    for other in [a, c] {
        assert!(other.current().call(&proc, say("still here")).await.is_ok());
    }
    assert_eq!(parent.call(&proc, CountChildren).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn one_for_all_ends_the_youngest_first_and_starts_the_oldest_first() {
    let (proc, parent, [a, mut b, c], log) = family(Strategy::OneForAll).await;
    let n = log.lines().len();
    restart(&proc, &mut b).await;
    for other in [&a, &c] {
        other.current().call(&proc, say("again")).await.unwrap();
    }
    let told = "p is told: actor b failed: error: oops";
    let lines = ["b stops", told, "c stops", "a stops", "a starts", "b starts", "c starts"];
    assert_eq!(since(&log, n), lines);
    assert_eq!(parent.call(&proc, CountChildren).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_takes_those_that_came_later_and_a_child_keeps_its_place() {
    let (proc, parent, [mut a, mut b, c], log) = family(Strategy::RestForOne).await;
    let n = log.lines().len();
    restart(&proc, &mut b).await;
    c.current().call(&proc, say("again")).await.unwrap();
    let told = "p is told: actor b failed: error: oops";
    assert_eq!(since(&log, n), ["b stops", told, "c stops", "b starts", "c starts"]);
    let n = log.lines().len();
    restart(&proc, &mut a).await;
    c.current().call(&proc, say("again")).await.unwrap();
    let told = "p is told: actor a failed: error: oops";
    let lines = ["a stops", told, "c stops", "b stops", "a starts", "b starts", "c starts"];
    assert_eq!(since(&log, n), lines, "in the order of their places, not of their present lives");
    let n = log.lines().len();
    parent.stop(Stop::Now);
    parent.ended().await;
    assert_eq!(since(&log, n), ["c stops", "b stops", "a stops", "p stops"]);
}

/// RS3, for the children of an actor: too many escalate once, with what was the last one's cause.
#[tokio::test(start_paused = true)]
async fn more_restarts_than_the_intensity_fail_the_parent() {
    let (proc, parent, [mut a, mut b, _c], log) = family(Strategy::OneForOne).await;
    let Intensity { max_restarts, period } = Scripted::INTENSITY;
    assert_eq!(max_restarts, 2);
    restart(&proc, &mut a).await;
    restart(&proc, &mut b).await;
    tokio::time::sleep(period).await;
    restart(&proc, &mut a).await;
    restart(&proc, &mut b).await;
    a.current().cast(&proc, Fail("once more")).await.unwrap();
    let End::Failed(cause) = parent.ended().await else { panic!("it failed") };
    assert_eq!(
        cause.to_string(),
        "error: more than 2 restarts of children within 10s, \
         caused by actor a: error: once more"
    );
    assert_eq!(next_life(&mut a).await.map(|life| life.id()), None, "there will be no other life");
    assert!(a.is_over() && b.is_over());
    let told = log.lines().iter().filter(|line| line.starts_with("root is told")).count();
    assert_eq!(told, 1, "once");
}

/// A start that fails is a failure as any, and counts.
#[tokio::test(start_paused = true)]
async fn a_start_that_fails_again_and_again_is_too_much_too() {
    let (proc, parent, log) = parent(Strategy::OneForOne);
    let lives = Arc::new(AtomicUsize::new(0));
    let (born, broken) = (Arc::clone(&lives), script("a", &log));
    let spec = ChildSpec::<Scripted>::new(move || {
        born.fetch_add(1, Ordering::SeqCst);
        Script { start: Behaviour::Panics, ..broken.clone() }
    });
    parent.call(&proc, Supervise(spec.named("a"))).await.unwrap();
    let End::Failed(cause) = parent.ended().await else { panic!("it failed") };
    assert!(cause.to_string().contains("more than 2 restarts"), "{cause}");
    assert_eq!(lives.load(Ordering::SeqCst), 3, "each life has parameters of its own");
}

#[tokio::test(start_paused = true)]
async fn parameters_that_cannot_be_made_are_the_failure_of_the_child() {
    let (proc, parent, _log) = parent(Strategy::OneForOne);
    let spec = ChildSpec::<Scripted>::new(|| panic!("no parameters")).named("a");
    parent.call(&proc, Supervise(spec)).await.unwrap();
    let End::Failed(cause) = parent.ended().await else { panic!("it failed") };
    let root = cause.chain.last().unwrap().to_string();
    assert!(root.starts_with("actor a: panicked at") && root.ends_with("no parameters"), "{root}");
}

/// E2
#[tokio::test(start_paused = true)]
async fn a_child_that_cannot_be_started_again_fails_its_parent() {
    let (proc, parent, log) = parent(Strategy::OneForAll);
    let child = parent.call(&proc, Spawn(script("a", &log))).await.unwrap();
    child.cast(&proc, Fail("oops")).await.unwrap();
    let End::Failed(cause) = parent.ended().await else { panic!("it failed") };
    assert_eq!(
        cause.to_string(),
        "error: a child that was not spawned by `supervise` cannot be started again, \
         caused by actor a: error: oops"
    );
}

#[tokio::test(start_paused = true)]
async fn a_child_that_cannot_be_started_again_only_ends_with_the_others() {
    let (proc, parent, [mut a, _b, _c], log) = family(Strategy::OneForAll).await;
    let once = parent.call(&proc, Spawn(script("once", &log))).await.unwrap();
    restart(&proc, &mut a).await;
    assert_eq!(once.ended().await, End::Stopped);
    assert_eq!(parent.call(&proc, CountChildren).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn a_good_end_is_one_for_a_transient_child_and_none_for_a_permanent_one() {
    let (proc, parent, log) = parent(Strategy::OneForOne);
    let transient = spec(script("t", &log));
    let transient = parent.call(&proc, Supervise(transient)).await.unwrap();
    let permanent = spec(script("k", &log)).permanent();
    let mut permanent = parent.call(&proc, Supervise(permanent)).await.unwrap();
    for child in [&transient, &permanent] {
        child.current().call(&proc, say("hello")).await.unwrap();
        child.current().stop(Stop::Now);
        child.current().ended().await;
    }
    assert!(next_life(&mut permanent).await.is_some());
    let told: Vec<String> =
        log.lines().into_iter().filter(|line| line.starts_with("p is told")).collect();
    let words = "error: it has ended (stopped), though it is permanent";
    assert_eq!(told, [format!("p is told: actor k failed: {words}")]);
    assert_eq!(parent.call(&proc, CountChildren).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn who_has_ended_well_begins_again_with_the_others() {
    let (proc, _parent, [mut a, b, _c], log) = family(Strategy::OneForAll).await;
    b.current().stop(Stop::Now);
    b.current().ended().await;
    let n = log.lines().len();
    restart(&proc, &mut a).await;
    b.current().call(&proc, say("again")).await.unwrap();
    assert!(since(&log, n).contains(&"b starts".to_owned()));
}

/// One restart mends all failures that were there before it, and counts once.
#[tokio::test(start_paused = true)]
async fn failures_at_once_are_one_restart() {
    let (proc, parent, [mut a, b, c], log) = family(Strategy::OneForAll).await;
    // Both have failed before the parent can be asked about either.
    let gate = gate();
    parent.cast(&proc, WaitFor(Arc::clone(&gate))).await.unwrap();
    for child in [&a, &b] {
        child.current().cast(&proc, Fail("oops")).await.unwrap();
        child.current().ended().await;
    }
    gate.add_permits(1);
    let next = next_life(&mut a).await.unwrap();
    next.call(&proc, say("again")).await.unwrap();
    c.current().call(&proc, say("again")).await.unwrap();
    parent.call(&proc, say("hello")).await.unwrap();
    let told = log.lines().iter().filter(|line| line.starts_with("p is told")).count();
    assert_eq!(told, 1, "{:?}", log.lines());
    let starts = log.lines().iter().filter(|line| line.ends_with("starts")).count();
    assert_eq!(starts, 1 + 3 + 3, "each child twice: {:?}", log.lines());
}

/// R3: what one life has not handled goes back, and is not handled by the next.
#[tokio::test(start_paused = true)]
async fn the_mailbox_of_a_life_ends_with_it() {
    let (proc, _parent, [mut a, _b, _c], log) = family(Strategy::OneForOne).await;
    let sender = proc.spawn_named::<Scripted>("s", script("s", &log));
    let gate = gate();
    a.current().cast(&proc, WaitFor(Arc::clone(&gate))).await.unwrap();
    a.current().cast(&proc, Fail("oops")).await.unwrap();
    let stale = a.current();
    sender.call(&proc, Relay(stale.clone(), "too late")).await.unwrap();
    gate.add_permits(1);
    next_life(&mut a).await.unwrap().call(&proc, say("again")).await.unwrap();
    let back = "s gets back test.Say \"too late\"".to_owned();
    // The sender is told before the next life can have been begun.
    sender.call(&proc, say("hello")).await.unwrap();
    assert!(log.lines().iter().any(|line| line.starts_with(&back)), "{:?}", log.lines());
    assert!(!log.lines().contains(&"a hears too late".to_owned()));
    assert!(stale.cast(&proc, say("hello")).await.is_err(), "the old one stays ended");
}

/// Says a word to somebody, in the actor's own name.
struct Relay(ActorRef<Scripted>, &'static str);

impl Message for Relay {
    const NAME: &'static str = "test.Relay";
    type Reply = ();
}

impl Handler<Relay> for Scripted {
    async fn handle(
        &mut self,
        Relay(to, word): Relay,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        to.cast(cx, say(word)).await?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_end_for_a_restart_is_killed_after_its_grace() {
    let (proc, parent, log) = parent(Strategy::OneForAll);
    let mut children = Vec::new();
    for (name, stop) in [("a", Behaviour::Well), ("b", Behaviour::Hangs)] {
        let spec = spec(Script { stop, ..script(name, &log) });
        children.push(parent.call(&proc, Supervise(spec)).await.unwrap());
    }
    let hangs = children[1].current();
    hangs.call(&proc, say("hello")).await.unwrap();
    let began = tokio::time::Instant::now();
    restart(&proc, &mut children[0]).await;
    assert_eq!(hangs.ended().await, End::Killed);
    assert!(began.elapsed() >= Scripted::GRACE, "{:?}", began.elapsed());
    children[1].current().call(&proc, say("again")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_gets_through_while_children_are_restarted() {
    for how in [Stop::Now, Stop::Kill] {
        let (proc, parent, log) = parent(Strategy::OneForAll);
        let hangs = spec(Script { stop: Behaviour::Hangs, ..script("b", &log) });
        let fails = parent.call(&proc, Supervise(spec(script("a", &log)))).await.unwrap();
        let hangs = parent.call(&proc, Supervise(hangs)).await.unwrap();
        hangs.current().call(&proc, say("hello")).await.unwrap();
        fails.current().cast(&proc, Fail("oops")).await.unwrap();
        while !log.lines().contains(&"b stops".to_owned()) {
            tokio::task::yield_now().await;
        }
        parent.stop(how);
        let end = if how == Stop::Kill { End::Killed } else { End::Stopped };
        assert_eq!(parent.ended().await, end);
        assert_eq!(hangs.current().ended().await, End::Killed);
        assert!(hangs.is_over() && fails.is_over());
        let starts = log.lines().iter().filter(|line| *line == "a starts").count();
        assert_eq!(starts, 1, "nothing is started any more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_parent_may_go_on_without_the_child_or_stop() {
    let (proc, parent, [a, mut b, c], log) = family(Strategy::OneForOne).await;
    parent.call(&proc, React(Reaction::Handles)).await.unwrap();
    b.current().cast(&proc, Fail("oops")).await.unwrap();
    assert!(next_life(&mut b).await.is_none() && b.is_over());
    assert!(!a.is_over());
    assert_eq!(parent.call(&proc, CountChildren).await, Ok(2));
    parent.call(&proc, React(Reaction::Stops)).await.unwrap();
    let n = log.lines().len();
    c.current().cast(&proc, Fail("oops")).await.unwrap();
    assert_eq!(parent.ended().await, End::Stopped);
    let told = "p is told: actor c failed: error: oops";
    assert_eq!(since(&log, n), ["c stops", told, "a stops", "p stops"]);
}
