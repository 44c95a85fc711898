//! `cargo xtask sim`: whole meshes of actors on a network with faults, in time that is only counted.

use std::process::ExitCode;

use crate::cargo::Cargo;
use crate::metadata::Metadata;
use crate::stop::Stop;

/// Builds the simulation and becomes it with `args`, where the caller stands.
pub(crate) fn run(args: &[String]) -> ExitCode {
    match program(args) {
        Ok(program) => eprintln!("sim: cargo cannot be started: {}", program.exec()),
        Err(stop) => eprintln!("sim: {stop}"),
    }
    ExitCode::FAILURE
}

/// The simulation, in a folder of its own: it is built so that a runtime of tokio takes a seed, which is a matter of
/// all that is built with it.
///
/// # Errors
///
/// - As [`Metadata::load`].
pub(crate) fn program(args: &[String]) -> Result<Cargo, Stop> {
    let built = Metadata::load()?.target_directory.join("sim-build");
    let cargo = Cargo::new("run --quiet --profile sim -p actor-mesh --example sim --target-dir");
    let cargo = cargo.args([built.to_string_lossy().into_owned(), "--".to_owned()]);
    Ok(cargo.args(args).env("RUSTFLAGS", "--cfg tokio_unstable"))
}
