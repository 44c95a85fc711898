//! starts: children that a restart starts one after the other, and children that end for good.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mesh_core::{End, Message, Strategy};
use mesh_runtime::{
    Actor, ActorRef, Child, ChildFailure, ChildSpec, Context, Failure, Handler, Intensity, Proc,
    Stop, Verdict,
};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::script::{Log, gate, proc};

/// What a child does in one of its lives.
#[derive(Clone, Copy, Default)]
enum Deed {
    #[default]
    Nothing,
    /// It takes a second to start.
    StartsSlowly,
    FailsToStart,
    HangsInStart,
    /// It looks its sibling up as it starts.
    LooksUp(&'static str),
    FailsToStop,
    HangsInStop,
}

/// What each child does in which of its lives, the first being 1; 0 stands for all others.
#[derive(Clone, Default)]
struct Plan(Arc<Mutex<BTreeMap<(&'static str, usize), Deed>>>);

impl Plan {
    fn with(self, name: &'static str, life: usize, deed: Deed) -> Self {
        self.0.lock().expect("nobody panics with it").insert((name, life), deed);
        self
    }

    fn deed(&self, name: &'static str, life: usize) -> Deed {
        let plan = self.0.lock().expect("nobody panics with it");
        plan.get(&(name, life)).or_else(|| plan.get(&(name, 0))).copied().unwrap_or_default()
    }
}

struct Part {
    name: &'static str,
    deed: Deed,
    log: Log,
}

#[derive(Clone)]
struct Start {
    name: &'static str,
    plan: Plan,
    log: Log,
}

impl Actor for Part {
    const NAME: &'static str = "part";
    type Params = (usize, Start);

    async fn start(
        (life, Start { name, plan, log }): Self::Params,
        cx: &mut Context<Self>,
    ) -> Result<Self, Failure> {
        log.add(format!("{name} begins"));
        let deed = plan.deed(name, life);
        match deed {
            Deed::StartsSlowly => sleep(Duration::from_secs(1)).await,
            Deed::FailsToStart => return Err(Failure::new("no start")),
            Deed::HangsInStart => std::future::pending().await,
            Deed::LooksUp(sibling) => {
                let found = cx.proc().lookup::<Self>(sibling).is_ok();
                log.add(format!("{name} finds {sibling}: {found}"));
            }
            Deed::Nothing | Deed::FailsToStop | Deed::HangsInStop => (),
        }
        cx.me().register(name)?;
        log.add(format!("{name} starts"));
        Ok(Self { name, deed, log })
    }

    async fn stop(&mut self, _: &mut Context<Self>) -> Result<(), Failure> {
        self.log.add(format!("{} stops", self.name));
        match self.deed {
            Deed::FailsToStop => Err(Failure::new("no stop")),
            Deed::HangsInStop => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

/// Restarts by its strategy, when there is a permit.
struct Boss {
    strategy: Strategy,
    log: Log,
    gate: Arc<Semaphore>,
}

impl Actor for Boss {
    const NAME: &'static str = "boss";
    const INTENSITY: Intensity = Intensity::new(3, Duration::from_secs(60));
    type Params = Self;

    async fn start(boss: Self, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(boss)
    }

    async fn on_failure(
        &mut self,
        failure: ChildFailure,
        _: &mut Context<Self>,
    ) -> Result<Verdict, Failure> {
        self.log.add(format!("told: {failure}"));
        self.gate.acquire().await?.forget();
        Ok(Verdict::Restart(self.strategy))
    }
}

struct Supervise(Start);
struct Permanently(Start);
struct Fail;
struct Wait(Arc<Semaphore>);
struct EndIt(Child<Part>);
struct Ping;

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("starts.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Supervise, Child<Part>);
message!(Permanently, Child<Part>);
message!(Fail, ());
message!(Wait, ());
message!(EndIt, End);
message!(Ping, ());

fn spec(start: Start) -> ChildSpec<Part> {
    let (name, life) = (start.name, Mutex::new(0));
    let params = move || {
        let mut life = life.lock().expect("nobody panics with it");
        *life += 1;
        (*life, start.clone())
    };
    ChildSpec::new(params).named(name)
}

impl Handler<Supervise> for Boss {
    async fn handle(
        &mut self,
        Supervise(start): Supervise,
        cx: &mut Context<Self>,
    ) -> Result<Child<Part>, Failure> {
        Ok(cx.supervise(spec(start)))
    }
}

impl Handler<Permanently> for Boss {
    async fn handle(
        &mut self,
        Permanently(start): Permanently,
        cx: &mut Context<Self>,
    ) -> Result<Child<Part>, Failure> {
        Ok(cx.supervise(spec(start).permanent()))
    }
}

impl Handler<Wait> for Boss {
    async fn handle(&mut self, Wait(gate): Wait, _: &mut Context<Self>) -> Result<(), Failure> {
        gate.acquire().await?.forget();
        Ok(())
    }
}

impl Handler<EndIt> for Boss {
    async fn handle(&mut self, EndIt(child): EndIt, _: &mut Context<Self>) -> Result<End, Failure> {
        Ok(child.end().await)
    }
}

impl Handler<Ping> for Boss {
    async fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Handler<Ping> for Part {
    async fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Handler<Fail> for Part {
    async fn handle(&mut self, _: Fail, _: &mut Context<Self>) -> Result<(), Failure> {
        Err(Failure::new("oops"))
    }
}

/// A parent, its three children, and what has happened since they were there.
struct Family {
    proc: Proc,
    log: Log,
    n_before: usize,
    /// Permits for verdicts.
    gate: Arc<Semaphore>,
    boss: ActorRef<Boss>,
    children: [Child<Part>; 3],
}

impl Family {
    async fn new(strategy: Strategy, plan: Plan) -> Self {
        let (log, gate) = (Log::default(), gate());
        gate.add_permits(100);
        let proc = proc(&log);
        let boss = Boss { strategy, log: log.clone(), gate: Arc::clone(&gate) };
        let boss = proc.spawn::<Boss>(boss);
        let mut children = Vec::new();
        for name in ["a", "b", "c"] {
            let start = Start { name, plan: plan.clone(), log: log.clone() };
            let child = boss.call(&proc, Permanently(start)).await.expect("it lives");
            child.current().call(&proc, Ping).await.expect("it lives");
            children.push(child);
        }
        let n_before = log.lines().len();
        let children = children.try_into().expect("three");
        Self { proc, log, n_before, gate, boss, children }
    }

    async fn fail(&self, child: usize) {
        let current = self.children[child].current();
        current.cast(&self.proc, Fail).await.expect("it lives");
        current.ended().await;
    }

    /// Waits for so many lines, and a little longer.
    async fn lines(&self, n: usize) -> Vec<String> {
        let all = async {
            while self.log.lines().len() < self.n_before + n {
                sleep(Duration::from_millis(10)).await;
            }
            sleep(Duration::from_secs(3)).await;
        };
        let is_there = timeout(Duration::from_secs(100), all).await.is_ok();
        let lines = self.log.lines().split_off(self.n_before);
        assert!(is_there, "{lines:?}");
        lines
    }
}

const TOLD_C: &str = "told: actor c failed: error: oops";

/// RS1: as in OTP, the next child is started when `start` of the one before it has returned.
#[tokio::test(start_paused = true)]
async fn each_start_begins_when_the_one_before_it_has_returned() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let plan =
            Plan::default().with("a", 2, Deed::StartsSlowly).with("b", 2, Deed::LooksUp("a"));
        let family = Family::new(strategy, plan).await;
        family.fail(0).await;
        let lines = family.lines(11).await;
        let restart = ["c stops", "b stops", "a begins", "a starts", "b begins", "b finds a: true"];
        assert_eq!(lines[2..8], restart, "{lines:?}");
        assert_eq!(lines[8..], ["b starts", "c begins", "c starts"]);
    }
}

/// RS1, RS3: a start that fails in a restart is one more restart, by the same strategy; the parent is not asked again.
#[tokio::test(start_paused = true)]
async fn a_start_that_fails_in_a_restart_begins_it_anew() {
    let plan = || Plan::default().with("b", 2, Deed::FailsToStart);
    let family = Family::new(Strategy::OneForAll, plan()).await;
    family.fail(2).await;
    let lines = family.lines(14).await;
    let anew = ["b stops", "a stops", "a begins", "a starts", "b begins", "a stops"];
    assert_eq!(lines[..2], ["c stops", TOLD_C]);
    assert_eq!(lines[2..8], anew, "{lines:?}");
    let all = ["a begins", "a starts", "b begins", "b starts", "c begins", "c starts"];
    assert_eq!(lines[8..], all);

    // Those that are older are not concerned.
    let family = Family::new(Strategy::RestForOne, plan()).await;
    family.fail(0).await;
    let lines = family.lines(11).await;
    let restart = ["c stops", "b stops", "a begins", "a starts", "b begins"];
    assert_eq!(lines[2..7], restart, "{lines:?}");
    assert_eq!(lines[7..], ["b begins", "b starts", "c begins", "c starts"]);
}

/// RS3: and too many are the failure of the parent, with that of the child.
#[tokio::test(start_paused = true)]
async fn a_start_that_fails_in_each_restart_is_too_much() {
    let plan = Plan::default().with("b", 0, Deed::FailsToStart).with("b", 1, Deed::Nothing);
    let family = Family::new(Strategy::OneForAll, plan).await;
    family.fail(2).await;
    let End::Failed(cause) = family.boss.ended().await else { panic!("it failed") };
    assert_eq!(
        cause.to_string(),
        "error: more than 3 restarts of children within 60s, caused by actor b: error: no start"
    );
    let lines = family.lines(0).await;
    assert_eq!(lines.iter().filter(|line| *line == "b begins").count(), 3, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("told")).count(), 1, "{lines:?}");
    assert!(!lines.contains(&"c begins".to_owned()), "{lines:?}");
    assert!(family.children.iter().all(Child::is_over));
}

/// E1: a stop gets through while a child is being started, and none is started after it.
#[tokio::test(start_paused = true)]
async fn a_stop_gets_through_while_children_are_started() {
    for how in [Stop::Now, Stop::Kill] {
        let plan = Plan::default().with("b", 2, Deed::HangsInStart);
        let family = Family::new(Strategy::OneForAll, plan).await;
        family.fail(2).await;
        family.lines(7).await;
        family.boss.stop(how);
        let end = if how == Stop::Kill { End::Killed } else { End::Stopped };
        assert_eq!(family.boss.ended().await, end);
        assert_eq!(family.children[1].current().ended().await, End::Killed);
        let lines = family.lines(0).await;
        assert!(!lines.contains(&"c begins".to_owned()), "{lines:?}");
        assert_eq!(lines.last().unwrap() == "a stops", how == Stop::Now, "{lines:?}");
    }
}

/// RS1: one that ends well before it has been created holds up nobody, and is a failure if it is permanent.
#[tokio::test(start_paused = true)]
async fn who_is_killed_as_it_starts_holds_up_nobody() {
    let plan = Plan::default().with("b", 2, Deed::HangsInStart).with("t", 2, Deed::HangsInStart);
    let family = Family::new(Strategy::OneForAll, plan.clone()).await;
    let start = |name| Start { name, plan: plan.clone(), log: family.log.clone() };
    let transient = family.boss.call(&family.proc, Supervise(start("t"))).await.unwrap();
    let last = family.boss.call(&family.proc, Supervise(start("z"))).await.unwrap();
    last.current().call(&family.proc, Ping).await.unwrap();
    family.fail(0).await;
    family.lines(13).await;
    let first = family.children[1].current();
    first.stop(Stop::Kill);
    // Once more, all of them.
    let second = loop {
        sleep(Duration::from_secs(1)).await;
        let current = family.children[1].current();
        if current != first && last.current().call(&family.proc, Ping).await.is_ok() {
            break current;
        }
        if transient
            .current()
            .call(&family.proc, Ping)
            .within(Duration::from_secs(1))
            .await
            .is_err()
        {
            transient.current().stop(Stop::Kill);
        }
    };
    assert!(second.call(&family.proc, Ping).await.is_ok());
    let lines = family.lines(0).await;
    assert_eq!(lines.iter().filter(|line| line.starts_with("told")).count(), 1, "{lines:?}");
}

/// RS1: also a permanent child can be ended for good: its parent is not asked, and no restart takes it along.
#[tokio::test(start_paused = true)]
async fn a_child_that_is_ended_for_good_is_not_started_again() {
    let family = Family::new(Strategy::OneForAll, Plan::default()).await;
    let [_, b, _] = &family.children;
    assert_eq!(b.end().await, End::Stopped);
    assert!(b.is_over() && b.clone().restarted().await.is_none());
    assert_eq!(b.end().await, End::Stopped, "again, and the same");
    family.fail(2).await;
    let lines = family.lines(8).await;
    assert_eq!(lines[..4], ["b stops", "c stops", TOLD_C, "a stops"], "{lines:?}");
    assert_eq!(lines[4..], ["a begins", "a starts", "c begins", "c starts"]);
    family.boss.stop(Stop::Now);
    assert_eq!(family.boss.ended().await, End::Stopped);
    assert_eq!(b.end().await, End::Stopped, "also when its parent has ended");
}

/// E2: how it ends is told whoever ends it, and nobody else; in a handler of its parent as well.
#[tokio::test(start_paused = true)]
async fn a_failure_of_a_child_that_is_ended_for_good_is_told_who_ends_it() {
    let plan = Plan::default().with("a", 1, Deed::FailsToStop).with("b", 1, Deed::HangsInStop);
    let family = Family::new(Strategy::OneForAll, plan).await;
    let [a, b, c] = family.children.clone();
    let End::Failed(cause) = a.end().await else { panic!("it failed") };
    assert!(cause.to_string().starts_with("error: no stop"), "{cause}");
    let begun = Instant::now();
    assert_eq!(b.end().await, End::Killed);
    assert!(begun.elapsed() >= Part::GRACE);
    assert_eq!(family.boss.call(&family.proc, EndIt(c)).await, Ok(End::Stopped));
    assert_eq!(family.lines(3).await, ["a stops", "b stops", "c stops"]);
    assert!(family.boss.call(&family.proc, Ping).await.is_ok());
}

/// E2: a child may be ended for good between its failure and what its parent decides about it.
#[tokio::test(start_paused = true)]
async fn a_child_that_has_failed_may_be_ended_for_good() {
    // Before its parent is asked.
    let family = Family::new(Strategy::OneForOne, Plan::default()).await;
    let gate = gate();
    family.boss.cast(&family.proc, Wait(Arc::clone(&gate))).await.unwrap();
    family.fail(2).await;
    assert!(matches!(family.children[2].end().await, End::Failed(_)));
    gate.add_permits(1);
    assert!(family.boss.call(&family.proc, Ping).await.is_ok());
    assert_eq!(family.lines(1).await, ["c stops"]);

    // While it thinks about it: what is then to be restarted are the others.
    for strategy in [Strategy::OneForOne, Strategy::OneForAll] {
        let family = Family::new(strategy, Plan::default()).await;
        family.gate.forget_permits(100);
        family.fail(2).await;
        family.lines(2).await;
        assert!(matches!(family.children[2].end().await, End::Failed(_)));
        family.gate.add_permits(1);
        assert!(family.boss.call(&family.proc, Ping).await.is_ok());
        let lines = family.lines(2).await;
        let n_starts = lines.iter().filter(|line| line.ends_with("starts")).count();
        assert_eq!(n_starts, if strategy == Strategy::OneForAll { 2 } else { 0 }, "{lines:?}");
    }
}

/// RS1: one that is ended for good as it starts, or before its turn, holds up no restart.
#[tokio::test(start_paused = true)]
async fn a_child_may_be_ended_for_good_in_a_restart() {
    let plan = Plan::default().with("a", 2, Deed::StartsSlowly).with("b", 2, Deed::HangsInStart);
    let family = Family::new(Strategy::OneForAll, plan).await;
    let [a, b, c] = family.children.clone();
    family.fail(2).await;
    // The last before its turn, and the one whose start hangs.
    let a_begins = 5;
    let lines = async {
        while family.log.lines().len() < family.n_before + a_begins {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), lines).await.unwrap();
    let (last, hung) = tokio::join!(c.end(), async {
        family.lines(7).await;
        b.end().await
    });
    assert!(matches!(last, End::Failed(_)), "its first life: {last:?}");
    assert_eq!(hung, End::Killed);
    assert!(a.current().call(&family.proc, Ping).await.is_ok());
    assert!(family.boss.call(&family.proc, Ping).await.is_ok());
    let lines = family.lines(0).await;
    assert!(!lines.contains(&"c begins".to_owned()), "{lines:?}");
}
