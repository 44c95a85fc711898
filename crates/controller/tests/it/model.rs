//! model: random histories of events against a naive reference that looks at every rank.

mod budget;
mod deeds;
mod honest;
mod naive;
mod said;
mod watch;
mod world;

use std::time::Duration;

use controller::{Config, Controller, Limits, RestartConfig, RestartPolicy, Spec, Times};
use mesh_core::{Epoch, Strategy as Together};
use mesh_shape::{Extent, Rank, RankSet, Region};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::label;
use deeds::{Deed, Deeds, Question, deeds};
use naive::Stage;
use said::{Guests, Mesh};
use world::World;

/// What a mesh of the model is made of.
#[derive(Clone, Debug)]
struct Plan {
    size: usize,
    n_agents: usize,
    rules: RestartConfig,
    times: Times,
    /// Whether the mesh is a slice of something larger, backwards.
    is_slice: bool,
    seed: u64,
}

fn plan() -> impl Strategy<Value = Plan> {
    let sizes = (prop_oneof![8 => 0_usize..9, 1 => 9_usize..33], 1_usize..5);
    (sizes, rules(), times_of_lease(), any::<bool>(), any::<u64>()).prop_map(
        |((size, n_agents), rules, times, is_slice, seed)| Plan {
            size,
            n_agents,
            rules,
            times,
            is_slice,
            seed,
        },
    )
}

/// Those of the presets, and of the shortest lease.
fn times_of_lease() -> impl Strategy<Value = Times> {
    prop_oneof![
        5 => Just(Times::lan()),
        2 => Just(Times::local()),
        1 => Just(Times::wan()),
        1 => Just(Times::from_lease(Times::LEASE_MIN)),
    ]
}

fn rules() -> impl Strategy<Value = RestartConfig> {
    let policy = prop_oneof![
        1 => Just(RestartPolicy::Permanent),
        2 => Just(RestartPolicy::Transient),
        1 => Just(RestartPolicy::Temporary),
    ];
    let strategy = prop_oneof![
        Just(Together::OneForOne),
        Just(Together::OneForAll),
        Just(Together::RestForOne)
    ];
    // Some delays are so long that an agent can be given up before they are over.
    let delay = prop_oneof![3 => Just(100_u64), 1 => Just(20_000)];
    // Some graces are so long that an agent is given up before its ranks are killed.
    let grace = prop_oneof![3 => Just(5_u64), 1 => Just(60)];
    let period = prop_oneof![2 => Just(None), 1 => Just(Some(Duration::from_secs(10)))];
    let intensity = prop_oneof![1 => 0_u32..3, 3 => 3_u32..9];
    (policy, strategy, intensity, delay, (period, grace)).prop_map(
        |(policy, strategy, max_restarts, delay, (period, grace))| RestartConfig {
            policy,
            strategy,
            period,
            grace: Duration::from_secs(grace),
            backoff_min: Duration::from_millis(delay),
            ..RestartConfig::on_failure(max_restarts)
        },
    )
}

fn mesh_of(plan: &Plan) -> Mesh {
    let of_size = |size| Region::all(Extent::new([("procs", size)]).expect("the size is small"));
    let region = if plan.is_slice {
        of_size(plan.size * 2).parse_slice("procs=::-2").expect("it is a slice")
    } else {
        of_size(plan.size)
    };
    let mut agents = vec![RankSet::new(); plan.n_agents];
    // Neighbours belong to different agents, so that runs end where agents do.
    for rank in 0..plan.size {
        agents[rank % plan.n_agents].insert(Rank::new(rank));
    }
    let limits = Limits { subscribers: 4, asks: 3 };
    let config = Config { restart: plan.rules, limits, times: plan.times };
    let spec = Spec {
        mesh: label(),
        region: region.into(),
        epoch: Epoch::FIRST,
        agents: agents.into(),
        config,
        seed: plan.seed,
    };
    Controller::new(spec, Guests).expect("every rank has one agent")
}

fn world_after(plan: &Plan, deeds: Deeds) -> Result<World, TestCaseError> {
    let mut world = World::new(mesh_of(plan))?;
    for deed in deeds.0 {
        world.do_deed(deed)?;
    }
    Ok(world)
}

/// So many times as many cases as is usual, which `PROPTEST_CASES` changes.
fn times(factor: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases * factor, failure_persistence: None, ..usual }
}

/// In how many of some histories, the same each time, something is so.
fn n_histories(is_so: impl Fn(&World) -> bool) -> usize {
    const HISTORIES: usize = 192;
    let mut runner = TestRunner::deterministic();
    let histories = (plan(), deeds(60));
    let worlds = (0..HISTORIES).map(|_| {
        let (plan, deeds) = histories.new_tree(&mut runner).expect("nothing is filtered").current();
        world_after(&plan, deeds).expect("no history breaks an invariant")
    });
    worlds.filter(is_so).count()
}

/// RS1: what the model says of a rank that times out in a round is said of some.
#[test]
fn the_histories_get_to_a_timeout_in_a_round() {
    let n_lost = n_histories(|world| world.naive.rounds().n_lost > 0);
    assert!(n_lost >= 3, "in {n_lost} histories");
}

/// RS1, RS3: what it says of who has nowhere to begin is said of some: of a member that ends, however it does, of one
/// that has ended before, and of one without whom no round begins.
#[test]
fn the_histories_get_to_who_has_nowhere_to_begin() {
    let counts = [
        n_histories(|world| world.naive.rounds().n_stopped_barred > 0),
        n_histories(|world| world.naive.rounds().n_failed_barred > 0),
        n_histories(|world| world.naive.rounds().n_barred_late > 0),
        n_histories(|world| world.naive.rounds().n_refused_for_barred > 0),
    ];
    assert!(counts.iter().all(|n| *n >= 2), "in {counts:?} histories");
}

/// RS1: and so is what it says of who waits to start alone, and has nowhere to begin any more.
#[test]
fn the_histories_get_to_a_promise_that_is_withdrawn() {
    let n_withdrawn = n_histories(|world| world.n_withdrawn > 0);
    assert!(n_withdrawn >= 2, "in {n_withdrawn} histories");
}

/// N10: what the model says of a mesh whose owner has let go of it is said of some, and of who subscribes to them.
#[test]
fn the_histories_get_to_an_owner_that_lets_go() {
    let n_watched =
        n_histories(|world| world.watches.len() > 1 && world.naive.stage == Stage::Abandoned);
    assert!(n_watched >= 2, "in {n_watched} histories");
}

proptest! {
    #![proptest_config(times(4))]

    /// H1 to H7, N1 to N6, N10, L2, L6 to L8, RS1 to RS3, C1, K1, K3: whatever happens, in whatever order.
    #[test]
    fn no_history_breaks_an_invariant(plan in plan(), deeds in deeds(60)) {
        let mut world = world_after(&plan, deeds)?;
        // Whatever has happened: a stop of a mesh whose agents are all silent comes to an end.
        let grace_ms = 1_000;
        world.do_deed(Deed::Ask { ask: 99, question: Question::Stop { grace_ms } })?;
        world.pass(world.now + Duration::from_secs(120))?;
        prop_assert!(world.naive.stage.is_over());
        prop_assert_eq!(world.mesh.next_deadline(), None);
        prop_assert!(!world.naive.has_waits(), "nobody waits");
        let told = world.watches.values().all(|watch| watch.is_closed() || watch.is_let_go());
        prop_assert!(told, "everybody was told of the end");
    }
}
