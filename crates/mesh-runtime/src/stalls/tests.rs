//! Who hangs, by what is seen of actors and threads.

use mesh_core::{Incarnation, ProcId};
use proptest::prelude::*;

use super::*;
use crate::pulse::{Names, Pulse, Slot, WatchList};

/// An actor whose word the test writes.
struct Actor {
    peer: PeerId,
    index: u64,
    root: u64,
    names: Names,
    pulse: Pulse,
}

impl Watched for Actor {
    fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    fn peer(&self) -> PeerId {
        self.peer
    }

    fn index(&self) -> NonZeroU64 {
        number(self.index)
    }

    fn root(&self) -> NonZeroU64 {
        number(self.root)
    }

    fn name(&self) -> &str {
        "worker"
    }

    fn type_name(&self) -> &'static str {
        if self.index.is_multiple_of(2) { "even" } else { "odd" }
    }

    fn n_waiting(&self) -> usize {
        self.index as usize * 10
    }

    fn names(&self) -> &Names {
        &self.names
    }
}

fn number(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).expect("tests begin at one")
}

/// A world of some actors, and who looks at it every 50 ms.
struct World {
    list: Arc<WatchList>,
    actors: Vec<Arc<Actor>>,
    words: Vec<Word>,
    watch: Watch,
    start: Instant,
    now: Duration,
}

const THRESHOLD: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(50);

impl World {
    fn new(n_actors: u64) -> Self {
        Self::of((1..=n_actors).map(|index| (peer(1), index)))
    }

    fn of(actors: impl Iterator<Item = (PeerId, u64)>) -> Self {
        let list = Arc::<WatchList>::default();
        let actor = |(peer, index)| {
            let pulse = Pulse::new(Some(Arc::clone(&list)));
            Arc::new(Actor { peer, index, root: 1, names: Names::new(), pulse })
        };
        let actors: Vec<_> = actors.map(actor).collect();
        let words = vec![Word::IDLE; actors.len()];
        let watch = Watch::new(THRESHOLD);
        Self { list, actors, words, watch, start: Instant::now(), now: Duration::ZERO }
    }

    fn begin(&mut self, at: usize) {
        self.words[at] = self.words[at].begin(Slot::STOP);
        self.run(at);
    }

    fn go_on(&mut self, at: usize) {
        self.words[at] = self.words[at].go_on();
        self.run(at);
    }

    fn run(&self, at: usize) {
        let actor = &self.actors[at];
        actor.pulse.run(self.words[at], || Arc::clone(actor) as Arc<dyn Watched>);
    }

    fn wait(&mut self, at: usize) {
        self.words[at] = self.words[at].wait();
        self.actors[at].pulse.set(self.words[at]);
    }

    fn idle(&mut self, at: usize) {
        self.words[at] = self.words[at].idle();
        self.actors[at].pulse.set(self.words[at]);
    }

    /// Looks for so long, at threads that sleep.
    fn pass(&mut self, time: Duration) -> Stalls {
        self.pass_with(time, &[1], false).0
    }

    fn pass_with(&mut self, time: Duration, threads: &[u64], is_back: bool) -> (Stalls, Probe) {
        let end = self.now + time;
        let mut last = (Stalls::default(), Probe::No);
        while self.now < end {
            self.now += EVERY;
            last = self.look(threads, is_back);
        }
        last
    }

    fn look(&mut self, threads: &[u64], is_back: bool) -> (Stalls, Probe) {
        let begun = self.list.take();
        self.watch.look(self.start + self.now, begun, (threads.to_vec(), is_back))
    }

    fn n_looked_at(&self) -> usize {
        self.watch.actors.len()
    }
}

