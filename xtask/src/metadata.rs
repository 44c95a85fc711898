//! `Metadata`: what cargo knows of the workspace and of every package it stands on.

use std::path::PathBuf;

use crate::cargo::Cargo;
use crate::json::Json;
use crate::stop::Stop;

/// The answer of `cargo metadata`, as far as it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Where cargo builds, `CARGO_TARGET_DIR` respected.
    pub(crate) target_directory: PathBuf,
    /// Every package of the lock file, ours included.
    pub(crate) packages: Vec<Package>,
}

/// One package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licence expression.
    pub(crate) license: Option<String>,
    /// What it says of itself.
    pub(crate) description: Option<String>,
    /// The oldest compiler it supports.
    pub(crate) rust_version: Option<String>,
    /// Its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    /// Whether it is a member of the workspace.
    pub(crate) is_ours: bool,
    /// What its manifest names, optional and platform-specific dependencies included.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One dependency as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The name of the package, whatever it is renamed to.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) kind: Kind,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The crate itself.
    Normal,
    /// Its build script.
    Build,
    /// Its tests, examples and benches.
    Dev,
}

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    ///
    /// - [`Stop::Command`] if cargo has no answer.
    /// - [`Stop::Problems`] if the answer cannot be understood.
    pub(crate) fn load() -> Result<Self, Stop> {
        let text = Cargo::new("metadata --all-features --format-version 1").read()?;
        let answer = Json::parse(&text)
            .map_err(|error| Stop::problem(format!("the answer of cargo metadata: {error}")))?;
        Self::from_json(&answer)
            .ok_or_else(|| Stop::problem("the answer of cargo metadata lacks a field"))
    }

    /// The members of the workspace.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.is_ours)
    }

    fn from_json(answer: &Json) -> Option<Self> {
        let members = answer.list("workspace_members")?;
        let package = |package: &Json| {
            let is_ours = members.contains(package.get("id")?);
            Some(Package { is_ours, ..Package::from_json(package)? })
        };
        Some(Self {
            target_directory: answer.text("target_directory")?.into(),
            packages: answer.list("packages")?.iter().map(package).collect::<Option<_>>()?,
        })
    }
}

impl Package {
    fn from_json(package: &Json) -> Option<Self> {
        let optional = |key| package.text(key).map(str::to_owned);
        let dependencies = package.list("dependencies")?.iter().map(Dependency::from_json);
        Some(Self {
            name: package.text("name")?.to_owned(),
            version: package.text("version")?.to_owned(),
            license: optional("license"),
            description: optional("description"),
            rust_version: optional("rust_version"),
            manifest_path: package.text("manifest_path")?.into(),
            is_ours: false,
            dependencies: dependencies.collect::<Option<_>>()?,
        })
    }
}

impl Dependency {
    fn from_json(dependency: &Json) -> Option<Self> {
        let kind = match dependency.text("kind") {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Dev,
            Some(_) => return None,
        };
        Some(Self { name: dependency.text("name")?.to_owned(), kind })
    }
}

#[cfg(test)]
mod tests {
    use super::{Dependency, Json, Kind, Metadata, Package};

    const ANSWER: &str = r#"{
        "packages": [
            {"name": "ours", "version": "0.1.0", "id": "path+file:///ours#0.1.0",
             "license": "MIT", "description": "Ours.", "rust_version": "1.90",
             "manifest_path": "/ours/Cargo.toml",
             "dependencies": [{"name": "theirs", "kind": null}, {"name": "theirs", "kind": "dev"},
                              {"name": "cc", "kind": "build"}]},
            {"name": "theirs", "version": "1.2.3", "id": "theirs", "license": null,
             "manifest_path": "/theirs/Cargo.toml", "dependencies": []}
        ],
        "workspace_members": ["path+file:///ours#0.1.0"],
        "target_directory": "/target"
    }"#;

    #[test]
    fn packages_are_read_with_their_dependencies() {
        let dependency = |name: &str, kind| Dependency { name: name.to_owned(), kind };
        let ours = Package {
            name: "ours".to_owned(),
            version: "0.1.0".to_owned(),
            license: Some("MIT".to_owned()),
            description: Some("Ours.".to_owned()),
            rust_version: Some("1.90".to_owned()),
            manifest_path: "/ours/Cargo.toml".into(),
            is_ours: true,
            dependencies: vec![
                dependency("theirs", Kind::Normal),
                dependency("theirs", Kind::Dev),
                dependency("cc", Kind::Build),
            ],
        };
        let theirs = Package {
            name: "theirs".to_owned(),
            version: "1.2.3".to_owned(),
            manifest_path: "/theirs/Cargo.toml".into(),
            ..Package::default()
        };
        assert_eq!(
            Json::parse(ANSWER).ok().and_then(|answer| Metadata::from_json(&answer)),
            Some(Metadata { target_directory: "/target".into(), packages: vec![ours, theirs] })
        );
    }

    #[test]
    fn an_unknown_kind_is_not_taken_for_a_known_one() {
        let answer = Json::parse(&ANSWER.replace("\"dev\"", "\"new\"")).expect("it is JSON");
        assert_eq!(Metadata::from_json(&answer), None);
    }
}
