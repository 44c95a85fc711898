//! What each manifest of ours must say, and that versions are chosen in one place only.

use std::collections::BTreeMap;
use std::mem;

use crate::metadata::Package;

/// Where a line of a manifest stands.
enum Table {
    /// Below `[dependencies]`: each entry is a dependency.
    Dependencies,
    /// Below `[dependencies.NAME]`: each entry is a part of that dependency.
    Dependency(String),
    /// Anywhere else.
    Other,
}

/// One line for each missing field and for each dependency that chooses its own version.
pub(super) fn problems(package: &Package, manifest: &str) -> Vec<String> {
    let name = &package.name;
    let fields = [
        ("license", &package.license),
        ("description", &package.description),
        ("rust-version", &package.rust_version),
    ];
    let missing = fields.into_iter().filter(|(_, value)| value.is_none());
    let missing = missing.map(|(field, _)| format!("{name} has no {field}"));
    let not_inherited = not_inherited(manifest)
        .into_iter()
        .map(|used| format!("{name} must take {used} from [workspace.dependencies] of the root"));
    missing.chain(not_inherited).collect()
}

/// The dependencies, of every kind and platform, that are not inherited from the workspace.
fn not_inherited(manifest: &str) -> Vec<String> {
    let mut table = Table::Other;
    let mut inherited: BTreeMap<String, bool> = BTreeMap::new();
    for entry in entries(manifest) {
        if let Some(header) = entry.strip_prefix('[') {
            table = Table::named(header.trim_end_matches(']'));
            continue;
        }
        let Some((key, value)) = entry.split_once('=') else { continue };
        let (name, part) = match &table {
            Table::Other => continue,
            Table::Dependency(name) => (name.as_str(), key),
            Table::Dependencies => key.split_once('.').unwrap_or((key, "")),
        };
        let is_inherited = (part == "workspace" && value == "true")
            || (part.is_empty() && value.contains("workspace=true"));
        *inherited.entry(name.replace('"', "")).or_default() |= is_inherited;
    }
    inherited.into_iter().filter(|(_, is_inherited)| !is_inherited).map(|(name, _)| name).collect()
}

impl Table {
    fn named(header: &str) -> Self {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            if header == kind || header.ends_with(&format!(".{kind}")) {
                return Self::Dependencies;
            }
            if let Some((before, name)) = header.split_once(&format!("{kind}."))
                && (before.is_empty() || before.ends_with('.'))
            {
                return Self::Dependency(name.to_owned());
            }
        }
        Self::Other
    }
}

/// The entries and headers of a manifest, each on one line, without comments and white space.
fn entries(manifest: &str) -> Vec<String> {
    let mut entries = Vec::new();
    let mut entry = String::new();
    for line in manifest.lines() {
        let code = line.split('#').next().unwrap_or_default();
        entry.extend(code.chars().filter(|c| !c.is_whitespace()));
        let count = |brackets: [char; 2]| entry.matches(brackets).count();
        if !entry.is_empty() && count(['[', '{']) <= count([']', '}']) {
            entries.push(mem::take(&mut entry));
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::{Package, not_inherited, problems};

    #[test]
    fn every_way_to_inherit_is_known() {
        let manifest = r#"
            [package]
            version = "0.1.0"
            [dependencies]
            thiserror.workspace = true
            serde = { workspace = true, features = ["rc"] } # why
            tokio = { features = [
                "rt", # why
                "time",
            ], workspace = true }
            bytes.workspace = true
            bytes.features = ["serde"]
            [target.'cfg(unix)'.dependencies]
            rustix.workspace = true
            [dev-dependencies.proptest]
            workspace = true
            features = ["std"]
            [features]
            own = ["dep:serde"]
        "#;
        assert_eq!(not_inherited(manifest), [""; 0]);
    }

    #[test]
    fn every_way_not_to_inherit_is_seen() {
        let manifest = r#"
            [dependencies]
            a = "1"
            b = { version = "1" }
            c.version = "1"
            [target.'cfg(unix)'.dependencies]
            d = { path = "../d" }
            [dev-dependencies.e]
            version = "1"
            [build-dependencies]
            f = "1"
        "#;
        assert_eq!(not_inherited(manifest), ["a", "b", "c", "d", "e", "f"]);
    }

    #[test]
    fn each_missing_field_is_named() {
        let package = Package { name: "ours".to_owned(), ..Package::default() };
        assert_eq!(
            problems(&package, "[dependencies]\nserde = \"1\"\n"),
            [
                "ours has no license",
                "ours has no description",
                "ours has no rust-version",
                "ours must take serde from [workspace.dependencies] of the root"
            ]
        );
    }
}
