//! The programs: what they are asked for, and how they end.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "programs that talk to people")]

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::actors;
use crate::cast;
use crate::controller;
use crate::heap::Heap;
use crate::measure::Effort;
use crate::path;
use crate::procs;
use crate::report::{Record, Report};
use crate::shape;
use crate::transport;

/// One bench: what to type, and what it measures.
struct Bench {
    name: &'static str,
    about: &'static str,
    /// The program beside this one that runs first.
    first: &'static str,
    /// What takes how long. Gets what the first program has found.
    times: fn(Effort, Vec<Vec<Record>>, &mut Report),
    /// What takes how many bytes, one list for each work, where that is what the first program finds.
    bytes: fn(Effort, Heap) -> Vec<Vec<Record>>,
}

/// What was asked for on the command line.
struct Args {
    /// At least one.
    benches: Vec<&'static Bench>,
    effort: Effort,
    /// The folder for the figures; `None` if they are only to be shown.
    out: Option<PathBuf>,
}

/// Measures what is named on the command line, shows the figures, and writes them where it is told.
#[must_use]
pub fn measure() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.is_empty() || words.iter().any(|word| word == "--help") {
        help();
        return ExitCode::SUCCESS;
    }
    let args = match Args::parse(words) {
        Ok(args) => args,
        Err(why) => return usage_error(&why),
    };
    match args.benches.iter().try_for_each(|bench| run(bench, &args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Counts the bytes of the bench that is named on the command line, and writes them to standard
/// output as JSON. `live` says how many bytes of the heap are in use.
#[must_use]
pub fn count(live: fn() -> usize) -> ExitCode {
    let args = match Args::parse(env::args().skip(1).collect()) {
        Ok(args) => args,
        Err(why) => return usage_error(&why),
    };
    for bench in args.benches {
        print(&(bench.bytes)(args.effort, Heap::new(live)));
    }
    ExitCode::SUCCESS
}

/// Measures meshes of real processes, and writes the figures to standard output as JSON.
#[must_use]
pub fn measure_path() -> ExitCode {
    path::main(print)
}

/// Measures how processes come, go and are missed, and writes the figures to standard output as JSON.
#[must_use]
pub fn measure_procs() -> ExitCode {
    procs::main(print)
}

/// Measures what goes between two processes, and writes the figures to standard output as JSON.
#[must_use]
pub fn measure_transport() -> ExitCode {
    transport::main(print)
}

/// Measures actors within one process, and writes the figures to standard output as JSON.
#[must_use]
pub fn measure_actors() -> ExitCode {
    actors::main(print)
}

/// Measures calls and casts of whole meshes, and writes the figures to standard output as JSON.
#[must_use]
pub fn measure_cast() -> ExitCode {
    cast::main(print)
}

/// The same of meshes within one process alone, for a program with an allocator of this name, which the figures bear.
#[must_use]
pub fn measure_cast_within(allocator: &str) -> ExitCode {
    cast::within(print, Some(allocator))
}

fn print(found: &[Vec<Record>]) {
    println!("{}", serde_json::to_string(found).expect("figures are plain data"));
}

impl Args {
    fn parse(words: Vec<String>) -> Result<Self, String> {
        let mut args = Self { benches: Vec::new(), effort: Effort::Full, out: None };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => args.effort = Effort::Quick,
                "--out" => args.out = Some(words.next().ok_or("--out needs a folder")?.into()),
                "all" => args.benches.extend(BENCHES),
                name => match BENCHES.iter().find(|bench| bench.name == name) {
                    Some(bench) => args.benches.push(bench),
                    None => return Err(format!("there is no bench {name}")),
                },
            }
        }
        if args.benches.is_empty() { Err("which bench?".to_owned()) } else { Ok(args) }
    }
}

/// Runs one bench, shows its figures, and writes them where it is told.
fn run(bench: &Bench, args: &Args) -> Result<(), String> {
    let found = first(bench, args.effort)?;
    let mut report = Report::begin();
    (bench.times)(args.effort, found, &mut report);
    report.end();
    let Some(folder) = &args.out else { return Ok(()) };
    let path = folder.join(args.effort.file_name(bench.name));
    report.write(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

/// What the first program finds.
fn first(bench: &Bench, effort: Effort) -> Result<Vec<Vec<Record>>, String> {
    let own = env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    let other = own.with_file_name(bench.first);
    let failed = |why: &dyn fmt::Display| format!("{}: {why}", other.display());
    let output = Command::new(&other)
        .arg(bench.name)
        .args(effort.words())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))
}

/// Says what was wrong with the command line. Nothing was run.
fn usage_error(why: &str) -> ExitCode {
    eprintln!("bench: {why}");
    ExitCode::from(2)
}

fn help() {
    println!("cargo xtask bench NAME… [--quick]\n");
    for Bench { name, about, .. } in BENCHES {
        println!("  {name:<12} {about}");
    }
    println!(
        "\n--quick: two short rounds at small sizes, to see that it works; no figures to quote"
    );
}

/// Counts bytes.
const HEAP: &str = "meshwarden-bench-heap";

const BENCHES: &[Bench] = &[
    Bench {
        name: "controller",
        about: "supervision of 10^3 to 10^6 ranks: the time of its steps, and the memory it needs",
        first: HEAP,
        times: controller::times,
        bytes: controller::bytes,
    },
    Bench {
        name: "shape",
        about: "rank arithmetic of 64 to 10^9 ranks beside ndslice and ndarray, and the memory it needs",
        first: HEAP,
        times: shape::times,
        bytes: shape::bytes,
    },
    Bench {
        name: "path",
        about: "meshes of actors on 8 and 64 real processes: calls, casts, ends, and how they come and go",
        first: "meshwarden-bench-path",
        times: path::show,
        bytes: |_, _| Vec::new(),
    },
    Bench {
        name: "procs",
        about: "8 to 256 processes come, go and are missed, beside mpirun, GNU parallel and torchrun",
        first: "meshwarden-bench-procs",
        times: procs::show,
        bytes: |_, _| Vec::new(),
    },
    Bench {
        name: "transport",
        about: "calls, casts and bulk between two processes, beside raw sockets, ractor_cluster, kameo and elfo",
        first: "meshwarden-bench-transport",
        times: transport::show,
        bytes: |_, _| Vec::new(),
    },
    Bench {
        name: "actors",
        about: "actors within one process, beside channels of tokio, actix, ractor and kameo",
        first: "meshwarden-bench-actors",
        times: actors::show,
        bytes: |_, _| Vec::new(),
    },
    Bench {
        name: "cast",
        about: "meshes of 10 to 10,000 actors, called and cast to as a whole: in one process, and on 8 to 256",
        first: "meshwarden-bench-cast",
        times: cast::show,
        bytes: |_, _| Vec::new(),
    },
];
