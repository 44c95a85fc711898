//! The bench `path`: calls, casts, ends and lives of meshes of real processes, beside raw sockets and
//! plain children.

mod calls;
mod ends;
pub(crate) mod floor;
mod lives;
pub(crate) mod tally;
mod tool;
pub(crate) mod wakeups;

use std::env;
use std::process::ExitCode;

use crate::measure::Effort;
use crate::report::{Record, Report};

/// The program that measures: it is its own guards and workers, and the other side of the floors.
pub(crate) fn main(print: fn(&[Vec<Record>])) -> ExitCode {
    if env::args().nth(1).as_deref() == Some(floor::ARGUMENT) {
        return floor::serve();
    }
    let words: Vec<String> = env::args().collect();
    let is_quick = words.iter().any(|word| Effort::Quick.words().contains(&word.as_str()));
    let effort = if is_quick { Effort::Quick } else { Effort::Full };
    meshwarden::main(
        |registry| _ = registry.actor::<tool::Tool>(),
        async |root| {
            let hosts = root.hosts(1).await?;
            let mut found = Vec::new();
            for &n_procs in sizes(effort) {
                found.extend(calls::measure(&root, &hosts, (n_procs, effort)).await?);
            }
            found.extend(ends::measure(&root, &hosts, effort).await?);
            for &n_procs in sizes(effort) {
                found.extend(lives::measure(&root, &hosts, (n_procs, effort)).await?);
            }
            hosts.close().await;
            print(&found);
            Ok(ExitCode::SUCCESS)
        },
    )
}

/// How many processes a mesh has.
const fn sizes(effort: Effort) -> &'static [usize] {
    match effort {
        Effort::Full => &[8, 64],
        Effort::Quick => &[2],
    }
}

/// Shows what the other program has measured, and which targets hold.
pub(crate) fn show(_: Effort, found: Vec<Vec<Record>>, report: &mut Report) {
    for records in found {
        if let [ours, others @ ..] = &records[..]
            && let Some((_, target)) = TARGETS.iter().find(|(work, _)| *work == ours.work())
        {
            match (target, others) {
                (Target::Nanos(max), _) => report.judge(ours.work(), ours.median(), (*max, "ns")),
                (Target::OfFloor(max), [floor, ..]) => {
                    let target = format!("{}, ÷ floor", ours.work());
                    report.judge(&target, ours.median() / floor.median(), (*max, "×"));
                }
                (Target::OfFloor(_), []) => report.skipped(ours.work(), "there is no floor"),
            }
        }
        report.add(records);
    }
}

/// How much one work of ours may take.
enum Target {
    Nanos(f64),
    OfFloor(f64),
}

const MILLI: f64 = 1e6;

const TARGETS: &[(&str, Target)] = &[
    ("call of one actor by its address, 64 B; p50", Target::OfFloor(1.25)),
    ("call of 8 processes and gather, 64 B; p50", Target::Nanos(0.5 * MILLI)),
    ("call of 8 processes and gather, 64 B; p99", Target::Nanos(2.0 * MILLI)),
    // 10,000 in a second.
    ("pipelined cast to 8 processes, 64 B", Target::Nanos(0.1 * MILLI)),
    ("SIGKILL of a process → its entry of a call; median", Target::OfFloor(2.0)),
    ("SIGKILL of a process → the owner of its actor; worst", Target::Nanos(50.0 * MILLI)),
    ("mesh of 8 processes up", Target::OfFloor(2.0)),
    ("mesh of 8 actors spawned", Target::Nanos(10.0 * MILLI)),
    ("mesh of 8 processes stopped", Target::Nanos(50.0 * MILLI)),
];
