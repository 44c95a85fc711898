//! K1, K2, K3 and rule 9 by exhaustion: every world that two controllers and their ranks can get
//! into, around the real `Lease` and the real `Silence`, searched breadth first.
//!
//! # The model
//!
//! A rank is started and its lease armed at the moment when controller 1 starts. Its agent sends a
//! beat at every step of time. (With *late starts* the lease is armed then, and the rank is started by an
//! order that is on its way for any time, and echoes any beat that was heard, or none.) Then anything may happen, in any order and any number of times: a
//! controller hears a beat; an agent reads a renewal; time passes; a controller sleeps through it,
//! which it forgives when it wakes; controller 1 dies; some time after that controller 2 starts.
//!
//! **Links.** What was sent once may arrive at any later moment, any number of times, or never. So
//! nothing needs to be kept of what is on its way: every beat is, and so is the echo of every beat up
//! to the newest that a controller has heard. (It may have heard the older ones at the moment when it
//! heard that one.)
//!
//! **Time.** A world holds ages, not moments, and nothing is told apart that is older than any lease
//! that runs; so there are finitely many worlds, and the runs have no horizon. All events happen at
//! multiples of a step. Moving every event of a real run down to the last step keeps their order and
//! shifts each by less than a step; [`Rounding`](model::Rounding) therefore reads the clocks a whole
//! step to the disadvantage of what is to be shown, and what holds here holds between the steps too. A
//! clock runs at 99, 100 or 101 % for the whole run; one that changes its rate lies between those,
//! because every decision compares one duration with a constant. A sleep of many steps is forgiven
//! step by step, which is the same as at once; and any part of it may go unforgiven.
//!
//! **Ranks.** Ranks share nothing but what happens to their controllers, so each rank of a run with
//! many is a run of the world with one. The world with two ranks is searched as well, with steps of a
//! quarter of a lease and nothing between them.
//!
//! **The code.** [`leases::Leases`] tabulates the real lease. It asserts that what the search
//! remembers of a lease is all there is in it, and that what the search forgets changes nothing.
//!
//! # What is shown
//!
//! 1. No rank is given up while it lives: not if it is culled as late as K2 allows, the controllers
//!    crash and sleep, and the clocks differ by 2 %. For the tightest proportions of
//!    [`Times::from_lease`], those of every lease from 10 s on; and for the preset of 4 s with all
//!    clocks.
//! 2. No rank is culled or given up while the newest beat whose echo has come through is less than
//!    0.9 T old, whichever controller echoed it: so a controller that takes over within T harms nobody.
//!    The figure is that of the step: it approaches T / 1.01.
//! 3. Each variant that is broken on purpose is found.
//!
//! # What is not
//!
//! - That controller 1 is dead when controller 2 starts is assumed, and needed: refusing the lower
//!   epoch is not enough (`a_controller_that_lives_on_…`), and with it nothing depends on the refusal.
//! - That an agent is told of the mesh, and arms its lease, before its controller begins to count.
//! - That an order to start which is older than a giving up, and is overtaken by the contact that follows
//!   it, is of a life that is over: the agent refuses it if it has started a later one, and its report is
//!   answered with the order to kill it (H2).
//! - That a cull is no later than K2 says. An agent that is suspended cannot cull.
//! - `Lease::pause`, and beats that are closer than a 512th of the term: see the tests of the lease.
//! - The forgiveness of sleep: it only ever moves a verdict back, so nothing here depends on it.

use std::time::Duration;

use mesh_core::Timestamp;

use self::leases::{EPOCHS, Kept};
use self::model::{Goal, Grid, Model, Rates, Rounding, Variant};
use self::search::search;
use self::story::told;
use super::{Pause, Silence};
use crate::config::Times;

mod leases;
mod model;
mod rank;
mod search;
mod story;
mod world;

/// The agent that outlives its lease the longest, and controllers in a hurry.
const OUTLIVING: Rates = Rates { agents: [99, 99], controllers: [101, 101] };

/// Finds nothing broken, in a search that visits no fewer worlds than it should.
fn holds(model: &Model, n_worlds_min: usize) {
    let found = search(model);
    assert_eq!(told(&found, model), [""; 0]);
    assert!(found.n_worlds >= n_worlds_min, "only {} worlds", found.n_worlds);
    println!("{} worlds, none of them broken", found.n_worlds);
}

/// The shortest way to a broken world, at quarters of a lease of 10 s and without any rounding.
fn way_to_broken(variant: Variant, timeout: Duration) -> Vec<String> {
    let times = Times { timeout, ..Times::lan() };
    let grid = Grid { times, steps_per_lease: 4, rounding: Rounding::None };
    let model = Model::broken(grid, OUTLIVING, Goal::OneLife, variant);
    told(&search(&model), &model)
}

