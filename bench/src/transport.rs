//! The bench `transport`: what goes between two processes, beside raw sockets and the transports of others.
//!
//! Everybody is a pair of processes that does nothing else: one that is told what to do, and one that answers.

mod actors;
mod door;
mod floor;
mod players;
mod seat;
mod sessions;
mod show;
mod works;

use std::env;
use std::process::ExitCode;

use meshwarden_bench_player::Failed;

use crate::measure::Effort;
use crate::report::Record;

use seat::Side;

pub(crate) use show::show;

/// The program that measures: it is also those of its players that need no others.
pub(crate) fn main(print: fn(&[Vec<Record>])) -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["play", by] => play(by),
        ["serve", by] => serve(by),
        _ => {
            let is_quick = words.iter().any(|word| Effort::Quick.words().contains(word));
            let effort = if is_quick { Effort::Quick } else { Effort::Full };
            works::measure(effort).map(|found| print(&found))
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

/// One who is told what to do.
fn play(by: &str) -> Result<(), Failed> {
    match by.split_once('-') {
        None if by == "unbatched" => run(floor::play_unbatched()),
        None => run(floor::play()),
        Some((kind, door)) => {
            let (is_session, door) = (kind == "sessions", door.to_owned());
            run(async move {
                if is_session { sessions::play(&door).await } else { actors::play(&door).await }
            })
        }
    }
}

/// The other end of the same.
fn serve(by: &str) -> Result<(), Failed> {
    seat::take(Side::Serves)?;
    match by.split_once('-') {
        None => run(floor::serve()),
        Some((kind, door)) => {
            let (is_session, door) = (kind == "sessions", door.to_owned());
            run(async move {
                if is_session { sessions::serve(&door).await } else { actors::serve(&door).await }
            })
        }
    }
}

/// On one thread, as the workers of a mesh are: all that a message needs is done without waking another. A task,
/// since what is blocked on is looked at last.
fn run(work: impl Future<Output = Result<(), Failed>> + Send + 'static) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { tokio::spawn(work).await? })
}

#[expect(clippy::print_stderr, reason = "people are to see it")]
fn complain(why: &str) {
    eprintln!("transport: {why}");
}
