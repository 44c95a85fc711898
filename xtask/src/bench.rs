//! `cargo xtask bench`: the benches, built for release, outside the workspace.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::cargo::Cargo;
use crate::metadata::Metadata;
use crate::stop::Stop;

/// Builds the benches and becomes the one that `args` names, where the caller stands; without
/// arguments they are listed. The figures are also written below `target/bench`.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let mut program = match build(args) {
        Ok(program) => program,
        Err(stop) => {
            eprintln!("bench: {stop}");
            return ExitCode::FAILURE;
        }
    };
    let error = program.exec();
    eprintln!("bench: {} cannot be started: {error}", program.get_program().display());
    ExitCode::FAILURE
}

/// Where cargo builds the benches, and where their figures go.
///
/// # Errors
///
/// - As [`Metadata::load`].
pub(crate) fn folders() -> Result<(PathBuf, PathBuf), Stop> {
    let target = Metadata::load()?.target_directory;
    Ok((target.join("bench-build"), target.join("bench")))
}

fn build(args: &[String]) -> Result<Command, Stop> {
    let (built, figures) = folders()?;
    let has_peer = args.iter().any(|arg| arg == "shape" || arg == "all");
    let built = match has_peer.then(|| with_ndslice(&built)).transpose() {
        Ok(Some(with_peer)) => with_peer,
        Ok(None) => alone(built)?,
        Err(why) => {
            eprintln!("bench: WITHOUT ITS PEER, ndslice does not build here: {why}");
            alone(built)?
        }
    };
    if args.iter().any(|arg| arg == "procs" || arg == "all") {
        // Commands are compared with the command.
        Cargo::new("build --release --package meshwarden-cli --target-dir")
            .args([built.to_string_lossy()])
            .run()?;
    }
    if args.iter().any(|arg| arg == "transport" || arg == "all") {
        with_peers(&built, &["ractor", "kameo", "elfo"]);
    }
    if args.iter().any(|arg| ["actors", "cast", "all"].contains(&arg.as_str())) {
        with_peers(&built, &["actors-actix", "actors-ractor", "actors-kameo"]);
    }
    let mut program = Command::new(built.join("release").join("meshwarden-bench"));
    program.args(args);
    if !args.is_empty() {
        program.arg("--out").arg(figures);
    }
    Ok(program)
}

/// Builds both programs into a folder: the one that reads the clock runs the one that counts bytes,
/// beside it.
fn cargo(built: &Path) -> Cargo {
    Cargo::new("build --release --manifest-path bench/Cargo.toml --target-dir")
        .args([built.to_string_lossy()])
}

fn alone(built: PathBuf) -> Result<PathBuf, Stop> {
    cargo(&built).run()?;
    Ok(built)
}

/// The peers of a bench, each by itself: one that does not build is left out. In a folder of their own, beside
/// the one of the benches.
fn with_peers(built: &Path, peers: &[&str]) {
    let built = built.with_file_name("bench-build-peers");
    for peer in peers {
        let cargo =
            Cargo::new("build --release --manifest-path bench/peers/Cargo.toml --target-dir");
        let peer_built = cargo.args([&*built.to_string_lossy(), "--features", *peer]).run();
        if let Err(why) = peer_built {
            eprintln!("bench: WITHOUT THE PEER {peer}, which does not build here: {why}");
        }
    }
}

/// With the peer of the bench `shape`, whose unstable features are allowed to that one crate. In a
/// folder of its own: build scripts look at the variable, and would run again each time.
fn with_ndslice(built: &Path) -> Result<PathBuf, Stop> {
    let built = built.with_file_name("bench-build-ndslice");
    cargo(&built).args(["--features", "ndslice"]).env("RUSTC_BOOTSTRAP", "ndslice").run()?;
    Ok(built)
}
