//! Restarts of whole families against what OTP's words mean: who ends and starts, in which order, in whatever
//! way the children are mixed and fail.

use mesh_core::Strategy;
use mesh_runtime::{Actor, ActorRef, Child, Proc, Stop};
use proptest::prelude::{Just, Strategy as _, any, prop_oneof, proptest};
use proptest::test_runner::{TestCaseError, TestCaseResult};

use crate::restarts::{React, Supervise, spec};
use crate::script::{Fail, Log, Reaction, Scripted, Spawn, proc, say, script};

/// Nobody has ended who is asked.
const LIVES: &str = "it lives";

/// One child after the other, as it was spawned.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What becomes of a child.
#[derive(Clone, Copy, Debug)]
enum Event {
    Fails(usize, Strategy),
    StopsWell(usize),
}

/// A child as the model has it.
#[derive(Clone, Copy, Debug)]
struct Modelled {
    can_restart: bool,
    is_alive: bool,
}

/// The child itself.
enum Real {
    Once(ActorRef<Scripted>),
    Again(Child<Scripted>),
}

impl Real {
    fn current(&self) -> ActorRef<Scripted> {
        match self {
            Self::Once(actor) => actor.clone(),
            Self::Again(child) => child.current(),
        }
    }
}

/// The lines that the event leads to, and how the family is then.
fn expected(family: &mut [Modelled], event: Event) -> Vec<String> {
    let (at, strategy) = match event {
        Event::Fails(at, strategy) => (at, strategy),
        Event::StopsWell(at) => {
            family[at].is_alive = false;
            return vec![format!("{} stops", NAMES[at])];
        }
    };
    let is_covered = |child: usize| match strategy {
        Strategy::OneForOne => child == at,
        Strategy::OneForAll => true,
        Strategy::RestForOne => child >= at,
    };
    let name = NAMES[at];
    let mut lines =
        vec![format!("{name} stops"), format!("p is told: actor {name} failed: error: oops")];
    family[at].is_alive = false;
    let covered: Vec<usize> = (0..family.len()).filter(|child| is_covered(*child)).collect();
    for child in covered.iter().rev().filter(|child| family[**child].is_alive) {
        lines.push(format!("{} stops", NAMES[*child]));
    }
    for child in covered {
        family[child].is_alive = family[child].can_restart;
        if family[child].can_restart {
            lines.push(format!("{} starts", NAMES[child]));
        }
    }
    lines
}

async fn run(kinds: Vec<bool>, events: Vec<Event>) -> TestCaseResult {
    let log = Log::default();
    let proc = proc(&log);
    let parent = proc.spawn_named::<Scripted>("p", script("p", &log));
    let mut family = Vec::new();
    let mut model = Vec::new();
    for (can_restart, name) in kinds.into_iter().zip(NAMES) {
        let child = if can_restart {
            Real::Again(parent.call(&proc, Supervise(spec(script(name, &log)))).await.expect(LIVES))
        } else {
            Real::Once(parent.call(&proc, Spawn(script(name, &log))).await.expect(LIVES))
        };
        child.current().call(&proc, say("hello")).await.expect(LIVES);
        family.push(child);
        model.push(Modelled { can_restart, is_alive: true });
    }
    for event in events {
        let (Event::Fails(at, _) | Event::StopsWell(at)) = event;
        let at = at % family.len();
        let is_possible = match event {
            Event::Fails(..) => model[at].is_alive && model[at].can_restart,
            Event::StopsWell(_) => model[at].is_alive,
        };
        if !is_possible {
            continue;
        }
        // So long ago that nothing counts any more.
        tokio::time::sleep(Scripted::INTENSITY.period).await;
        let n = log.lines().len();
        let victim = family[at].current();
        let event = match event {
            Event::Fails(_, strategy) => {
                parent.call(&proc, React(Reaction::Restarts(strategy))).await.expect(LIVES);
                victim.cast(&proc, Fail("oops")).await.expect(LIVES);
                Event::Fails(at, strategy)
            }
            Event::StopsWell(_) => {
                victim.stop(Stop::Now);
                Event::StopsWell(at)
            }
        };
        victim.ended().await;
        let expected = expected(&mut model, event);
        settle(&proc, &parent, (&family, &model)).await;
        // How those that are started at once come to it is up to the runtime; they were spawned in order.
        check(&log, n, &expected)?;
    }
    Ok(())
}

/// Waits until the restart, if there is one, is over: the parent handles nothing before, and who lives answers.
async fn settle(proc: &Proc, parent: &ActorRef<Scripted>, (family, model): (&[Real], &[Modelled])) {
    // It may be told of the failure only after the first word.
    for _ in 0..3 {
        parent.call(proc, say("hello")).await.expect(LIVES);
    }
    for (child, modelled) in family.iter().zip(model) {
        let answer = child.current().call(proc, say("hello")).await;
        assert_eq!(answer.is_ok(), modelled.is_alive, "{:?}", child.current());
    }
}

fn check(log: &Log, n: usize, expected: &[String]) -> TestCaseResult {
    let mut lines = log.lines().split_off(n);
    lines.retain(|line| !line.contains("hears") && !line.contains("dropped"));
    if lines == expected {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("{lines:?}, and not {expected:?}")))
}

proptest! {
    #[test]
    fn families_are_restarted_as_the_strategies_say(
        kinds in proptest::collection::vec(any::<bool>(), 1..=NAMES.len()),
        events in proptest::collection::vec(
            prop_oneof![
                2 => (0..NAMES.len(), prop_oneof![
                    Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne),
                ]).prop_map(|(at, strategy)| Event::Fails(at, strategy)),
                1 => (0..NAMES.len()).prop_map(Event::StopsWell),
            ],
            1..12,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(run(kinds, events))?;
    }
}
