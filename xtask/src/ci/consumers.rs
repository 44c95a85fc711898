//! The step `consumers`: a part can be taken alone, from outside the workspace.
//!
//! Each consumer is a real crate with a workspace of its own that depends on one of our crates by
//! path. It is built and run, and then its dependency tree must hold nothing that it did not ask for.

use std::collections::BTreeSet;

use super::edges;
use crate::cargo::Cargo;
use crate::metadata::Metadata;
use crate::stop::Stop;

/// One crate outside the workspace.
struct Consumer {
    /// Its folder, below `consumers`.
    folder: &'static str,
    /// Our crates that may be in its tree.
    ours: &'static [&'static str],
}

/// Builds, runs and judges every consumer.
///
/// # Errors
///
/// - [`Stop::Command`] if one does not build or its assertions fail.
/// - [`Stop::Problems`] if one gets more than it asked for.
pub(super) fn run() -> Result<(), Stop> {
    let metadata = Metadata::load()?;
    let target = metadata.target_directory.join("consumers");
    let target = target.to_string_lossy();
    let ours: BTreeSet<&str> = metadata.ours().map(|package| package.name.as_str()).collect();

    let mut problems = Vec::new();
    for consumer in CONSUMERS {
        let manifest = format!("consumers/{}/Cargo.toml", consumer.folder);
        Cargo::new("run --manifest-path").args([&*manifest, "--target-dir", &target]).run()?;
        let tree = edges::tree(&["--manifest-path", &manifest])?;
        problems.extend(judge(consumer, &tree, &ours));
    }
    Stop::unless_empty(problems)
}

/// One line for each package in the tree that the consumer did not ask for.
fn judge(consumer: &Consumer, tree: &BTreeSet<String>, ours: &BTreeSet<&str>) -> Vec<String> {
    let folder = consumer.folder;
    let is_ours = |name: &str| ours.contains(name) && name != folder;
    let mut problems = edges::absences(folder, tree);
    for name in tree.iter().filter(|name| is_ours(name)) {
        if !consumer.ours.contains(&name.as_str()) {
            problems.push(format!("{folder} gets {name}, which it did not ask for"));
        }
    }
    problems
}

const CONSUMERS: &[Consumer] = &[
    Consumer { folder: "shape-only", ours: &["mesh-shape"] },
    Consumer { folder: "controller-only", ours: &["mesh-shape", "mesh-core", "controller"] },
];

#[cfg(test)]
mod tests {
    use super::{BTreeSet, CONSUMERS, judge};

    #[test]
    fn a_consumer_gets_only_what_it_asked_for() {
        let [shape_only, ..] = CONSUMERS else { panic!("there is a consumer") };
        let ours = BTreeSet::from(["mesh-shape", "mesh-core"]);
        let tree = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();

        let good = tree(&["shape-only", "mesh-shape", "thiserror"]);
        assert_eq!(judge(shape_only, &good, &ours), [""; 0]);

        let bad = tree(&["shape-only", "mesh-shape", "mesh-core", "tokio-util"]);
        assert_eq!(
            judge(shape_only, &bad, &ours),
            [
                "shape-only must do without tokio-util",
                "shape-only gets mesh-core, which it did not ask for"
            ]
        );
    }
}
