//! The bench `cast`: meshes of actors that are called and cast to as a whole, from 10 actors in one process to 256
//! processes, beside channels, raw sockets, and the actors of others in a loop.

mod inside;
mod outside;
mod show;
mod tool;

use std::env;
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
    let words: Vec<String> = env::args().skip(1).collect();
    let is_quick = words.iter().any(|word| Effort::Quick.words().contains(&word.as_str()));
    let effort = if is_quick { Effort::Quick } else { Effort::Full };
    match words.first().map(String::as_str) {
        Some(floor::ARGUMENT) => floor::serve(),
        Some(INSIDE) => match inside::measure(effort) {
            Ok(found) => {
                print(&found);
                ExitCode::SUCCESS
            }
            Err(why) => {
                complain(&why);
                ExitCode::FAILURE
            }
        },
        _ => meshwarden::main(
            |registry| _ = registry.actor::<tool::Tool>(),
            async move |root| {
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

/// What is measured within one process, which is there for nothing else and has two threads for actors.
fn within_one_process(effort: Effort) -> Result<Vec<Vec<Record>>, ClientError> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(INSIDE).args(effort.words()).stderr(Stdio::inherit());
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("what is measured within one process: {}", output.status).into());
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

#[expect(clippy::print_stderr, reason = "people are to see it")]
fn complain(why: &Failed) {
    eprintln!("cast: {why}");
}
