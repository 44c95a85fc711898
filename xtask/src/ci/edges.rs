//! The step `edges`: who may depend on whom, and what nobody may bring in.

mod absences;
mod bans;
mod heights;
mod license;
mod manifest;

pub(super) use absences::absences;

use std::collections::BTreeSet;
use std::fs;

use crate::cargo::Cargo;
use crate::metadata::{Metadata, Package};
use crate::stop::Stop;

/// Judges the whole workspace and every package it stands on.
///
/// # Errors
///
/// - [`Stop::Problems`] with one line for each edge, package or manifest that breaks a rule.
/// - [`Stop::Command`] if cargo has no answer.
pub(super) fn run() -> Result<(), Stop> {
    let metadata = Metadata::load()?;
    let mut problems = heights::problems(&metadata);
    for package in metadata.ours() {
        problems.extend(judge_manifest(package)?);
    }
    problems.extend(bans::problems(&metadata.packages));
    problems.extend(metadata.packages.iter().filter_map(license::problem));
    for name in heights::PURE {
        problems.extend(absences(name, &tree(&["-p", name, "--all-features"])?));
    }
    println!(
        "{} packages looked at, {} of them ours",
        metadata.packages.len(),
        metadata.ours().count()
    );
    Stop::unless_empty(problems)
}

/// The names of all packages that are linked into what `selection` builds by itself.
///
/// Procedural macros are left out: they run in the compiler, not in the product.
///
/// # Errors
///
/// - [`Stop::Command`] if cargo has no answer.
pub(super) fn tree(selection: &[&str]) -> Result<BTreeSet<String>, Stop> {
    let listing = Cargo::new("tree -e normal,no-proc-macro --prefix none --format {p}")
        .args(selection.iter().copied())
        .read()?;
    let first_word = |line: &str| line.split_whitespace().next().map(str::to_owned);
    Ok(listing.lines().filter_map(first_word).collect())
}

fn judge_manifest(package: &Package) -> Result<Vec<String>, Stop> {
    let path = &package.manifest_path;
    let text = fs::read_to_string(path)
        .map_err(|error| Stop::problem(format!("{}: {error}", path.display())))?;
    Ok(manifest::problems(package, &text))
}
