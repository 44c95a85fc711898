//! The height of each crate of the workspace: a crate may use only lower ones.

use crate::metadata::{Dependency, Kind, Metadata, Package};

/// One line for each edge between our crates that points up or sideways, and for each crate that
/// has no place yet.
pub(super) fn problems(metadata: &Metadata) -> Vec<String> {
    let is_ours = |name: &str| metadata.ours().any(|package| package.name == name);
    let mut problems = Vec::new();
    for package in metadata.ours() {
        let user = package.name.as_str();
        if height(user).is_none() && ![TESTKIT, XTASK].contains(&user) {
            problems.push(format!("{user} has no place in heights::HEIGHTS"));
            continue;
        }
        let judged =
            package.dependencies.iter().filter(|used| user == XTASK || is_ours(&used.name));
        problems.extend(judged.filter_map(|used| problem(package, used)));
    }
    problems
}

/// What is wrong with one edge. The same rules hold for tests: what they use has to be built too.
fn problem(user: &Package, used: &Dependency) -> Option<String> {
    let (user, used, kind) = (user.name.as_str(), used.name.as_str(), used.kind);
    if used == TESTKIT && user != XTASK {
        let why = format!("{user} may depend on {TESTKIT} only for its tests");
        return (kind != Kind::Dev).then_some(why);
    }
    let is_itself = user == used && kind == Kind::Dev;
    let is_lower = reach(user).is_some_and(|reach| height(used).is_some_and(|used| used < reach));
    let meets_transport = used == TRANSPORT && !FACADES.contains(&user);
    let is_wrong = !is_itself && (!is_lower || meets_transport);
    is_wrong.then(|| format!("{user} may not depend on {used}"))
}

/// What a crate may use lies below this height; none if it may use none of ours.
fn reach(name: &str) -> Option<u8> {
    if name == TESTKIT { height("meshwarden") } else { height(name) }
}

fn height(name: &str) -> Option<u8> {
    HEIGHTS.iter().find(|(known, _)| *known == name).map(|(_, height)| *height)
}

/// The height of each shipped crate.
const HEIGHTS: &[(&str, u8)] = &[
    ("mesh-shape", 0),
    ("mesh-core", 1),
    ("controller", 2),
    ("mesh-runtime", 3),
    ("transport-tcp", 3),
    ("mesh-cast", 4),
    ("supervise", 4),
    ("proc-mesh", 5),
    ("actor-mesh", 5),
    ("meshwarden", 6),
    ("meshwarden-cli", 7),
];

/// The crates that know no runtime: everything at or below `controller`.
pub(super) const PURE: &[&str] = &["mesh-shape", "mesh-core", "controller"];

/// Only here does a transport meet a mesh.
const FACADES: &[&str] = &["meshwarden", "meshwarden-cli"];
const TRANSPORT: &str = "transport-tcp";

/// Anybody's helper in tests, and part of nothing that is shipped.
const TESTKIT: &str = "mesh-testkit";

/// Uses nothing and is used by nobody.
const XTASK: &str = "xtask";

#[cfg(test)]
mod tests {
    use super::{Dependency, HEIGHTS, Kind, Metadata, PURE, Package, height, problems};

    /// The problems of a workspace of all known crates in which `user` names `used`.
    fn edge(user: &str, used: &str, kind: Kind) -> Vec<String> {
        let known = HEIGHTS.iter().map(|(name, _)| *name).chain(["mesh-testkit", "xtask"]);
        let mut packages: Vec<Package> = known.map(package).collect();
        if packages.iter().all(|package| package.name != user) {
            packages.push(package(user));
        }
        for package in packages.iter_mut().filter(|package| package.name == user) {
            package.dependencies.push(Dependency { name: used.to_owned(), kind });
        }
        problems(&Metadata { target_directory: "/target".into(), packages })
    }

    fn package(name: &str) -> Package {
        Package { name: name.to_owned(), is_ours: true, ..Package::default() }
    }

    #[test]
    fn an_upward_dependency_is_reported() {
        assert_eq!(
            edge("mesh-core", "controller", Kind::Normal),
            ["mesh-core may not depend on controller"]
        );
        assert_eq!(
            edge("proc-mesh", "meshwarden", Kind::Dev),
            ["proc-mesh may not depend on meshwarden"]
        );
    }

    #[test]
    fn crates_of_one_height_never_name_each_other() {
        assert_eq!(
            edge("supervise", "mesh-cast", Kind::Normal),
            ["supervise may not depend on mesh-cast"]
        );
    }

    #[test]
    fn a_downward_dependency_and_any_package_of_others_are_fine() {
        assert_eq!(edge("controller", "mesh-core", Kind::Normal), [""; 0]);
        assert_eq!(edge("meshwarden-cli", "meshwarden", Kind::Normal), [""; 0]);
        assert_eq!(edge("meshwarden", "meshwarden", Kind::Dev), [""; 0]);
        assert_eq!(edge("mesh-shape", "thiserror", Kind::Normal), [""; 0]);
    }

    #[test]
    fn a_transport_meets_a_mesh_only_in_the_facade() {
        assert_eq!(
            edge("actor-mesh", "transport-tcp", Kind::Dev),
            ["actor-mesh may not depend on transport-tcp"]
        );
        assert_eq!(edge("meshwarden", "transport-tcp", Kind::Normal), [""; 0]);
    }

    #[test]
    fn the_testkit_serves_tests_only() {
        assert_eq!(edge("mesh-shape", "mesh-testkit", Kind::Dev), [""; 0]);
        assert_eq!(
            edge("proc-mesh", "mesh-testkit", Kind::Normal),
            ["proc-mesh may depend on mesh-testkit only for its tests"]
        );
        assert_eq!(edge("mesh-testkit", "proc-mesh", Kind::Normal), [""; 0]);
        assert_eq!(
            edge("mesh-testkit", "meshwarden", Kind::Normal),
            ["mesh-testkit may not depend on meshwarden"]
        );
    }

    #[test]
    fn xtask_uses_nothing_and_is_used_by_nobody() {
        assert_eq!(edge("xtask", "serde", Kind::Dev), ["xtask may not depend on serde"]);
        assert_eq!(
            edge("xtask", "mesh-testkit", Kind::Dev),
            ["xtask may not depend on mesh-testkit"]
        );
        assert_eq!(
            edge("meshwarden", "xtask", Kind::Build),
            ["meshwarden may not depend on xtask"]
        );
    }

    #[test]
    fn a_crate_without_a_place_is_a_problem() {
        assert_eq!(
            edge("mesh-new", "mesh-shape", Kind::Normal),
            ["mesh-new has no place in heights::HEIGHTS"]
        );
    }

    #[test]
    fn the_pure_crates_are_those_up_to_the_controller() {
        let low = HEIGHTS.iter().filter(|(_, low)| Some(*low) <= height("controller"));
        assert_eq!(low.map(|(name, _)| *name).collect::<Vec<_>>(), PURE);
    }
}
