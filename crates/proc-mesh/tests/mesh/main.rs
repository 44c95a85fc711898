//! mesh: real processes under a real mesh. The test binary itself is re-executed as guards and
//! workers.

mod cgroups;
mod clients;
mod cores;
mod cycles;
mod ends;
mod fixture;
mod hangs;
mod notify;
mod restarts;
mod spawning;
mod stopping;
mod surroundings;
mod unkillable;
mod workers;

use std::any::type_name_of_val;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use proc_mesh::{Bootstrap, Registry, bootstrap};
use tokio::time::timeout;

/// What a test gives back.
type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    if let Some(code) = workers::misbehave() {
        return code;
    }
    match bootstrap(register) {
        Bootstrap::Ended(code) => return code,
        Bootstrap::Refused(error) => {
            _ = writeln!(io::stderr(), "{error}").is_ok();
            return ExitCode::FAILURE;
        }
        Bootstrap::Client => (),
    }
    match std::env::args().nth(1).as_deref() {
        Some(clients::CLIENT_ARGUMENT) => return clients::be_a_client(),
        Some(cycles::ARGUMENT) => return cycles::run(),
        Some(unkillable::NOBODY_ARGUMENT) => return unkillable::be_nobody(),
        Some(_) | None => (),
    }
    let mut trials = cgroups::trials();
    trials.extend(clients::trials());
    trials.extend(cores::trials());
    trials.extend(cycles::trials());
    trials.extend(ends::trials());
    trials.extend(hangs::trials());
    trials.extend(notify::trials());
    trials.extend(restarts::trials());
    trials.extend(spawning::trials());
    trials.extend(stopping::trials());
    trials.extend(surroundings::trials());
    trials.extend(unkillable::trials());
    trials.extend(workers::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn register(registry: &mut Registry) {
    workers::register(registry);
    hangs::register(registry);
}

/// A test named after its function, on a runtime of its own, with a deadline.
fn trial<T, F>(test: T) -> Trial
where
    T: Fn() -> F + Send + 'static,
    F: Future<Output = Outcome>,
{
    let path = type_name_of_val(&test);
    let name = path.rsplit("::").next().unwrap_or(path);
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcome = runtime.block_on(async { timeout(TEST_WITHIN, test()).await });
        outcome.map_err(Failed::from)?.map_err(Failed::from)
    })
}

/// No test takes longer, on a busy machine either.
const TEST_WITHIN: Duration = Duration::from_secs(60);
