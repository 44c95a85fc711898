//! corpus: the texts that the fuzz targets start from, and many like them, break no parser.

mod parsers;
#[path = "../../../../fuzz/replay.rs"]
mod replay;

use replay::Random;

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

/// The texts of one target.
fn seeds(target: &str) -> Vec<String> {
    let text = |seed| String::from_utf8(seed).expect("a seed is text");
    replay::seeds(target).into_iter().map(text).collect()
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
