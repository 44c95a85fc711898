//! The step `sim`: whole meshes, and hosts whose controllers die, keep their word, whatever the seeds do to them, and each
//! seed repeats.

use crate::sim;
use crate::stop::Stop;

/// Runs many seeds of small meshes, some of large ones, many of hosts, and some twice, which must be the same event for
/// event.
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

const LINES: [&str; 5] = [
    "--seeds 10 --ranks 16 --twice",
    "--seeds 190 --ranks 64",
    "--seeds 10 --ranks 1000 --from 1000000",
    "--hosts --seeds 10 --ranks 64 --twice",
    "--hosts --seeds 290 --ranks 64 --from 10",
];
