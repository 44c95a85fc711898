//! sim: casts and calls through a tree of relays, with nodes killed and sessions lost at every step.

mod dice;
mod judge;
mod net;
mod setup;
mod tables;
mod world;

use mesh_cast::{Kind, Limits};

use dice::Dice;
use judge::{Reach, judge};
use setup::{ADD, Fault, Setup};
use world::World;

/// Casts and calls, to all and to slices.
const SCRIPT: &[(usize, Kind)] = &[
    (0, Kind::Cast),
    (0, Kind::Call),
    (1, Kind::Cast),
    (2, Kind::Call),
    (3, Kind::Cast),
    (0, Kind::Cast),
    (0, ADD),
    (1, ADD),
    (0, ADD),
];

/// What is merged, beside a cast and a call.
const MERGED: &[(usize, Kind)] = &[(0, ADD), (0, Kind::Cast), (2, ADD), (0, Kind::Call)];

fn setup(n_nodes: usize, fan_out: usize, seed: u64) -> Setup {
    Setup {
        n_nodes,
        per_host: 3,
        n_ranks: 2,
        fan_out,
        casters: vec![n_nodes],
        script: SCRIPT[..4].to_vec(),
        limits: Limits { window: 3, rank: 2, calls: 2, open: 5, ..Limits::default() },
        has_ticks: false,
        seed,
    }
}

/// A setup that the seed decides.
fn drawn(seed: u64) -> Setup {
    let mut dice = Dice(seed ^ 0x5eed);
    let n_nodes = 4 + dice.below(12);
    let casters = if dice.one_in(2) { vec![n_nodes] } else { vec![n_nodes, dice.below(n_nodes)] };
    let n_casts = 2 + dice.below(7);
    Setup {
        n_nodes,
        per_host: 1 + dice.below(4),
        n_ranks: 1 + dice.below(2),
        fan_out: 2 + dice.below(3),
        casters,
        script: (0..n_casts).map(|_| SCRIPT[dice.below(SCRIPT.len())]).collect(),
        limits: Limits {
            window: 1 + dice.below(6) as u64,
            rank: 1 + dice.below(4),
            calls: 1 + dice.below(3),
            open: 4 + dice.below(8),
            ..Limits::default()
        },
        has_ticks: false,
        seed,
    }
}

fn run(setup: &Setup, faults: &[(usize, Fault)], reach: Reach) -> World {
    run_on(World::new(setup.clone()), faults, reach)
}

/// Runs a world to its end and judges it; says which it was if it does not hold.
fn run_on(mut world: World, faults: &[(usize, Fault)], reach: Reach) -> World {
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.run(faults);
        judge(&mut world, reach);
    }));
    assert!(judged.is_ok(), "{:?} {faults:?}", world.setup);
    world
}

/// R2
#[test]
fn without_faults_no_node_sends_more_than_its_fan_out() {
    for seed in 0..100 {
        let setup = drawn(seed);
        let world = run(&setup, &[], Reach::All);
        for proc in world.procs.values() {
            assert!(proc.sent.values().all(|n_legs| *n_legs <= setup.fan_out));
        }
    }
}

/// R1, R2, R3
#[test]
fn whoever_is_killed_at_whichever_step_the_living_have_every_cast_once_and_in_order() {
    for (n_nodes, fan_out, script) in [
        (7, 2, &SCRIPT[..4]),
        (9, 3, &SCRIPT[..3]),
        (13, 3, &SCRIPT[..2]),
        (7, 2, MERGED),
        (13, 3, &MERGED[..2]),
    ] {
        let script = script.to_vec();
        let mut world = World::new(Setup { script, ..setup(n_nodes, fan_out, n_nodes as u64) });
        loop {
            for node in 0..n_nodes {
                run_on(world.clone(), &[(world.n_steps, Fault::Kill(node))], Reach::All);
            }
            if !world.step() {
                break;
            }
        }
    }
}

/// R2: only the first of a lost range is tried by the caster, which sends no more than the tree needs.
#[test]
fn the_children_of_a_dead_forwarder_are_adopted_by_its_parent() {
    let setup = Setup { script: SCRIPT[..1].to_vec(), ..setup(26, 2, 1) };
    let start = World::new(setup.clone());
    let n_steps = run_on(start.clone(), &[], Reach::All).n_steps;
    for node in [0, 1, 13] {
        for step in 0..n_steps {
            let world =
                run_on(start.with_seed(step as u64), &[(step, Fault::Kill(node))], Reach::All);
            let n_legs = world.clients[0].sent[&1];
            let most = 2 * setup.fan_out + setup.limits.tries as usize;
            assert!(n_legs <= most, "{n_legs} legs, with {node} killed at {step}");
        }
    }
}

/// R1, R2, R3
#[test]
fn several_killed_at_random_steps_cost_the_living_nothing() {
    for seed in 0..700 {
        let setup = drawn(seed);
        let mut dice = Dice(!seed);
        let kill = |dice: &mut Dice| {
            (dice.below(40 * setup.script.len()), Fault::Kill(dice.below(setup.n_nodes)))
        };
        let faults: Vec<_> = (0..2 + dice.below(3)).map(|_| kill(&mut dice)).collect();
        run(&setup, &faults, Reach::All);
    }
}

/// R2
#[test]
fn a_session_that_is_lost_between_the_living_loses_and_repeats_nothing() {
    for seed in 0..600 {
        let setup = drawn(seed);
        let mut dice = Dice(!seed);
        let n = setup.n_nodes + 1;
        let step = dice.below(40 * setup.script.len());
        let pair = Fault::Lose(dice.below(n), dice.below(n));
        let kill = (dice.below(40 * setup.script.len()), Fault::Kill(dice.below(setup.n_nodes)));
        let faults = [(step, pair), kill];
        run(&setup, if dice.one_in(2) { &faults } else { &faults[..1] }, Reach::All);
    }
}

