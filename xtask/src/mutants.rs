//! `cargo xtask mutants`: planted bugs, each of which a test must find that its file names.
//!
//! A mutant is a small file in `mutants/`: a sentence, and text to search and to replace. It is planted
//! in a copy of the workspace in `target/mutants`, so that nobody's files are touched; what was said
//! there while it was judged is kept in `target/mutants/log`. Whoever ends a run by a signal ends only
//! this program: tests that run at that moment go on to their end.

mod child;
mod edit;
mod judge;
mod list;
mod mutant;
mod results;
mod suite;
mod tree;
mod verdict;

pub(crate) use list::check;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use mutant::Mutant;

use crate::stop::Stop;

/// Judges every mutant, the named ones, or lists them.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let mutants = match list::load() {
        Ok(mutants) => mutants,
        Err(stop) => return failed(&stop),
    };
    if args == ["--list"] {
        for Mutant { name, breaks, what, .. } in &mutants {
            println!("{name:<NAME_WIDTH$} {:<8} {what}", breaks.join(" "));
        }
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = args.iter().find(|arg| mutants.iter().all(|one| one.name != **arg)) {
        let why = format!("there is no mutant {unknown}: see `cargo xtask mutants --list`");
        return crate::usage_error(&why);
    }
    let is_chosen = |mutant: &Mutant| args.is_empty() || args.contains(&mutant.name);
    let chosen: Vec<Mutant> = mutants.into_iter().filter(is_chosen).collect();
    match judge::all(&chosen) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(stop) => failed(&stop),
    }
}

fn failed(stop: &Stop) -> ExitCode {
    eprintln!("mutants: {stop}");
    ExitCode::FAILURE
}

/// What stands for a file that cannot be read or written.
fn told(path: &Path, error: &io::Error) -> Stop {
    Stop::problem(format!("{}: {error}", path.display()))
}

/// The width of a column of names.
const NAME_WIDTH: usize = 46;
