//! corpus: what the fuzz targets start from, and much that is like it, breaks nothing.

#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::{Random, seeds};
use transport_tcp::fuzzing;

type Check = fn(&[u8]);

/// The fuzz targets, by the name of their folder.
const TARGETS: [(&str, Check); 3] =
    [("frames", fuzzing::frames), ("hello", fuzzing::hello), ("session", fuzzing::session)];

/// How many are made of the seeds of each target.
const MADE: usize = 600;

/// Bytes like these: some of them changed, left out, or said twice.
fn like(random: &mut Random, seed: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes.insert(at.min(bytes.len()), random.below(256) as u8),
            1 => bytes.truncate(at),
            2 => {
                let part = bytes.get(at..).unwrap_or_default().to_vec();
                bytes.extend(part.iter().take(64));
            }
            _ if at < bytes.len() => bytes[at] = random.below(256) as u8,
            _ => (),
        }
    }
    bytes
}

#[test]
fn what_the_targets_start_from_breaks_nothing() {
    for (target, check) in TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() >= 5, "{target} has a corpus");
        seeds.iter().for_each(|seed| check(seed));
        let mut random = Random(7);
        for _ in 0..MADE {
            let seed = &seeds[random.below(seeds.len())];
            check(&like(&mut random, seed));
        }
    }
}