/// R2
#[test]
fn a_pair_that_is_cut_for_good_is_reached_around() {
    for seed in 0..400 {
        let setup = drawn(seed);
        let mut dice = Dice(!seed);
        let n = setup.n_nodes + 1;
        let cut = (dice.below(30), Fault::Cut(dice.below(n), dice.below(n)));
        run(&setup, &[cut], Reach::Delivered);
    }
}

/// R1, R3
#[test]
fn however_much_is_lost_every_rank_has_one_outcome() {
    for seed in 0..600 {
        let mut setup = drawn(seed);
        let mut dice = Dice(!seed);
        let n = setup.n_nodes + 1;
        setup.limits.tries = dice.below(3) as u32;
        let mut fault = || {
            let step = dice.below(60 * setup.script.len());
            let (one, other) = (dice.below(n), dice.below(n));
            match dice.below(4) {
                0 => (step, Fault::Kill(one)),
                1 => (step, Fault::Cut(one, other)),
                _ => (step, Fault::Lose(one, other)),
            }
        };
        let faults: Vec<_> = (0..10).map(|_| fault()).collect();
        run(&setup, &faults, Reach::Told);
    }
}

/// R2
#[test]
fn whoever_was_given_up_has_all_that_is_cast_once_it_can_be_reached_again() {
    for seed in 0..400 {
        let mut setup = drawn(seed);
        let mut dice = Dice(!seed);
        setup.limits.tries = dice.below(2) as u32;
        setup.script.truncate(4);
        let n = setup.n_nodes + 1;
        let caster = setup.n_nodes;
        let faults: Vec<_> = (0..12)
            .map(|_| {
                let other = if dice.one_in(2) { caster } else { dice.below(n) };
                (dice.below(60 * setup.script.len()), Fault::Lose(dice.below(n), other))
            })
            .collect();
        let mut world = run(&setup, &faults, Reach::Told);
        world.cast_more(SCRIPT);
        run_on(world, &[], Reach::Since(setup.script.len() as u64));
    }
}

/// R1, R2
#[test]
fn a_process_that_is_started_again_takes_every_cast_from_then_on() {
    for seed in 0..300 {
        let setup = drawn(seed);
        let mut dice = Dice(!seed);
        let restart = |dice: &mut Dice| {
            (dice.below(40 * setup.script.len()), Fault::Restart(dice.below(setup.n_nodes)))
        };
        let faults: Vec<_> = (0..1 + dice.below(2)).map(|_| restart(&mut dice)).collect();
        let mut world = run(&setup, &faults, Reach::All);
        world.cast_more(&SCRIPT[..3]);
        run_on(world, &[], Reach::All);
    }
}

/// R2, R3: whoever is thought to be slow, at whichever time and however wrongly, and whoever is killed meanwhile.
#[test]
fn who_is_thought_to_be_slow_has_every_cast_once_all_the_same() {
    for seed in 0..400 {
        let setup = Setup { has_ticks: true, ..drawn(seed) };
        let mut dice = Dice(!seed);
        let kill = (dice.below(40 * setup.script.len()), Fault::Kill(dice.below(setup.n_nodes)));
        let faults = [kill];
        run(&setup, if dice.one_in(2) { &faults } else { &[] }, Reach::All);
    }
}

/// R1: whoever is slow, lost or killed, and tried again meanwhile: each reply that is merged counts once.
#[test]
fn what_is_merged_counts_once_however_much_is_lost() {
    for seed in 0..1_500 {
        let script = vec![(0, ADD); 3];
        let mut setup = Setup { has_ticks: true, script, ..drawn(seed) };
        setup.n_nodes += 4;
        setup.fan_out = 2;
        setup.casters = vec![setup.n_nodes];
        let mut dice = Dice(!seed);
        let n = setup.n_nodes + 1;
        let faults: Vec<_> = (0..8)
            .map(|_| {
                let (one, other) = (dice.below(n), dice.below(n));
                (dice.below(160), Fault::Lose(one, other))
            })
            .collect();
        run(&setup, &faults, Reach::Told);
    }
}

/// R2, H7: whoever of the tree is suspended, all others have the cast after a few ticks, and it has it when it
/// goes on.
#[test]
fn a_node_that_is_suspended_keeps_nothing_from_the_others() {
    for node in 0..13 {
        for kind in [Kind::Cast, Kind::Call, ADD] {
            for step in [0, 3, 9, 20] {
                let mut world =
                    World::new(Setup { script: vec![(0, kind)], ..setup(13, 2, step as u64) });
                world.run(&[(step, Fault::Pause(node))]);
                world.pass_time(3 + 3);
                for other in (0..13).filter(|other| *other != node) {
                    let n_ranks = world.procs[&other].taken.len();
                    assert_eq!(n_ranks, 2, "{other} waits for {node}: {kind:?}, {step}");
                }
                world.inflict(Fault::Resume(node));
                run_on(world, &[], Reach::All);
            }
        }
    }
}

/// R2: nobody else of the slice could help.
#[test]
fn two_that_are_cut_and_alone_in_a_slice_are_reached_through_others() {
    for seed in 0..300 {
        for kind in [Kind::Cast, Kind::Call, ADD] {
            let setup = Setup {
                n_ranks: 1,
                casters: vec![4, 2],
                script: vec![(3, Kind::Cast), (1, kind)],
                ..setup(4, 3, seed)
            };
            run(&setup, &[(seed as usize % 40, Fault::Cut(0, 2))], Reach::Delivered);
        }
    }
}
