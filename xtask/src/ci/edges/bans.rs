//! Packages that nobody may bring in, kept by hand: no advisory database is asked.

use crate::metadata::Package;

/// One line for each banned package of the lock file, with who names it.
pub(super) fn problems(packages: &[Package]) -> Vec<String> {
    let banned = packages.iter().filter_map(|package| Some((package, reason(&package.name)?)));
    banned
        .map(|(Package { name, version, .. }, reason)| {
            let users = users(packages, name).join(", ");
            format!("{name} {version} is banned: {reason} (named by {users})")
        })
        .collect()
}

fn reason(name: &str) -> Option<&'static str> {
    BANNED.iter().find(|(banned, _)| *banned == name).map(|(_, reason)| *reason)
}

fn users<'a>(packages: &'a [Package], name: &str) -> Vec<&'a str> {
    let names_it = |user: &&Package| user.dependencies.iter().any(|used| used.name == name);
    packages.iter().filter(names_it).map(|user| user.name.as_str()).collect()
}

/// What is banned, and why. `deny.toml` holds the same list.
const BANNED: &[(&str, &str)] = &[
    ("bincode", "abandoned; the wire format is postcard"),
    ("backoff", "unmaintained; delays are an iterator of our own"),
    ("instant", "unmaintained; time comes in as an argument"),
    ("paste", "unmaintained"),
    ("atomic-polyfill", "unmaintained"),
    ("rustls-pemfile", "unmaintained; rustls reads PEM itself"),
    ("derivative", "unmaintained"),
];

#[cfg(test)]
mod tests {
    use super::{BANNED, Package, problems};
    use crate::metadata::{Dependency, Kind};

    fn package(name: &str, used: &[&str]) -> Package {
        let named = |&name: &&str| Dependency { name: name.to_owned(), kind: Kind::Normal };
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            dependencies: used.iter().map(named).collect(),
            ..Package::default()
        }
    }

    #[test]
    fn a_banned_package_is_reported_with_who_names_it() {
        let packages = [package("rmp", &["paste"]), package("paste", &[]), package("serde", &[])];
        assert_eq!(problems(&packages), ["paste 1.0.0 is banned: unmaintained (named by rmp)"]);
    }

    #[test]
    fn deny_toml_holds_the_same_list() {
        let deny = include_str!("../../../../deny.toml");
        let lines =
            deny.lines().filter_map(|line| line.split("crate = \"").nth(1)?.split('"').next());
        let banned: Vec<&str> = BANNED.iter().map(|(name, _)| *name).collect();
        assert_eq!(lines.collect::<Vec<_>>(), banned);
    }
}
