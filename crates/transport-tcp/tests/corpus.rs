//! corpus: what the fuzz targets start from, and much that is like it, breaks nothing.

use std::fs;
use std::path::Path;

use transport_tcp::fuzzing;

type Check = fn(&[u8]);

/// The fuzz targets, by the name of their folder.
const TARGETS: [(&str, Check); 3] =
    [("frames", fuzzing::frames), ("hello", fuzzing::hello), ("session", fuzzing::session)];

/// How many are made of each seed.
const MADE: usize = 60;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("the corpus is beside the fuzz targets");
    let mut paths: Vec<_> =
        entries.map(|entry| entry.expect("it is in the folder").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a seed can be read")).collect()
}

/// The numbers of `SplitMix64`: the same ones each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap_or_default() % limit.max(1)
    }

    /// Bytes like these: some of them changed, left out, or said twice.
    fn like(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes.insert(at.min(bytes.len()), self.below(256) as u8),
                1 => bytes.truncate(at),
                2 => {
                    let part = bytes.get(at..).unwrap_or_default().to_vec();
                    bytes.extend(part.iter().take(64));
                }
                _ if at < bytes.len() => bytes[at] = self.below(256) as u8,
                _ => (),
            }
        }
        bytes
    }
}

#[test]
fn what_the_targets_start_from_breaks_nothing() {
    for (target, check) in TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() >= 5, "{target} has a corpus");
        let mut random = Random(7);
        for seed in &seeds {
            check(seed);
            for _ in 0..MADE {
                check(&random.like(seed));
            }
        }
    }
}
