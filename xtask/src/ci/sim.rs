//! The step `sim`: whole meshes, hosts whose controllers die, and meshes on such hosts keep their word, whatever the
//! seeds do to them, and each seed repeats.

use crate::sim;
use crate::stop::Stop;

/// Runs many seeds of small meshes, some of large ones, many of hosts, some of both, and some twice, which must be the
/// same event for event.
///
/// # Errors
///
/// - [`Stop::Command`] if it does not build, or a seed fails. It names the seed.
pub(super) fn run() -> Result<(), Stop> {
    for line in LINES {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        sim::program(&args)?.run()?;
    }
    Ok(())
}

const LINES: [&str; 7] = [
    "--seeds 10 --ranks 16 --twice",
    "--seeds 190 --ranks 64",
    "--seeds 10 --ranks 1000 --exactly --from 1000000",
    "--hosts --seeds 10 --ranks 64 --twice",
    "--hosts --seeds 290 --ranks 64 --from 10",
    "--whole --seeds 5 --ranks 24 --twice",
    "--whole --seeds 35 --ranks 64 --from 5",
];
