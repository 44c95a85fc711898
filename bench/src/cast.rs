//! The bench `cast`: meshes of actors that are called and cast to as a whole, from 10 actors in one process to 256
//! processes, beside channels, raw sockets, and the actors of others in a loop.

mod inside;
mod outside;
mod parts;
mod show;
mod tool;

use std::env;
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use meshwarden::prelude::*;
use meshwarden_bench_player::Failed;

use crate::measure::Effort;
use crate::path::floor;
use crate::report::Record;

pub(crate) use show::show;

/// The program that measures: it is its own guards and workers, the other side of the floors, and the one process of
/// what is measured within one.
pub(crate) fn main(print: fn(&[Vec<Record>])) -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some(floor::ARGUMENT) => floor::serve(),
        Some(INSIDE) => within(print, None),
        _ => meshwarden::main(
            |registry| _ = registry.actor::<tool::Tool>(),
            async move |root| {
                let effort = effort();
                let mut found = within_one_process(effort)?;
                let hosts = root.hosts(1).await?;
                for &n_procs in sizes(effort) {
                    found.extend(outside::measure(&root, &hosts, (n_procs, effort)).await?);
                }
                hosts.close().await;
                print(&found);
                Ok(ExitCode::SUCCESS)
            },
        ),
    }
}

/// The program that is the one process. The figures bear the name of its allocator, if that is not the system's.
pub(crate) fn within(print: fn(&[Vec<Record>]), allocator: Option<&str>) -> ExitCode {
    match inside::measure(effort(), allocator) {
        Ok(found) => {
            print(&found);
            ExitCode::SUCCESS
        }
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

/// As the command line of this program says.
fn effort() -> Effort {
    let is_quick = env::args().any(|word| Effort::Quick.words().contains(&word.as_str()));
    if is_quick { Effort::Quick } else { Effort::Full }
}

/// What is measured within one process, which is there for nothing else and has two threads for actors: with the
/// allocator of the system, and with another one.
fn within_one_process(effort: Effort) -> Result<Vec<Vec<Record>>, ClientError> {
    let own = env::current_exe()?;
    let mut found = inside_of(&own, effort)?;
    found.extend(inside_of(&own.with_file_name(WITH_MIMALLOC), effort)?);
    Ok(found)
}

fn inside_of(program: &Path, effort: Effort) -> Result<Vec<Vec<Record>>, ClientError> {
    let failed = |why: &dyn fmt::Display| format!("{}: {why}", program.display());
    let mut command = Command::new(program);
    command.arg(INSIDE).args(effort.words()).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// How many processes a mesh has.
const fn sizes(effort: Effort) -> &'static [usize] {
    match effort {
        Effort::Full => &[8, 64, 256],
        Effort::Quick => &[4],
    }
}

/// The first word on the command line of the program that is one process.
const INSIDE: &str = "inside";

/// The same program with another allocator, beside this one.
const WITH_MIMALLOC: &str = "meshwarden-bench-cast-mimalloc";

#[expect(clippy::print_stderr, reason = "people are to see it")]
fn complain(why: &Failed) {
    eprintln!("cast: {why}");
}
