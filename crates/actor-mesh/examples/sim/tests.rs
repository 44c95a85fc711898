//! A few seeds of each kind, as tests: what a planted bug must not pass.

use crate::world::Outcome;
use crate::{hosts, plan, whole, world};

/// What is wrong with each of the seeds that fail.
fn wrong(seeds: std::ops::Range<u64>, run: impl Fn(u64) -> Outcome) -> Vec<(u64, Vec<String>)> {
    let each = seeds.map(|seed| (seed, run(seed).verdict));
    each.filter(|(_, verdict)| !verdict.is_empty()).collect()
}

/// C2, H6, N1, N2, N9, N10, R1, R3; of casts that come twice so few seeds see nothing
#[test]
fn meshes_of_actors_keep_their_word() {
    let run = |seed| world::run(&plan::Plan::draw(seed, plan::Ranks::AtMost(12)));
    assert_eq!(wrong(0..16, run), []);
}

/// H6, K1, K2, K3, N1, N2, N9, O2
#[test]
fn hosts_keep_their_word_whatever_becomes_of_their_controllers() {
    let run = |seed| hosts::run(&hosts::Plan::draw(seed, 24));
    assert_eq!(wrong(0..60, run), []);
}

/// H7, K2, K3, N1, N2, N9, R1, R2, R3, ST3
#[test]
fn actors_keep_their_word_whatever_becomes_of_the_controllers_below_them() {
    let run = |seed| whole::run(&whole::Plan::draw(seed, 8));
    assert_eq!(wrong(2..9, run), []);
}
