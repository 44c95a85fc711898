//! What the pure crates must do without: runtimes, clocks, randomness, logging, metrics, hash maps.

use std::collections::BTreeSet;

/// One line for each package in the tree of `user` that belongs to an absent family.
pub(in crate::ci) fn absences(user: &str, tree: &BTreeSet<String>) -> Vec<String> {
    let unwanted = tree.iter().filter(|name| ABSENT.iter().any(|family| is_of(name, family)));
    unwanted.map(|name| format!("{user} must do without {name}")).collect()
}

/// Whether a package is the head of the family or named after it: `tokio-util` is of `tokio`.
fn is_of(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

/// Families of packages that decide for the caller what a pure crate takes as an argument.
const ABSENT: &[&str] = &[
    // Runtimes.
    "tokio",
    "async-std",
    "async-executor",
    "smol",
    "futures",
    "mio",
    "crossbeam-channel",
    "rayon",
    // Clocks.
    "time",
    "chrono",
    "jiff",
    "quanta",
    "coarsetime",
    "minstant",
    "web-time",
    // Randomness.
    "rand",
    "getrandom",
    "fastrand",
    "oorandom",
    "nanorand",
    // Logging and metrics.
    "log",
    "tracing",
    "slog",
    "metrics",
    "prometheus",
    "opentelemetry",
    // Maps whose order is random, and locks.
    "hashbrown",
    "dashmap",
    "indexmap",
    "ahash",
    "fxhash",
    "rustc-hash",
    "foldhash",
    "parking_lot",
];

#[cfg(test)]
mod tests {
    use super::absences;

    #[test]
    fn members_of_an_absent_family_are_reported() {
        let tree = ["controller", "serde_core", "tokio", "tokio-util", "rand_core"];
        let tree = tree.map(str::to_owned).into();
        assert_eq!(
            absences("controller", &tree),
            [
                "controller must do without rand_core",
                "controller must do without tokio",
                "controller must do without tokio-util"
            ]
        );
    }

    #[test]
    fn a_name_that_only_begins_alike_is_fine() {
        let tree = ["timed", "logos", "metricsql"].map(str::to_owned).into();
        assert_eq!(absences("controller", &tree), [""; 0]);
    }
}
