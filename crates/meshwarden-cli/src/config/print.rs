//! `meshwarden config`: every setting, its value, and where it came from.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::ArgMatches;

use crate::cli::{subcommand, usage_error};
use crate::config::{ConfigArgs, resolve};

/// Prints the settings.
///
/// # Errors
///
/// If standard output cannot be written.
pub(crate) fn run(args: &ConfigArgs, matches: &ArgMatches) -> Result<ExitCode> {
    let settings = match resolve(&args.settings, subcommand(matches)) {
        Ok(settings) => settings,
        Err(error) => return Ok(usage_error(&error)),
    };
    let key = settings.rows.iter().map(|row| row.key.len()).max().unwrap_or_default();
    let value = settings.rows.iter().map(|row| row.value.len()).max().unwrap_or_default();
    let mut stdout = io::stdout().lock();
    for row in &settings.rows {
        writeln!(stdout, "{:key$}  {:value$}  {}", row.key, row.value, row.source)?;
    }
    Ok(ExitCode::SUCCESS)
}
