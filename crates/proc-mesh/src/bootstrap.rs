//! Which part this process plays: a program that uses Meshwarden is re-executed as its own guards and
//! workers.

use std::process::ExitCode;

use crate::guard;
use crate::launcher::WORKER_ARG;
use crate::worker::{self, Registry, WorkerError};

/// What this process turned out to be.
#[derive(Debug)]
pub enum Bootstrap {
    /// The program itself: go on.
    Client,
    /// A guard or a worker, which has ended: exit with this code.
    Ended(ExitCode),
    /// A worker that could not become one.
    Refused(WorkerError),
}

/// Plays the part of a guard or a worker if this process was started as one; call it before anything
/// else.
///
/// `register` names what this program can be as a worker. It is called in workers only.
pub fn bootstrap(register: impl FnOnce(&mut Registry)) -> Bootstrap {
    let Some(first) = std::env::args_os().nth(1) else { return Bootstrap::Client };
    if first == guard::ARGUMENT {
        return Bootstrap::Ended(guard::run());
    }
    if first != WORKER_ARG {
        return Bootstrap::Client;
    }
    let mut registry = Registry::default();
    register(&mut registry);
    match worker::run(registry) {
        Ok(code) => Bootstrap::Ended(code),
        Err(error) => Bootstrap::Refused(error),
    }
}
