//! The step `tidy`: rules about files that no lint has.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::cargo;
use crate::stop::Stop;

/// Judges every file that git tracks, or would track.
///
/// # Errors
///
/// - [`Stop::Problems`] with one line for each broken rule.
/// - [`Stop::Skipped`] if git cannot say which files there are.
pub(super) fn run() -> Result<(), Stop> {
    let paths = tracked()?;
    let mut problems = judge_tree(&paths);
    for path in &paths {
        let bytes = fs::read(cargo::root().join(path))
            .map_err(|error| Stop::problem(format!("{path}: {error}")))?;
        // What is not text has no lines to judge.
        if let Ok(text) = String::from_utf8(bytes) {
            problems.extend(judge_file(path, &text));
        }
    }
    println!("{} files looked at", paths.len());
    Stop::unless_empty(problems)
}

/// The files of the tree, as paths from the root, without those that were deleted.
fn tracked() -> Result<BTreeSet<String>, Stop> {
    let list = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(cargo::root())
        .output()
        .map_err(|error| Stop::Skipped(format!("git cannot be started: {error}")))?;
    if !list.status.success() {
        let why = String::from_utf8_lossy(&list.stderr);
        return Err(Stop::Skipped(format!("git does not know this folder: {}", why.trim())));
    }
    let paths = String::from_utf8_lossy(&list.stdout);
    let exists = |path: &&str| !path.is_empty() && cargo::root().join(path).is_file();
    Ok(paths.split('\0').filter(exists).map(str::to_owned).collect())
}

/// What is wrong with the set of files.
fn judge_tree(paths: &BTreeSet<String>) -> Vec<String> {
    let missing = REQUIRED.iter().filter(|path| !paths.contains(**path));
    let missing = missing.map(|path| format!("{path} is missing"));
    let folders = paths.iter().filter_map(|path| path.strip_suffix("/Cargo.toml"));
    let crates = folders.filter(|folder| folder.starts_with("crates/"));
    let silent = crates.filter(|folder| !paths.contains(&format!("{folder}/README.md")));
    missing.chain(silent.map(|folder| format!("{folder} has no README.md"))).collect()
}

/// What is wrong with one file.
fn judge_file(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if path.ends_with(".rs") {
        problems.extend(judge_source(path, text).into_iter().map(|why| format!("{path} {why}")));
    }
    if path == "README.md" {
        let missing = COMMANDS.iter().filter(|command| !text.contains(**command));
        problems.extend(missing.map(|command| format!("{path} does not show `{command}`")));
    }
    // The lock file is written by cargo.
    if path != "Cargo.lock" {
        problems.extend(judge_words(path, text));
    }
    problems
}

/// What is wrong with one file of Rust.
fn judge_source(path: &str, text: &str) -> Vec<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_root = ["src/lib.rs", "src/main.rs"].iter().any(|root| path.ends_with(root));
    let n_lines = text.lines().count();
    let mut problems = Vec::new();
    if !text.starts_with("//! ") {
        problems.push("does not begin with `//! ` and what it is for".to_owned());
    }
    if name == "mod.rs" {
        problems.push("must be called after its module".to_owned());
    }
    if n_lines > FILE_LINES_MAX {
        problems.push(format!("has {n_lines} lines: split it before {FILE_LINES_MAX}"));
    }
    if name == "lib.rs" && n_lines > LIB_LINES_MAX {
        problems.push(format!("has {n_lines} lines: a lib.rs has at most {LIB_LINES_MAX}"));
    }
    if is_root && !text.lines().any(|line| line == FORBID) {
        problems.push(format!("lacks {FORBID}"));
    }
    let twice = causes_told_twice(text).into_iter();
    problems.extend(
        twice.map(|line| format!("line {line}: the words of an error have its source in them")),
    );
    problems
}

/// The lines with errors whose words name what is also their source: whoever prints the chain says it twice.
fn causes_told_twice(text: &str) -> Vec<usize> {
    let (mut found, mut error) = (Vec::new(), None);
    let mut lines = text.lines().zip(1..).peekable();
    while let Some((line, number)) = lines.next() {
        if let Some((_, words)) = line.split_once("#[error(") {
            error = words.strip_prefix('"').map(|words| (number, words));
        }
        if !line.contains("#[from]") && !line.contains("#[source]") {
            continue;
        }
        // One without a name stands on the line of its attribute, one with a name below it.
        let is_named = line.trim().starts_with("#[");
        let below = lines.peek().filter(|_| is_named).and_then(|(below, _)| below.split_once(':'));
        let field = below.map_or("0", |(name, _)| name.trim().trim_start_matches("pub "));
        let told = error.take_if(|(_, words)| {
            ["}", ":"].iter().any(|end| words.contains(&format!("{{{field}{end}")))
        });
        found.extend(told.map(|(number, _)| number));
    }
    found
}

/// One line for each line with a word that belongs to somebody's desk and not to the project.
fn judge_words(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.to_lowercase()));
    lines
        .filter(|(_, line)| BANNED.iter().any(|word| line.contains(word)) || names_ticket(line))
        .map(|(number, _)| format!("{path}:{number} has a word that does not belong here"))
        .collect()
}

/// Whether a line in lower case speaks of a ticket by its number.
fn names_ticket(line: &str) -> bool {
    line.match_indices(TICKET).any(|(at, word)| {
        let (before, after) = line.split_at(at);
        let number = after.trim_start_matches(word).trim_start_matches('#');
        number.starts_with(|c: char| c.is_ascii_digit())
            && !before.ends_with(|c: char| c.is_alphanumeric())
    })
}

/// The longest file of Rust, tests included.
const FILE_LINES_MAX: usize = 600;
/// The longest `lib.rs`: doc, modules, and what is public.
const LIB_LINES_MAX: usize = 100;

/// The line that every root of a crate has.
const FORBID: &str = "#![forbid(unsafe_code)]";

/// What a newcomer finds in the README.
const COMMANDS: &[&str] = &["cargo xtask demo", "cargo xtask ci"];

/// The files that the root has.
const REQUIRED: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
];

// In pieces, so that this file does not break its own rule.
/// Words that belong nowhere in the tree, in lower case.
const BANNED: &[&str] = &[concat!("/wo", "rk/"), concat!("arti", "factory")];
/// What stands before the number of a ticket.
const TICKET: &str = concat!("iss", "ue ");

#[cfg(test)]
mod tests;