fn peer(number: u128) -> PeerId {
    PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// D7
#[test]
fn a_handler_that_keeps_its_thread_is_told_once_and_with_one_age() {
    let mut world = World::new(2);
    world.pass(millis(200));
    world.begin(1);
    assert_eq!(world.pass(millis(1_000)), Stalls::default(), "first seen 50 ms after its begin");
    let stalls = world.pass(millis(50));
    let [long] = stalls.handlers() else { panic!("{stalls:?}") };
    assert_eq!((long.root, long.is_blocking), (number(1), true), "the child of the first");
    assert_eq!((&*long.handler.actor, &*long.handler.message), ("worker", "stop"));
    assert_eq!(long.handler.age, THRESHOLD);
    assert_eq!(stalls.of_process(), Some(Stall::Handler(Arc::clone(&long.handler))));
    assert_eq!(stalls.of_actor(number(1)), Some(&long.handler));
    assert_eq!(stalls.of_actor(number(2)), None);
    assert_eq!(world.pass(millis(3_000)), stalls, "it does not age");
    world.idle(1);
    assert_eq!(world.pass(EVERY), Stalls::default(), "at the next look");
}

/// D7, H5: processes that share a watchdog number their actors alike.
#[test]
fn who_hangs_is_told_of_his_own_process() {
    let mut world = World::of([(peer(1), 1), (peer(2), 1)].into_iter());
    world.begin(0);
    world.begin(1);
    world.pass(millis(500));
    world.idle(0);
    let stalls = world.pass(millis(600));
    assert_eq!(stalls.of(peer(1)), Stalls::default());
    let of_second = stalls.of(peer(2));
    assert_eq!((&of_second, of_second.handlers().len()), (&stalls, 1));
}

/// A handler that awaits something holds up its actor only.
#[test]
fn a_handler_that_waits_is_told_of_its_actor_and_not_of_the_process() {
    let mut world = World::new(1);
    world.begin(0);
    world.wait(0);
    let stalls = world.pass(millis(1_100));
    assert_eq!((stalls.handlers().len(), stalls.of_process()), (1, None));
    assert!(stalls.of_actor(number(1)).is_some());
    world.go_on(0);
    assert_eq!(world.pass(millis(500)).of_process(), None, "this poll has just begun");
    assert!(world.pass(millis(600)).of_process().is_some(), "and now it keeps its thread");
}

/// A process that does nothing is looked at eight times in a threshold, and not twenty times.
#[test]
fn who_looks_at_nothing_looks_seldom() {
    let mut world = World::new(1);
    world.pass(EVERY);
    assert_eq!(world.watch.next_look(), (THRESHOLD / 8, true));
    world.begin(0);
    world.look(&[1], false);
    assert_eq!(world.watch.next_look(), (EVERY, false));
    world.idle(0);
    world.pass(EVERY * 2);
    assert_eq!(world.watch.next_look(), (THRESHOLD / 8, true));
    world.look(&[2], false);
    assert_eq!(world.watch.next_look(), (EVERY, false), "it is awake");
}

#[test]
fn messages_that_follow_each_other_are_no_long_one() {
    let mut world = World::new(1);
    for _ in 0..100 {
        world.begin(0);
        assert_eq!(world.pass(millis(900)), Stalls::default());
    }
}

/// Our own pause is nobody's hang.
#[test]
fn a_pause_of_the_whole_process_makes_no_handler_long() {
    let mut world = World::new(1);
    world.begin(0);
    world.pass(millis(500));
    world.now += Duration::from_secs(60);
    assert_eq!(world.look(&[1], false).0, Stalls::default());
    assert_eq!(world.pass(millis(500)), Stalls::default(), "but what it ran before counts");
    assert_eq!(world.pass(millis(100)).handlers().len(), 1);
}

/// A look costs what was begun, not what there is.
#[test]
fn who_does_nothing_is_not_looked_at() {
    let mut world = World::new(1_000);
    (0..1_000).for_each(|at| world.begin(at));
    world.pass(EVERY);
    assert_eq!(world.n_looked_at(), 1_000);
    (1..1_000).for_each(|at| world.idle(at));
    world.pass(EVERY * 2);
    assert_eq!(world.n_looked_at(), 1);
    world.begin(7);
    world.pass(EVERY);
    assert_eq!(world.n_looked_at(), 2);
}

/// What began between the look and the letting go is seen by the next look.
#[test]
fn who_begins_while_he_is_let_go_of_is_kept() {
    let mut world = World::new(1);
    world.begin(0);
    world.pass(EVERY);
    world.idle(0);
    world.pass(EVERY);
    // Its task has not seen yet that it was let go of.
    world.words[0] = world.words[0].begin(Slot::STOP);
    world.actors[0].pulse.set(world.words[0]);
    assert_eq!(world.pass(millis(1_100)).handlers().len(), 1);
}

#[test]
fn a_runtime_that_runs_nothing_is_told_without_a_handler() {
    let mut world = World::new(1);
    let (none, probe) = world.pass_with(EVERY * 2, &[4, 6], false);
    assert_eq!((none, probe), (Stalls::default(), Probe::Send), "awake without a break");
    let (stalls, _) = world.pass_with(THRESHOLD, &[4, 6], false);
    let told = stalls.of_process().expect("nothing has run");
    assert_eq!(told, Stall::silent(Silence::Runtime, THRESHOLD));
    assert_eq!(world.pass_with(THRESHOLD, &[4, 6], false).0, stalls, "it does not age");
    assert_eq!(world.pass_with(EVERY, &[4, 6], true).0, Stalls::default(), "it runs again");
}

#[test]
fn a_runtime_with_a_thread_that_sleeps_is_not_asked() {
    let mut world = World::new(1);
    for count in 0..100 {
        assert_eq!(world.pass_with(EVERY, &[4, 2 * count + 1], false).1, Probe::No);
    }
    for count in 0..100 {
        assert_eq!(world.pass_with(EVERY, &[4, 2 * count], false).1, Probe::No, "it has slept");
    }
}

#[test]
fn a_runtime_that_a_handler_blocks_is_told_by_the_handler_only() {
    let mut world = World::new(1);
    world.begin(0);
    let mut told = Vec::new();
    for _ in 0..60 {
        told.extend(world.pass_with(EVERY, &[2], false).0.of_process());
    }
    assert!(told.iter().all(|stall| matches!(stall, Stall::Handler(_))), "{told:?}");
    assert!(!told.is_empty());
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Begin(usize),
    Wait(usize),
    GoOn(usize),
    Idle(usize),
    Pass(u64),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        (0..3_usize).prop_map(Deed::Begin),
        (0..3_usize).prop_map(Deed::Wait),
        (0..3_usize).prop_map(Deed::GoOn),
        (0..3_usize).prop_map(Deed::Idle),
        (1..40_u64).prop_map(Deed::Pass),
    ];
    prop::collection::vec(deed, 1..80)
}

