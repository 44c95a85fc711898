//! `cargo xtask demo`: the demonstration, built for release.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::cargo::Cargo;
use crate::metadata::Metadata;
use crate::stop::Stop;

/// Builds the program for release and becomes `meshwarden demo ARGS`, where the caller stands.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let mut program = match build() {
        Ok(program) => program,
        Err(stop) => {
            eprintln!("demo: {stop}");
            return ExitCode::FAILURE;
        }
    };
    // Becoming it leaves nobody between the terminal's signals and the demonstration.
    let error = program.arg("demo").args(args).exec();
    eprintln!("demo: {} cannot be started: {error}", program.get_program().display());
    ExitCode::FAILURE
}

fn build() -> Result<Command, Stop> {
    Cargo::new("build --release -p meshwarden-cli").run()?;
    let target = Metadata::load()?.target_directory;
    Ok(Command::new(target.join("release").join("meshwarden")))
}
