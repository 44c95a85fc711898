//! The tasks of the workspace, as `cargo xtask TASK`.
//!
//! Standard library only: it is compiled first in every run, and it judges the dependencies of
//! everybody else.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to people")]

mod bench;
mod cargo;
mod chaos;
mod ci;
mod cycles;
mod demo;
mod fix;
mod json;
mod metadata;
mod mutants;
mod replay;
mod sim;
mod stop;

use std::env;
use std::process::ExitCode;

/// One task: what to type, and what it does.
struct Task {
    name: &'static str,
    args: &'static str,
    about: &'static str,
    run: fn(&[String]) -> ExitCode,
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.split_first() {
        None => help(),
        Some((name, _)) if ["help", "--help", "-h"].contains(&name.as_str()) => help(),
        Some((name, rest)) => match TASKS.iter().find(|task| task.name == name) {
            Some(task) => (task.run)(rest),
            None => usage_error(&format!("there is no task {name}: see `cargo xtask help`")),
        },
    }
}

/// Says what was wrong with the command line. Nothing was run.
fn usage_error(why: &str) -> ExitCode {
    eprintln!("xtask: {why}");
    ExitCode::from(2)
}

fn help() -> ExitCode {
    println!("Tasks of this workspace:\n");
    for Task { name, args, about, .. } in TASKS {
        let typed = format!("cargo xtask {name} {args}");
        println!("  {typed:<34} {about}");
    }
    ExitCode::SUCCESS
}

const TASKS: &[Task] = &[
    Task {
        name: "ci",
        args: "[--list | STEP…]",
        about: "every check there is, or only the named steps; edits nothing",
        run: ci::run,
    },
    Task {
        name: "fix",
        args: "",
        about: "what rustfmt and clippy can mend by themselves",
        run: fix::run,
    },
    Task {
        name: "demo",
        args: "[ARGS…]",
        about: "the demonstration, built for release: meshwarden demo ARGS",
        run: demo::run,
    },
    Task {
        name: "replay",
        args: "TRACE [--json]",
        about: "a trace of `meshwarden run --trace`, given to the controller again, and its effects",
        run: replay::run,
    },
    Task {
        name: "chaos",
        args: "[ARGS…]",
        about: "the chaos driver, built for release: real faults, and a checker of their history",
        run: chaos::run,
    },
    Task {
        name: "sim",
        args: "[ARGS…]",
        about: "whole meshes on a network with faults, each decided by a seed, and a judge",
        run: sim::run,
    },
    Task {
        name: "cycles",
        args: "[N]",
        about: "N processes (10,000) are started and killed, and nothing of them is left",
        run: cycles::run,
    },
    Task {
        name: "bench",
        args: "[NAME…]",
        about: "the benches, built for release, beside floors and peers; without NAME they are listed",
        run: bench::run,
    },
    Task {
        name: "mutants",
        args: "[--list | NAME…]",
        about: "planted bugs, each of which a test must find; or only the named ones",
        run: mutants::run,
    },
];
