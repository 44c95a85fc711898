//! The bench `actors`: actors within one process, beside channels of tokio and the actors of others.
//!
//! Everybody does each work in a process of its own, which is there for nothing else.

pub(crate) mod entrants;
mod floor;
mod ours;
mod rounds;
mod show;

use std::env;
use std::process::ExitCode;

use meshwarden::mesh_runtime::{Proc, ProcConfig};
use meshwarden_bench_player::Failed;
use meshwarden_bench_player::actors::{Job, ROOM, ROOM_QUEUED, Work};
use tokio::runtime::Handle;

use crate::measure::Effort;
use crate::report::Record;

pub(crate) use show::show;

/// The program that measures: it is also those of its players that need no others.
pub(crate) fn main(print: fn(&[Vec<Record>])) -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["play", by, ..] => play(by),
        _ => {
            let is_quick = words.iter().any(|word| Effort::Quick.words().contains(word));
            let effort = if is_quick { Effort::Quick } else { Effort::Full };
            rounds::measure(effort).map(|found| print(&found))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&why.to_string());
            ExitCode::FAILURE
        }
    }
}

/// One who does one work.
fn play(by: &str) -> Result<(), Failed> {
    let job = Job::from_args()?;
    let proc = || Proc::start(ProcConfig::local(), Handle::current());
    match (by, job.work) {
        (BY_REF, Work::Queued) => job.run(move || ours::ByRef::<ROOM_QUEUED>(proc())),
        (BY_REF, _) => job.run(move || ours::ByRef::<ROOM>(proc())),
        (BY_ADDRESS, _) => job.run(move || ours::ByAddress::<ROOM>(proc())),
        (FLOOR, Work::One | Work::Eight | Work::Pairs) => {
            job.run(move || floor::Bounded(job.room()))
        }
        (FLOOR, _) => job.run(|| floor::Unbounded),
        _ => Err(format!("nobody is called {by}").into()),
    }
}

#[expect(clippy::print_stderr, reason = "people are to see it")]
fn complain(why: &str) {
    eprintln!("actors: {why}");
}

/// What this program is told to be.
const BY_REF: &str = "ours";
const BY_ADDRESS: &str = "address";
const FLOOR: &str = "floor";
