//! guard: real processes under a real guard. The test binary itself is re-executed as the guard, and
//! as an agent that can be killed.

mod ends;
mod fixture;
mod launches;
mod leases;
mod lifelines;
mod orphans;

use std::any::type_name_of_val;
use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use proc_mesh::guard;
use tokio::time::timeout;

/// What a test gives back.
type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    if env::var_os(lifelines::FORGETFUL).is_some() {
        return lifelines::be_forgetful();
    }
    let role = env::args_os().nth(1).unwrap_or_default();
    if role == guard::ARGUMENT {
        return guard::run();
    }
    if role == orphans::AGENT_ARGUMENT {
        return orphans::be_an_agent();
    }
    let mut trials = ends::trials();
    trials.extend(launches::trials());
    trials.extend(leases::trials());
    trials.extend(lifelines::trials());
    trials.extend(orphans::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
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