/// K1, K2. The tightest proportions that there are, with the worst of clocks.
#[test]
fn no_rank_has_two_lives() {
    let times = Times::from_lease(Duration::from_secs(21));
    let grid = Grid { times, steps_per_lease: 21, rounding: Rounding::Outliving };
    holds(&Model::new(grid, OUTLIVING, Goal::OneLife), 40_000);
}

/// K1, K2. The slack of a short lease leaves room for coarser steps, and so for all clocks.
#[test]
fn no_rank_has_two_lives_whatever_the_clocks() {
    let grid = Grid { times: Times::local(), steps_per_lease: 10, rounding: Rounding::Outliving };
    for agent in [99, 100, 101] {
        for controller in [99, 100, 101] {
            let rates = Rates { agents: [agent; 2], controllers: [controller; 2] };
            holds(&Model::new(grid, rates, Goal::OneLife), 4_000);
        }
    }
}

/// K1, K2. Two ranks whose agents' clocks differ, and two controllers whose clocks differ.
#[test]
fn neither_of_two_ranks_has_two_lives() {
    let grid = Grid { times: Times::lan(), steps_per_lease: 4, rounding: Rounding::Late };
    for controllers in [[101, 101], [101, 99], [99, 101]] {
        let rates = Rates { agents: [99, 101], controllers };
        holds(&Model::new(grid, rates, Goal::OneLife).with_two_ranks(), 10_000);
    }
}

/// K1, K3, rule 9. Echoes of beats less than 0.9 T old keep a rank alive, across a change of the
/// controller too.
#[test]
fn no_rank_whose_echoes_come_through_is_culled() {
    let grid = Grid { times: Times::lan(), steps_per_lease: 20, rounding: Rounding::Harming };
    let rates = Rates { agents: [101; 2], controllers: [101; 2] };
    holds(&Model::new(grid, rates, Goal::NoHarm(18)), 15_000);
    let sharp = Model::new(grid, rates, Goal::NoHarm(19));
    let way = told(&search(&sharp), &sharp);
    let harmed = "0.95 T: rank 0 is harmed, though its echoes came through";
    assert_eq!(way, [STARTED, harmed], "the bound is sharp");
}

/// As above, with two ranks, and for clocks that are slow, true and fast.
#[test]
fn neither_of_two_ranks_whose_echoes_come_through_is_culled() {
    let grid = Grid { times: Times::lan(), steps_per_lease: 4, rounding: Rounding::None };
    for agents in [[99, 100], [100, 101]] {
        let rates = Rates { agents, controllers: [101, 99] };
        holds(&Model::new(grid, rates, Goal::NoHarm(3)).with_two_ranks(), 5_000);
    }
}

/// K1. Without the echo rule a renewal that was on its way for half a lease gives a whole one.
#[test]
fn without_the_echo_rule_a_rank_has_two_lives() {
    assert_eq!(
        way_to_broken(Variant::NoEcho, Times::lan().timeout),
        [
            STARTED,
            "0.25 T: controller 1 hears the beat of 0.25 T of rank 0",
            "0.50 T: rank 0 reads the echo of 0.25 T by controller 1",
            "1.50 T: rank 0 has been given up, but lives",
        ]
    );
}

/// K2. Without a lease from the start, a rank of which nothing is heard lives for ever.
#[test]
fn a_lease_that_is_armed_by_its_first_renewal_gives_two_lives() {
    assert_eq!(
        way_to_broken(Variant::ArmedLate, Times::lan().timeout),
        [STARTED, "1.25 T: rank 0 has been given up, but lives"]
    );
}

/// K1. A timeout of one lease is too short for clocks that differ, and for no others.
#[test]
fn a_timeout_without_slack_gives_two_lives() {
    let lease = Times::lan().lease;
    assert_eq!(
        way_to_broken(Variant::Sound, lease),
        [STARTED, "1.00 T: rank 0 has been given up, but lives"]
    );
    let times = Times { timeout: lease, ..Times::lan() };
    let grid = Grid { times, steps_per_lease: 4, rounding: Rounding::None };
    let rates = Rates { agents: [100; 2], controllers: [100; 2] };
    holds(&Model::new(grid, rates, Goal::OneLife), 100);
}

/// K2. The slack is not there for the clocks alone: a cull may be late.
#[test]
fn a_timeout_with_slack_for_the_clocks_alone_gives_two_lives() {
    let lan = Times::lan();
    let times = Times { timeout: lan.lease + lan.lease / 50, ..lan };
    let grid = Grid { times, steps_per_lease: 10, rounding: Rounding::Late };
    let model = Model::new(grid, OUTLIVING, Goal::OneLife);
    let way = told(&search(&model), &model);
    assert_eq!(way, [STARTED, "1.10 T: rank 0 has been given up, but lives"]);
    let punctual = Grid { rounding: Rounding::None, ..grid };
    holds(&Model::new(punctual, OUTLIVING, Goal::OneLife), 1_000);
}

