//! it: the real program, run as people run it.

mod bad_input;
mod certs;
mod config;
mod fixture;
mod full_disk;
mod hardship;
mod leftovers;
mod logs;
mod metrics;
mod notify;
mod output;
mod prometheus;
mod readers;
mod run;
mod signals;
mod strategies;
mod surroundings;
mod terminal;
mod trace;
mod wall_clock;

use std::any::type_name_of_val;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// What a test gives back.
type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let groups = [
        bad_input::trials(),
        certs::trials(),
        config::trials(),
        full_disk::trials(),
        hardship::trials(),
        leftovers::trials(),
        logs::trials(),
        metrics::trials(),
        notify::trials(),
        output::trials(),
        readers::trials(),
        run::trials(),
        signals::trials(),
        strategies::trials(),
        surroundings::trials(),
        terminal::trials(),
        trace::trials(),
        wall_clock::trials(),
    ];
    let trials = groups.into_iter().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A test named after its function.
fn trial<T: Fn() -> Outcome + Send + 'static>(test: T) -> Trial {
    let path = type_name_of_val(&test);
    let name = path.rsplit("::").next().unwrap_or(path).to_owned();
    Trial::test(name, move || test().map_err(Failed::from))
}

/// A test that needs a program which may not be here: then it is shown as ignored, and says so.
fn trial_with<T: Fn() -> Outcome + Send + 'static>(program: &str, test: T) -> Trial {
    let trial = trial(test);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = std::env::split_paths(&path).any(|dir| is_file(&dir.join(program)));
    if !is_here {
        let name = trial.name();
        _ = writeln!(io::stderr(), "SKIPPED: {name}: there is no {program} on the PATH").is_ok();
    }
    trial.with_ignored_flag(!is_here)
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file())
}
