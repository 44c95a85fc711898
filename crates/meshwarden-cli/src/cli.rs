//! The command line: what can be asked, and who answers.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use meshwarden::Root;
use tracing_subscriber::filter::LevelFilter;

use crate::certs::CertsArgs;
use crate::config::ConfigArgs;
use crate::console::{Console, Voice};
use crate::demo::DemoArgs;
use crate::replay::ReplayArgs;
use crate::run::RunArgs;

/// The exit code for what was asked wrongly: nothing was started.
pub(crate) const USAGE: u8 = 2;

/// Supervised n-dimensional meshes of processes: any program, one process per rank.
#[derive(Debug, Parser)]
#[command(name = "meshwarden", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Run(RunArgs),
    Replay(ReplayArgs),
    Demo(DemoArgs),
    Config(ConfigArgs),
    Certs(CertsArgs),
}

/// Does what the command line says.
///
/// # Errors
///
/// What is nobody's input: an environment that fails. Wrong input is reported here, with exit code 2.
pub(crate) async fn run(root: Root) -> Result<ExitCode> {
    let parsed = Cli::command()
        .try_get_matches()
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are no errors. If nobody reads it, nobody misses it.
            _ = error.print().is_ok();
            let is_usage = error.use_stderr();
            return Ok(if is_usage { ExitCode::from(USAGE) } else { ExitCode::SUCCESS });
        }
    };
    let console = Console::start()?;
    log(console.voice.clone());
    match cli.task {
        Task::Run(args) => crate::run::run(root, &args, &matches, &console).await,
        Task::Replay(args) => crate::replay::run(&args),
        Task::Demo(args) => crate::demo::run(root, args).await,
        Task::Config(args) => crate::config::run(&args, &matches),
        Task::Certs(args) => crate::certs::run(&args),
    }
}

/// The matches of the subcommand, which know flags from environment variables.
pub(crate) fn subcommand(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, matches)| matches)
}

/// Says what was asked wrongly, with its causes; nothing was started.
pub(crate) fn usage_error(error: &anyhow::Error) -> ExitCode {
    complain(format_args!("error: {error:#}"));
    ExitCode::from(USAGE)
}

/// A line on standard error. If nobody reads it, nobody misses it.
pub(crate) fn complain(text: std::fmt::Arguments<'_>) {
    _ = writeln!(io::stderr().lock(), "{text}").is_ok();
}

/// Logs to standard error what `MESHWARDEN_LOG` asks for: off, error, warn (if it is not set), info,
/// debug or trace.
fn log(voice: Voice) {
    let level = std::env::var("MESHWARDEN_LOG").ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(LevelFilter::WARN))
        .with_writer(voice)
        .with_target(false)
        // If nobody reads it, nobody misses it; the default is to panic over it.
        .log_internal_errors(false)
        .init();
}
