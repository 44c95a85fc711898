//! The list of all mutants, and whether each still fits the code.

use std::fs;
use std::io;
use std::path::Path;

use super::mutant::{ENDING, Mutant};
use super::told;
use crate::cargo;
use crate::stop::Stop;

/// Every mutant there is, by name.
///
/// # Errors
///
/// [`Stop::Problems`] with one line for each that cannot be read.
pub(super) fn load() -> Result<Vec<Mutant>, Stop> {
    let folder = cargo::root().join(FOLDER);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| told(&folder, &error))? {
        let entry = entry.map_err(|error| told(&folder, &error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    let (mut mutants, mut problems) = (Vec::new(), Vec::new());
    for name in names {
        let path = format!("{FOLDER}/{name}");
        if !name.ends_with(ENDING) {
            problems.push(format!("{path}: a mutant is called *{ENDING}"));
            continue;
        }
        let file = folder.join(&name);
        let text = fs::read_to_string(&file).map_err(|error| told(&file, &error))?;
        match Mutant::parse(&path, &text) {
            Ok(mutant) => mutants.push(mutant),
            Err(why) => problems.push(why),
        }
    }
    Stop::unless_empty(problems)?;
    Ok(mutants)
}

/// Whether every mutant can be read, still fits the code, and names a test that there is. Builds
/// nothing.
///
/// # Errors
///
/// [`Stop::Problems`] with one line for each that does not.
pub(crate) fn check() -> Result<(), Stop> {
    let mutants = load()?;
    let read = |path: &str| {
        fs::read_to_string(cargo::root().join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let mut problems: Vec<String> =
        mutants.iter().filter_map(|mutant| mutant.planted(read).err()).collect();
    for mutant in &mutants {
        let folder = cargo::root().join("crates").join(&mutant.package);
        let test = mutant.killed_by.rsplit("::").next().unwrap_or_default();
        if !mentions(&folder, test).map_err(|error| told(&folder, &error))? {
            let Mutant { path, package, .. } = mutant;
            problems.push(format!("{path}: no file of {package} mentions its test {test}"));
        }
    }
    println!("{} mutants looked at", mutants.len());
    Stop::unless_empty(problems)
}

/// Whether a file of Rust in that folder holds the word.
fn mentions(folder: &Path, word: &str) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_found = if path.is_dir() {
            mentions(&path, word)?
        } else {
            path.extension().is_some_and(|ending| ending == "rs")
                && fs::read_to_string(&path)?.contains(word)
        };
        if is_found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the mutants are.
const FOLDER: &str = "mutants";
