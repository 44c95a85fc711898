//! `cargo xtask demo`: the demonstration, built for release.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::cargo::Cargo;
use crate::metadata::Metadata;
use crate::stop::Stop;

/// Builds the program for release and becomes `meshwarden demo ARGS`, where the caller stands.
pub(crate) fn run(args: &[String]) -> ExitCode {
    become_program("demo", args)
}

/// Builds the program for release and becomes `meshwarden TASK ARGS`, where the caller stands.
pub(crate) fn become_program(task: &str, args: &[String]) -> ExitCode {
    let mut program = match build() {
        Ok(program) => program,
        Err(stop) => {
            eprintln!("{task}: {stop}");
            return ExitCode::FAILURE;
        }
    };
    // Becoming it leaves nobody between the terminal's signals and the program.
    let error = program.arg(task).args(args).exec();
    eprintln!("{task}: {} cannot be started: {error}", program.get_program().display());
    ExitCode::FAILURE
}

fn build() -> Result<Command, Stop> {
    Cargo::new("build --release -p meshwarden-cli").run()?;
    let target = Metadata::load()?.target_directory;
    Ok(Command::new(target.join("release").join("meshwarden")))
}