/// K1. Silence is counted from what was heard, not from what was asked.
#[test]
fn silence_that_is_counted_from_the_last_poll_gives_two_lives() {
    assert_eq!(
        way_to_broken(Variant::CountedFromPoll, Times::lan().timeout),
        [
            STARTED,
            "0.25 T: controller 1 hears the beat of 0.25 T of rank 0",
            "0.25 T: rank 0 reads the echo of 0.25 T by controller 1",
            "1.25 T: rank 0 has been given up, but lives",
        ]
    );
}

/// K3, rule 9. A controller that takes over counts from its own start.
#[test]
fn a_second_controller_that_judges_at_once_gives_two_lives() {
    assert_eq!(
        way_to_broken(Variant::CountedFromBeginning, Times::lan().timeout),
        [
            STARTED,
            "0.00 T: controller 1 dies",
            "0.00 T: controller 2 starts",
            "0.25 T: rank 0 has been given up, but lives",
        ]
    );
}

/// An assumption. The agent cannot refuse controller 1 while it has not heard of controller 2.
#[test]
fn a_controller_that_lives_on_after_its_successor_has_started_gives_two_lives() {
    assert_eq!(
        way_to_broken(Variant::BothReign, Times::lan().timeout),
        [
            STARTED,
            "0.00 T: controller 2 starts",
            "0.25 T: controller 1 hears the beat of 0.25 T of rank 0",
            "0.25 T: rank 0 reads the echo of 0.25 T by controller 1",
            "1.25 T: rank 0 has been given up, but lives",
        ]
    );
}

/// K1. A lease that is armed by an order which was long on its way ends late.
#[test]
fn a_lease_that_is_armed_where_an_order_arrives_gives_two_lives() {
    assert_eq!(
        way_to_broken(Variant::ArmedByOrder, Times::lan().timeout),
        [
            STARTED,
            "0.25 T: rank 0 is started by controller 1, which had heard nothing",
            "1.25 T: rank 0 has been given up, but lives",
        ]
    );
}

/// K1, K2. However long an order to start was on its way, and whatever it echoes: what it starts ends
/// before it is given up. Leases run out before orders arrive, and run again by them.
#[test]
fn an_order_that_is_late_gives_no_rank_two_lives() {
    let times = Times::from_lease(Duration::from_secs(21));
    let grid = Grid { times, steps_per_lease: 21, rounding: Rounding::Outliving };
    holds(&Model::new(grid, OUTLIVING, Goal::OneLife).with_late_starts(), 80_000);
}

/// As above, with the clocks that differ the most, and with those that agree the best.
#[test]
fn an_order_that_is_late_gives_no_rank_two_lives_whatever_the_clocks() {
    let grid = Grid { times: Times::local(), steps_per_lease: 10, rounding: Rounding::Outliving };
    for agent in [99, 101] {
        for controller in [99, 101] {
            let rates = Rates { agents: [agent; 2], controllers: [controller; 2] };
            holds(&Model::new(grid, rates, Goal::OneLife).with_late_starts(), 8_000);
        }
    }
}

/// K1, K2. A world in which a lease has run out and an order lets it run again can be got into.
#[test]
fn a_lease_runs_again_by_an_order_that_echoes_a_new_beat() {
    let grid = Grid { times: Times::lan(), steps_per_lease: 4, rounding: Rounding::None };
    let rates = Rates { agents: [100; 2], controllers: [100; 2] };
    let model = Model::new(grid, rates, Goal::OneLife).with_late_starts();
    let admitted = |kept, echoed| model.leases[0].admitted(kept, EPOCHS[0], echoed);
    let of_age = |age| Some(Kept::Counted(age, EPOCHS[0]));
    let echoes = [Some(0), Some(3), Some(4), None];
    assert_eq!(echoes.map(|it| admitted(Kept::Culled, it)), [of_age(0), of_age(3), None, None]);
}

/// Rule 6. So the model may forgive a pause step by step.
#[test]
fn a_pause_is_forgiven_alike_at_once_and_in_parts() {
    let at = |second| Timestamp::from_start(Duration::from_secs(second));
    let pause = |before, until| {
        let gap = at(until).since(at(before));
        Pause { at_least: gap, at_most: gap, until: at(until) }
    };
    for (heard, before, woken, now) in [(0, 0, 1, 5), (0, 3, 4, 9), (2, 3, 3, 7), (3, 3, 8, 8)] {
        let [mut whole, mut parts] = [Silence::since(at(heard)), Silence::since(at(heard))];
        whole.forgive(pause(before, now), &Times::lan());
        parts.forgive(pause(before, woken), &Times::lan());
        parts.forgive(pause(woken, now), &Times::lan());
        assert_eq!(whole, parts);
    }
}

/// How every way begins.
const STARTED: &str = "0.00 T: controller 1 starts";
