//! corpus: the texts that the fuzz targets start from, and many like them, break no parser.

mod parsers;

use std::fs;
use std::path::Path;

type Check = fn(&str);

/// The fuzz targets, by the name of their folder.
const TARGETS: [(&str, Check); 5] = [
    ("extent", parsers::extent),
    ("point", parsers::point),
    ("slice", parsers::slice),
    ("region", parsers::region),
    ("rank_set", parsers::rank_set),
];

/// How many texts are made of the seeds of each target.
const TEXTS: usize = 10_000;

/// The texts of one target, in the order of their names.
fn seeds(target: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("the corpus is beside the fuzz targets");
    let mut paths: Vec<_> =
        entries.map(|entry| entry.expect("it is in the folder").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).expect("a seed is text")).collect()
}

/// The numbers of `SplitMix64`: enough to mutate texts, and the same ones each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap_or_default() % limit.max(1)
    }
}

/// Pieces that mean something to a parser.
const TOKENS: [&str; 34] = [
    "=",
    ",",
    ":",
    "::",
    "-",
    "+",
    "@",
    "..",
    "...",
    "()",
    "\"",
    "\\",
    "\\\"",
    "\\u{61}",
    "\n",
    " ",
    "\t",
    "0",
    "1",
    "-1",
    "2",
    "7",
    "8",
    "a",
    "b",
    "hosts",
    "gpus",
    "ö",
    "\u{7f}",
    "64",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
];

/// A text with one to four pieces put in, taken out, or brought from another text.
fn mutated(random: &mut Random, seeds: &[String]) -> String {
    let mut chars: Vec<char> = seeds[random.below(seeds.len())].chars().collect();
    for _ in 0..=random.below(4) {
        let at = random.below(chars.len() + 1);
        let end = (at + random.below(6)).min(chars.len());
        match random.below(4) {
            0 => drop(chars.drain(at..end)),
            1 => drop(chars.splice(at..at, TOKENS[random.below(TOKENS.len())].chars())),
            2 => drop(chars.splice(at..end, TOKENS[random.below(TOKENS.len())].chars())),
            _ => {
                let other: Vec<char> = seeds[random.below(seeds.len())].chars().collect();
                let from = random.below(other.len() + 1);
                drop(chars.splice(at..end, other[from..].iter().copied()));
            }
        }
    }
    chars.into_iter().collect()
}

#[test]
fn every_seed_is_read_back_or_refused_at_its_byte() {
    for (target, check) in TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() >= 24, "{target} has {} seeds", seeds.len());
        seeds.iter().for_each(|seed| check(seed));
    }
}

#[test]
fn so_is_every_text_like_them() {
    for (target, check) in TARGETS {
        let (seeds, mut random) = (seeds(target), Random(42));
        for _ in 0..TEXTS {
            let text = mutated(&mut random, &seeds);
            let checked = std::panic::catch_unwind(|| check(&text));
            assert!(checked.is_ok(), "{target} breaks on {text:?}");
        }
    }
}
