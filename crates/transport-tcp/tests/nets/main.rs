//! nets: sessions between two network namespaces, over links that swallow, break, and are slow.
//!
//! The peers are real processes: the test binary executes itself in each namespace. Needs the right to make
//! namespaces (root, or `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`), and the programs `ip` and `tc`. Where something
//! is missing every test is shown as ignored, and it is said why.

mod cable;
mod cards;
mod driver;
mod holes;
mod links;
mod lives;
mod peer;
mod slow;
mod users;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::cable::Family;

/// What went wrong.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What a test gives back.
pub(crate) type Outcome = Result<(), Fault>;

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some(peer::ARGUMENT), _) => return peer::run(),
        (Some(role @ (users::KNOCK | users::SQUAT)), Some(path)) => {
            return users::run(role, path.as_ref());
        }
        _ => (),
    }
    let links = [holes::trials(), links::trials(), lives::trials(), slow::trials()];
    let mut trials =
        possible("links between namespaces", cable::probe(), links.into_iter().flatten().collect());
    trials.extend(possible("processes of other users", users::probe(), users::trials()));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Tests that are shown as ignored where they cannot be run, and it is said why.
fn possible(of: &str, can: Outcome, trials: Vec<Trial>) -> Vec<Trial> {
    if let Err(why) = &can {
        _ = writeln!(io::stderr(), "SKIPPED, LOUDLY: no test of {of}: {why}").is_ok();
    }
    trials.into_iter().map(|trial| trial.with_ignored_flag(can.is_err())).collect()
}

/// A test for each version of IP.
pub(crate) fn each<F>(name: &'static str, test: F) -> [Trial; 2]
where
    F: Fn(Family) -> Outcome + Copy + Send + 'static,
{
    [("v4", Family::V4), ("v6", Family::V6)].map(|(version, family)| {
        Trial::test(format!("{version}::{name}"), move || test(family).map_err(Failed::from))
    })
}

/// A test for which the version of IP makes no difference.
pub(crate) fn once(name: &'static str, test: fn() -> Outcome) -> Trial {
    Trial::test(name, move || test().map_err(Failed::from))
}

/// Says what is wrong unless it is so.
pub(crate) fn ensure(is_so: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if is_so { Ok(()) } else { Err(otherwise().into()) }
}