proptest! {
    /// Against a model that knows when each function began: told are exactly those that have run for
    /// the threshold, up to what passes between two looks.
    #[test]
    fn whoever_runs_too_long_is_told_and_nobody_else(deeds in deeds()) {
        let mut world = World::new(3);
        let mut begun = [None::<Duration>; 3];
        for deed in deeds {
            match deed {
                Deed::Begin(at) => {
                    world.begin(at);
                    begun[at] = Some(world.now);
                }
                Deed::Wait(at) if begun[at].is_some() => world.wait(at),
                Deed::GoOn(at) if begun[at].is_some() => world.go_on(at),
                Deed::Wait(_) | Deed::GoOn(_) => (),
                Deed::Idle(at) => {
                    world.idle(at);
                    begun[at] = None;
                }
                Deed::Pass(looks) => {
                    let stalls = world.pass(EVERY * u32::try_from(looks).expect("it is small"));
                    let ages = begun.iter().flatten().map(|begun| world.now - *begun);
                    let surely = ages.clone().filter(|age| *age >= THRESHOLD + EVERY).count();
                    let perhaps = ages.filter(|age| *age >= THRESHOLD).count();
                    let told = stalls.handlers().len();
                    prop_assert!((surely..=perhaps).contains(&told), "{told}: {surely}..={perhaps}");
                }
            }
        }
    }
}

#[test]
fn what_waits_is_told_of_those_that_do_something() {
    let mut world = World::new(4);
    assert!(world.watch.waiting().is_empty());
    for at in [0, 1, 3] {
        world.begin(at);
    }
    world.pass(EVERY);
    assert_eq!(world.watch.waiting(), [("even", 60), ("odd", 10)].into());
    world.idle(0);
    world.pass(3 * EVERY);
    assert_eq!(world.watch.waiting(), [("even", 60)].into());
}

/// D7: not a look later, which may come late itself.
#[test]
fn what_runs_is_looked_at_when_it_will_have_run_for_too_long() {
    let mut world = World::new(1);
    world.begin(0);
    world.now = Duration::from_millis(7);
    _ = world.look(&[0], false);
    assert_eq!(world.watch.next_look(), (EVERY, false));
    _ = world.pass_with(THRESHOLD - EVERY, &[0], false);
    world.now += Duration::from_millis(30);
    let (stalls, _) = world.look(&[0], false);
    assert_eq!(stalls.handlers(), []);
    assert_eq!(world.watch.next_look(), (Duration::from_millis(20), false));
    world.now += Duration::from_millis(20);
    let (stalls, _) = world.look(&[0], false);
    let ages: Vec<_> = stalls.handlers().iter().map(|long| long.handler.age).collect();
    assert_eq!(ages, [THRESHOLD]);
    assert_eq!(world.watch.next_look().0, EVERY, "it was told");
}

/// D7: the same of one poll of a function that has been told, and of a runtime.
#[test]
fn what_blocks_is_looked_at_when_it_will_have_for_too_long() {
    let mut world = World::new(1);
    world.begin(0);
    world.wait(0);
    world.pass(THRESHOLD + EVERY);
    world.go_on(0);
    world.now += millis(10);
    _ = world.look(&[0], false);
    let polled = world.now;
    _ = world.pass_with(THRESHOLD - EVERY, &[0], false);
    world.now += millis(35);
    _ = world.look(&[0], false);
    assert_eq!(world.watch.next_look().0, polled + THRESHOLD - world.now);

    let mut world = World::new(0);
    _ = world.look(&[0], false);
    assert_eq!(world.look(&[0], false).1, Probe::Send);
    let probed = world.now;
    _ = world.pass_with(THRESHOLD - EVERY, &[0], false);
    world.now += millis(35);
    _ = world.look(&[0], false);
    assert_eq!(world.watch.next_look().0, probed + THRESHOLD - world.now);
}
